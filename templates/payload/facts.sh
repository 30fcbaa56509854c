# Facts about a host, in one go. Nothing on the host is changed, but that, as kubeadm does, the module `configs` may be
# loaded where a kernel keeps its configuration in it, and that the disk of etcd is tried with a small file, where that is
# asked for. The script is given to a shell as its argument and leaves nothing behind.
#
# Processes are what this costs a host, so most of what it needs it reads by itself, or many things with one awk.
#
# Usage: [--socket SOCKET] [--resolve NAME]... [--fsync DIRECTORY] [--no-changes] [PATH...]

newline='
'

# One fact, on one line whatever the value.
fact() {
	value=$2
	while :; do
		case $value in
		*"$newline"*) value="${value%%"$newline"*} ${value#*"$newline"}" ;;
		*) break ;;
		esac
	done
	printf '%s %s\n' "$1" "$value"
}

# Set `line` to the first line of a file. A last line without a newline counts as well.
first_line() {
	line=''
	[ -r "$1" ] && { read -r line <"$1" || [ -n "$line" ]; } 2>/dev/null
}

file_fact() { ! first_line "$2" || fact "$1" "$line"; }

facts_system() {
	fact euid "$(id -u)"
	file_fact hostname /proc/sys/kernel/hostname
	file_fact kernel_name /proc/sys/kernel/ostype
	file_fact kernel_release /proc/sys/kernel/osrelease
	fact machine "$(uname -m)"
	for path in /etc/os-release /usr/lib/os-release; do
		[ -r "$path" ] || continue
		sed -n 's/^ID=/os.id /p; s/^VERSION_ID=/os.version /p' "$path"
		break
	done
	fact cpus "$(unset OMP_NUM_THREADS OMP_THREAD_LIMIT; nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"
	file_fact machine_id /etc/machine-id
	for path in /sys/class/dmi/id/product_uuid /sys/devices/virtual/dmi/id/product_uuid; do
		[ ! -r "$path" ] || { file_fact product_uuid "$path" && break; }
	done
	for path in /etc/ssh/ssh_host_*_key.pub; do
		! first_line "$path" || { rest=${line#* } && say "ssh_host_key ${line%% *} ${rest%% *}"; }
	done
	! find_command systemd-detect-virt || fact virtualization "$(systemd-detect-virt 2>/dev/null)"
	for name in br_netfilter ip_vs nf_conntrack overlay; do
		[ ! -d "/sys/module/$name" ] || say "module $name"
	done
	for name in apparmor_parser conntrack cp containerd crictl crio ctr docker ebtables etcd ethtool ip iptables \
		kubectl kubelet losetup mount nsenter socat tc touch; do
		! find_command "$name" || fact "command $name" "$found"
	done
	# Not with `read`: it takes byte after byte, and the kernel gives away only the first of a number.
	set --
	for path in /proc/meminfo /proc/uptime /proc/swaps /proc/sys/net/ipv4/ip_forward \
		/proc/sys/net/ipv6/conf/default/forwarding /proc/sys/net/bridge/bridge-nf-call-iptables \
		/proc/sys/net/bridge/bridge-nf-call-ip6tables /proc/sys/net/ipv4/conf/all/rp_filter \
		/proc/sys/net/netfilter/nf_conntrack_max /proc/sys/fs/file-max /proc/sys/fs/nr_open \
		/proc/sys/fs/inotify/max_user_instances /proc/sys/fs/inotify/max_user_watches \
		/proc/sys/kernel/random/entropy_avail; do
		[ ! -r "$path" ] || set -- "$@" "$path"
	done
	awk '$1 == "MemTotal:" { print "memory_kb", $2 }
		FILENAME == "/proc/uptime" { print "uptime", int($1) }
		FILENAME == "/proc/swaps" && FNR > 1 { print "swap", $1 }
		FILENAME ~ "^/proc/sys/" && FNR == 1 { print "sysctl", substr(FILENAME, 11), $0 }' "$@"
}

facts_security() {
	if first_line /sys/fs/selinux/enforce; then
		case $line in 1) say 'selinux enforcing' ;; *) say 'selinux permissive' ;; esac
		for path in /usr/share/selinux/packages/container.pp* /usr/share/selinux/*/container.pp* \
			/var/lib/selinux/*/active/modules/*/container /etc/selinux/*/active/modules/*/container; do
			[ ! -e "$path" ] || { say selinux_container_policy && break; }
		done
	else
		say 'selinux disabled'
	fi
	first_line /sys/module/apparmor/parameters/enabled && [ "$line" = Y ] && say apparmor
	if [ -r /etc/ufw/ufw.conf ] && grep -q '^ENABLED=yes' /etc/ufw/ufw.conf; then say 'firewall ufw'; fi
	if find_command nft; then
		# Chain headers only: rules can be very many. What firewalld and iptables-nft make is among them.
		limited 3 nft list chains 2>/dev/null | awk '$1 == "table" { table = $2 " " $3 }
			$1 == "chain" { chain = $2 }
			/hook input/ && /policy drop/ { print "firewall nftables", table, chain }'
	elif find_command iptables && [ -r /proc/net/ip_tables_names ]; then
		limited 3 iptables -w 1 -S INPUT 2>/dev/null |
			awk '$1 == "-P" && $3 != "ACCEPT" { print "firewall iptables INPUT" }'
	fi
}

# Addresses stay as the kernel prints them; which one counts is decided on the workstation.
facts_network() {
	for path in /sys/class/net/*; do
		first_line "$path/mtu" || continue
		mtu=$line
		first_line "$path/address" || line=''
		mac=${line:--}
		first_line "$path/operstate" || line=unknown
		[ -e "$path/device" ] && physical=1 || physical=0
		say "link ${path##*/} $mac $mtu ${line:-unknown} $physical"
	done
	if find_command ip; then
		ip -o addr show 2>/dev/null | awk '$3 == "inet" || $3 == "inet6" {
			sub(/@.*/, "", $2); sub(/\/.*/, "", $4); print "address", $2, $4 }'
	else
		[ ! -r /proc/net/fib_trie ] || awk '/\|--/ { at = $2 }
			/host LOCAL/ && !seen[at]++ { print "address -", at }' /proc/net/fib_trie
		[ ! -r /proc/net/if_inet6 ] ||
			sed 's/^\(\(....\)\{7\}....\) .* \([^ ]*\)$/\3 \1/' /proc/net/if_inet6 |
			awk '{ gsub(/..../, "&:", $2); sub(/:$/, "", $2); print "address", $1, $2 }'
	fi
	set --
	for path in /proc/net/route /proc/net/ipv6_route /proc/net/tcp /proc/net/tcp6 /etc/resolv.conf \
		/run/systemd/resolve/resolv.conf; do
		[ ! -r "$path" ] || set -- "$@" "$path"
	done
	# Routers of the Internet have a million routes; a few hundred say all that is asked here.
	[ $# -eq 0 ] || awk '
		FILENAME == "/proc/net/route" {
			if (FNR == 1 || $1 == "*") next
			if ($2 == "00000000" && $8 == "00000000") print "default4", $1, $7
			if (++routes4 <= 300) print "route4", $1, $2, $3, $8
		}
		FILENAME == "/proc/net/ipv6_route" {
			if ($10 == "lo") next
			if ($1 ~ /^0+$/ && $2 == "00") print "default6", $10, $6
			# Without local addresses (128 bits), multicast and link-local networks.
			if ($2 != "80" && $1 !~ /^(ff|fe80)/ && ++routes6 <= 300) print "route6", $10, $1, $2, $5
		}
		FILENAME ~ "^/proc/net/tcp" && $4 == "0A" {
			n = split($2, part, ":")
			if (!seen[part[n]]++) print "port", part[n]
		}
		FILENAME ~ "resolv.conf$" && $1 == "nameserver" { print "name_server", FILENAME, $2 }' "$@"
}

