//! kubeadm's checks explained, in the order they are made. Data only.

use super::{Explanation, Source};

const fn of_kubeadm(
    name: &'static str,
    looks_at: &'static str,
    matters: &'static str,
    remedy: &'static str,
    conditions: &'static str,
) -> Explanation {
    Explanation { name, looks_at, matters, remedy, conditions, source: Source::Kubeadm }
}

/// Every check of kubeadm that is made.
pub(super) static EXPLANATIONS: &[Explanation] = &[
    of_kubeadm(
        "IsPrivilegedUser",
        "The effective user id of commands on the host, after becoming root where the inventory \
         says so.",
        "Everything a node consists of belongs to root: units, certificates, the runtime's \
         socket.",
        "log in as root, or set `become = \"sudo\"` or `\"doas\"` for the host",
        "Made in every workflow; an error.",
    ),
    of_kubeadm(
        "NumCPU",
        "The number of logical CPUs.",
        "The API server, etcd and the controllers starve each other on a single CPU, and \
         elections are lost.",
        "give the machine at least 2 CPUs, or ignore this check for a trial",
        "Made for control planes; an error.",
    ),
    of_kubeadm(
        "Mem",
        "The machine's memory, which has to be 1700 MB or more.",
        "With less, the kernel kills the API server or etcd as soon as the cluster has work.",
        "give the machine at least 2 GB of memory, or ignore this check for a trial",
        "Made for control planes; an error.",
    ),
    of_kubeadm(
        "KubernetesVersion",
        "The Kubernetes release in the inventory, against the newest one these checks were \
         written for.",
        "A newer release may want flags, files or checks that are not known here.",
        "set `kubernetes_version` to a release that is known, or use a newer fleetadm",
        "Made for control planes; a warning.",
    ),
    of_kubeadm(
        "Firewalld",
        "Whether firewalld is running.",
        "It drops what no rule allows, so nodes do not reach the API server, nor the API server \
         the kubelets.",
        "open the ports, as in `firewall-cmd --permanent --add-port=6443/tcp --add-port=10250/tcp \
         && firewall-cmd --reload`, or stop it with `systemctl disable --now firewalld`",
        "Made for control planes; a warning.",
    ),
    of_kubeadm(
        "Port-",
        "Whether something listens on a TCP port that a component will need: 6443 or the API \
         server's bind port, 10259, 10257, 10250, 2379 and 2380.",
        "The component cannot start as long as another process has its port.",
        "find what listens with `ss -ltnp` and stop it, or run `fleetadm reset` if it is a former \
         cluster",
        "The kubelet's 10250 is looked at on every node, the others on control planes; an error. \
         Left out on hosts that are members of the cluster already.",
    ),
    of_kubeadm(
        "FileAvailable-",
        "Whether a file that will be written is there already; the name has dashes for slashes.",
        "It belongs to an earlier cluster, or to somebody else, and would be mixed with the new \
         one's.",
        "run `fleetadm reset` if the host was part of a cluster, else move the file away",
        "Manifests are looked at on control planes, kubelet.conf, bootstrap-kubelet.conf and \
         (workers) ca.crt when joining; an error. Left out on hosts that are members of the \
         cluster already.",
    ),
    of_kubeadm(
        "DirAvailable-",
        "Whether a directory that will be filled is empty or missing; the name has dashes for \
         slashes.",
        "The component, etcd for example, refuses to start, or worse, starts with the data of an \
         earlier cluster.",
        "run `fleetadm reset` if the host was part of a cluster, else move its content away",
        "That of etcd's data is looked at on control planes, /etc/kubernetes/manifests when \
         joining up to 1.22; an error. Left out on hosts that are members of the cluster already.",
    ),
    of_kubeadm(
        "ExternalEtcdVersion",
        "The version each endpoint of an etcd that somebody else runs gives, as the first control \
         plane sees it and with the client certificate of the inventory.",
        "API servers need what newer versions of etcd have, and do not start where no endpoint \
         answers.",
        "upgrade that etcd, or correct the endpoints in `[cluster.etcd.external]`",
        "Made for the first control plane, where the inventory has `[cluster.etcd.external]`; an \
         error.",
    ),
    of_kubeadm(
        "ExternalEtcdClientCertificates",
        "Whether the files of `[cluster.etcd.external]` on the workstation hold certificates, and \
         a key that belongs to its certificate.",
        "API servers are not let in by that etcd, and do not start.",
        "have whoever runs that etcd make new ones, and name them in `[cluster.etcd.external]`",
        "Made for control planes, where the inventory has `[cluster.etcd.external]`; an error.",
    ),
    of_kubeadm(
        "HTTPProxy",
        "Whether https to the API server's address would go through the proxy of root's \
         environment, by Go's rules for HTTPS_PROXY and NO_PROXY.",
        "A proxy cannot reach the cluster's own addresses, or breaks the certificates of both \
         sides.",
        "add the address to NO_PROXY where root's environment is made, /etc/environment for \
         example",
        "Made for control planes (the advertised address) and joins (the endpoint); a warning.",
    ),
    of_kubeadm(
        "HTTPProxyCIDR",
        "Whether https to the first address of each service and pod network would go through the \
         proxy of root's environment.",
        "Components would ask the proxy for services and pods, which it cannot reach.",
        "add the network to NO_PROXY where root's environment is made, /etc/environment for \
         example",
        "Made for control planes, once for each network; a warning.",
    ),
    of_kubeadm(
        "CRI",
        "Whether the container runtime answers on its socket and says that it is ready.",
        "Without it the kubelet does not start and no container runs.",
        "start containerd (`systemctl enable --now containerd`) or CRI-O, with containerd's CRI \
         plugin enabled in /etc/containerd/config.toml; with several runtimes, set `cri_socket`",
        "Made on every node; an error. Whether its network is ready does not count.",
    ),
    of_kubeadm(
        "ContainerRuntimeVersion",
        "Name and version the container runtime gives, for whether it answers the kubelet's \
         RuntimeConfig call: containerd does from 2.0 on, CRI-O from 1.28 on.",
        "The kubelet learns the cgroup driver from that call, and newer ones refuse to start \
         without it.",
        "upgrade containerd to 2.0 or CRI-O to 1.28 or later",
        "Made on every node from 1.35 on, and for upgrades to it; a warning, an error where the \
         runtime does not answer at all. Nothing is claimed of other runtimes.",
    ),
    of_kubeadm(
        "FileExisting-crictl",
        "Whether the command crictl is in PATH.",
        "A kubeadm of up to 1.30 talks to the runtime through it; fleetadm can do without.",
        "install cri-tools, or leave it out if you never run kubeadm on this host",
        "Made on every node up to 1.30; a warning, where kubeadm has an error.",
    ),
    of_kubeadm(
        "FileExisting-",
        "Whether a command is in PATH that the kubelet or kube-proxy calls.",
        "Mounts, port forwarding or service rules fail later, in ways that do not name the \
         missing command.",
        "install the package that has it: conntrack, ebtables, ethtool, iptables, iproute2 (ip, \
         tc), socat, mount, util-linux (losetup, nsenter), coreutils (cp, touch)",
        "Up to 1.31 conntrack, ip, iptables, mount and nsenter are errors, ebtables, ethtool, \
         socat, tc and touch warnings; 1.32 drops conntrack, ebtables and socat. From 1.33 on \
         losetup, mount and cp are errors, the rest is not looked at.",
    ),
    of_kubeadm(
        "FileContent--proc-sys-net-bridge-",
        "Whether packets that cross a bridge go through iptables (ip6tables where the API \
         server's address is IPv6).",
        "Services do not work between pods of one node that are connected by a bridge.",
        "run `modprobe br_netfilter` and `sysctl -w net.bridge.bridge-nf-call-iptables=1 \
         net.bridge.bridge-nf-call-ip6tables=1`, and keep both in /etc/modules-load.d and \
         /etc/sysctl.d",
        "Made on every node up to 1.29; an error.",
    ),
    of_kubeadm(
        "FileContent--proc-sys-net-ipv4-ip_forward",
        "Whether the kernel forwards IPv4 packets.",
        "Without it no packet reaches a pod from another node.",
        "run `sysctl -w net.ipv4.ip_forward=1` and keep `net.ipv4.ip_forward = 1` in a file in \
         /etc/sysctl.d",
        "Made on every node up to 1.26, from then on where an address or network is IPv4; an \
         error.",
    ),
    of_kubeadm(
        "FileContent--proc-sys-net-ipv6-conf-default-forwarding",
        "Whether the kernel forwards IPv6 packets on new interfaces.",
        "Without it no packet reaches a pod's IPv6 address from another node.",
        "run `sysctl -w net.ipv6.conf.default.forwarding=1 net.ipv6.conf.all.forwarding=1` and \
         keep both in a file in /etc/sysctl.d",
        "Made where the API server's address is IPv6, from 1.27 on also where a network is; an \
         error.",
    ),
    of_kubeadm(
        "Swap",
        "Whether /proc/swaps lists a device.",
        "The kubelet does not start with swap on unless it is configured for it, and memory \
         limits mean little.",
        "run `swapoff -a` and take swap out of /etc/fstab, or set `failSwapOn = false` in \
         `[cluster.kubelet_configuration]`",
        "Made on every node; an error up to 1.22, a warning since.",
    ),
    of_kubeadm(
        "SystemVerification",
        "The operating system, the kernel's release, the options it was built with \
         (/proc/config.gz or /boot/config-RELEASE), and the version and controllers of its \
         control groups.",
        "The kubelet and container runtimes need them, and a kubelet of 1.35 or later refuses \
         cgroup v1.",
        "boot a supported kernel with `systemd.unified_cgroup_hierarchy=1` on its command line \
         for cgroup v2, and have what the message names enabled; `modprobe configs` or the \
         kernel's package brings its config file",
        "Made on every node and for upgrades. An unknown kernel is an error up to 1.33, a warning \
         since; cgroup v1 is a warning from 1.31 on and an error with a kubelet of 1.35 or later.",
    ),
    of_kubeadm(
        "Hostname",
        "Whether the node's name has the form of one, and the host's own resolver has an address \
         for it.",
        "The API server reaches kubelets by this name where it is told to, and components that \
         look it up fail.",
        "give the name an address in DNS, or in /etc/hosts as in `echo 10.0.0.11 node-1 >> \
         /etc/hosts`",
        "Made on every node; a warning.",
    ),
    of_kubeadm(
        "KubeletVersion",
        "The version of the kubelet on the host, or of the one that will be installed there.",
        "A kubelet must not be newer than the control plane, nor more releases older than it \
         supports.",
        "install the kubelet of the cluster's release, or let `[artifacts] binaries` provide it",
        "Made on every node; an error. Up to 1.28 the kubelet may be one minor release older, \
         three since.",
    ),
    of_kubeadm(
        "Service-Kubelet",
        "Whether the init system, systemd or OpenRC, has a kubelet service that starts at boot.",
        "Without it the node does not come back after a reboot.",
        "install the kubelet's unit and enable it with `systemctl enable kubelet.service` or \
         `rc-update add kubelet default`",
        "Made on every node; a warning.",
    ),
    of_kubeadm(
        "ImagePull",
        "Whether the container runtime can pull, or has, the images of the host's role.",
        "Static pods do not start without their images, and init or join ends in a timeout.",
        "make `image_repository` reachable from the host (proxy, mirror, credentials of the \
         runtime), or let `[artifacts] images` provide the images",
        "Made only where asked for with --pull-images; an error.",
    ),
    of_kubeadm(
        "CoreDNSUnsupportedPlugins",
        "Plugins and options of the Corefile in ConfigMap kube-system/coredns, against those that \
         kubeadm's upgrade knows of the CoreDNS release that runs.",
        "What kubeadm does not know it leaves as it is, and a CoreDNS that refuses its Corefile \
         answers no name in the cluster.",
        "compare what is named with the notes of the coming CoreDNS; once it fits, ignore this \
         check",
        "Made for upgrades on the first control plane, unless `[cluster.dns]` is disabled or no \
         CoreDNS runs. An error up to 1.26; a warning since, where kubeadm finds nothing.",
    ),
    of_kubeadm(
        "CoreDNSMigration",
        "Whether the Corefile can be carried over: from the release in the image's tag of \
         Deployment kube-system/coredns to the one of the target.",
        "From a release that it does not know, or to an older one, kubeadm does not upgrade \
         CoreDNS.",
        "set the Deployment's image to a release from 1.6.2 on that is no newer than the coming \
         one, or ignore this check and upgrade CoreDNS yourself",
        "Made for upgrades on the first control plane, unless `[cluster.dns]` is disabled or no \
         CoreDNS runs; an error.",
    ),
    of_kubeadm(
        "ControlPlaneNodesReady",
        "Whether the API answers, and says of every node that is labelled as a control plane that \
         it is Ready.",
        "An upgrade takes one control plane after the other away for a while; with another one \
         down, the cluster may be without any.",
        "see `kubectl describe node NAME` and `journalctl -u kubelet` there, and bring the node \
         back or delete it",
        "Made for upgrades on the first control plane; an error. The label is \
         node-role.kubernetes.io/control-plane, up to 1.23 also master.",
    ),
    of_kubeadm(
        "StaticPodManifest",
        "Whether the manifests of API server, controller manager and scheduler are in \
         /etc/kubernetes/manifests.",
        "An upgrade replaces these files; a control plane that is run by other means cannot be \
         upgraded so.",
        "restore the missing manifest, for example with `fleetadm init` on this control plane",
        "Made for upgrades on control planes; an error.",
    ),
];
