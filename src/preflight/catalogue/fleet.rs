//! The fleet's checks explained, in the order they are made. Data only.

use super::{Explanation, Source};

const fn of_fleet(
    name: &'static str,
    looks_at: &'static str,
    matters: &'static str,
    remedy: &'static str,
    conditions: &'static str,
) -> Explanation {
    Explanation { name, looks_at, matters, remedy, conditions, source: Source::Fleet }
}

/// Every check that kubeadm does not have.
pub(super) static EXPLANATIONS: &[Explanation] = &[
    of_fleet(
        "ControlPlaneEndpoint",
        "What the host's own resolver says of the name in `control_plane_endpoint`; and on hosts of \
         a cluster, whether something accepts connections there.",
        "Kubelets, kube-proxy and administrators go by the endpoint: who cannot resolve or reach it \
         never joins, and loses the cluster when it goes.",
        "have the name resolve on every host, in DNS or /etc/hosts, to what leads to the API \
         servers, or let fleetadm serve an address with `[cluster.load_balancer]`",
        "Error when the name does not resolve, or not to the load balancer's address. Warning when \
         the resolver does not answer, or nothing answers where a cluster's endpoint should be. \
         Made where a node is made or joined and there is an endpoint.",
    ),
    of_fleet(
        "UniqueHostname",
        "The kernel's host name, compared between hosts without regard to case. That it differs \
         from the name in the inventory is fine: the kubelet is told that one.",
        "Logs, metrics and what people type go by host names, and a name that two hosts have \
         often is a machine that is in the inventory twice.",
        "give each host a name of its own with `hostnamectl set-hostname NAME`, or take the second \
         entry out of the inventory",
        "Error on every host whose name another has.",
    ),
    of_fleet(
        "UniqueMachineID",
        "Whether /etc/machine-id differs from host to host; one that is yet to be made does not \
         count.",
        "Kubernetes wants it unique on every node, and DHCP servers give hosts with the same one \
         the same address.",
        "on all but one of them run `rm /etc/machine-id && systemd-machine-id-setup`, then reboot",
        "Error on every host whose machine-id another has.",
    ),
    of_fleet(
        "UniqueProductUUID",
        "The mainboard's UUID (/sys/class/dmi/id/product_uuid). Containers, which see that of \
         their machine, and makers' placeholders are left out.",
        "Kubernetes wants it unique on every node: storage and cloud plugins tell machines apart \
         by it.",
        "have the hypervisor give each virtual machine a UUID of its own, or take the second entry \
         of one machine out of the inventory",
        "Error on every host whose UUID another has.",
    ),
    of_fleet(
        "UniqueMAC",
        "Hardware addresses of network cards in use, and of the interface that has the address \
         the cluster uses. Other virtual interfaces may well be alike.",
        "In one network, packets for two hosts with one hardware address go to either of them, \
         at random.",
        "have the hypervisor give each machine a hardware address of its own, then reboot it",
        "Error on every host with an address that another has.",
    ),
    of_fleet(
        "UniqueHostKeys",
        "Public SSH host keys in /etc/ssh, shown as `ssh-keygen -l` does.",
        "Who has one of the hosts can pass for every other, and the machines were cloned with \
         whatever else they have in common.",
        "on all but one of them run `rm /etc/ssh/ssh_host_*_key* && ssh-keygen -A`, restart sshd, \
         then run `fleetadm trust --replace`",
        "Warning on every host with a key that another has.",
    ),
    of_fleet(
        "AdvertiseAddress",
        "The address the cluster uses, `advertise_address` or that of the default route: whether \
         it is on the host, no other's, and of a kind that others can reach.",
        "The API server and etcd are found under it, and certificates are made for it: a wrong one \
         makes a host that nobody else can join.",
        "set `advertise_address` of the host to one of its addresses that the others reach",
        "Error when the host does not have it, another has it too, it is loopback or link-local, \
         there is none, or on a control plane it is not of the first service network's family.",
    ),
    of_fleet(
        "ClockSkew",
        "How far the host's clock certainly is from the middle of the fleet's and from this \
         workstation's. It was read between question and answer, so a slow answer proves less.",
        "Members of etcd warn of 1 s; leases last 15 to 40 s; join tokens last minutes; \
         certificates are made by this workstation's clock, and valid from 5 minutes before.",
        "set the clock, for example with `chronyc makestep`, and keep a time service running; if \
         all hosts are off, look at the clock here",
        "Against the fleet: warning beyond 1 s, error beyond 60 s, and beyond 5 s between control \
         planes and members of etcd. Against the workstation: warning beyond 60 s, error beyond \
         300 s.",
    ),
    of_fleet(
        "TimeSync",
        "Whether one of chrony, chronyd, systemd-timesyncd, ntpsec, ntp, ntpd and openntpd runs.",
        "Clocks that are right today drift apart by seconds a week, until leases and certificates \
         fail.",
        "install chrony, or start the service that is there with \
         `systemctl enable --now systemd-timesyncd`; `--fix` does the latter",
        "Warning when none runs. Not made in containers, nor without systemd or OpenRC.",
    ),
    of_fleet(
        "NameResolution",
        "What the host's own resolver says about the control plane's endpoint, its own name and \
         those of the first hosts of the inventory.",
        "A host that sees another endpoint joins another cluster or none, and logs and metrics of \
         a node come from the wrong machine.",
        "correct DNS, or the host's /etc/hosts, so that every host sees the same",
        "Warning when hosts disagree on the endpoint, when others resolve a name that this host \
         does not, or when a host's name gives addresses it does not have. That the endpoint \
         resolves at all is for ControlPlaneEndpoint to see.",
    ),
    of_fleet(
        "ResolverLoop",
        "The name servers that pods inherit: those of /run/systemd/resolve/resolv.conf where \
         systemd-resolved runs, else of /etc/resolv.conf.",
        "A loopback address is the pod itself in a pod: CoreDNS finds that it asks itself, and \
         stops, so that the cluster has no DNS. Beyond 3, name servers are dropped.",
        "name the real servers in that file, or set `resolvConf` in \
         `[cluster.kubelet_configuration]` to one that does",
        "Error for a loopback address, only a warning on members and where the DNS add-on is \
         disabled. Warning for no server or more than 3. Not made when `resolvConf` is another \
         file.",
    ),
    of_fleet(
        "Reachability",
        "Whether the other hosts, up to 50 all of them, can connect to the ports that this host's \
         role needs; where nothing listens yet, something does for the moment.",
        "Nodes that do not reach the API server do not join; one that the API server does not \
         reach has no logs, exec or webhooks; members of etcd that do not reach each other lose \
         their quorum.",
        "open the ports in the firewalls of the host and on the way, and see that \
         `advertise_address` is in the network they are open in",
        "Error for the API server, for etcd, and for the kubelet from control planes. Warning for \
         the kubelet from workers (metrics), and when nothing at all could be tried.",
    ),
    of_fleet(
        "PathMTU",
        "Whether packets of full size arrive where connections can be made, and the MTU of the \
         interface that has the address the cluster uses.",
        "Where large packets are lost, everything small works, and joins, image pulls and logs \
         hang.",
        "set the MTU of the interface to what the path carries (`ip link set DEV mtu 1450`), or \
         let ICMP `fragmentation needed` through",
        "Error when large packets get lost. Warning when the MTU is not that of most hosts.",
    ),
    of_fleet(
        "NetworkOverlap",
        "The pod and service networks against the host's addresses and routes. Default routes, \
         and on members what the cluster made, are left out.",
        "What has an address in such a network cannot be reached from pods, and routes to pods \
         may cut the host off from it.",
        "choose a `pod_subnet` or `service_subnet` that nothing uses, or take the route away",
        "Error, but a warning for a route to a wider network behind a router, which need not have \
         anything there.",
    ),
    of_fleet(
        "PodCapacity",
        "How many node networks the pod network can be cut into, against the number of nodes in \
         the inventory; and whether one has addresses for `maxPods`.",
        "A node that gets no network of its own never becomes Ready; pods without an address do \
         not start.",
        "widen `pod_subnet`, or set `node-cidr-mask-size` of `[cluster.controller_manager]`, \
         before the cluster is made",
        "Error when there are more nodes, warning when `maxPods` does not fit. Not made when the \
         controller manager does not hand out networks.",
    ),
    of_fleet(
        "MixedArchitectures",
        "The machine's architecture, compared with that of most hosts.",
        "Every image has to be there for each architecture, or pods fail with `exec format error` \
         on some nodes.",
        "use images for all architectures, and keep pods where they can run by the label \
         `kubernetes.io/arch`; or ignore this check",
        "Warning on the hosts that are not like most.",
    ),
    of_fleet(
        "MixedOS",
        "Distribution and release, without point releases, compared with those of most hosts of \
         the role.",
        "Packages, paths and defaults differ, and what was tried on one host was not tried on \
         another.",
        "bring the hosts of one role to one release, or ignore this check",
        "Warning on the hosts that are not like most; two halves are decided by the fleet.",
    ),
    of_fleet(
        "MixedKernels",
        "The kernel's major and minor version, compared with that of most hosts of the role.",
        "Network plugins and cgroups depend on the kernel: the same pod behaves differently.",
        "update and reboot the hosts that are behind, or ignore this check",
        "Warning on the hosts that are not like most; two halves are decided by the fleet.",
    ),
    of_fleet(
        "MixedCgroups",
        "The version of cgroups, 1 or 2, compared with that of most hosts.",
        "Limits of memory and their metrics mean different things, and newer kubelets refuse \
         version 1.",
        "boot the others with `systemd.unified_cgroup_hierarchy=1` on the kernel's command line",
        "Warning on the hosts that are not like most.",
    ),
    of_fleet(
        "MixedRuntimes",
        "The container runtime, compared with that of most hosts.",
        "Two runtimes have two configurations, registries and mirrors among them, and two sets of \
         flaws.",
        "install the same runtime everywhere, or ignore this check",
        "Warning on the hosts that are not like most.",
    ),
    of_fleet(
        "MixedRuntimeVersions",
        "Major and minor version of the container runtime, compared with most hosts that have the \
         same one.",
        "Releases of containerd differ in their configuration and in which kubelets they serve.",
        "install the same release everywhere",
        "Warning on the hosts that are not like most.",
    ),
    of_fleet(
        "ControlPlaneCount",
        "How many control planes the inventory has, where each has a member of etcd.",
        "A majority has to be there: of 4 members, as of 3, only 1 may fail, and there is one more \
         that can; of 2, as of 1, none may.",
        "add a control plane, or make one a worker",
        "Warning when the number is even; never with an external etcd.",
    ),
    of_fleet(
        "EtcdMembers",
        "How many hosts with the role `etcd` the inventory has.",
        "A majority has to be there: of 4 members, as of 3, only 1 may fail, and there is one more \
         that can; of 2, as of 1, none may.",
        "add a member, or take one away",
        "Warning when the number is even. Made on hosts with the role `etcd`.",
    ),
    of_fleet(
        "EtcdDisk",
        "How long a small write takes on average until it is safe on the disk of etcd's data: 30 \
         of them, of 2 KB, one after the other.",
        "A member of etcd answers nothing before it has written, and wants 99 of 100 writes done \
         in 10 ms; a leader that is held up for longer than its heartbeats (100 ms) is deposed.",
        "put etcd's data on a local SSD that nothing else writes to",
        "Warning above 10 ms, error above 100 ms. Made where etcd will run.",
    ),
    of_fleet(
        "DiskSpace",
        "Free space where the kubelet, the runtime's images and etcd keep their data.",
        "Below the kubelet's `evictionHard` (10 % for it, 15 % for images) a node is under disk \
         pressure from the start, and runs no pods.",
        "make room, for example with `crictl rmi --prune` and `journalctl --vacuum-size=200M`, or \
         use a larger disk",
        "Error below `evictionHard` as the inventory has it, or the kubelet's defaults. Warning \
         below 5 GB free, or 10 GB in all.",
    ),
    of_fleet(
        "Inodes",
        "Free inodes where the kubelet and the runtime's images have their data.",
        "Images consist of many small files; without inodes a disk is full whatever its free \
         space, and below `evictionHard` (5 %) the node runs no pods.",
        "remove small files that nobody needs, or make the file system anew with more inodes",
        "Error below `evictionHard`. Not made where inodes are made as needed.",
    ),
    of_fleet(
        "MountOptions",
        "Mount options of the file systems of the kubelet's, the runtime's and etcd's data.",
        "Nothing can be written where it is read-only; in volumes below a noexec mount, pods \
         cannot run programs.",
        "remount with `mount -o remount,rw,exec DIR`, and correct /etc/fstab",
        "Error for `ro`, warning for `noexec`, which for etcd does no harm.",
    ),
    of_fleet(
        "SELinux",
        "Whether SELinux enforces, and if so whether a policy for containers is installed.",
        "Without that policy containers are denied their own files, and nothing says so but the \
         audit log.",
        "install the package container-selinux",
        "Warning when it enforces without a policy for containers.",
    ),
    of_fleet(
        "AppArmor",
        "Whether the kernel enforces AppArmor profiles, and if so whether apparmor_parser is \
         there. Containers are left out.",
        "Every container gets a profile, which containerd loads with that command: without it, \
         none starts.",
        "install the package apparmor",
        "Error when it is missing, but a warning with CRI-O, which goes without.",
    ),
    of_fleet(
        "Firewall",
        "Whether firewalld, ufw or a chain of nftables or iptables with the policy to drop filters \
         incoming packets, and what became of connections that others tried.",
        "A node behind closed ports joins and looks fine, until logs, metrics or another control \
         plane are wanted.",
        "open the ports that the message names by the command it gives, and those of the network \
         plugin",
        "Warning when a connection was not let in, or when none could be tried. It passes when \
         all were let in.",
    ),
    of_fleet(
        "LeftoverState",
        "Files, etcd data, CNI configuration and interfaces of an earlier cluster; on members, \
         whether the CA is the first control plane's.",
        "A kubelet goes on with the cluster it knows, and etcd with the data it finds: the new \
         cluster is mixed with the old one.",
        "run `fleetadm reset` on the host if nobody needs what the message names",
        "Error for what blocks or mixes (kubelet.conf, the API server's certificate, manifests, on \
         control planes etcd's data) and for members of another cluster. Warning for traces.",
    ),
    of_fleet(
        "BootServices",
        "Whether the runtime in use, and on members the kubelet, start at boot.",
        "The node works until the next reboot, and does not come back from it.",
        "run `systemctl enable` with the service's name; `--fix` does it",
        "Warning when one does not. Not made without systemd or OpenRC.",
    ),
    of_fleet(
        "Entropy",
        "How many bits of entropy the kernel has, on kernels before 5.18.",
        "When there is little, keys take minutes to be made, and TLS connections as long to open.",
        "install haveged or rng-tools, give the virtual machine a virtio-rng device, or use a \
         newer kernel",
        "Warning below 200 bits; newer kernels never run dry.",
    ),
    of_fleet(
        "FileLimits",
        "The kernel's limits of open files (fs/file-max, fs/nr_open) and of inotify (instances, \
         watches).",
        "Kubelet, runtime and pods share them: `too many open files` is what is seen then, at \
         places that have nothing to do with it.",
        "raise them in /etc/sysctl.d, for example `fs.inotify.max_user_instances = 1024`; `--fix` \
         raises those of inotify",
        "Warning below 100000, 65536, 128 and 8192: what current distributions come with passes.",
    ),
];