facts_cgroups() {
	version=$(awk '$2 == "/sys/fs/cgroup" { unified = ($3 == "cgroup2") }
		$3 == "cgroup" { old = 1 }
		END { print unified ? 2 : (old ? 1 : 0) }' /proc/mounts)
	say "cgroup_version $version"
	case $version in
	1) awk '$1 !~ /^#/ && $4 == 1 { print "cgroup_controller", $1 }' /proc/cgroups ;;
	2)
		first_line /sys/fs/cgroup/cgroup.controllers || line=''
		for name in $line; do say "cgroup_controller $name"; done
		;;
	esac
}

find_kernel_config() {
	first_line /proc/sys/kernel/osrelease || line=unknown
	for path in /proc/config.gz "/boot/config-$line" "/usr/src/linux-$line/.config" \
		/usr/src/linux/.config "/usr/lib/modules/$line/config" \
		"/usr/lib/ostree-boot/config-$line" "/usr/lib/kernel/config-$line" \
		"/usr/src/linux-headers-$line/.config" "/lib/modules/$line/build/.config"; do
		[ ! -r "$path" ] || return 0
	done
	return 1
}

# The options that kubeadm's SystemVerification looks at, from the first place it looks in.
facts_kernel() {
	# As kubeadm does: some kernels carry their configuration in a module.
	find_kernel_config ||
		{ [ "$changes" = yes ] && modprobe configs 2>/dev/null && find_kernel_config; } || return 0
	fact kernel_config "$path"
	case $path in *.gz) zcat "$path" ;; *) cat "$path" ;; esac 2>/dev/null |
		sed -n 's/^CONFIG_\(NAMESPACES\|NET_NS\|PID_NS\|IPC_NS\|UTS_NS\|CGROUPS\|CGROUP_BPF\|CGROUP_CPUACCT\|CGROUP_DEVICE\|CGROUP_FREEZER\|CGROUP_PIDS\|CGROUP_SCHED\|CGROUP_HUGETLB\|CPUSETS\|MEMCG\|INET\|EXT4_FS\|PROC_FS\|NETFILTER_XT_TARGET_REDIRECT\|IP_NF_TARGET_REDIRECT\|NETFILTER_XT_MATCH_COMMENT\|FAIR_GROUP_SCHED\|OVERLAY_FS\|AUFS_FS\|BLK_DEV_DM\|CFS_BANDWIDTH\|SECCOMP\|SECCOMP_FILTER\)=/kernel_option \1 /p'
}

