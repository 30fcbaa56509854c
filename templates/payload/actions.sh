# The fleetadm payload: what fleetadm does as root on a host, it does through this one file.
#
# fleetadm runs on somebody's workstation and reaches this host over SSH. It decides everything there.
# This script only does the few things that must happen on the spot: put files in place, start services,
# hand images to the container runtime, clean up. It never talks to the network itself (the container
# runtime may, to pull images), and it contains no secret: those arrive on standard input.
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

# Whether a path is an absolute one without `.` and `..` in it.
is_plain_path() {
	case $1 in
	*//* | */./* | */../* | */. | */..) return 1 ;;
	/?*) return 0 ;;
	*) return 1 ;;
	esac
}

require_plain_path() { is_plain_path "$1" || die "$1: not a plain absolute path"; }

# ---- Files ----

mode_and_owner() { stat -L -c '%a %u:%g' "$1"; }

checksum_of() {
	sum=$(sha256sum <"$1") || die "$1: cannot be read"
	sum=${sum%% *}
}

same_content() {
	if find_command cmp; then
		cmp -s "$1" "$2"
	else
		checksum_of "$1"
		first_sum=$sum
		checksum_of "$2"
		[ "$first_sum" = "$sum" ]
	fi
}

# Remove what an earlier run left when it was killed. The process id in the name tells whether that
# run is still alive; a recycled id belongs to something else and does not count.
sweep() {
	for leftover in "$1"/.fleetadm-*-*; do
		[ -e "$leftover" ] || continue
		owner=${leftover##*/.fleetadm-}
		owner=${owner%%-*}
		case $owner in *[!0-9]* | "$$") continue ;; esac
		if ! tr '\000' ' ' 2>/dev/null <"/proc/$owner/cmdline" | grep -q payload; then
			rm -rf -- "$leftover"
		fi
	done
}

# A private directory for this run. It is in memory (/run), so secrets on their way touch no disk.
open_stage() {
	sweep "$home"
	stage=$(mktemp -d "$home/.fleetadm-$$-XXXXXX") || die "cannot make a directory in $home"
}

close_stage() {
	[ -z "$temporary" ] || rm -f -- "$temporary"
	[ -n "$stage" ] || return 0
	if [ -f "$stage/plan" ]; then
		while IFS=$tab read -r _ planned _ <&3; do
			rm -f -- "$planned"
		done 3<"$stage/plan"
	fi
	rm -rf -- "$stage"
}

# Make a directory with a mode. One that exists keeps its own, except where that is asked for.
ensure_directory() {
	path=$1
	require_plain_path "$path"
	if [ -d "$path" ]; then
		if [ "$3" = enforce ] && [ "$(stat -L -c %a "$path")" != "$2" ]; then
			chmod "$2" "$path" || die "$path: cannot set its mode"
			say "changed $path"
		else
			say "unchanged $path"
		fi
		return
	fi
	(umask 022 && mkdir -p -- "$path") || die "$path: cannot be made"
	chmod "$2" "$path" || die "$path: cannot set its mode"
	say "created $path"
}

