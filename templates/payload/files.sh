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
	[ -z "$leased" ] || rm -f -- "$leased"
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

# Find what a large file takes the place of.
find_replaced() {
	resolve_target "$1"
	verb=created
	[ ! -e "$target" ] || verb=changed
}

# Rename the temporary file `made` to `target`, whole and flushed: PATH MODE.
replace() {
	{ chown 0:0 "$made" && chmod "$2" "$made"; } || die "$1: cannot set its owner and mode"
	sync "$made" || die "cannot flush to disk"
	mv -f -- "$made" "$target" || die "$1: cannot be replaced"
	temporary=''
	sync "$parent" 2>/dev/null || :
	say "$verb $1"
}

# receive PATH MODE SHA256 MTIME: one large file, raw on standard input.
receive() {
	find_replaced "$1"
	temporary_beside "$target"
	temporary=$made
	cat >"$made" || die "$1: cannot be written"
	checksum_of "$made"
	[ "$sum" = "$3" ] || die "$1: did not arrive whole"
	touch -d "@$4" "$made"
	replace "$1" "$2"
}

# download PATH URL MODE SHA256 STALL SECONDS BLOCKS: one large file from a mirror, unless it is here already. The mirror
# is given up after STALL seconds in which nothing comes, SECONDS in all, or BLOCKS of 512 bytes.
download() {
	find_replaced "$1"
	if [ "$verb" = changed ] && [ "$(mode_and_owner "$target")" = "$3 0:0" ]; then
		checksum_of "$target"
		if [ "$sum" = "$4" ]; then
			say "unchanged $1"
			return
		fi
	fi
	find_command curl || find_command wget ||
		die "$1: neither curl nor wget is here to fetch it: install one of them"
	if [ "$dry_run" = yes ]; then
		say "$verb $1"
		return
	fi
	temporary_beside "$target"
	temporary=$made
	# Ignored, the signal turns into an error of the tool's that says so.
	(trap '' XFSZ && ulimit -f "$7" && get "$2" "$5" "$6") >&2 || die "$1: cannot be fetched from $2"
	checksum_of "$made"
	[ "$sum" = "$4" ] || die "$1: not what was expected from $2: sha256 $sum instead of $4"
	replace "$1" "$3"
}

# get URL STALL SECONDS: the body, to the file `made`.
get() {
	if find_command curl; then
		secure=http,https
		case $1 in https:*) secure=https ;; esac
		limited "$3" curl --fail --location --silent --show-error --globoff --retry 3 --connect-timeout "$2" \
			--speed-limit 1 --speed-time "$2" --proto "=$secure" --proto-redir "=$secure" --output "$made" "$1"
		return
	fi
	case $(wget --version 2>/dev/null) in
	GNU*) limited "$3" wget --no-verbose --tries 4 --timeout "$2" --output-document "$made" "$1" ;;
	# BusyBox's, which may have none of these.
	*) limited "$3" wget -q -O "$made" "$1" ;;
	esac
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

# public PATH...: `file MTIME PATH` for each that exists and, a blank in front of each line, what of it is no secret:
# the certificates of PEM, of a kubeconfig the lines that say who and where. What is missing is left out, and a file
# that ends in .key is not opened.
public_parts() {
	for path in "$@"; do
		[ -f "$path" ] || continue
		modified=$(stat -L -c %Y "$path") || die "$path: cannot be read"
		say "file $modified $path"
		case $path in *.key) continue ;; esac
		awk '
			/^-----BEGIN / { wanted = /^-----BEGIN CERTIFICATE-----/ }
			wanted || /^[ -]*(apiVersion|kind|clusters?|contexts?|users?|name|server|namespace|current-context):[^{]*$/ ||
				/^[ -]*(certificate-authority|client-certificate)(-data)?:[^{]*$/ { print " " $0 }
			/^-----END / { wanted = 0 }' "$path" || die "$path: cannot be read"
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

