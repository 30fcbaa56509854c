//! A real OpenSSH server on a free port of 127.0.0.1, with keys of its own, for one test.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetadm::inventory::{Hop, Host, Place, Role, SshSettings, Written};
use fleetadm::ssh::{Connector, Environment};
use tempfile::TempDir;

use crate::account::{USER, with_account};

pub const SSHD: &str = "/usr/sbin/sshd";

/// A running server. Dropping it ends it.
pub struct Sshd {
    pub directory: TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    /// A server with an ed25519 host key that accepts the client key `id_ed25519`.
    pub fn start() -> Option<Self> {
        Self::start_with("ed25519", "")
    }

    /// A server with a host key of each of the types, and more lines of configuration, where DIRECTORY stands for the
    /// server's own. `None`, loudly, where there is no sshd.
    pub fn start_with(host_key_types: &str, config: &str) -> Option<Self> {
        Self::start_by(|_| Some(Command::new(SSHD)), host_key_types, config)
    }

    /// A server that knows the account of `account`, its PAM service with the lines `auth`.
    pub fn start_with_account(auth: &str, config: &str) -> Option<Self> {
        let command = |directory: &Path| {
            let mut command = with_account(directory, auth)?;
            command.arg(SSHD);
            Some(command)
        };
        Self::start_by(command, "ed25519", config)
    }

    /// A server that `command` runs, which gets the server's directory and is given sshd's arguments.
    pub fn start_by(
        command: impl FnOnce(&Path) -> Option<Command>,
        host_key_types: &str,
        config: &str,
    ) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            eprintln!("SKIPPED: needs {SSHD}, ssh-keygen and ssh-agent (package openssh-server)");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let mut command = command(directory.path())?;
        let path = |name: &str| directory.path().join(name);
        let mut lines = vec![
            // What comes first counts.
            config.replace("DIRECTORY", &directory.path().display().to_string()),
            format!("AuthorizedKeysFile {}", path("authorized_keys").display()),
            "PidFile none".to_owned(),
            "StrictModes no".to_owned(),
            "UsePAM no".to_owned(),
            "PasswordAuthentication no".to_owned(),
            "PermitRootLogin yes".to_owned(),
            // Away from the real home: a .bashrc runs before every command. `bin` is for the test.
            format!("SetEnv HOME={0} PATH={0}/bin:/usr/bin:/bin", directory.path().display()),
        ];
        if !config.contains("ListenAddress") {
            lines.push("ListenAddress 127.0.0.1".to_owned());
        }
        for kind in host_key_types.split_whitespace() {
            let key = path(&format!("host_{kind}"));
            keygen(&key, &["-t", kind, "-N", ""]);
            lines.push(format!("HostKey {}", key.display()));
        }
        keygen(&path("id_ed25519"), &["-t", "ed25519", "-N", ""]);
        fs::copy(path("id_ed25519.pub"), path("authorized_keys")).unwrap();