# What exists under the paths kubeadm owns, and where it looks for certificate authorities. Further
# paths are arguments.
facts_paths() {
	counted=0
	for path in /etc/kubernetes /etc/kubernetes/* /etc/kubernetes/manifests/* \
		/etc/kubernetes/pki/* /etc/kubernetes/pki/etcd/* /var/lib/kubelet \
		/var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml \
		/var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki/kubelet-client-current.pem \
		/var/lib/etcd /etc/pki /etc/pki/ca-trust /etc/pki/tls/certs /etc/ca-certificates \
		/usr/share/ca-certificates /usr/local/share/ca-certificates "$@"; do
		[ "$counted" -lt 1000 ] || break
		counted=$((counted + 1))
		if [ -d "$path" ]; then
			state=empty_directory
			for entry in "$path"/* "$path"/.[!.]* "$path"/..?*; do
				if [ -e "$entry" ] || [ -L "$entry" ]; then
					state=directory
					break
				fi
			done
			fact "path $state" "$path"
		elif [ -e "$path" ]; then
			fact 'path file' "$path"
		fi
	done
}

# What an earlier cluster left: when, and which one it was.
facts_leftovers() {
	set --
	for path in /etc/kubernetes/pki/ca.crt /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf \
		/var/lib/kubelet/config.yaml /var/lib/etcd/member /etc/cni/net.d/*; do
		[ "$#" -lt 50 ] && [ -e "$path" ] && set -- "$@" "$path"
	done
	[ $# -eq 0 ] || stat -L -c 'changed %Y %n' "$@" 2>/dev/null
	for path in /etc/kubernetes/kubelet.conf /etc/kubernetes/admin.conf; do
		[ ! -r "$path" ] || sed -n "s,^ *server: *,server $path ,p" "$path"
	done
	if [ -r /etc/kubernetes/pki/ca.crt ]; then
		# The first certificate alone: what stands around it may differ between hosts of a cluster.
		sum=$(sed -n '/^-----BEGIN/,/^-----END/{p;/^-----END/q;}' /etc/kubernetes/pki/ca.crt | sha256sum) &&
			say "ca_sha256 ${sum%% *}"
	fi
}

# The file systems that matter, by the path they matter for. What does not exist yet will be made in the nearest parent.
facts_disks() {
	set -- / /etc /var /var/log /var/lib/kubelet /var/lib/containerd /var/lib/containers "$@"
	nearest=''
	for path in "$@"; do
		while [ ! -d "$path" ]; do
			path=${path%/*}
			path=${path:-/}
		done
		nearest=$nearest$path$newline
	done
	# `df` prints a line for each argument, in their order. A file server that is gone would keep it for ever.
	old_ifs=$IFS
	IFS=$newline
	set -f
	# shellcheck disable=SC2086 # one word per line
	{
		printf 'path %s\n' "$@"
		say sizes
		limited 5 df -Pk -- $nearest 2>/dev/null
		say inodes
		limited 5 df -Pi -- $nearest 2>/dev/null
	} | awk '
		$1 == "path" && !section { path[++count] = substr($0, 6); next }
		$0 == "sizes" || $0 == "inodes" { section = $0; n = -1; next }
		{
			n++
			if (n < 1 || n > count) next
			for (at = 5; at < NF && $at !~ /^([0-9]+%|-)$/; at++);
			mount = $(at + 1)
			for (i = at + 2; i <= NF; i++) mount = mount " " $i
			said = $(at - 3) " " $(at - 1)
			print "disk", path[n]
			if (section == "sizes") print "disk_kb " said "\ndisk_mount " mount
			else print "disk_inodes " said
			wanted[mount] = 1
		}
		END {
			while ((getline <"/proc/mounts") > 0) {
				gsub(/\\040/, " ", $2)
				if ($2 in wanted) print "mount", $3, $4, $2
			}
		}'
	set +f
	IFS=$old_ifs
}

# Each fact below may take a while. They run at the same time, and each prints once, in one write.

slow_kubelet() {
	find_command kubelet || return 0
	fact kubelet_version "$(limited 5 kubelet --version 2>/dev/null)"
}

# Every name by itself: an answer does not always carry the name that was asked for. What is not answered by the end of
# the time is left out. Not with `getent hosts`: that asks DNS for IPv6 even about what stands in /etc/hosts.
slow_names() {
	find_command getent && first_line /proc/sys/kernel/hostname || return 0
	# shellcheck disable=SC2086 # one word per name
	set -- names "$line" $names
	# shellcheck disable=SC2016 # this is for the inner shell
	found=$(limited 4 sh -c 'for name in "$@"; do
		shown=""
		for word in $(getent ahosts "$name" 2>/dev/null); do
			case $word in *[!0-9a-fA-F.:]*) continue ;; *[.:]*) ;; *) continue ;; esac
			case " $shown " in *" $word "*) ;; *) shown="$shown $word" ;; esac
		done
		printf "resolved %s%s\n" "$name" "$shown"
	done' "$@")
	[ -z "$found" ] || say "$found"
}

# A login shell, because that is where an operator would have started kubeadm.
slow_proxies() {
	found=$({
		limited 2 sh -lc env 2>/dev/null
		cat /etc/environment 2>/dev/null
		say
	} | sed -n 's/^export  *//; s/^\([A-Za-z0-9_]*_[Pp][Rr][Oo][Xx][Yy]\)=/proxy \1 /p')
	[ -z "$found" ] || say "$found"
}

