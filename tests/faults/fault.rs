//! What breaks, how it is made whole again, and what fleetadm must say of it.

use std::fmt;
use std::time::Duration;

use super::super::lab::Lab;
use super::super::runner::{Finished, Running};
use super::{FIRST, JOINING};

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// fleetadm is killed.
    Killed,
    /// The operator wants it to stop.
    Interrupted,
    /// The operator wants it to stop, and then to end at once.
    Aborted,
    /// A host has no power any more.
    PowerOff(&'static str),
    /// A host can be reached by nobody.
    Cut(&'static str),
    /// A host's sshd answers nothing any more, neither old connections nor new ones.
    FrozenSshd(&'static str),
    /// The file system with Kubernetes' files has no room left on a host.
    FullDisk(&'static str),
    /// Whatever writes files for fleetadm on a host is killed, again and again for a second.
    TornWrites(&'static str),
    /// The joining host's container runtime is started again.
    RuntimeRestart,
    /// The first control plane's API server is killed; the kubelet starts it again.
    ApiServerDies,
    /// The first control plane's etcd is killed; the kubelet starts it again.
    EtcdDies,
    /// The first control plane refuses connections to this port, its API server's or etcd's, for a while.
    Refuses(u16),
}

const API_SERVER: u16 = 6443;
const ETCD: u16 = 2379;

impl Fault {
    /// Everything that is tried at every phase.
    pub const ALL: [Self; 18] = [
        Self::Killed,
        Self::Interrupted,
        Self::Aborted,
        Self::PowerOff(JOINING),
        Self::PowerOff(FIRST),
        Self::Cut(JOINING),
        Self::Cut(FIRST),
        Self::FrozenSshd(JOINING),
        Self::FrozenSshd(FIRST),
        Self::FullDisk(JOINING),
        Self::FullDisk(FIRST),
        Self::TornWrites(JOINING),
        Self::TornWrites(FIRST),
        Self::RuntimeRestart,
        Self::ApiServerDies,
        Self::EtcdDies,
        Self::Refuses(API_SERVER),
        Self::Refuses(ETCD),
    ];

    /// Break it.
    pub fn strike(self, lab: &Lab, run: &Running) {
        match self {
            Self::Killed => run.signal("KILL"),
            Self::Interrupted => run.signal("INT"),
            Self::Aborted => {
                run.signal("INT");
                std::thread::sleep(Duration::from_millis(100));
                run.signal("TERM");
            }
            Self::PowerOff(host) => drop(lab.lab(&["kill", host])),
            Self::Cut(host) => drop(lab.lab(&["cut", host])),
            Self::FrozenSshd(host) => signal_sshd(lab, host, "STOP"),
            Self::FullDisk(host) => drop(lab.sh(host, FILL)),
            Self::TornWrites(host) => drop(lab.sh(host, KILL_WRITERS)),
            Self::RuntimeRestart => drop(lab.sh(JOINING, "systemctl restart containerd")),
            Self::ApiServerDies => drop(lab.sh(FIRST, "pkill -KILL -x kube-apiserver || true")),
            Self::EtcdDies => drop(lab.sh(FIRST, "pkill -KILL -x etcd || true")),
            Self::Refuses(port) => drop(lab.sh(FIRST, &refuse(port))),
        }
    }

    /// Make it whole again.
    pub fn lift(self, lab: &Lab) {
        match self {
            Self::PowerOff(host) => drop(lab.lab(&["boot", host])),
            Self::Cut(host) => drop(lab.lab(&["heal", host])),
            Self::FrozenSshd(host) => signal_sshd(lab, host, "CONT"),
            Self::FullDisk(host) => drop(lab.sh(host, MAKE_ROOM)),
            // That ends by itself.
            Self::Killed
            | Self::Interrupted
            | Self::Aborted
            | Self::TornWrites(_)
            | Self::RuntimeRestart
            | Self::ApiServerDies
            | Self::EtcdDies
            | Self::Refuses(_) => {}
        }
    }

    /// What fleetadm said must be about the host that broke, or nothing at all was wrong.
    pub fn judge(self, run: &Finished) {
        let (status, text) = (run.status, &run.stdout);
        match self {
            Self::Killed => assert_eq!(status, None, "{text}"),
            Self::Interrupted | Self::Aborted => assert_eq!(status, Some(130), "{text}"),
            Self::PowerOff(host) | Self::Cut(host) | Self::FrozenSshd(host) => {
                assert!(matches!(status, Some(0 | 3 | 4)), "{self}: {status:?}\n{text}");
                let named = run.stderr.contains(host) || text.contains(host);
                assert!(status == Some(0) || named, "{self}: {text}");
            }
            Self::FullDisk(host) => {
                // What was being written when the full file system came lies below it.
                let reasons = ["No space left on device", "mv: cannot stat '/etc/kubernetes/"];
                let told = reasons.iter().any(|it| text.contains(it)) && text.contains(host);
                assert!(
                    status == Some(0) || status == Some(3) && told,
                    "{self}: {status:?}\n{text}"
                );
            }
            // What comes back by itself within seconds is waited for.
            Self::TornWrites(_)
            | Self::RuntimeRestart
            | Self::ApiServerDies
            | Self::EtcdDies
            | Self::Refuses(_) => {
                assert!(matches!(status, Some(0 | 3)), "{self}: {status:?}\n{text}");
            }
        }
    }
}

/// What is in /etc/kubernetes on a file system of its own that is full. It comes with everything in it: nothing is missing at
/// any time but what was being written.
const FILL: &str = "set -eu
    full=$(mktemp -d)
    mkdir -p -m 755 /etc/kubernetes
    mount -t tmpfs -o size=1m,mode=755 tmpfs \"$full\"
    cp -a /etc/kubernetes/. \"$full\"
    cat /dev/zero >\"$full/ballast\" 2>/dev/null || true
    mount --bind \"$full\" /etc/kubernetes
    umount \"$full\"
    rmdir \"$full\"";

/// The same files where they were before, with room. Directories stay the ones that containers have mounted.
const MAKE_ROOM: &str = "set -eu
    mountpoint -q /etc/kubernetes || exit 0
    rm -f /etc/kubernetes/ballast
    kept=$(mktemp -d)
    cp -a /etc/kubernetes/. \"$kept\"
    umount /etc/kubernetes
    cd /etc/kubernetes
    find . -depth -mindepth 1 | while read -r path; do
        [ -e \"$kept/$path\" ] || rm -rf \"$path\"
    done
    cp -a \"$kept\"/. .
    rm -rf \"$kept\"";

/// Whatever the payload has begun, wherever it is.
const KILL_WRITERS: &str = "for _ in 1 2 3 4 5 6 7 8 9 10; do
        pkill -KILL -f '^sh /run/fleetadm/payload-.* (install|receive)' || true
        sleep 0.1
    done";

/// For long enough to be noticed, and not longer than anybody waits.
fn refuse(port: u16) -> String {
    let rule = format!("INPUT -p tcp --dport {port} -j REJECT --reject-with tcp-reset");
    format!("iptables -I {rule} && (sleep 15; iptables -D {rule}) >/dev/null 2>&1 </dev/null &")
}

/// The listener and every connection's processes.
fn signal_sshd(lab: &Lab, host: &str, name: &str) {
    lab.sh(host, &format!("pkill -{name} -x sshd; pkill -{name} -x sshd-session; true"));
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("fleetadm is killed"),
            Self::Interrupted => f.write_str("fleetadm is interrupted"),
            Self::Aborted => f.write_str("fleetadm is interrupted twice"),
            Self::PowerOff(host) => write!(f, "{host} loses power"),
            Self::Cut(host) => write!(f, "{host} loses its network"),
            Self::FrozenSshd(host) => write!(f, "sshd of {host} freezes"),
            Self::FullDisk(host) => write!(f, "{host} has no room left"),
            Self::TornWrites(host) => write!(f, "writes of {host} are torn"),
            Self::RuntimeRestart => write!(f, "containerd of {JOINING} is restarted"),
            Self::ApiServerDies => write!(f, "the API server of {FIRST} dies"),
            Self::EtcdDies => write!(f, "etcd of {FIRST} dies"),
            Self::Refuses(port) => write!(f, "port {port} of {FIRST} refuses"),
        }
    }
}