        let port = free_port();
        lines.push(format!("Port {port}"));
        fs::write(path("sshd_config"), lines.join("\n")).unwrap();
        // Debian's sshd refuses to start as root without it.
        let _ = fs::create_dir_all("/run/sshd");
        let child = command
            .args(["-D", "-e", "-f"])
            .arg(path("sshd_config"))
            .stderr(fs::File::create(path("sshd.log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self { directory, port, child };
        server.wait_until_listening();
        server.trust_host_keys();
        Some(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Make a client key, and let the server accept it.
    pub fn authorize(&self, name: &str, keygen_arguments: &[&str]) -> PathBuf {
        let key = self.path(name);
        keygen(&key, keygen_arguments);
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        let mut all = fs::read_to_string(self.path("authorized_keys")).unwrap();
        all.push_str(&public);
        fs::write(self.path("authorized_keys"), all).unwrap();
        key
    }

    /// How many lines of the server's log contain `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Replace known_hosts.
    pub fn write_known_hosts(&self, text: &str) {
        fs::write(self.path("known_hosts"), text).unwrap();
    }

    /// A line of known_hosts for this server, from one of its host keys or any public key file.
    pub fn known_hosts_line(&self, public_key: &str) -> String {
        let key = fs::read_to_string(self.path(public_key)).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    fn trust_host_keys(&self) {
        let lines: String = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("host_") && name.ends_with(".pub"))
            .map(|name| self.known_hosts_line(&name))
            .collect();
        self.write_known_hosts(&lines);
    }

    /// The server as an inventory host.
    pub fn host(&self) -> Host {
        let mut host = host("node", self.port);
        host.ssh_mut().identity_files = Some(said(vec![self.path("id_ed25519")]));
        host.ssh_mut().known_hosts = Some(said(vec![self.path("known_hosts")]));
        host
    }

    /// The server as an inventory host, with the account for login user and no key to offer.
    pub fn account_host(&self, name: &str) -> Host {
        let mut host = self.host();
        host.name = name.to_owned();
        host.ssh_mut().user = Some(said(USER.to_owned()));
        host.ssh_mut().identity_files = None;
        host
    }

    /// The server as a jump host, with a key and known_hosts of its own.
    pub fn hop(&self) -> Hop {
        Hop {
            user: Some(login_user()),
            host: "127.0.0.1".to_owned(),
            port: Some(self.port),
            ssh: SshSettings {
                identity_files: Some(said(vec![self.path("id_ed25519")])),
                known_hosts: Some(said(vec![self.path("known_hosts")])),
                ..SshSettings::default()
            },
        }
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap()
    }

    /// How many logins it has accepted.
    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// Send a signal to every process that serves a connection, not to the one that listens.
    pub fn signal_sessions(&self, signal: &str) {
        let mut pids = vec![self.child.id().to_string()];
        // A session may be two processes deep.
        for _ in 0..2 {
            let output = Command::new("pgrep").args(["-x", "sshd", "-P", &pids.join(",")]).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            pids = text.split_whitespace().map(str::to_owned).collect();
            for pid in &pids {
                // It may have ended meanwhile.
                let _ = Command::new("kill").args([&format!("-{signal}"), pid]).status();
            }
        }
    }

    /// The process, or whatever it has become.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lose every connection, as a server does that crashes.
    pub fn kill_sessions(&self) {
        self.signal_sessions("KILL");
    }

    fn wait_until_listening(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("sshd ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < deadline, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An ssh-agent. Dropping it ends it.
pub struct Agent {
    pub socket: PathBuf,
    child: Child,
}

impl Agent {
    pub fn start(directory: &Path) -> Self {
        let socket = directory.join("agent.sock");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .env_remove("DISPLAY")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        // The socket is there a moment before anybody listens at it.
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "ssh-agent does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { socket, child }
    }

    pub fn add(&self, key: &Path) {
        self.add_with(&[], key);
    }

    /// Add a key, with more arguments for ssh-add.
    pub fn add_with(&self, arguments: &[&str], key: &Path) {
        let key = key.to_str().unwrap();
        self.command(&[&["-q"], arguments, &[key]].concat());
    }

    pub fn forget_all(&self) {
        self.command(&["-q", "-D"]);
    }

    fn command(&self, arguments: &[&str]) {
        let status = Command::new("ssh-add")
            .args(arguments)
            .env("SSH_AUTH_SOCK", &self.socket)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A value of the inventory.
pub fn said<T>(value: T) -> Written<T> {
    Written { value, place: Place::CommandLine }
}

/// A host on a port of 127.0.0.1, with nothing said about keys and trust.
pub fn host(name: &str, port: u16) -> Host {
    Host {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        advertise_address: None,
        role: Role::Worker,
        groups: Vec::new(),
        labels: BTreeMap::new(),
        taints: None,
        kubelet_extra_args: BTreeMap::new(),
        ssh: Arc::new(SshSettings {
            user: Some(said(login_user())),
            port: Some(said(port)),
            connect_timeout: Some(said(Duration::from_secs(20))),
            command_timeout: Some(said(Duration::from_secs(60))),
            ..SshSettings::default()
        }),
        vars: serde_json::Map::new(),
    }
}

/// A connector that sees nothing of the real workstation.
pub fn connector() -> Connector {
    Connector::new(Environment::default())
}

pub fn keygen(path: &Path, arguments: &[&str]) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-f"])
        .arg(path)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn login_user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
