# The fleetadm payload: what fleetadm does as root on a host, it does through this one file.
#
# fleetadm runs on somebody's workstation and reaches this host over SSH. It decides everything there.
# This script only does the few things that must happen on the spot: put files in place, start services,
# hand images to the container runtime, clean up. It talks to the network itself only to download binaries
# from a mirror that the inventory names (the container runtime may, to pull images, and the package
# manager), and it contains no secret: those arrive on standard input.
#
# Usage: payload.sh [--dry-run] SUBCOMMAND [ARGUMENT...]
# With --dry-run nothing is changed; what would be done is printed as if it had been done.
# Results are lines on standard output, a word first; explanations go to standard error.

dry_run=no
# Run a command that changes the host, unless nothing may change. Its output is not a result.
act() { [ "$dry_run" = yes ] || "$@" >&2; }

tab=$(printf '\t')
stage=''     # private directory of this run, with `plan`: the temporary files made next to others
temporary='' # one more temporary file to remove if the run ends early
leased=''    # the file of the lease that this run alone holds

# Whether a path is an absolute one without `.` and `..` in it.
is_plain_path() {
	case $1 in
	*//* | */./* | */../* | */. | */..) return 1 ;;
	/?*) return 0 ;;
	*) return 1 ;;
	esac
}

require_plain_path() { is_plain_path "$1" || die "$1: not a plain absolute path"; }

# ---- Services ----

# Whether a service still runs a binary that has been replaced.
is_outdated() {
	[ "$init" = systemd ] || return 1
	pid=$(systemctl show --property MainPID --value "$1")
	case $(readlink "/proc/$pid/exe") in *' (deleted)') return 0 ;; esac
	return 1
}

