# In namespaces of its own: makes the root of the machine and goes there. Memory holds what is written, but for its store.
# begin.sh PROGRAMS POSTGRESQL SKELETON DIR SSH_PORT MONIT_PORT POSTGRES_PORT
set -eu
programs=$1 postgresql=$2 skeleton=$3 dir=$4
machine=$dir/machine root=$dir/machine/root
umask 022
mkdir "$machine" "$dir/store"
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

mkdir "$machine/upper" "$machine/work" "$root"
cp -R "$skeleton/." "$machine/upper"
cd "$machine/upper"
sed -i -e "s/@SSH_PORT@/$5/" -e "s/@MONIT_PORT@/$6/" -e "s/@POSTGRES_PORT@/$7/" \
    etc/ssh/sshd_config root/.ssh/config var/vcap/bosh/etc/monitrc var/vcap/jobs/postgres/bin/postgres_ctl
chmod 600 var/vcap/bosh/etc/monitrc var/vcap/monit/job/* var/vcap/monit/monit.user
chmod 700 root
cd /
mount -t overlay -o "lowerdir=$programs,upperdir=$machine/upper,workdir=$machine/work" overlay "$root"
cd "$root"
mkdir -p var/vcap/store var/vcap/sys/log/postgres var/vcap/packages/postgres home/vcap ".$postgresql" \
    var/spool/cron/crontabs
mount --bind "$dir/store" var/vcap/store
mount --bind "$postgresql" ".$postgresql"
ln -s "$postgresql/usr/lib/postgresql/15/bin" var/vcap/packages/postgres/bin
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -m 1777 dev/shm
for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
echo microbosh >proc/sys/kernel/hostname

in_root() { chroot "$root" "$@"; }
in_root chown 1000:1000 /home/vcap
in_root chown root:crontab /usr/bin/crontab
in_root chgrp crontab /var/spool/cron/crontabs
in_root chmod 2755 /usr/bin/crontab
chmod 1730 var/spool/cron/crontabs
in_root ssh-keygen -q -t ed25519 -N '' -C director -f /etc/ssh/host_ed25519
in_root ssh-keygen -q -t ed25519 -N '' -C tests -f /root/.ssh/id_ed25519
cp root/.ssh/id_ed25519.pub etc/ssh/authorized_keys
cut -d' ' -f1,2 etc/ssh/host_ed25519.pub | sed 's/^/director /' >root/.ssh/known_hosts
sed "s/^director /[127.0.0.1]:$5 /" root/.ssh/known_hosts >"$dir/known_hosts"
cp root/.ssh/id_ed25519 root/.ssh/id_ed25519.pub "$dir/"
mkdir -m 700 var/vcap/store/postgres
in_root chown vcap:vcap /var/vcap/store/postgres
in_root setpriv --reuid=vcap --regid=vcap --clear-groups env LC_ALL=C.UTF-8 \
    /var/vcap/packages/postgres/bin/initdb -D /var/vcap/store/postgres -U vcap -A trust -E UTF8 --locale=C --no-sync
echo 'fsync = off' >>var/vcap/store/postgres/postgresql.conf
exec chroot "$root" /sbin/boot