# A new empty file beside `target`, so that the rename later stays on one file system.
temporary_beside() {
	parent=${1%/*}
	[ -n "$parent" ] || parent=/
	[ -d "$parent" ] || (umask 022 && mkdir -p -- "$parent") || die "$parent: cannot be made"
	sweep "$parent"
	made=$(mktemp "${parent%/}/.fleetadm-$$-XXXXXX") || die "$parent: cannot write there"
}

# Where a path really is: a symbolic link somebody made on purpose stays one.
resolve_target() {
	require_plain_path "$1"
	target=$1
	if [ -L "$target" ]; then
		target=$(readlink -f "$target") || die "$1: a symbolic link that leads nowhere"
	fi
	[ ! -d "$target" ] || die "$1: is a directory where a file is wanted"
}

# Put one staged file beside its destination, if that is not already as wanted.
prepare_file() {
	resolve_target "$3"
	verb=created
	if [ -e "$target" ]; then
		verb=changed
		if [ "$(mode_and_owner "$target")" = "$1 0:0" ] && same_content "$2" "$target"; then
			say "unchanged $3"
			return
		fi
	fi
	temporary_beside "$target"
	temporary=$made
	printf '%s\t%s\t%s\t%s\n' "$verb" "$made" "$target" "$3" >>"$stage/plan" ||
		die "$stage: cannot be written"
	temporary=''
	cat "$2" >"$made" || die "$3: cannot be written"
	{ chown 0:0 "$made" && chmod "$1" "$made"; } || die "$3: cannot set its owner and mode"
}

# install: standard input is a tar stream of members 0, 1, 2, ... and, last, `manifest` with a line
# `KIND<tab>MODE<tab>MEMBER<tab>PATH` for each. Everything is written and flushed beside its
# destination before the first rename: a full disk changes nothing, a power cut tears nothing.
install_batch() {
	open_stage
	tar -xf - -C "$stage" || die "the batch of files did not arrive whole"
	[ -f "$stage/manifest" ] || die "the batch of files ended early"
	: >"$stage/plan" || die "$stage: cannot be written"
	while IFS=$tab read -r kind mode member path <&3; do
		case $kind in
		directory) ensure_directory "$path" "$mode" keep ;;
		enforce) ensure_directory "$path" "$mode" enforce ;;
		file) prepare_file "$mode" "$stage/$member" "$path" ;;
		*) die "unknown kind $kind in the batch" ;;
		esac
	done 3<"$stage/manifest"

	set --
	while IFS=$tab read -r _ made _ <&3; do set -- "$@" "$made"; done 3<"$stage/plan"
	[ $# -gt 0 ] || return 0
	sync "$@" || die "cannot flush to disk"
	# From here on all of it happens, even when nobody listens any more.
	trap '' HUP PIPE
	set --
	while IFS=$tab read -r verb made target path <&3; do
		mv -f -- "$made" "$target" || die "$path: cannot be replaced"
		say "$verb $path"
		parent=${target%/*}
		set -- "$@" "${parent:-/}"
	done 3<"$stage/plan"
	# Some file systems cannot flush a directory; the rename is done all the same.
	sync "$@" 2>/dev/null || :
}

# receive PATH MODE SHA256 MTIME: one large file, raw on standard input.
receive() {
	resolve_target "$1"
	verb=created
	[ ! -e "$target" ] || verb=changed
	temporary_beside "$target"
	temporary=$made
	cat >"$made" || die "$1: cannot be written"
	checksum_of "$made"
	[ "$sum" = "$3" ] || die "$1: did not arrive whole"
	{ chown 0:0 "$made" && chmod "$2" "$made"; } || die "$1: cannot set its owner and mode"
	touch -d "@$4" "$made"
	sync "$made" || die "cannot flush to disk"
	mv -f -- "$made" "$target" || die "$1: cannot be replaced"
	temporary=''
	sync "$parent" 2>/dev/null || :
	say "$verb $1"
}

# read PATH...: `file MODE OWNER SIZE PATH`, a newline, SIZE bytes, a newline. What is missing is left out.
read_files() {
	for path in "$@"; do
		if [ -d "$path" ]; then
			say "directory $(mode_and_owner "$path") 0 $path"
		elif [ -f "$path" ]; then
			size=$(stat -L -c %s "$path") || die "$path: cannot be read"
			[ "$size" -le 16777216 ] || die "$path: larger than 16 MiB"
			say "file $(mode_and_owner "$path") $size $path"
			cat "$path" || die "$path: cannot be read"
			say
		fi
	done
	say end
}

# checksum SIZE:MTIME PATH
checksum() {
	if [ ! -f "$2" ]; then
		say "missing $2"
	elif [ "$(stat -L -c %s:%Y "$2")" = "$1" ]; then
		say "alike $(stat -L -c %a "$2") $2"
	else
		checksum_of "$2"
		say "sha256 $sum $(stat -L -c %a "$2") $2"
	fi
}

# remove PATH...: files and symbolic links, never directories.
remove_files() {
	for path in "$@"; do
		require_plain_path "$path"
		if [ -e "$path" ] || [ -L "$path" ]; then
			[ -L "$path" ] || [ ! -d "$path" ] || die "$path: is a directory, not a file"
			act rm -f -- "$path" || die "$path: cannot be removed"
			say "removed $path"
		fi
	done
}

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
	systemd/reload) act systemctl daemon-reload ;;
	systemd/*) act systemctl "$1" "$2" ;;
	openrc/enable) act rc-update add "$2" default ;;
	openrc/disable) act rc-update del "$2" default ;;
	openrc/reload) ;;
	openrc/*) act rc-service "$2" "$1" ;;
	esac
}

# service start|stop|restart|enable|disable NAME
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
	restart | reload) wanted=no ;;
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

by_ctr() { ctr --address "$socket" --namespace k8s.io "$@"; }

by_crictl() {
	crictl --runtime-endpoint "unix://$socket" --image-endpoint "unix://$socket" "$@"
}

crictl_works() {
	find_command crictl &&
		limited 5 crictl --runtime-endpoint "unix://$socket" version >/dev/null 2>&1
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

# sandboxes SOCKET: stop and remove every pod sandbox of the runtime, as kubeadm reset does.
sandboxes() {
	use_socket "$1"
	if crictl_works; then
		sandboxes_by_crictl
	elif is_containerd; then
		sandboxes_by_ctr
	else
		die "neither crictl nor ctr can ask the runtime at $socket"
	fi
}

sandboxes_by_crictl() {
	ids=$(by_crictl pods -q) || die "cannot list the pod sandboxes of $socket"
	failed=no
	for id in $ids; do
		tries=5
		until { act by_crictl stopp "$id" && act by_crictl rmp "$id"; }; do
			tries=$((tries - 1))
			[ "$tries" -gt 0 ] || break
			sleep 1
		done
		if [ "$tries" -gt 0 ]; then say "removed sandbox $id"; else failed=yes; fi
	done
	[ "$failed" = no ] || die "some pod sandboxes cannot be removed"
}

# Without crictl: take the containers from under the CRI plugin, tidy what it would have tidied, and
# restart containerd so that the plugin forgets them.
sandboxes_by_ctr() {
	ids=$(by_ctr containers ls -q) || die "cannot list the containers of $socket"
	[ -n "$ids" ] || return 0
	if [ "$dry_run" = yes ]; then
		for id in $ids; do say "removed container $id"; done
		return
	fi
	end_tasks || die "some containers cannot be stopped"
	failed=no
	for id in $ids; do
		# The network namespace that the CRI plugin made for a sandbox is named in its OCI spec.
		network=$(by_ctr containers info "$id" 2>/dev/null |
			sed -n 's,.*"path": "\(/[a-z/]*/netns/cni-[0-9a-f-]*\)".*,\1,p' | head -n 1)
		if remove_container "$id"; then
			forget_container "$id" "$network"
			say "removed container $id"
		else
			failed=yes
		fi
	done
	[ "$failed" = no ] || die "some containers cannot be removed"
	find_init
	if [ "$init" = none ]; then
		warn "restart containerd: its CRI plugin still remembers the pods"
	else
		do_service restart containerd || die "cannot restart containerd"
	fi
}

