#!/bin/sh
# Runs a script of the operator's on a host, for `fleetadm exec --script`.
#
# This text and the script behind it arrive on standard input; what follows them there is the script's own
# input. The script is put into a file that has no name any more by the time there is anything in it: nothing is
# left on the host, not even when the connection dies. It is read by its interpreter, so it may lie where nothing
# can be executed.
#
# Usage: run-script.sh SIZE INTERPRETER [ARGUMENT...]
# SIZE is that of the script in bytes. The interpreter finds it as /proc/self/fd/3.

set -u

die() {
	printf 'fleetadm: %s\n' "$1" >&2
	exit 1
}

# Open a new file as descriptor 3 and take its name away. Memory comes first: the script may hold secrets.
open_nameless() {
	for directory in "${XDG_RUNTIME_DIR-}" /dev/shm /run /tmp /var/tmp .; do
		{ [ -n "$directory" ] && [ -d "$directory" ] && [ -w "$directory" ]; } || continue
		file=$(mktemp "$directory/.fleetadm-XXXXXX" 2>/dev/null) || continue
		exec 3<>"$file"
		rm -f -- "$file"
		return
	done
	return 1
}

main() {
	size=$1
	shift
	open_nameless || die 'no directory here can be written to; tried /dev/shm, /run, /tmp, /var/tmp and the home'
	[ -e /proc/self/fd/3 ] || die '/proc is not mounted here'
	# One byte at a time, so that nothing of what follows is taken.
	dd ibs=1 obs=4096 count="$size" >&3 2>/dev/null || die 'the script cannot be kept here; is the disk full?'
	[ "$(wc -c </proc/self/fd/3)" -eq "$size" ] || die 'the script did not arrive whole'
	exec "$@" 3<&3
}

main "$@"
