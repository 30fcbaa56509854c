# What kubeadm's reset leaves on a host, taken away where the operator asks for it (`fleetadm reset --cleanup`).
#
# Only what is Kubernetes' own: chains, rules, interfaces and files are known by their names, and what bears another
# name, or belongs to a package that stays, is left as it is. Comes through standard input and stays nowhere.
#
# Usage: cleanup [--dry-run] SOCKET cni|iptables|ipvs|images|kubelet...
# With --dry-run nothing is changed; what would be done is printed as if it had been done.
# Results are lines on standard output: `removed WHAT` or `kept WHAT, AND WHY`; explanations go to standard error.

dry_run=no
# Run a command that changes the host, unless nothing may change. Its output is not a result.
act() { [ "$dry_run" = yes ] || "$@" >&2; }

# ---- Packet filters ----

# Every variant of iptables that is here: each keeps rules of its own, and both may be in use.
variants() {
	for variant in iptables-legacy iptables-nft iptables ip6tables-legacy ip6tables-nft ip6tables; do
		case $variant in
		*-*) ;;
		# One without a suffix is one of the other two, where they are there.
		*) if find_command "$variant-nft-save" || find_command "$variant-legacy-save"; then continue; fi ;;
		esac
		if find_command "$variant-save" && find_command "$variant-restore"; then say "$variant"; fi
	done
}

# Read what `iptables-save` printed, and print what undoes Kubernetes' part of it, for `iptables-restore --noflush`:
# the rules of others that lead into a chain of Kubernetes', its own rules, its chains. Everything else stays.
undo_rules() {
	awk '
		function ours(chain) { return chain ~ /^(KUBE|CNI)-/ }
		function leads_to_ours(  rule, words, count, i) {
			rule = $0
			# A comment may say anything.
			gsub(/"([^"\\]|\\.)*"/, "", rule)
			count = split(rule, words, " ")
			for (i = 3; i < count; i++) if ((words[i] == "-j" || words[i] == "-g") && ours(words[i + 1])) return 1
			return 0
		}
		/^\*/ { table = $0; rules = flushes = deletions = "" }
		/^:/ && ours(substr($1, 2)) {
			chain = substr($1, 2)
			flushes = flushes "-F " chain "\n"
			deletions = deletions "-X " chain "\n"
		}
		/^-A / && !ours($2) && leads_to_ours() { sub(/^-A/, "-D"); rules = rules $0 "\n" }
		/^COMMIT/ && rules flushes != "" { printf "%s\n%s%s%sCOMMIT\n", table, rules, flushes, deletions }'
}

restore() {
	# Waiting for the lock is not known to the oldest.
	printf '%s\n' "$2" | "$1-restore" -w 5 --noflush 2>/dev/null || printf '%s\n' "$2" | "$1-restore" --noflush >&2
}

clean_iptables() {
	for variant in $(variants); do
		# Says something on standard error where nftables holds what iptables cannot show.
		saved=$("$variant-save" 2>/dev/null) || {
			warn "$variant-save failed: its rules are left"
			continue
		}
		undo=$(printf '%s\n' "$saved" | undo_rules)
		[ -n "$undo" ] || continue
		chains=$(printf '%s\n' "$undo" | grep -c '^-X ')
		rules=$(printf '%s\n' "$undo" | grep -c '^-D ')
		[ "$dry_run" = yes ] || restore "$variant" "$undo" ||
			die "the rules of $variant cannot be changed"
		say "removed $chains chains KUBE-* and CNI-* of $variant and $rules rules that led there"
	done
	# kube-proxy in its nftables mode has tables of its own.
	if find_command nft; then
		for family in ip ip6; do
			nft list table "$family" kube-proxy >/dev/null 2>&1 || continue
			act nft delete table "$family" kube-proxy || die "the nftables table $family kube-proxy cannot be removed"
			say "removed nftables table $family kube-proxy"
		done
	fi
}

# ---- IPVS ----

is_virtual() { [ -d "/sys/devices/virtual/net/$1" ]; }

remove_interface() {
	act ip link delete "$1" || die "the interface $1 cannot be removed"
	say "removed interface $1"
}