# Kill every task and wait until all are gone. The CRI plugin deletes those it knows by itself, and a
# deletion by force would wait for ever where it is quicker, so that comes last and bounded. A sandbox ends
# after the containers in it: otherwise containerd 2 takes its shim for dead, and the shim lives on.
end_tasks() {
	sandboxes=$(by_ctr containers ls -q 'labels."io.cri-containerd.kind"==sandbox') || return 1
	tries=50
	while tasks=$(by_ctr tasks ls -q) && [ -n "$tasks" ]; do
		[ "$tries" -gt 0 ] || return 1
		inner=$(printf '%s\n' "$tasks" | grep -Fvx -e "$sandboxes") || :
		for id in ${inner:-$tasks}; do
			limited 5 ctr --address "$socket" --namespace k8s.io tasks kill --signal SIGKILL "$id" || :
			[ "$tries" -gt 25 ] ||
				limited 5 ctr --address "$socket" --namespace k8s.io tasks delete --force "$id" || :
		done >/dev/null 2>&1
		tries=$((tries - 1))
		sleep 0.2 2>/dev/null || sleep 1
	done
}

remove_container() {
	tries=5
	until by_ctr containers delete "$1" >/dev/null; do
		# The CRI plugin may have been quicker.
		by_ctr containers ls -q | grep -Fqx -e "$1" || break
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 1
	done
	# containerd 2 also keeps a list of sandboxes; older ones do not know the word.
	by_ctr sandboxes remove --force "$1" >/dev/null 2>&1 || :
}

# What is left of a container outside containerd: its mounts and directories, its network namespace
# (whose end takes the interfaces along), and the address that host-local lent it.
forget_container() {
	case $1 in '' | *[!0-9A-Za-z_.-]* | .*) return 0 ;; esac
	for root in /run/containerd /var/lib/containerd; do
		for leftover in "$root"/io.containerd.grpc.v1.cri/*/"$1"; do
			[ -d "$leftover" ] || continue
			(unmount "$leftover" >/dev/null) && rm -rf -- "$leftover"
		done
	done
	if [ -n "$2" ] && [ -e "$2" ]; then
		umount -- "$2" 2>/dev/null
		rm -f -- "$2" || warn "$2: cannot be removed"
	fi
	for lease in /var/lib/cni/networks/*/*; do
		[ -f "$lease" ] || continue
		holder=''
		read -r holder <"$lease" || :
		# host-local ends its first line with a carriage return.
		case $holder in "$1" | "$1"[!0-9a-f]*) rm -f -- "$lease" ;; esac
	done
	rm -f -- /var/lib/cni/results/*-"$1"-*
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
	install/* | receive/* | run-script/* | images/import) ;;
	# Nothing else reads standard input, and no tool it starts may either.
	*) exec </dev/null ;;
	esac
	case $subcommand in
	install) install_batch ;;
	receive) receive "$@" ;;
	read) read_files "$@" ;;
	checksum) checksum "$@" ;;
	remove) remove_files "$@" ;;
	service) service "$@" ;;
	log) service_log "$@" ;;
	modules) load_modules "$@" ;;
	sysctls) set_sysctls "$@" ;;
	swapoff) swap_off "$@" ;;
	images) images "$@" ;;
	unmount) unmount "$@" ;;
	empty) empty "$@" ;;
	prune) prune "$@" ;;
	sandboxes) sandboxes "$@" ;;
	run-script) run_script "$@" ;;
	cleanup) cleanup ;;
	version) say ready ;;
	*) die "unknown subcommand '$subcommand'" ;;
	esac
}

main "$@"