slow_services() {
	find_init 2>/dev/null
	names='kubelet containerd crio docker firewalld ufw systemd-resolved chrony chronyd ntp ntpd ntpsec openntpd
		systemd-timesyncd'
	case $init in
	systemd)
		# shellcheck disable=SC2086 # one word per service
		shown=$(limited 5 systemctl show -p LoadState -p ActiveState -p UnitFileState $names 2>/dev/null |
			awk -v names="$names" '
				function flush() {
					if (load == "") return
					exists = (load != "not-found")
					enabled = (file ~ /^(enabled|enabled-runtime|static|alias|indirect|generated|transient)$/)
					active = (state == "active" || state == "activating")
					print "service", name[++n], exists, enabled, active
					load = ""; state = ""; file = ""
				}
				BEGIN { split(names, name, " ") }
				/^LoadState=/ { load = substr($0, 11) }
				/^ActiveState=/ { state = substr($0, 13) }
				/^UnitFileState=/ { file = substr($0, 15) }
				/^$/ { flush() }
				END { flush() }')
		if [ -z "$shown" ]; then
			# systemd is installed but not running, as in an image or a rescue system. One process for all: for
			# `is-enabled` each would take its own, as it stops at the first that is not there.
			units=''
			for name in $names; do units="$units $name.service"; done
			# shellcheck disable=SC2086 # one word per service
			shown=$(limited 5 systemctl --root=/ list-unit-files --no-legend --no-pager $units 2>/dev/null |
				awk -v names="$names" '
					{ sub(/\.service$/, "", $1); file[$1] = $2 }
					END {
						count = split(names, name, " ")
						for (i = 1; i <= count; i++) {
							enabled = (file[name[i]] ~ /^(enabled|enabled-runtime|static|alias|indirect|generated)$/)
							print "service", name[i], (file[name[i]] != "") + 0, enabled + 0, 0
						}
					}')
		fi
		;;
	openrc)
		shown=$(for name in $names; do
			exists=0 enabled=0 active=0
			if [ -e "/etc/init.d/$name" ]; then
				exists=1
				! is_enabled "$name" || enabled=1
				! is_active "$name" || active=1
			fi
			say "service $name $exists $enabled $active"
		done)
		;;
	*) shown='' ;;
	esac
	say "init $init${shown:+$newline$shown}"
}

