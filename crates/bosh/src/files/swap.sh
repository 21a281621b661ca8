# Puts files of a director in place, or back: sh swap forward | settle | undo, in its folder, as root.
# `places` has a line for each: put MOUNT PATH, or drop MOUNT PATH. What comes is in MOUNT/.bosh-backup-restore/new, what was there goes
# to old. Each step is one rename, and each can be done again: whoever is killed between two of them is gone on with from there.
cd "${0%/*}" || exit 1
root=${PWD%/*} failed=
exec 9>lock && flock 9 || exit 1
is() { [ -e "$1" ] || [ -L "$1" ]; }
at() { w=$root/$1${PWD##*/} target=$root/$2 new=$w/new/vcap/$2 old=$w/old/$2; }
move() { ! is "$2" && mv -T -- "$1" "$2" || failed=1; }
aside() { mkdir -p -- "${old%/*}" && move "$target" "$old" || failed=1; }
forward() {
    put() {
        at "$1" "$2"
        [ -z "$failed" ] && is "$new" || return 0
        ! is "$target" || aside
        [ -n "$failed" ] || move "$new" "$target"
    }
    drop() {
        at "$1" "$2"
        [ -n "$failed" ] || ! is "$target" || is "$old" || aside
    }
    . ./places
}
back() {
    failed=
    put() {
        at "$1" "$2"
        is "$new" || move "$target" "$new"
        ! is "$old" || move "$old" "$target"
    }
    drop() {
        at "$1" "$2"
        ! is "$old" || move "$old" "$target"
    }
    . ./places
    # What is closed is never put in place any more: services may run.
    [ -n "$failed" ] || : >closed
}
case $1 in
    forward)
        [ ! -e closed ] || { echo "services were started again meanwhile" >&2; exit 1; }
        forward
        [ -n "$failed" ] || { sync && : >done && sync && exit 0; }
        rm -f done
        back
        exit 1
        ;;
    undo)
        rm -f done || exit 1
        back
        ;;
    settle) [ -e done ] || back ;;
    *) exit 2 ;;
esac
[ -z "$failed" ]
