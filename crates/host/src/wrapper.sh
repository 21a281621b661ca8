# backup-host: runs a command in this process's group, and ends the group when whoever asked for it is gone.
#   sh -c SCRIPT backup-host TOKEN plain|root|user:NAME PROGRAM [ARGUMENT...]
# Standard input is frames: a length in digits, a newline, so many bytes. Length 0 is the end of the command's input; the end of the
# file is a cut, at any place. Standard output begins with a line of TOKEN and this process's number, and standard error ends with TOKEN
# and the exit status.
token=$1 how=$2
shift 2
kill -s 0 -- -$$ || exit
exec 3<&0 5>&2 2>/dev/null
printf '%s %10s\n' "$token" $$

# Kills all of the group at once, this process too: the command does not see its input end.
cut() {
    case $how in
        plain) kill -s KILL -- -$$ ;;
        root) sudo -n kill -s KILL -- -$$ ;;
        # It kills itself, too, but not us.
        *) sudo -n -u "${how#user:}" kill -s KILL -- -$$ || [ $? -le 128 ] || kill -s KILL -- -$$ ;;
    esac
    # Not allowed to: the command is left to wait for more input, and ends at its next output.
    while :; do sleep 60; done
}

# Says nothing every few seconds. It is how a cut is seen while a command does not take the input that is before the end of file.
watch() {
    trap '' PIPE
    trap 'kill "$nap"; exit' TERM
    while sleep 5 & nap=$!; wait "$nap"; do
        printf '\0' >&5 || cut
    done
}

{
    # Who it is that feeds.
    sh -c 'echo "$PPID"'
    while read -r length <&3; do
        case $length in
            0) exec >/dev/null ;;
            *) dd bs="$length" count=1 iflag=fullblock <&3 || break ;;
        esac
    done
    cut
} 5>&- | {
    read -r feeder
    watch </dev/null >/dev/null 3<&- &
    watcher=$!
    # Not a function or a builtin of this shell.
    (exec "$@" 2>&5 3<&- 5>&-)
    status=$?
    # All of the input must have been taken.
    if [ "$status" = 0 ] && [ "$(dd bs=1 count=1 | wc -c)" -ne 0 ]; then status=untaken; fi
    # It lives until now, or the end of the input was none.
    kill -s KILL "$feeder" || status=unfed
    kill -s TERM "$watcher"
    printf '\n%s %s\n' "$token" "$status" >&5
}