# Virtual services of kube-proxy: those on addresses of kube-ipvs0, and those on node ports, which are in its ipsets.
kube_services() {
	{
		ip -o addr show dev kube-ipvs0 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print "address", $4 }'
		if find_command ipset; then
			for protocol in TCP UDP SCTP; do
				ipset list "KUBE-NODE-PORT-$protocol" 2>/dev/null | awk '/^[0-9]+$/ { print "port", $1 }'
				ipset list "KUBE-NODE-PORT-$protocol-HASH" 2>/dev/null |
					awk '/^[0-9a-f.:]+,/ { sub(/.*:/, "", $1); print "port", $1 }'
			done
		fi
		ipvsadm -S -n
	} | awk '
		$1 == "address" || $1 == "port" { known[$1 " " $2] = 1 }
		$1 == "-A" && ($2 == "-t" || $2 == "-u" || $2 == "--sctp-service") {
			address = port = $3
			sub(/:[0-9]+$/, "", address); gsub(/[][]/, "", address); sub(/.*:/, "", port)
			if (("address " address) in known || ("port " port) in known) print $2 " " $3
		}'
}

clean_ipvs() {
	if [ ! -e /proc/net/ip_vs ]; then
		: # Asking for its services would load it.
	elif find_command ipvsadm; then
		services=$(kube_services) || die "the services of IPVS cannot be listed"
		if [ -n "$services" ]; then
			printf '%s\n' "$services" | while read -r kind service; do
				act ipvsadm -D "$kind" "$service" || exit 1
				say "removed IPVS service $service"
			done || die "a service of IPVS cannot be removed"
		fi
	elif grep -Eq '^(TCP|UDP|SCTP) ' /proc/net/ip_vs; then
		say "kept services of IPVS, as ipvsadm is not installed: install it and run this again, or reboot"
	fi
	if is_virtual kube-ipvs0; then remove_interface kube-ipvs0; fi
	find_command ipset || return 0
	sets=$(ipset list -n 2>/dev/null | grep '^KUBE-') || return 0
	for set in $sets; do
		if act ipset destroy "$set"; then
			say "removed ipset $set"
		else
			say "kept ipset $set, which rules still use: clean up iptables as well"
		fi
	done
}

# ---- Pod networks ----

# Interfaces that pod networks make and leave behind. Only virtual ones, never a bridge or a tunnel of another name:
# docker0, lxcbr0, virbr0 and tunl0 (the kernel's own) stay.
is_pod_network() {
	case $1 in
	cni0 | kube-bridge | kube-dummy-if | nodelocaldns) return 0 ;;
	flannel.[0-9]* | flannel-v6.[0-9]* | flannel-wg | flannel-wg-v6) return 0 ;;
	cali*) is_calico "${1#cali}" && return 0 ;;
	vxlan.calico | vxlan-v6.calico | wireguard.cali | wg-v6.cali) return 0 ;;
	cilium_host | cilium_net | cilium_vxlan | cilium_geneve | cilium_wg0 | lxc_health) return 0 ;;
	weave | vethwe-bridge | vethwe-datapath | vxlan-6784) return 0 ;;
	esac
	return 1
}

# Calico's ends of pods' interfaces are numbered with eleven hexadecimal digits.
is_calico() {
	case $1 in *[!0-9a-f]*) return 1 ;; esac
	[ ${#1} -eq 11 ]
}

# Whether a package put the file there.
has_package() {
	# Where /lib is /usr/lib, dpkg still knows files by the name their package gave them.
	if find_command dpkg-query && dpkg-query -S "$1" "${1#/usr}" 2>/dev/null | grep -q .; then return 0; fi
	if find_command rpm && rpm -qf "$1" >/dev/null 2>&1; then return 0; fi
	find_command apk && apk info --who-owns "$1" >/dev/null 2>&1
}

# Never through a mount: what is mounted there is somebody's.
remove_tree() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	if WANTED=$1 awk '$2 == ENVIRON["WANTED"] || index($2, ENVIRON["WANTED"] "/") == 1 { f = 1 } END { exit !f }' /proc/mounts; then
		say "kept $1, as something is mounted there"
		return
	fi
	act rm -rf -- "$1" || die "$1: cannot be removed"
	say "removed $1"
}

clean_cni() {
	for path in /sys/class/net/*; do
		name=${path##*/}
		# One end of a pair takes the other along.
		if is_pod_network "$name" && is_virtual "$name"; then remove_interface "$name"; fi
	done
	for path in /etc/cni/net.d/* /etc/cni/net.d/.[!.]*; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		case ${path##*/} in *podman* | *containerd-net*) say "kept $path, which is not Kubernetes'" && continue ;; esac
		if has_package "$path"; then
			say "kept $path, which belongs to a package"
		else
			remove_tree "$path"
		fi
	done
	for path in /var/lib/cni/*; do
		if [ "$path" = /var/lib/cni/networks ]; then
			for network in /var/lib/cni/networks/*; do
				case ${network##*/} in podman*) continue ;; esac
				remove_tree "$network"
			done
		else
			remove_tree "$path"
		fi
	done
	for path in /run/flannel /run/calico /var/lib/calico; do remove_tree "$path"; done
}

