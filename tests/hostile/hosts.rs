//! Everything that is read of what a host prints, through the same calls that a run makes.

use std::sync::Arc;

use async_trait::async_trait;
use fleetadm::node::{
    Answer, Download, DownloadLimits, Exit, FactsRequest, FileBatch, Flow, Input, Leftover,
    LocalFile, Mode, Node, NodeDirectory, NodeError, NodeFile, Output, Process, ServiceAction,
    Sharing, Transport, TransportError,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::noise::{expect_harmless, near};

/// A host that answers every command alike.
struct Parrot {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[async_trait]
impl Transport for Parrot {
    async fn run(&self, _: &str, _: Input) -> Result<Output, TransportError> {
        Ok(Output {
            exit: self.exit.clone(),
            stdout: Zeroizing::new(self.stdout.clone()),
            stderr: self.stderr.clone(),
        })
    }

    async fn stream(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        let mut output = self.run(command, input).await?;
        for part in std::mem::take(&mut *output.stdout).chunks(4096) {
            if sink(part) == Flow::Stop {
                return Err(TransportError::Stopped);
            }
        }
        Ok(output)
    }
}

/// What others may be told of the holders of a lease.
async fn ask_for_a_lease(node: &Node) {
    match node.lease("cluster", Sharing::Shared, "jane at desk").await {
        Ok(Answer::Busy(said)) => said.iter().for_each(|line| expect_harmless(line, &['\t'])),
        Ok(Answer::Unguarded(said)) => expect_harmless(&said, &['\t']),
        Ok(Answer::Granted(_)) => {}
        Err(error) => expect_harmless(&error.to_string(), &['\t']),
    }
}

/// What hosts say when they are well.
fn samples() -> Vec<Vec<u8>> {
    [
        "euid 0\nhostname n1\nkernel_name Linux\nkernel_release 6.1.0\nmachine x86_64\nos.id debian\n\
         os.version \"12\"\ncpus 4\nmemory_kb 4046372\nswap /dev/sda2\nclock 1700000000.123\n\
         machine_id 0f0e0d\nuptime 100\nssh_host_key ssh-ed25519 AAAA\nfirewall ufw\nmodule overlay\n\
         changed 1700000000 /etc/kubernetes/admin.conf\ndisk /var/lib\ndisk_kb 1000 10\n\
         disk_inodes 1000 -\ndisk_mount /var\nmount ext4 rw,noexec /var\nfsync /var/lib 30 0.06\n\
         sysctl net/ipv4/ip_forward 1\ncommand ip /usr/sbin/ip\nlink eth0 02:42:ac:11:00:02 1500 up 1\n\
         address eth0 10.0.0.5\naddress eth0 2001:db8::5\nroute4 eth0 00A8E10A 00000000 00FCFFFF\n\
         route6 eth1 fd000000000000000000000000000000 08 fe800000000000000000000000000001\n\
         default4 eth0 100\ndefault6 eth0 00000400\nport 1F90\nresolved n1 10.0.0.1 ::1\n\
         name_server /etc/resolv.conf 127.0.0.53\ncgroup_version 2\ncgroup_controller cpu\n\
         kernel_config /proc/config.gz\nkernel_option CGROUPS y\ninit systemd\nservice kubelet 1 1 0\n\
         kubelet_version Kubernetes v1.36.2\ncri_socket /run/containerd/containerd.sock\n\
         proxy https_proxy 'http://proxy:3128'\npath file /etc/kubernetes/admin.conf\n\
         runtime.socket /run/containerd/containerd.sock\nruntime.version v2.1.4\nruntime.ready 1\nend\n",
        "file 644 0:0 4 /etc/a\nabc\n\ndirectory 755 0:0 0 /etc/b\nfile 600 1000:0 0 /etc/c\n\nend\n",
        "file 1700000000 /etc/a\n -----BEGIN CERTIFICATE-----\n AAAA\n -----END CERTIFICATE-----\nend\n",
        "process 7 12 1700000000\n etcd\n --name=a b\nprocess 8 13 1700000001\nend\n",
        "created /etc/a\nunchanged /etc/b\nchanged /etc/c\n",
        "removed /etc/a\nkept /etc/b: a package has it\n",
        "alike 644 /etc/a\n",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 755 /etc/a\n",
        "registry.k8s.io/pause:3.10\nregistry.k8s.io/kube-proxy:v1.36.2\nsha256:0123\n",
        "unmounted /var/lib/kubelet/pods/a\\040b\nemptied /etc/kubernetes\nmounted pods/a\nremoved sandbox a\n",
        "changed kubelet\n",
        "busy\nholder jane at desk, apply since 12:00\n",
        "unguarded no flock\n",
        "ready\n",
    ]
    .map(|sample| sample.as_bytes().to_vec())
    .into()
}

/// Every question there is, to one host. The answers must be harmless, whatever they are.
async fn ask_everything(node: &Node, local: &LocalFile) {
    let socket = "/run/containerd/containerd.sock";
    let process = Process { pid: 7, ticks: 12, started: 1, arguments: Vec::new() };
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new("/etc/b", 0o700));
    for path in ["/etc/a", "/etc/c"] {
        batch.files.push(NodeFile::public(path, *b"abc\n", 0o644));
    }
    fn check<T>(result: Result<T, NodeError>) -> Option<T> {
        result.map_err(|error| expect_harmless(&error.to_string(), &['\t'])).ok()
    }
    if let Some(facts) = check(node.facts(&FactsRequest::default()).await) {
        let shown = format!("{facts:?}");
        assert!(!shown.contains("\\u{1b}") && !shown.contains("\\0"), "{shown}");
    }
    check(node.read(&["/etc/a"]).await);
    check(node.read_public(&["/etc/a"]).await);
    check(node.install(&batch).await);
    check(node.plan(&batch).await);
    check(node.install_binary(local, "/etc/a", 0o755).await);
    let mirrored =
        Download { url: "https://mirror.example.com/a".to_owned(), sha256: "0".repeat(64) };
    check(node.download(&mirrored, "/etc/a", 0o755, DownloadLimits::default()).await);
    check(node.remove(&["/etc/a"]).await);
    check(node.processes(&["etcd"]).await);
    check(node.terminate(&process, "etcd").await);
    check(node.image_names(socket).await);
    check(node.pull_images(socket, &["registry.k8s.io/pause:3.10"]).await);
    check(node.service(ServiceAction::Start, "kubelet").await);
    check(node.service_log("kubelet", 10).await);
    check(node.load_modules(&["overlay"]).await);
    check(node.install_packages(&["haproxy"]).await);
    check(node.clean(&[Leftover::Cni, Leftover::Images], socket).await);
    check(node.mounts_below("/var/lib/kubelet").await);
    check(node.unmount_below(&["/var/lib/kubelet"]).await);
    check(node.empty_directories(&["/etc/kubernetes"]).await);
    check(node.remove_sandboxes(socket).await);
    ask_for_a_lease(node).await;
    check(node.cleanup().await);
}

fn ask(parrot: Parrot) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        let local = LocalFile::open(file.path()).await.unwrap();
        let transport = Arc::new(parrot);
        for mode in [Mode::Apply, Mode::DryRun] {
            ask_everything(&Node::new("n1", transport.clone(), mode).with_diff(true), &local).await;
        }
    });
}

