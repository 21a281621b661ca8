# Lives as long as its standard input is open, which is as long as the test lives; the machine and its folder go with it.
# keeper.sh BEGIN, then what BEGIN is given
dir=$5
# What is printed there comes from the machine: `ready`.
unshare --mount --pid --uts --ipc --propagation unchanged --fork --kill-child=KILL \
    sh "$@" 3>&1 >"$dir/log" 2>&1 </dev/null &
exec >/dev/null
cat >/dev/null
# The first process of the machine: it has ended when all of the machine has.
kill -KILL $(cat "/proc/$!/task/$!/children") 2>/dev/null
wait
# What the kernel still has of its containers: control groups, empty now.
mkdir "$dir/groups"
unshare --mount --propagation unchanged sh -c '
    mount --make-rprivate / 2>/dev/null
    sh "$1" "$2" && find "$2" -depth -type d \( -name "$3" -o -path "*/$3/*" \) -exec rmdir {} +
' groups "${1%/*}/groups.sh" "$dir/groups" "${dir##*/}" 2>/dev/null
rm -rf "$dir"
