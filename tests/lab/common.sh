# shellcheck shell=bash
# What the lab's scripts share. Sourced, never run.

# Everything the lab builds or remembers lives here; nothing is written to the checkout.
LAB_CACHE=${FLEETADM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fleetadm}

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# usage: the comment block at the top of the calling script.
usage() {
  sed -n '2,/^[^#]/{/^[^#]/d;s/^# \{0,1\}//;p}' "$0"
}

need() { # COMMAND...
  local c missing=()
  for c in "$@"; do
    command -v "$c" >/dev/null || missing+=("$c")
  done
  [[ ${#missing[@]} -eq 0 ]] || die "missing here: ${missing[*]}; run tests/lab/setup"
}

# hash: the first 12 digits of the SHA-256 of standard input.
hash() {
  sha256sum | cut -c1-12
}

# locked FILE COMMAND...: one at a time. The lock goes when this process goes, however it ends, and is
# not handed down, so that a process left behind by COMMAND cannot hold it.
locked() {
  local file=$1 fd
  shift
  mkdir -p "${file%/*}"
  exec {fd}>"$file"
  flock "$fd"
  "$@" {fd}>&-
  exec {fd}>&-
}

# side_by_side DIRECTORY FUNCTION NAME...: FUNCTION NAME for all names at the same time, each in a shell of its own. Each
# line of output begins with the name, and is in DIRECTORY/NAME.log without it. Fails, and says which, where one failed.
# A signal ends them all: each is a process group, so that what ends it reaches all of it (a shell that waits for a
# program hears of a signal only after it), and a terminal's Ctrl-C comes only here.
side_by_side() {
  local dir=$1 function=$2 at names failed=()
  shift 2
  names=("$@") running=()
  trap stop_all INT TERM HUP
  set -m
  for at in "${!names[@]}"; do
    : >"$dir/${names[at]}.log"
    "$function" "${names[at]}" >"$dir/${names[at]}.log" 2>&1 &
    running+=($!)
    tail -f --pid=$! "$dir/${names[at]}.log" | sed -u "s/^/${names[at]}| /" &
  done
  set +m
  for at in "${!names[@]}"; do wait "${running[at]}" || failed+=("${names[at]}"); done
  wait
  [[ ${#failed[@]} -eq 0 ]] || die "did not end well, as their lines say: ${failed[*]}"
}

stop_all() {
  trap '' INT TERM HUP
  local group
  for group in "${running[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  wait
  exit 130
}

# debian_mirror: the Debian mirror this machine's apt uses, whichever way its sources are written.
debian_mirror() {
  if [[ -n ${FLEETADM_DEBIAN_MIRROR:-} ]]; then
    printf '%s\n' "${FLEETADM_DEBIAN_MIRROR%/}"
    return
  fi
  local uri suite component
  while IFS='|' read -r uri suite component; do
    case $suite in
      bookworm | trixie | forky | sid | stable | oldstable | testing | unstable)
        # Other vendors' repositories borrow Debian's suite names but not its component's.
        if [[ $component = main && $uri != */debian-security/ ]] && grep -q '/debian/*$' <<<"$uri"; then
          printf '%s\n' "${uri%/}"
          return
        fi
        ;;
    esac
  done < <(apt-get indextargets --no-release-info --format "\$(REPO_URI)|\$(RELEASE)|\$(COMPONENT)" 'Created-By: Packages')
  die "apt on this machine knows no Debian mirror: set FLEETADM_DEBIAN_MIRROR"
}

debian_keyring() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -r $keyring ]] || die "$keyring is missing; run tests/lab/setup"
  printf '%s\n' "$keyring"
}

# acquire_settings: how this machine's apt reaches its mirror (proxy, clock checks), without what it fetches.
acquire_settings() {
  apt-config dump --no-empty Acquire | grep -Ev '^Acquire::(IndexTargets|Changelogs|CompressionTypes)' || true
}

# debian_apt SUITE ARGUMENT...: apt-get for that Debian suite, in a world of its own: the machine's sources,
# package lists and installed packages are neither read nor changed, and no root is needed. Nothing counts as
# installed there, either.
debian_apt() {
  local suite=$1 dir=$LAB_CACHE/apt/$1 mirror keyring
  shift
  mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
  mirror=$(debian_mirror)
  keyring=$(debian_keyring)
  printf 'deb [signed-by=%s] %s %s main\ndeb-src [signed-by=%s] %s %s main\n' \
    "$keyring" "$mirror" "$suite" "$keyring" "$mirror" "$suite" >"$dir/sources.list.$$"
  {
    acquire_settings
    cat <<CONF
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$dir/state";
Dir::State::Status "$dir/status";
Dir::Cache "$dir/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
CONF
  } >"$dir/apt.conf.$$"
  mv "$dir/sources.list.$$" "$dir/sources.list"
  mv "$dir/apt.conf.$$" "$dir/apt.conf"
  : >>"$dir/status"
  if [[ -z $(find "$dir/state/updated" -mmin -720 2>/dev/null) ]]; then
    APT_CONFIG=$dir/apt.conf apt-get -qq update >&2
    touch "$dir/state/updated"
  fi
  APT_CONFIG=$dir/apt.conf apt-get -qq "$@" >&2
}

# debian_unpack SUITE DIRECTORY PACKAGE...: unpacks these packages there, without installing them and without what
# they depend on.
debian_unpack() {
  local suite=$1 dir=$2 deb
  shift 2
  mkdir -p "$dir/.debs"
  (cd "$dir/.debs" && locked "$LAB_CACHE/apt/$suite.lock" debian_apt "$suite" download "$@")
  for deb in "$dir"/.debs/*.deb; do
    dpkg-deb -x "$deb" "$dir"
  done
  rm -rf "$dir/.debs"
}
