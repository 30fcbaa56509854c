# What a host looks like, one fact per line, sorted: files, mounts, sockets that listen, processes, network.
# Read by listing.rs; runs as root through `tests/lab/lab exec HOST sh -s`.
set -eu
export LC_ALL=C
{
  find /etc /usr /opt /var /root /home /srv \
    \( -path /var/lib/containerd -o -path /var/log -o -path /var/cache -o -path /var/tmp -o -path /var/lib/systemd \) -prune -o \
    \( -type d -printf 'file d %m %u:%g %p\n' -o -type l -printf 'file l %u:%g %p -> %l\n' -o -printf 'file %y %m %u:%g %p\n' \)
  # systemd writes .updated at a boot that finds another /usr than the last one.
  find /etc -type f -size -1024k ! -path /etc/.updated -exec sha256sum {} + | sed 's/^\(................\)[^ ]* */content \1 /'
  find /run -maxdepth 1 -printf 'file %y %m %u:%g %p\n'
  awk '{ print "mount", $5 }' /proc/self/mountinfo
  # 127.0.0.11 is Docker's resolver, on other ports after every boot.
  ss -Hlntu | awk '$5 !~ /^127\.0\.0\.11:/ { print "listen", $1, $5 }'
  ps -eo comm= | sed 's/^/process /'
  ip -o link | awk -F'[:@] *' '{ print "interface", $2 }'
  ip -o route | sed 's/^/route /; s/ *$//'
  iptables-save 2>/dev/null | sed -n 's/^\(:[^ ]*\).*/iptables chain \1/p; s/^-A/iptables rule/p'
  systemctl list-unit-files --no-legend --state=enabled | awk '{ print "enabled", $1 }'
  systemctl list-units --no-legend --plain --state=failed | awk '{ print "failed", $1 }'
  getent passwd | cut -d: -f1 | sed 's/^/user /'
} | sort
