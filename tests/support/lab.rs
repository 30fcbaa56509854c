//! The lab's hosts (tests/lab/lab) from Rust: commands on them, the cluster they form, inventories of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The control plane and the two workers. The second worker is reached as a user with sudo.
pub const HOSTS: [&str; 3] = ["n1", "n2", "n3"];
/// The host whose role is control-plane.
pub const CONTROL_PLANE: &str = "n1";
/// The workers.
pub const WORKERS: [&str; 2] = ["n2", "n3"];

/// A lab that runs already.
pub struct Lab {
    /// The text of an inventory of all hosts, with pod network and demonstration workload.
    pub inventory: String,
    /// Kubernetes' version, without `v`.
    pub version: String,
    /// A directory with the release's kubeadm.
    pub binaries: PathBuf,
    /// Scratch space of the tests, not of fleetadm.
    pub directory: tempfile::TempDir,
}

impl Lab {
    /// The lab that tests/lab/test has started and described in the environment.
    pub fn from_environment() -> Self {
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/lab/test"))
        };
        let inventory = fs::read_to_string(variable("FLEETADM_TEST_INVENTORY")).unwrap();
        Self {
            inventory,
            version: variable("FLEETADM_TEST_VERSION"),
            binaries: variable("FLEETADM_TEST_BINARIES").into(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// The same, with these hosts bare: what a test before this one has left, since it failed, is replaced, so that one
    /// failure stays one.
    pub fn with_bare(hosts: &[&str]) -> Self {
        let lab = Self::from_environment();
        for host in hosts {
            let used =
                "test ! -e /var/lib/kubelet/config.yaml -a ! -e /etc/kubernetes/pki || echo used";
            if !lab.sh(host, used).is_empty() {
                println!("{host} is not bare, and is replaced");
                lab.replace(host);
            }
        }
        lab
    }

    /// A machine that is lost, and another one under its name and address.
    pub fn replace(&self, host: &str) {
        let hosts = self.lab(&["ls"]);
        let line = hosts.lines().find(|line| line.split(' ').next() == Some(host)).unwrap();
        let way_in = line.split(' ').nth(3).unwrap();
        self.lab(&["down", host]);
        self.lab(&["up", host, "--ssh", way_in]);
    }

    /// The minor release of Kubernetes.
    pub fn minor(&self) -> u16 {
        self.version.split('.').nth(1).unwrap().parse().unwrap()
    }

    /// What differs from release to release in a configuration for kubeadm: its API version, and how the socket of
    /// containerd is written.
    pub fn kubeadm_words(&self) -> (&'static str, &'static str) {
        match self.minor() {
            ..=30 => ("kubeadm.k8s.io/v1beta2", "/run/containerd/containerd.sock"),
            31.. => ("kubeadm.k8s.io/v1beta4", "unix:///var/run/containerd/containerd.sock"),
        }
    }

    /// The inventory's configuration of the kubelet as a document for kubeadm.
    pub fn kubelet_document(&self) -> String {
        let is_field =
            |line: &&str| ["cgroupDriver", "failCgroupV1"].iter().any(|f| line.starts_with(f));
        let fields = self.inventory.lines().filter(is_field);
        let fields: String = fields.map(|line| line.replace(" =", ":") + "\n").collect();
        format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{fields}")
    }

    /// Write a file for a test.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The usual inventory as a file.
    pub fn usual(&self) -> PathBuf {
        self.write("inventory.toml", &self.inventory)
    }

    /// The usual inventory, changed; the text to be replaced must be there.
    pub fn changed(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let mut text = self.inventory.clone();
        for (from, to) in changes {
            assert!(text.contains(from), "no {from:?} in\n{text}");
            text = text.replacen(from, to, 1);
        }
        self.write(name, &text)
    }

    /// One command of tests/lab/lab.
    pub fn lab(&self, arguments: &[&str]) -> String {
        self.lab_with_input(arguments, b"")
    }

    fn lab_with_input(&self, arguments: &[&str], input: &[u8]) -> String {
        let output = run(lab_script(), arguments, input);
        assert!(
            output.status.success(),
            "lab {arguments:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Run a shell script as root on a host, not through SSH. It must succeed.
    pub fn sh(&self, host: &str, script: &str) -> String {
        self.lab_with_input(&["exec", host, "sh", "-s"], script.as_bytes())
    }

    /// Run a command as root on a host, with an input and an output of any bytes. It must succeed.
    pub fn bytes(&self, host: &str, command: &[&str], input: &[u8]) -> Vec<u8> {
        let mut arguments = vec!["exec", host];
        arguments.extend(command);
        let output = run(lab_script(), &arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{host} {command:?}: {}\n{error}", output.status);
        output.stdout
    }

    /// kubectl as the cluster's administrator. It must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// kubectl as the cluster's administrator.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        // Without a home, or kubectl's cache would be left on a host whose files are compared later.
        let mut all = vec!["exec", CONTROL_PLANE, "env", "HOME=/tmp", "/usr/bin/kubectl"];
        all.extend(["--kubeconfig", "/etc/kubernetes/admin.conf"]);
        all.extend(arguments);
        let output = run(lab_script(), &all, b"");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(format!("{} {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    /// What `kubectl get ... -o json` says.
    pub fn get(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["get"];
        all.extend(arguments);
        all.extend(["-o", "json"]);
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    /// A host's address.
    pub fn address(&self, host: &str) -> String {
        self.lab(&["ip", host]).trim().to_owned()
    }

    /// One of the paths `lab files` names.
    pub fn file(&self, key: &str) -> PathBuf {
        let files = self.lab(&["files"]);
        let value = files.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {key} in {files}")).trim_matches('\'').into()
    }
}

/// tests/lab/lab.
pub fn lab_script() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab"))
}

fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read all of it ends the pipe; its status tells the rest.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Wait until `check` succeeds; its last error is what the test fails with.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut check: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(error) if started.elapsed() > patience => panic!("{what}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

/// Say what the test is at, with the time since its start.
pub fn step(started: Instant, text: &str) {
    println!("\n== {:>4} s  {text}", started.elapsed().as_secs());
}
