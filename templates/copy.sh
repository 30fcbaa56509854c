#!/bin/sh
# What `fleetadm copy` does on a host, as the login user or as root.
#
# fleetadm decides on the workstation what is to be done; this script reports what is there, takes files in
# and gives them out. It arrives on standard input, ahead of what its subcommands read there, and is kept
# nowhere. It needs a POSIX shell and the usual small tools, GNU's or BusyBox's.
#
# What is on its way lies in a private directory, .fleetadm-copy-PID-*, inside the destination, so that putting
# it in place is a rename. Whatever ends this script removes it; what is left by a power cut, the next run removes.
#
# Usage: copy.sh SUBCOMMAND [ARGUMENT...]
# Results are lines on standard output, a word first, and `end` last; explanations go to standard error.

set -u

tab=$(printf '\t')
entry='entry %f %s %u %g %U %G %n'
prefix=.fleetadm-copy-
stage=''     # private directory of this run
temporary='' # one more temporary file to remove if the run ends early

say() { printf '%s\n' "$*"; }

die() {
	printf 'fleetadm: %s\n' "$*" >&2
	exit 1
}

close_stage() {
	[ -z "$temporary" ] || rm -f -- "$temporary"
	[ -z "$stage" ] || rm -rf -- "$stage"
}

# Remove what an earlier run left in a directory when it was killed. The process id in the name tells whether that
# run is still alive; a recycled id belongs to something else and does not count.
sweep() {
	for leftover in "$1/$prefix"*; do
		[ -e "$leftover" ] || continue
		process=${leftover##*/"$prefix"}
		process=${process%%-*}
		case $process in '' | *[!0-9]* | "$$") continue ;; esac
		if ! { tr '\000' ' ' <"/proc/$process/cmdline" | grep -q fleetadm-copy; } 2>/dev/null; then
			rm -rf -- "$leftover"
		fi
	done
}

