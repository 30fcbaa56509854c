//! A machine of its own for one sshd, made by `machine.sh`: test users with passwords, and real sudo, doas and shells.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetadm::inventory::Host;

use crate::sshd::{SSHD, Sshd, said};

/// The password of every user.
pub const PASSWORD: &str = "pass 'word\" $1 \\ ü";

/// A running server in a machine of its own. Dropping it ends both.
pub struct Machine {
    pub server: Sshd,
    log: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    /// A machine with the user `ops`, whose login shell is `/bin/sh`, and more lines of sshd's configuration. `None`,
    /// loudly, where it cannot be.
    pub fn start(config: &str) -> Option<Self> {
        let programs = programs()?;
        let mut log = None;
        let command = |directory: &Path| {
            // Users look for their keys here.
            fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
            log = Some(collect_log(&directory.join("log")));
            let mut sshd = Command::new("unshare");
            sshd.args(["--mount", "--propagation", "private"])
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/machine.sh"))
                .arg(directory)
                .arg(programs)
                .arg(SSHD);
            Some(sshd)
        };
        // What comes first counts: users have homes and a PATH of their own.
        let config = format!("{config}\nSetEnv MACHINE=1");
        let server = Sshd::start_by(command, "ed25519", &config)?;
        let log = log?;
        let machine = Self { server, log };
        machine.add_user("ops", "/bin/sh");
        Some(machine)
    }

    /// Add a user with a home directory.
    pub fn add_user(&self, name: &str, shell: &str) {
        let hash = hash(PASSWORD);
        self.run(&format!(
            "id=$(($(wc -l </etc/passwd) + 5000))
            echo '{name}:x:'$id:$id::/home/{name}:{shell} >>/etc/passwd
            echo '{name}:x:'$id: >>/etc/group
            echo '{name}:{}:20000:0:99999:7:::' >>/etc/shadow
            mkdir -m 0700 /home/{name}
            chown $id:$id /home/{name}",
            hash
        ));
    }

    /// Replace a file, mode 0440.
    pub fn write(&self, path: &str, text: &str) {
        self.run(&format!("cat >{path} <<'END'\n{text}\nEND\nchmod 0440 {path}"));
    }

    /// Run a script as root, and demand success.
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{script}\n{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn try_run(&self, script: &str) -> Output {
        let mut command = self.inside();
        command.args(["sh", "-euc", script]).stdin(Stdio::null()).output().unwrap()
    }

    /// A command that runs its arguments there.
    pub fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.server.pid().to_string(), "--"]);
        command
    }

    /// Command lines of the processes that run there, besides sshd's own.
    pub fn processes(&self) -> Vec<String> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let own = namespace(&self.server.pid().to_string());
        let names = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let here = names.filter(|pid| pid.parse::<u32>().is_ok() && namespace(pid) == own);
        let lines = here.filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines
            .filter(|line| {
                !line.is_empty() && !line.starts_with("sshd: ") && !line.starts_with(SSHD)
            })
            .collect()
    }

    /// The machine as an inventory host, reached as one of its users.
    pub fn host(&self, user: &str) -> Host {
        let mut host = self.server.host();
        host.ssh_mut().user = Some(said(user.to_owned()));
        host
    }

    /// How many lines of the system log contain all of the words.
    pub fn logged(&self, words: &[&str]) -> usize {
        self.let_log_settle();
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// What ends a command may be logged after it has ended.
    fn let_log_settle(&self) {
        let mut lines = usize::MAX;
        while std::mem::replace(&mut lines, self.log.lock().unwrap().len()) != lines {
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The system log.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

/// A password as /etc/shadow has it. One test looks whether passwords show up on a command line.
fn hash(password: &str) -> String {
    let mut openssl = Command::new("openssl")
        .args(["passwd", "-6", "-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = openssl.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The directory that tests/lab/programs has filled.
fn programs() -> Option<PathBuf> {
    if !is_root() {
        eprintln!("SKIPPED: needs root, for a mount namespace with users of its own");
        return None;
    }
    let cache = std::env::var_os("FLEETADM_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        caches.unwrap_or_else(|| home.join(".cache")).join("fleetadm")
    });
    let programs = cache.join("programs");
    if !programs.join("usr/bin/sudo").exists() {
        eprintln!(
            "SKIPPED: needs sudo, sudo-rs, opendoas, fish, tcsh, csh and dropbear-bin; run tests/lab/programs"
        );
        return None;
    }
    Some(fs::canonicalize(programs).unwrap())
}

/// Collect what is sent to the system log through a socket at `path`.
fn collect_log(path: &Path) -> Arc<Mutex<Vec<String>>> {
    let socket = UnixDatagram::bind(path).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o666)).unwrap();
    let log = Arc::<Mutex<Vec<String>>>::default();
    let lines = Arc::downgrade(&log);
    socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    std::thread::spawn(move || {
        let mut line = [0; 16 * 1024];
        while let Some(lines) = lines.upgrade() {
            if let Ok(length) = socket.recv(&mut line) {
                lines.lock().unwrap().push(String::from_utf8_lossy(&line[..length]).into_owned());
            }
        }
    });
    log
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
