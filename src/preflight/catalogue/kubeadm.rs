//! What to do about a failed check, in one line each.

/// How to make the check of this name pass; empty for a name that is none.
pub fn remedy(name: &str) -> &'static str {
    // Names that carry a port, a path or a command.
    const FAMILIES: &[(&str, &str)] = &[
        ("Port-", "stop what listens there, or run `fleetadm reset` if it is a former cluster"),
        (
            "FileAvailable-",
            "run `fleetadm reset` if the host was part of a cluster, else move the file away",
        ),
        (
            "DirAvailable-",
            "run `fleetadm reset` if the host was part of a cluster, else move its content away",
        ),
        (
            "FileExisting-",
            "install the package that has this command, with the host's package manager",
        ),
        (
            "FileContent--proc-sys-net-bridge-",
            "load the module br_netfilter, set this sysctl to 1, and keep both in \
             /etc/modules-load.d and /etc/sysctl.d",
        ),
        ("FileContent-", "set this sysctl to 1 and keep it in /etc/sysctl.d"),
    ];
    match name {
        "IsPrivilegedUser" => "log in as root, or set `become = \"sudo\"` for the host",
        "NumCPU" | "Mem" => {
            "use a larger machine for control planes, or ignore this check for a trial"
        }
        "KubernetesVersion" => "choose a release that this version of fleetadm knows",
        "Firewalld" => "open the ports of a control plane in firewalld, or stop it",
        "HTTPProxy" | "HTTPProxyCIDR" => {
            "add the address or network to NO_PROXY in the host's environment"
        }
        "CRI" => "install and start containerd or CRI-O, with its CRI plugin enabled",
        "Swap" => "run `swapoff -a` and take swap out of /etc/fstab",
        "SystemVerification" => {
            "boot a supported kernel with cgroups v2; the message names what is missing"
        }
        "Hostname" => "give the host's name an address in DNS or /etc/hosts",
        "KubeletVersion" => {
            "install the kubelet of the cluster's release, or let `[artifacts] binaries` provide it"
        }
        "Service-Kubelet" => "install the kubelet's service unit and enable it",
        _ => FAMILIES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map_or("", |(_, text)| text),
    }
}