# Call a function with the lines of standard input as its arguments, a few hundred at a time.
in_chunks() {
	action=$1
	set --
	while IFS= read -r line; do
		set -- "$@" "$line"
		if [ $# -ge 200 ]; then
			"$action" "$@"
			set --
		fi
	done
	[ $# -eq 0 ] || "$action" "$@"
}

enter_root() { cd -P -- "$1" || die "$1: cannot be entered"; }

# look sweep|keep ROOT: what is at each path of standard input. Links are looked at, not followed.
look() {
	sweeping=$1
	say "self $(id -u)"
	if [ -d "$2" ]; then
		enter_root "$2"
		[ "$sweeping" = keep ] || sweep .
		in_chunks look_at
	elif [ -e "$2" ] || [ -L "$2" ]; then
		die "$2: is not a directory"
	fi
	say end
}

look_at() {
	given=$#
	for path in "$@"; do
		if [ -L "$path" ]; then
			printf 'link %s\t%s\n' "$path" "$(readlink "$path")"
		elif [ -d "$path" ]; then
			[ "$sweeping" = keep ] || sweep "$path"
		elif [ ! -e "$path" ]; then
			continue
		fi
		set -- "$@" "$path"
	done
	shift "$given"
	[ $# -eq 0 ] || stat -c "$entry" "$@" || die 'what is there cannot be looked at'
}

# sums ROOT: the checksum of each path of standard input, in order.
sums() {
	enter_root "$1"
	in_chunks sums_of
	say end
}

sums_of() { sha256sum "$@" || die 'a file cannot be read'; }

# list: everything at and below each path of standard input. Only the paths themselves may be links that
# are followed.
list() {
	while IFS= read -r path; do
		if [ -d "$path" ]; then
			stat -L -c "$entry" "$path" || die "$path: cannot be looked at"
			find -H "$path" -mindepth 1 -exec stat -c "$entry" '{}' + ||
				die "$path: cannot be listed whole"
			find -H "$path" -mindepth 1 -type l | while IFS= read -r link; do
				printf 'link %s\t%s\n' "$link" "$(readlink "$link")"
			done
		elif [ -e "$path" ]; then
			stat -L -c "$entry" "$path" || die "$path: cannot be looked at"
		else
			die "$path: there is no such file or directory, or this user cannot see it"
		fi
	done
	say end
}

# get ROOT: lines `SIZE<tab>PATH` of standard input, each as `file SIZE PATH`, a newline, so many bytes of the file, a
# newline. One that has grown meanwhile is cut there.
get() {
	enter_root "$1"
	while IFS=$tab read -r size path; do
		say "file $size $path"
		[ "$size" = 0 ] || head -c "$size" "$path" || die "$path: cannot be read"
		say
	done
	say end
}

# Check that the directory of a path is a real one below the root: no link is followed on the way.
enter_parent() {
	case $1 in */*) wanted=${1%/*} ;; *) wanted=. ;; esac
	[ "$wanted" != "$parent" ] || return 0
	case $wanted in .) real=${base:-/} ;; *) real=$base/$wanted ;; esac
	[ "$(cd -P -- "./$wanted" && pwd -P)" = "$real" ] ||
		die "$wanted: is not a directory, or leads through a symbolic link; links are not followed"
	parent=$wanted
	device=$(stat -c %d "./$parent") || die "$parent: cannot be looked at"
}

make_directory() {
	if [ -L "./$path" ]; then
		die "$path: is a symbolic link where a directory is wanted"
	elif [ ! -d "./$path" ]; then
		mkdir -m "$mode" -- "./$path" || die "$path: cannot be made"
		[ -z "$owner" ] || chown -h -- "$owner" "./$path" || die "$path: cannot set its owner"
		[ "$member" = - ] || printf '%s\t%s\n' "$member" "$path" >>"$stage/late"
		say "put $path"
	fi
}

# Put a staged file or link in the place of whatever is there.
place() {
	made=$1
	[ -L "./$path" ] || [ ! -d "./$path" ] || die "$path: is a directory where a file is wanted"
	if [ "$device" != "$stage_device" ] && [ ! -L "$made" ]; then
		# Another file system is mounted there: only what lies on it can be renamed.
		made=$(mktemp "./$parent/$prefix$$-XXXXXX") || die "$parent: cannot be written to"
		temporary=$made
		{ cp -p -- "$1" "$made" && sync "$made"; } || die "$path: cannot be written"
	fi
	if [ "$exact" = yes ]; then
		mv -f -T -- "$made" "./$path"
	else
		# Without -T a link to a directory would be entered.
		[ ! -L "./$path" ] || rm -f -- "./$path"
		mv -f -- "$made" "./$path"
	fi || die "$path: cannot be replaced"
	temporary=''
	say "put $path"
}

place_link() {
	rm -f -- "$stage/link"
	ln -s -- "$target" "$stage/link" || die "$path: cannot be made"
	[ -z "$owner" ] || chown -h -- "$owner" "$stage/link" || die "$path: cannot set its owner"
	place "$stage/link"
}

change_mode() {
	{ [ -f "./$path" ] && [ ! -L "./$path" ]; } || die "$path: is not the file any more that it was"
	chmod "$mode" "./$path" || die "$path: cannot set its mode"
	say "put $path"
}

# Look whether everything has arrived, before anything is touched.
check_stage() {
	[ -f "$stage/manifest" ] || die 'the files did not arrive whole'
	[ ! -f "$stage/sums" ] || (cd "$stage" && sha256sum -c sums) >/dev/null 2>&1 ||
		die 'the files did not arrive as they were; did one of them change while it was copied?'
	[ -z "$owner" ] || find "$stage" -type f -exec chown -h -- "$owner" '{}' + || die "cannot give files to $owner"
	find "$stage" -type f -exec sync '{}' + || die 'cannot flush to disk'
	stage_device=$(stat -c %d "$stage") || die "$stage: cannot be looked at"
	exact=no
	: >"$stage/link"
	if mv -f -T -- "$stage/link" "$stage/late" 2>/dev/null; then exact=yes; fi
}

# put ROOT OWNER: standard input is a tar stream of files 0, 1, 2, ..., of `sums`, their checksums, and, last, of
# `manifest` with a line `KIND<tab>MODE<tab>MEMBER<tab>PATH<tab>TARGET` for each thing that is to be there. An
# empty OWNER means whoever runs this.
put() {
	root=$1 owner=$2
	[ -d "$root" ] || (umask 022 && mkdir -p -- "$root") || die "$root: cannot be made"
	enter_root "$root"
	base=$(pwd -P)
	base=${base%/}
	sweep .
	stage=$(mktemp -d "./$prefix$$-XXXXXX") || die "$root: cannot be written to"
	tar -x -p -m -f - -C "$stage" || die 'the files did not arrive whole'
	check_stage
	parent='' device=''
	# From here on all of it happens, even when nobody listens any more.
	trap '' HUP PIPE
	while IFS=$tab read -r kind mode member path target <&3; do
		enter_parent "$path"
		case $kind in
		directory) make_directory ;;
		file)
			# Giving a file away takes these bits off.
			case $mode in [1-7]???) chmod "$mode" "$stage/$member" ;; esac
			place "$stage/$member"
			;;
		link) place_link ;;
		mode) change_mode ;;
		*) die "unknown kind $kind" ;;
		esac
	done 3<"$stage/manifest"
	if [ -f "$stage/late" ]; then
		while IFS=$tab read -r mode path <&3; do
			chmod "$mode" "./$path" || die "$path: cannot set its mode"
		done 3<"$stage/late"
	fi
	# Some file systems cannot flush a directory; the renames are done all the same.
	sync . 2>/dev/null || :
	say end
}

main() {
	umask 077
	LC_ALL=C
	PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	unset CDPATH
	trap close_stage EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
	subcommand=${1-}
	[ $# -eq 0 ] || shift
	case $subcommand in
	look) look "$@" ;;
	sums) sums "$@" ;;
	list) list ;;
	get) get "$@" ;;
	put) put "$@" ;;
	*) die "unknown subcommand '$subcommand'" ;;
	esac
}

main "$@"
