#!/bin/sh
# What an operator may want to know of a host before anything is installed there: about 60 lines, as any tool could run them.
# It reads what the kernel tells and starts few programs, and prints less than 1 kB.
set -u

say() {
  printf '%s %s\n' "$1" "$2"
}

say kernel "$(uname -r)"
say machine "$(uname -m)"
say user "$(id -u)"

while IFS='=' read -r key value; do
  case $key in
    ID | VERSION_ID) say "os_$key" "$value" ;;
  esac
done </etc/os-release

while read -r key value unit; do
  case $key in
    MemTotal: | MemAvailable: | SwapTotal:) say "$key" "$value $unit" ;;
  esac
done </proc/meminfo

cpus=0
while read -r key _; do
  [ "$key" = processor ] && cpus=$((cpus + 1))
done </proc/cpuinfo
say cpus "$cpus"

for name in net/ipv4/ip_forward net/ipv4/ip_local_port_range fs/file-max kernel/pid_max vm/overcommit_memory; do
  [ -r "/proc/sys/$name" ] && read -r value <"/proc/sys/$name" && say "sysctl_$name" "$value"
done

for module in overlay br_netfilter ip_vs nf_conntrack; do
  if [ -d "/sys/module/$module" ]; then say module "$module"; else say no_module "$module"; fi
done

for program in containerd ctr crictl kubelet iptables nft conntrack mount ethtool socat tc; do
  path=$(command -v "$program") && say program "$path"
done

for place in / /var /tmp; do
  df -Pk "$place" | while read -r device size used free _ _; do
    case $size in *[!0-9]*) continue ;; esac
    say disk "$place $device $size $used $free"
  done
done

# Never read /proc/net/tcp with the shell: it takes a system call for each byte.
awk '$4 == "0A" { print "listens", $2 }' /proc/net/tcp | head -n 40

for place in /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni/net.d; do
  [ -e "$place" ] && say exists "$place"
done
say end ok