do_service() {
	case $init/$1 in
	systemd/start | systemd/restart)
		act systemctl daemon-reload && act systemctl "$1" "$2"
		;;
	systemd/refresh) act systemctl daemon-reload && act systemctl reload-or-restart "$2" ;;
	systemd/reload) act systemctl daemon-reload ;;
	systemd/*) act systemctl "$1" "$2" ;;
	openrc/enable) act rc-update add "$2" default ;;
	openrc/disable) act rc-update del "$2" default ;;
	openrc/refresh) act rc-service "$2" reload ;;
	openrc/reload) ;;
	openrc/*) act rc-service "$2" "$1" ;;
	esac
}

# service start|stop|restart|refresh|enable|disable|reload NAME
service() {
	find_init
	[ "$init" != none ] || die "neither systemd nor OpenRC looks after services here"
	case $1 in
	start)
		is_active "$2" && wanted=yes || wanted=no
		[ "$wanted" = no ] || ! is_outdated "$2" || { wanted=no && set -- restart "$2"; }
		;;
	stop) is_active "$2" && wanted=no || wanted=yes ;;
	enable) is_enabled "$2" && wanted=yes || wanted=no ;;
	disable) is_enabled "$2" && wanted=no || wanted=yes ;;
	restart | refresh | reload) wanted=no ;;
	*) die "unknown service action $1" ;;
	esac
	if [ "$wanted" = yes ]; then
		say "unchanged $2"
	else
		do_service "$1" "$2" || die "cannot $1 service $2"
		say "changed $2"
	fi
}

# log NAME LINES: the last lines a service logged, where the init system keeps a log.
service_log() {
	find_init
	[ "$init" != systemd ] || journalctl --no-pager --quiet --lines "$2" --unit "$1" 2>/dev/null || :
}

# ---- Processes ----

# Set `ticks` to when a process began, in hundredths of a second since the machine did.
find_ticks() {
	ticks=$(awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null) && [ -n "$ticks" ]
}

# processes NAME...: `process PID TICKS BEGIN` for each process of such a name, BEGIN by the clock, and its arguments,
# one to a line with a blank in front.
list_processes() {
	booted=$(awk '$1 == "btime" { print $2 }' /proc/stat)
	for directory in /proc/[0-9]*; do
		{ read -r short <"$directory/comm"; } 2>/dev/null || continue
		for name in "$@"; do
			# The kernel keeps 15 characters of a name.
			case $name in
			"$short") ;;
			"$short"*) [ "${#short}" -eq 15 ] || continue ;;
			*) continue ;;
			esac
			find_ticks "${directory#/proc/}" || continue
			say "process ${directory#/proc/} $ticks $((booted + ticks / 100))"
			tr '\000' '\n' 2>/dev/null <"$directory/cmdline" | sed 's/^/ /'
		done
	done
	say end
}

# terminate PID TICKS TERM|KILL: ask a process to end, or end it, unless its number has come to be another's.
terminate() {
	if find_ticks "$1" && [ "$ticks" = "$2" ]; then
		act kill -s "$3" "$1" || die "process $1 cannot be ended"
		say "changed $1"
	else
		say "unchanged $1"
	fi
}

# ---- Packages ----

# packages NAME...: install those whose command, of the same name, is not here, and nothing that is only recommended.
# Some distributions start a package's service at once, with a configuration that nobody asked for: it is stopped.
packages() {
	for name in "$@"; do
		shift
		if find_command "$name"; then say "unchanged $name"; else set -- "$@" "$name"; fi
	done
	[ $# -gt 0 ] || return 0
	if find_command apt-get; then
		act apt_get update || warn "the lists of packages cannot be brought up to date"
		act apt_get install --no-install-recommends --option Dpkg::Options::=--force-confold "$@"
	elif find_command dnf; then
		act dnf --assumeyes --quiet --setopt=install_weak_deps=False install "$@"
	else
		die "neither apt-get nor dnf is here: install $* by hand"
	fi || die "cannot install $*"
	find_init
	for name in "$@"; do
		[ "$init" != systemd ] || act systemctl disable --now "$name" || :
		say "changed $name"
	done
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --option DPkg::Lock::Timeout=300 "$@"
}

# ---- Network ----

# unassign ADDRESS...: take them off the interfaces that have them.
unassign() {
	for address in "$@"; do
		ip -o address show to "$address" | while read -r _ device _ prefix _; do
			act ip address delete "$prefix" dev "$device" || die "$address: cannot be taken off $device"
			say "removed $address from $device"
		done || exit 1
	done
}

# ---- The kernel ----

# modules NAME...: load those that are not there.
load_modules() {
	for name in "$@"; do
		if [ -d "/sys/module/$name" ]; then
			say "unchanged $name"
		else
			act modprobe -- "$name" || die "the module $name cannot be loaded"
			say "changed $name"
		fi
	done
}

# sysctls KEY=VALUE..., with slashes in the key. Not with `read`, to which the kernel gives one digit only.
set_sysctls() {
	for setting in "$@"; do
		key=${setting%%=*} wanted=${setting#*=}
		require_plain_path "/proc/sys/$key"
		[ -e "/proc/sys/$key" ] || die "$key: this kernel has no such setting"
		if [ "$(cat "/proc/sys/$key")" = "$wanted" ]; then
			say "unchanged $key"
		else
			act_on_sysctl || die "$key: cannot be set to $wanted"
			say "changed $key"
		fi
	done
}
act_on_sysctl() { [ "$dry_run" = yes ] || printf '%s\n' "$wanted" 2>/dev/null >"/proc/sys/$key"; }

# swapoff DEVICE...: those of them that are in use.
swap_off() {
	for device in "$@"; do
		if awk -v device="$device" '$1 == device { f = 1 } END { exit !f }' /proc/swaps; then
			act swapoff -- "$device" || die "$device: swapping there cannot be ended; is there enough memory?"
			say "changed $device"
		else
			say "unchanged $device"
		fi
	done
}

# ---- Container runtime ----

use_socket() {
	socket=${1#unix://}
	[ -S "$socket" ] || die "$socket: no container runtime listens there"
}

image_names() {
	if is_containerd; then
		by_ctr images ls -q
	elif find_command crictl; then
		# crictl shortens long image ids only in the third column; names and tags are whole.
		by_crictl images | awk 'NR > 1 && $2 != "<none>" { print $1 ":" $2 }'
	else
		die "neither ctr nor crictl is installed"
	fi
}

image_import() {
	if is_containerd; then
		act by_ctr images import -
	elif find_command podman; then
		act podman load # shares its storage with CRI-O
	elif find_command docker; then
		act docker load
	else
		die "nothing here can import an image archive (ctr, podman or docker)"
	fi || die "the image archive cannot be imported"
	say imported
}

pull_one() {
	if crictl_works; then
		by_crictl pull "$1"
	elif is_containerd; then
		if [ -d /etc/containerd/certs.d ]; then
			by_ctr images pull --hosts-dir /etc/containerd/certs.d "$1"
		else
			by_ctr images pull "$1"
		fi
	else
		die "neither ctr nor crictl is installed"
	fi
}

# kubeadm tries five times, too.
image_pull() {
	present=$(image_names) || die "cannot list the images that are here"
	for image in "$@"; do
		if say "$present" | grep -Fqx -e "$image"; then
			say "unchanged $image"
			continue
		fi
		tries=5
		until [ "$dry_run" = yes ] || pull_one "$image" >/dev/null; do
			tries=$((tries - 1))
			[ "$tries" -gt 0 ] || die "cannot pull $image"
			sleep 1
		done
		say "changed $image"
	done
}

# images SOCKET ls|import|pull [NAME...]
images() {
	use_socket "$1"
	action=$2
	shift 2
	case $action in
	ls) image_names ;;
	import) image_import ;;
	pull) image_pull "$@" ;;
	*) die "unknown images action $action" ;;
	esac
}

# ---- Cleaning up ----

# Mount points below a directory (or exactly there), deepest first, escaped as the kernel escapes them.
# Where mounts lie on top of each other the path occurs as often.
mounts_below() { list_mounts "$1/" 0; }
mounts_at() { list_mounts "$1" 1; }
list_mounts() {
	WANTED=$1 awk -v exactly="$2" '
		{ path = $2
		  gsub(/\\040/, " ", path); gsub(/\\011/, "\t", path); gsub(/\\012/, "\n", path)
		  gsub(/\\043/, "#", path); gsub(/\\134/, "\\", path)
		  wanted = ENVIRON["WANTED"]
		  if (exactly ? path == wanted : index(path, wanted) == 1) print $2 }' /proc/mounts | sort -r
}

# Undo that escaping. The x keeps a newline at the end of a path from being dropped.
unescape() {
	path=$(printf '%bx' "$(say "$1" | sed 's/\\134/\\0134/g')")
	path=${path%x}
}

# unmount DIRECTORY...: everything mounted below, not the directory itself. Stops at the first failure,
# so that nobody goes on to delete files through a mount that is still there.
unmount() {
	for directory in "$@"; do
		require_plain_path "$directory"
		[ -d "$directory" ] || continue
		real=$(readlink -f "$directory") || die "$directory: cannot be resolved"
		listed=$(mounts_below "$real") || die "/proc/mounts cannot be read"
		[ -n "$listed" ] || continue
		while IFS= read -r escaped <&3; do
			unescape "$escaped"
			if ! act umount -- "$path"; then
				# It may have gone on its own, together with the process that held it.
				mounts_below "$real" | grep -Fqx -e "$escaped" && die "$path: cannot be unmounted"
			fi
			say "unmounted $escaped"
		done 3<<LIST
$listed
LIST
	done
}

# mounts DIRECTORY: what is mounted below it, relative to where it really is, escaped as the kernel escapes it.
mounts() {
	require_plain_path "$1"
	[ -d "$1" ] || return 0
	real=$(readlink -f "$1") || die "$1: cannot be resolved"
	listed=$(mounts_below "$real") || die "/proc/mounts cannot be read"
	[ -n "$listed" ] || return 0
	while IFS= read -r escaped <&3; do say "mounted ${escaped#"$real"/}"; done 3<<LIST
$listed
LIST
}

# Refuse directories that no cluster owns. Custom ones are fine when they are two levels deep.
refuse_dangerous() {
	require_plain_path "$1"
	case ${1%/} in
	/*/?*) ;;
	*) die "$1: too close to the root to be emptied" ;;
	esac
	case ${1%/} in
	/usr/* | /proc/* | /sys/* | /dev/* | /boot/* | /bin/* | /sbin/* | /lib/* | /lib64/* | \
		/home/* | /root/* | /etc/ssh | /etc/ssl | /etc/pki | /etc/systemd | /var/lib | /var/log | \
		/var/cache | /var/run | /var/spool | /var/tmp | /run/systemd)
		die "$1: belongs to the system and is never emptied"
		;;
	esac
}

# empty [--rmdir] DIRECTORY...: delete what is in a directory and keep it; with --rmdir delete it too.
empty() {
	with_rmdir=no
	if [ "${1-}" = --rmdir ]; then
		with_rmdir=yes
		shift
	fi
	for directory in "$@"; do
		refuse_dangerous "$directory"
		[ -d "$directory" ] || continue
		real=$(readlink -f "$directory") || die "$directory: cannot be resolved"
		refuse_dangerous "$real"
		[ "$dry_run" = yes ] || [ -z "$(mounts_below "$real")" ] ||
			die "$directory: something is mounted below it"
		if [ -n "$(find "$real" -mindepth 1 -maxdepth 1 | head -n 1)" ]; then
			act find "$real" -xdev -mindepth 1 -maxdepth 1 -exec rm -rf -- '{}' + ||
				die "$directory: cannot be emptied"
			say "emptied $directory"
		fi
		# A directory that is a mount point or a symbolic link was put there by the operator.
		if [ "$with_rmdir" = yes ] && [ ! -L "$directory" ] && [ -z "$(mounts_at "$real")" ]; then
			act rmdir -- "$real" || die "$directory: cannot be removed"
			say "removed $directory"
		fi
	done
}

# prune DIRECTORY...: delete those of these directories that are empty.
prune() {
	for directory in "$@"; do
		{ [ -d "$directory" ] && [ ! -L "$directory" ]; } || continue
		[ -z "$(find "$directory" -mindepth 1 -maxdepth 1 | head -n 1)" ] || continue
		[ -z "$(mounts_at "$directory")" ] || continue
		act rmdir -- "$directory" || die "$directory: cannot be removed"
		say "removed $directory"
	done
}

# lease NAME MODE SECONDS HOLDER: hold the host's lease of this name, MODE exclusive or shared, for as long as standard
# input brings a line at least every so many seconds: a workstation that is gone must keep nobody out. Where others have
# it, say who.
lease() {
	file=$home-$1.lease
	find_command flock || {
		say "unguarded flock is not there (util-linux)"
		return
	}
	case $2 in shared) mode=-s ;; *) mode=-x ;; esac
	while :; do
		exec 9<>"$file" || die "$file: cannot be opened"
		flock -n "$mode" 9 || {
			tell_holders
			return
		}
		# Who had it alone may have removed it meanwhile.
		locked=$(stat -L -c %d:%i "/proc/$$/fd/9") || die "$file: cannot be looked at"
		[ "$locked" = "$(stat -c %d:%i "$file" 2>/dev/null)" ] && break
	done
	if [ "$mode" = -x ]; then
		leased=$file
		: >"$file"
	fi
	printf '%s %s\n' "$$" "$4" >>"$file"
	say granted
	while limited "$3" sh -c 'read -r beat' 9>&-; do :; done
}

# By the open file: under its name there may be another one by now, or none.
tell_holders() {
	say busy
	while read -r pid holder; do
		[ ! -d "/proc/$pid" ] || say "holder $holder"
	done <&9
}

# cleanup: remove this script and what it kept.
cleanup() {
	sweep "$home"
	for path in "$home"/payload-*; do
		[ -f "$path" ] || continue
		act rm -f -- "$path" || die "$path: cannot be removed"
		say "removed $path"
	done
	# Not empty means that another run is using it.
	act rmdir -- "$home" 2>/dev/null || :
}

# run-script INTERPRETER [ARGUMENT]: run the script on standard input. Its output and exit status are
# the result. It is run as an argument of its interpreter because /run is often mounted noexec.
run_script() {
	open_stage
	cat >"$stage/script" || die "the script cannot be written"
	# The operator's script makes files for others, too.
	(umask 022 && "$@" "$stage/script" </dev/null)
}

# ---- Entry ----

main() {
	umask 077
	LC_ALL=C
	PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	# Where this script lives; without a slash it came through standard input and lives nowhere.
	case $0 in */*) home=${0%/*} ;; *) home=/run/fleetadm ;; esac
	cd / || exit 1
	if [ "${1-}" = --dry-run ]; then
		dry_run=yes
		shift
	fi
	trap close_stage EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM

	subcommand=${1-}
	[ $# -eq 0 ] || shift
	case $subcommand/${2-} in
	install/* | receive/* | run-script/* | lease/* | images/import) ;;
	# Nothing else reads standard input, and no tool it starts may either.
	*) exec </dev/null ;;
	esac
	case $subcommand in
	install) install_batch ;;
	receive) receive "$@" ;;
	download) download "$@" ;;
	read) read_files "$@" ;;
	public) public_parts "$@" ;;
	checksum) checksum "$@" ;;
	remove) remove_files "$@" ;;
	service) service "$@" ;;
	log) service_log "$@" ;;
	processes) list_processes "$@" ;;
	terminate) terminate "$@" ;;
	packages) packages "$@" ;;
	unassign) unassign "$@" ;;
	modules) load_modules "$@" ;;
	sysctls) set_sysctls "$@" ;;
	swapoff) swap_off "$@" ;;
	images) images "$@" ;;
	mounts) mounts "$@" ;;
	unmount) unmount "$@" ;;
	empty) empty "$@" ;;
	prune) prune "$@" ;;
	sandboxes) sandboxes "$@" ;;
	run-script) run_script "$@" ;;
	lease) lease "$@" ;;
	cleanup) cleanup ;;
	version) say ready ;;
	*) die "unknown subcommand '$subcommand'" ;;
	esac
}

main "$@"
