# Brings services back once nobody has renewed the lease for so many seconds: guard LEASE MOST, in its folder.
# Whoever renames `armed` has won: to `fired` this script, to `disarmed` the backup.
trap '' HUP
echo $$ >pid && mkdir armed || exit 1
folder=$PWD last='' left=$1 most=$2
# Its own ticks are counted: no clock that somebody sets.
while sleep 1 && [ -d armed ]; do
    left=$((left - 1)) most=$((most - 1))
    read -r now <lease
    [ "$now" = "$last" ] || { last=$now left=$1; }
    why=lease
    [ $most -gt 0 ] || why=most
    if [ $left -le 0 ] || [ $most -le 0 ]; then
        mv armed fired 2>/dev/null || break
        echo $why >fired/why
        # A backup that was only slow learns of it soon, and may have stopped something meanwhile.
        watch=30
        while sh ./resume >fired/said 2>&1 && [ $watch -gt 0 ] && [ ! -e fired/enough ]; do
            watch=$((watch - 2))
            sleep 2
        done
        sh ./resume >fired/said 2>&1
        echo $? >fired/status
        exit
    fi
done
cd / && rm -rf "$folder"
