#!/bin/sh
# What the scripts for hosts have in common. It stands in front of each of them.
#
# They need a POSIX shell and the usual small tools, GNU's or BusyBox's. All of it is inside functions, and the last
# line starts them, so a copy that was cut off on the way does nothing at all.

set -u

# ---- Small helpers ----

say() { printf '%s\n' "$*"; }

warn() { printf 'fleetadm: %s\n' "$*" >&2; }

die() {
	warn "$@"
	exit 1
}

# Set `found` to the file a command name stands for. `command -v` will not do: it names built-ins.
find_command() {
	found=''
	old_ifs=$IFS
	IFS=:
	for bin in $PATH; do
		if [ -f "$bin/$1" ] && [ -x "$bin/$1" ]; then
			found=$bin/$1
			break
		fi
	done
	IFS=$old_ifs
	[ -n "$found" ]
}

# Run a command for at most so many seconds. Old BusyBox has its own way of asking for that. Which one this is
# is tried once, by find_timeout.
limited() {
	seconds=$1
	shift
	case ${timeout-unknown} in
	unknown) find_timeout && limited "$seconds" "$@" ;;
	plain) timeout "$seconds" "$@" ;;
	old) timeout -t "$seconds" "$@" ;;
	*) "$@" ;;
	esac
}

find_timeout() {
	if timeout 1 true 2>/dev/null; then
		timeout=plain
	elif timeout -t 1 true 2>/dev/null; then
		timeout=old
	else
		timeout=none
	fi
}

find_init() {
	init=none
	if find_command systemctl; then
		init=systemd
	elif find_command openrc; then
		{ find_command rc-service && find_command rc-update; } ||
			die "OpenRC is here, but rc-service or rc-update is not"
		init=openrc
	fi
}

is_active() {
	if [ "$init" = systemd ]; then
		case $(systemctl is-active "$1" 2>/dev/null) in active | activating) return 0 ;; esac
		return 1
	fi
	rc-service "$1" status >/dev/null 2>&1
}

is_enabled() {
	if [ "$init" = systemd ]; then
		systemctl is-enabled "$1" >/dev/null 2>&1
	else
		rc-update show default 2>/dev/null | awk -v name="$1" '$1 == name { f = 1 } END { exit !f }'
	fi
}

is_containerd() { case $socket in *containerd*) find_command ctr ;; *) return 1 ;; esac }

by_ctr() { ctr --address "$socket" --namespace k8s.io "$@"; }

by_crictl() {
	crictl --runtime-endpoint "unix://$socket" --image-endpoint "unix://$socket" "$@"
}

crictl_works() {
	find_command crictl &&
		limited 5 crictl --runtime-endpoint "unix://$socket" version >/dev/null 2>&1
}