# ---- Images ----

# What no container uses and the runtime has not pinned, as its own sandbox image.
clean_images() {
	if is_containerd; then
		listed=$(by_ctr images ls -q) || die "cannot list the images of $socket"
		kept=$({ by_ctr images ls -q 'labels."io.cri-containerd.pinned"==pinned' && by_ctr containers ls | awk 'NR > 1 { print $2 }'; }) ||
			die "cannot list the containers of $socket"
		for image in $listed; do
			if printf '%s\n' "$kept" | grep -Fqx -e "$image"; then continue; fi
			act by_ctr images rm "$image" || die "the image $image cannot be removed"
			case $image in sha256:*) ;; *) say "removed image $image" ;; esac
		done
	elif crictl_works; then
		[ -n "$(by_crictl images -q)" ] || return 0
		act by_crictl rmi --prune || die "the images of $socket cannot be removed"
		say "removed images that no container used"
	else
		die "neither ctr nor crictl can ask the runtime at $socket"
	fi
}

# ---- The kubelet ----

# The package that a file belongs to, and what depends on it.
remove_package() {
	if find_command dpkg-query && package=$(dpkg-query -S "$1" 2>/dev/null); then
		package=${package%%:*}
		# A hold is for upgrades: who removes the kubelet means it.
		act env DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-change-held-packages purge "$package"
	elif find_command rpm && package=$(rpm -qf --qf '%{NAME}' "$1" 2>/dev/null); then
		if find_command dnf; then
			act dnf -q -y --disableexcludes=all remove "$package"
		elif find_command yum; then
			act yum -q -y --disableexcludes=all remove "$package"
		elif find_command zypper; then
			act zypper --non-interactive --quiet remove "$package"
		else
			act rpm -e "$package"
		fi
	elif find_command apk && package=$(apk info --quiet --who-owns "$1" 2>/dev/null) && [ -n "$package" ]; then
		act apk del --quiet "$package"
	else
		return 0
	fi || die "the package $package cannot be removed"
	say "removed package $package"
}

clean_kubelet() {
	find_init
	if [ "$init" != none ] && is_active kubelet; then
		case $init in systemd) act systemctl stop kubelet ;; *) act rc-service kubelet stop ;; esac ||
			die "the kubelet cannot be stopped"
		say "removed the kubelet from the running services"
	fi
	if [ "$init" != none ] && is_enabled kubelet; then
		case $init in systemd) act systemctl disable kubelet ;; *) act rc-update del kubelet default ;; esac ||
			die "the kubelet cannot be disabled"
		say "removed the kubelet from the services started at boot"
	fi
	if find_command kubelet; then remove_package "$found"; fi
	for directory in /usr/bin /usr/local/bin /opt/bin; do
		for binary in kubelet kubeadm kubectl; do
			path=$directory/$binary
			[ -e "$path" ] || [ -L "$path" ] || continue
			if has_package "$path"; then
				[ "$dry_run" = yes ] || say "kept $path, which belongs to a package"
			else
				remove_tree "$path"
			fi
		done
	done
	for path in /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d \
		/usr/lib/systemd/system/kubelet.service /usr/lib/systemd/system/kubelet.service.d \
		/etc/init.d/kubelet /etc/conf.d/kubelet /etc/default/kubelet /etc/sysconfig/kubelet; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		if has_package "$path"; then say "kept $path, which belongs to a package"; else remove_tree "$path"; fi
	done
	if [ "$init" = systemd ]; then act systemctl daemon-reload || :; fi
	remove_tree /var/lib/kubelet
}

# ---- Entry ----

main() {
	umask 077
	LC_ALL=C
	PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	exec </dev/null
	cd / || exit 1
	if [ "${1-}" = --dry-run ]; then
		dry_run=yes
		shift
	fi
	socket=${1#unix://}
	shift
	for what in "$@"; do
		case $what in
		cni | iptables | ipvs | images | kubelet) "clean_$what" ;;
		*) die "unknown cleanup '$what'" ;;
		esac
	done
}

main "$@"
