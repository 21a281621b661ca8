# In namespaces of its own: makes the root of the machine and goes there. Memory holds what is written.
# begin.sh PROGRAMS POSTGRESQL SKELETON DIR SSH_PORT
set -eu
programs=$1 postgresql=$2 skeleton=$3 dir=$4
machine=$dir/machine root=$dir/machine/root
umask 022
mkdir "$machine" "$dir/run"
# /proc is the outer one still: the number by which others know this process.
read -r process _ </proc/self/stat
echo "$process" >"$dir/process"

# In a chroot / is no mount point. What is mounted there would be seen outside if the mount below it were shared.
mount --make-rprivate / 2>/dev/null || :
mount -t tmpfs -o mode=755 tmpfs "$machine"
if grep -F " $machine " /proc/self/mountinfo | grep -q ' shared:'; then
    umount "$machine"
    echo "mounts are shared with others here"
    exit 1
fi

mkdir "$machine/upper" "$machine/work" "$machine/data" "$root"
cp -R "$skeleton/." "$machine/upper"
sed -i -e "s/@SSH_PORT@/$5/" "$machine/upper/etc/ssh/sshd_config"
mount -t overlay -o "lowerdir=$programs,upperdir=$machine/upper,workdir=$machine/work" overlay "$root"
cd "$root"
mkdir -p proc sys dev run/sshd var/lib/docker home/core usr/local/bin ".$postgresql"
rmdir var/run
ln -s /run var/run
mkdir -p -m 1777 tmp
mount --bind "$machine/data" var/lib/docker
mount --bind "$postgresql" ".$postgresql"
# PostgreSQL has no time zones of its own.
mkdir -p usr/share/zoneinfo
mount --bind /usr/share/zoneinfo usr/share/zoneinfo
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -m 1777 dev/shm
for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
mkdir run/docker
mount --bind "$dir/run" run/docker
# The one beside it is for outside, where there are other libraries.
ln -s /usr/bin/docker.bin usr/local/bin/docker

sh "${0%/*}/groups.sh" "$root/sys/fs/cgroup"

in_root() { chroot "$root" "$@"; }
in_root chown 1000:1000 /home/core
in_root ssh-keygen -q -t ed25519 -N '' -C machine -f /etc/ssh/host_ed25519
in_root ssh-keygen -q -t ed25519 -N '' -C tests -f /root/id_ed25519
cp root/id_ed25519.pub etc/ssh/authorized_keys
cp root/id_ed25519 root/id_ed25519.pub "$dir/"
cut -d' ' -f1,2 etc/ssh/host_ed25519.pub | sed "s/^/[127.0.0.1]:$5 /" >"$dir/known_hosts"

# A container is entered by its mounts alone, so the machine's root must be theirs, too: a chroot would not do. Entering mounts leads
# to their root, out of a chroot that the tests may run in; the descriptor leads back.
exec 4<"$root"
mkdir old
exec nsenter --mount="/proc/$process/ns/mnt" sh -euc '
    mount --make-rprivate /
    cd /proc/self/fd/4
    pivot_root . old
    exec 4<&-
    umount -l old
    exec chroot . /sbin/boot "$@"
' boot "${dir##*/}" "$postgresql"