#[test]
fn what_hosts_say_when_they_are_well_is_read() {
    for (sample, word) in [(0, "n1"), (3, "etcd")] {
        let parrot =
            Parrot { exit: Exit::Status(0), stdout: samples()[sample].clone(), stderr: Vec::new() };
        let node = Node::new("n1", Arc::new(parrot), Mode::Apply);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = runtime.block_on(async {
            match sample {
                0 => node.facts(&FactsRequest::default()).await.map(|facts| facts.hostname),
                _ => node.processes(&["etcd"]).await.map(|found| found[0].arguments[0].clone()),
            }
        });
        assert_eq!(read.unwrap(), word);
    }
}

#[test]
fn endless_answers_are_refused() {
    let long = |line: &str, size: usize| line.repeat(size / line.len()).into_bytes();
    for line in ["x", "\n", "module x\n", "a b\n", "process 1 1 1\n", " \n"] {
        ask(Parrot { exit: Exit::Status(0), stdout: long(line, 150 << 10), stderr: Vec::new() });
    }
    // Longer than any answer may be: refused before it is looked at.
    ask(Parrot { exit: Exit::Status(0), stdout: long("a\n", 5 << 20), stderr: Vec::new() });
    ask(Parrot { exit: Exit::Status(1), stdout: Vec::new(), stderr: long("a\n", 200 << 10) });
    // Sizes that are only announced.
    for size in ["99999999999", "18446744073709551615", "18446744073709551616"] {
        let stdout = format!("file 644 0:0 {size} /etc/a\nabc\n").into_bytes();
        ask(Parrot { exit: Exit::Status(0), stdout, stderr: Vec::new() });
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(stdout in near(samples())) {
        ask(Parrot { exit: Exit::Status(0), stdout, stderr: Vec::new() });
    }

    #[test]
    fn any_complaint_can_be_shown(stderr in near(samples()), status in any::<u32>(), signal in "[A-Z]{0,8}") {
        let exit = if signal.is_empty() { Exit::Status(status) } else { Exit::Signal(signal) };
        ask(Parrot { exit, stdout: stderr.clone(), stderr });
    }
}
