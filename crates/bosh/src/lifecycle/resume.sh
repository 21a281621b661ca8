# Starts the services "$@", as a journal names them, and waits until they run: by $monit and $sv, with $tries of two seconds.
# Of each monit says `Process 'nats'`, and below that its status.
how() {
    sudo -n -- "$monit" status 2>/dev/null | {
        here=
        while IFS= read -r line; do
            line=${line%"${line##*[! ]}"}
            case $line in
                *" '$1'") here=${line%%" '"*} ;;
                "  status "*) [ -z "$here" ] || break ;;
            esac
        done
        value=${line#  status} value=${value#"${value%%[! ]*}"}
        case $here:$value in
            :* | *: | *" pending" | *:[Ii]nitializing) echo changing ;;
            *:[Nn]"ot monitored") echo down ;;
            Process:running | Process:Running | Process:OK) echo up ;;
            Process:*) echo changing ;;
            *) echo up ;;
        esac
    }
}
# Nothing starts on files of which a restore has put half in place.
for unit do
    case $unit in
        files/*)
            sudo -n -- sh -c '[ ! -e "$0" ] || exec sh "$0" settle' "/${unit#files/}/swap" || {
                echo "files are half put in place, and cannot be put back"
                exit 1
            }
            ;;
    esac
done
while :; do
    left=
    for unit do
        name=${unit#*/}
        case $unit in
            files/*) continue ;;
            monit/*)
                case $(how "$name") in
                    up) continue ;;
                    down) sudo -n -- "$monit" start "$name" ;;
                esac
                ;;
            sv/*)
                case $(sudo -n -- "$sv" status "$name") in
                    run:*", want down"* | run:*", got "* | run:*", paused"*) ;;
                    run:*) continue ;;
                esac
                sudo -n -- "$sv" up "$name"
                ;;
        esac
        left="$left $unit"
    done
    [ -n "$left" ] || exit 0
    tries=$((tries - 1))
    if [ $tries -le 0 ]; then
        echo "not running:$left"
        exit 1
    fi
    sleep 2
done
