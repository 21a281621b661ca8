# Mounts the control groups of the kernel in a folder, with every controller that there is: of version 1, else of version 2.
# groups.sh FOLDER
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1"
while IFS=: read -r _ controllers _; do
    case $controllers in
        '' | name=*) continue ;;
    esac
    mkdir "$1/$controllers"
    mount -t cgroup -o "$controllers" cgroup "$1/$controllers"
done </proc/self/cgroup
if [ -z "$(ls "$1")" ]; then mount -t cgroup2 cgroup "$1"; fi
