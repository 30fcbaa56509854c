#!/bin/sh
# Listens on TCP ports for a moment and sends back whatever it is sent, so that others can try whether they get here.
# It ends with its standard input, which is the connection of whoever tries, and after two minutes at the latest.
#
# Usage: PORT...
# Prints `listening PORT`, `busy PORT` where something listens already, or `failed PORT REASON`, and then `ready`;
# where nothing on the host can listen, `unable REASON`.

# shellcheck disable=SC2016 # these variables are Perl's
by_perl='
	use strict; use Socket;
	$| = 1; alarm 120; $SIG{PIPE} = "IGNORE";
	my (%listening, %open);
	for my $port (@ARGV) {
		my ($socket, $bound);
		if (socket($socket, AF_INET6, SOCK_STREAM, 0)) {
			setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt($socket, 41, 26, pack("i", 0));
			$bound = bind($socket, pack_sockaddr_in6($port, Socket::IN6ADDR_ANY));
		}
		if (!$bound && !$!{EADDRINUSE} && socket($socket, AF_INET, SOCK_STREAM, 0)) {
			setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
			$bound = bind($socket, pack_sockaddr_in($port, INADDR_ANY));
		}
		if ($bound && listen($socket, 128)) { $listening{fileno $socket} = $socket; print "listening $port\n" }
		elsif ($!{EADDRINUSE}) { print "busy $port\n" }
		else { print "failed $port $!\n" }
	}
	print "ready\n";
	while (1) {
		my $wanted = ""; vec($wanted, $_, 1) = 1 for 0, keys %listening, keys %open;
		select(my $can = $wanted, undef, undef, undef) > 0 or next;
		for my $number (grep { vec($can, $_, 1) } 0, keys %listening, keys %open) {
			if ($number == 0) { sysread(STDIN, my $data, 512) or exit }
			elsif ($listening{$number}) {
				my $new;
				$open{fileno $new} = $new if accept($new, $listening{$number});
			}
			elsif (sysread($open{$number}, my $data, 65536)) { syswrite($open{$number}, $data) }
			else { close delete $open{$number} }
		}
	}
'

by_python='
import errno, select, signal, socket, sys
signal.alarm(120)
listening, others = [], []
for port in sys.argv[1:]:
    for family, anywhere in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            new = socket.socket(family, socket.SOCK_STREAM)
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            new.bind((anywhere, int(port)))
            new.listen(128)
            listening.append(new)
            print("listening " + port)
            break
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                print("busy " + port)
                break
            if family == socket.AF_INET:
                print("failed " + port + " " + str(error.strerror))
print("ready")
sys.stdout.flush()
while True:
    for ready in select.select([sys.stdin] + listening + others, [], [])[0]:
        if ready is sys.stdin:
            if not sys.stdin.buffer.raw.read(512):
                sys.exit()
        elif ready in listening:
            others.append(ready.accept()[0])
        else:
            try:
                data = ready.recv(65536)
                ready.sendall(data)
            except OSError:
                data = b""
            if not data:
                others.remove(ready)
                ready.close()
'

# One process for each port. That one of them could not listen shows in that it is gone.
by_processes() {
	listeners=''
	trap 'kill $listeners 2>/dev/null' EXIT
	for port in "$@"; do
		case $with in
		socat) socat "TCP-LISTEN:$port,fork,reuseaddr" PIPE 2>/dev/null </dev/null & ;;
		*) busybox nc -ll -p "$port" -e cat 2>/dev/null </dev/null & ;;
		esac
		listeners="$listeners $!"
		eval "listener_$port=$!"
	done
	sleep 1
	for port in "$@"; do
		eval "process=\$listener_$port"
		# shellcheck disable=SC2154 # by eval
		if kill -0 "$process" 2>/dev/null; then echo "listening $port"; else echo "busy $port"; fi
	done
	echo ready
	(sleep 120 && kill $$) >/dev/null 2>&1 </dev/null &
	listeners="$listeners $!"
	cat >/dev/null
}

main() {
	LC_ALL=C
	PATH=${PATH:-/usr/bin}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec
	export LC_ALL PATH
	for port in "$@"; do case $port in '' | *[!0-9]*) exit 2 ;; esac done
	for with in perl python3 platform-python socat busybox; do
		command -v "$with" >/dev/null 2>&1 || continue
		case $with in
		perl) perl -MSocket -MErrno -e 1 2>/dev/null && exec perl -MErrno -e "$by_perl" "$@" ;;
		python3 | platform-python) exec "$with" -c "$by_python" "$@" ;;
		busybox) ! busybox nc 2>&1 | grep -q -- '-ll' || { by_processes "$@"; exit; } ;;
		*)
			by_processes "$@"
			exit
			;;
		esac
	done
	echo "unable none of perl, python3, socat and BusyBox's nc is installed"
}

main "$@"
