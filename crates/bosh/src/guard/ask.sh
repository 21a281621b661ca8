# What has become of a guard, or what becomes of it: ask.sh FOLDER held | renew NUMBER | disarm
# Exit status: 0 it is armed, or was and is gone; 3 it has fired, and why; 4 there is none.
cd && cd ".bosh-backup/$1" 2>/dev/null || exit 4
is_alive() { kill -0 "$(cat pid 2>/dev/null)" 2>/dev/null; }
fired() {
    cat fired/why fired/said 2>/dev/null
    [ ! -e fired/status ] || echo "exit status $(cat fired/status)"
}
case $2 in
    held)
        [ ! -d fired ] || { fired; exit 3; }
        [ -d armed ] && is_alive || exit 4
        ;;
    renew)
        [ -d armed ] || exit 3
        echo "$3" >lease.new && mv lease.new lease
        ;;
    disarm)
        folder=$PWD said=''
        if ! mv armed disarmed 2>/dev/null && [ -d fired ]; then
            # Until it says how that went it is still at it.
            : >fired/enough
            while [ ! -e fired/status ] && is_alive; do sleep 1; done
            said=$(fired)
        else
            # It sees so at its next tick; one that is dead does not.
            while [ -e pid ] && is_alive; do sleep 0.2; done
        fi
        cd / && rm -rf "$folder" && rmdir "${folder%/*}" 2>/dev/null
        [ -z "$said" ] || { echo "$said"; exit 3; }
        exit 0
        ;;
esac