# Whether the runtime at a socket answers, asked through crictl or, for containerd, ctr.
slow_runtime() {
	socket=${1#unix://}
	name='' version='' ready=0 error=''
	if find_command crictl && answer=$(limited 3 crictl --runtime-endpoint "unix://$socket" version 2>&1); then
		name=$(say "$answer" | awk '$1 == "RuntimeName:" { print $2 }')
		version=$(say "$answer" | awk '$1 == "RuntimeVersion:" { print $2 }')
		answer=$(limited 3 crictl --runtime-endpoint "unix://$socket" info 2>&1)
		# The order of keys differs between releases, so look at each innermost object as a whole.
		if say "$answer" | tr -d ' \n' | sed 's/[{}]/\n/g' |
			grep '"type":"RuntimeReady"' | grep -q '"status":true'; then
			ready=1
		else
			error='the runtime does not say RuntimeReady'
		fi
	elif is_containerd; then
		name=containerd
		if answer=$(limited 3 ctr --address "$socket" version 2>&1); then
			version=$(say "$answer" | awk '/^Server/ { server = 1 }
				server && $1 == "Version:" { print $2; exit }')
			error=$(limited 3 ctr --address "$socket" plugins ls 2>&1 | awk '
				$2 == "cri" || $1 ~ /\.cri\./ {
					if ($NF == "ok") seen = 1
					else if ($NF != "skip") bad = bad " " $1 "." $2 ": " $NF }
				END {
					if (bad != "") print "CRI plugin not loaded:" bad
					else if (!seen) print "the CRI plugin is disabled in the configuration of containerd" }')
			[ -n "$error" ] || ready=1
		else
			error=$answer
		fi
	elif find_command crictl; then
		error=$answer
	else
		error='crictl is needed to ask this runtime, and is not installed'
	fi
	say "runtime.socket unix://$socket
runtime.name $name
runtime.version $version
runtime.ready $ready
$(fact runtime.error "$(printf '%.500s' "$error")")"
}

# Small writes, each flushed before the next, as etcd makes them: 30 of them, of 2 KB.
slow_fsync() {
	directory=$1
	while [ ! -d "$directory" ]; do
		directory=${directory%/*}
		directory=${directory:-/}
	done
	tried=$(mktemp "$directory/.fleetadm-$$-XXXXXX" 2>/dev/null) || return 0
	# Once it is open the file needs no name, so an interrupted run leaves none; the kernel opens it again by number.
	# shellcheck disable=SC2094
	took=$({ rm -f -- "$tried" && limited 10 dd if=/dev/zero of=/proc/self/fd/9 bs=2048 count=30 oflag=dsync; } \
		9>>"$tried" 2>&1)
	took=$(say "$took" | sed -n 's/.*[,(] *\([0-9.e-]*\) *s\(econds\)\{0,1\}[,)].*/\1/p')
	[ -z "$took" ] || say "fsync $1 30 $took"
}

main() {
	umask 077
	LC_ALL=C
	PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	cd / || exit 1
	# First and at once: the answer tells how this clock stands against the workstation's.
	clock=$(date +%s.%N)
	say "clock ${clock%.%N}"
	chosen='' names='' disk='' changes=yes
	while :; do
		case ${1-} in
		--socket) chosen=$2 ;;
		--resolve) names="$names $2" ;;
		--fsync) disk=$2 ;;
		--no-changes)
			changes=no
			shift
			continue
			;;
		*) break ;;
		esac
		shift 2
	done
	sockets=''
	for path in /var/run/containerd/containerd.sock /var/run/crio/crio.sock /var/run/cri-dockerd.sock; do
		[ -S "$path" ] || continue
		sockets="$sockets unix://$path"
		chosen=${chosen:-$path}
	done
	find_timeout
	{
		slow_kubelet &
		slow_names &
		slow_proxies &
		slow_services &
		[ -z "$chosen" ] || slow_runtime "$chosen" &
		[ -z "$disk" ] || slow_fsync "$disk" &
		wait
	} | {
		facts_system
		facts_security
		facts_network
		facts_cgroups
		facts_kernel
		facts_paths "$@"
		facts_leftovers
		facts_disks "$@"
		for path in $sockets; do fact cri_socket "$path"; done
		cat
		say end
	} | tr -d '\000-\011\013-\037\177'
}

main "$@"
