# ---- Pods ----

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

# Without crictl: take the containers from under the CRI plugin, tidy what it would have tidied, and restart containerd
# so that the plugin forgets them. Pods that it was still making for a kubelet that is gone are there only then.
sandboxes_by_ctr() {
	ids=$(by_ctr containers ls -q) || die "cannot list the containers of $socket"
	if [ "$dry_run" = yes ]; then
		for id in $ids; do say "removed container $id"; done
		return
	fi
	find_init
	for _ in 1 2 3 4 5; do
		[ -n "$ids" ] || break
		remove_containers
		if [ "$init" = none ]; then
			warn "restart containerd: its CRI plugin still remembers the pods"
			return
		fi
		do_service restart containerd || die "cannot restart containerd"
		tries=9
		until ids=$(by_ctr containers ls -q); do
			tries=$((tries - 1))
			[ "$tries" -gt 0 ] || die "containerd does not answer"
			sleep 1
		done
	done
	[ -z "$ids" ] || die "there are always new containers"
	end_shims
}

# Remove the containers in `ids`.
remove_containers() {
	# What containerd is stuck in ends when it begins anew.
	end_tasks || {
		[ "$init" != none ] && do_service restart containerd && end_tasks
	} || die "some containers cannot be stopped"
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

# End shims, and what they run, that containerd has forgotten: it was just starting them when it was restarted.
end_shims() {
	shims=$(grep -l '^[^ ]*containerd-shim' /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3)
	for pid in $shims; do
		# /var/run is another name of /run.
		tr '\000' '\n' <"/proc/$pid/cmdline" | awk -v socket="${socket#/var}" '
			{ sub("^/var/", "/"); value[name] = $0; name = $0 }
			END { exit value["-namespace"] != "k8s.io" || value["-address"] != socket }' || continue
		# Stopped, it begins nothing more; once it is gone, its children are another's.
		generation=$pid family=''
		while [ -n "$generation" ]; do
			family="$family $generation"
			generation=$(for process in $generation; do
				kill -s STOP "$process" 2>/dev/null
				grep -lx "PPid:.$process" /proc/[0-9]*/status 2>/dev/null
			done | cut -d / -f 3)
		done
		for process in $family; do kill -s KILL "$process" 2>/dev/null; done
		say "removed shim $pid"
	done
}

