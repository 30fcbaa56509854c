#!/bin/sh
# machine.sh - a machine of its own for one sshd: other users, other programs, its own /etc, /usr, /var, /dev and /run.
#
#   unshare --mount --propagation private machine.sh DIRECTORY PROGRAMS COMMAND...
#
# The mount namespace it is run in is what becomes that machine; the real one sees nothing of it. COMMAND takes its place
# in the end.
set -eu
directory=$1 programs=$2
shift 2

layers=$directory/layers
mkdir -p "$layers"
# Overlays cannot be written to where they lie on an overlay, as the root of a container does.
mount -t tmpfs -o mode=0755 tmpfs "$layers"

layer() { # PATH DIRECTORY...: what these directories have, and all changes, seem to be in PATH
  path=$1 lower=$1 own=$layers/$(echo "$1" | tr / _)
  shift
  for more; do
    [ ! -d "$more" ] || lower=$more:$lower
  done
  mkdir -p "$own/upper" "$own/work"
  mount -t overlay -o "lowerdir=$lower,upperdir=$own/upper,workdir=$own/work" overlay "$path"
}
layer /usr "$programs/usr"
layer /usr/bin "$programs/bin"
layer /etc "$programs/etc"
layer /var
for path in /home /root /run; do
  mount -t tmpfs -o mode=0755 tmpfs "$path"
done
mkdir -p /run/sshd

mkdir -p "$layers/dev/pts" "$layers/dev/shm"
for device in full null random tty urandom zero; do
  : >"$layers/dev/$device"
  mount --bind "/dev/$device" "$layers/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$layers/dev/pts"
ln -s pts/ptmx "$layers/dev/ptmx"
ln -s /proc/self/fd "$layers/dev/fd"
: >"$layers/dev/log"
mount --bind "$directory/log" "$layers/dev/log"
mount --rbind "$layers/dev" /dev

# Only in the package's own installation does it get this.
chmod u+s /usr/lib/cargo/bin/sudo
cat >/etc/pam.d/common-auth <<'CONF'
auth [success=1 default=ignore] pam_unix.so nodelay
auth requisite pam_deny.so
auth required pam_permit.so
CONF
rm -rf /etc/sudoers.d
mkdir -m 0750 /etc/sudoers.d
exec "$@"
