//! The workstation that evaluation asks: files, commands, names, networks. Every answer is found once per run.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::error::{ConfigError, ConfigLine};
use super::evaluate::{DEFAULT_PORT, Root};
use super::habits::{self, Habit};
use super::include;
use super::parse::{File, Reader};
use super::tokens::expand_tilde;
use super::world::{Files, World};
use crate::ssh::environment::{Environment, SshConfig};

/// The system's configuration, and what it includes.
const SYSTEM_DIRECTORY: &str = "/etc/ssh";

/// How long a command of `Match exec` may take. OpenSSH waits forever.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Write permission for group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The real workstation.
#[derive(Debug, Default)]
pub(super) struct Workstation {
    environment: Environment,
    habits: Answered<Habit, bool>,
    version: OnceLock<Option<String>>,
    addresses: OnceLock<Result<Vec<IpAddr>, String>>,
    files: Answered<PathBuf, Result<Option<Arc<File>>, ConfigError>>,
    includes: Answered<(bool, String), Result<Files, ConfigError>>,
    commands: Answered<String, Result<bool, String>>,
    names: Answered<String, bool>,
}

impl Workstation {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, ..Self::default() }
    }

    /// The files to begin with, as far as they exist.
    pub(super) fn roots(&self) -> Result<Vec<Root>, ConfigError> {
        let mut roots = Vec::new();
        match &self.environment.ssh_config {
            SshConfig::None => {}
            SshConfig::File(path) => {
                // Named on the command line, so it is believed whoever may write to it.
                let file = self.read(path, Trust::Blind)?.ok_or_else(|| {
                    ConfigError::new(format!("{}: there is no such file", path.display()))
                })?;
                roots.push(Root { file, own: true });
            }
            SshConfig::Usual => {
                if let Some(home) = &self.environment.home {
                    let own = self.read(&home.join(".ssh/config"), Trust::OwnerOnly)?;
                    roots.extend(own.map(|file| Root { file, own: true }));
                }
                let system =
                    self.read(&Path::new(SYSTEM_DIRECTORY).join("ssh_config"), Trust::Blind)?;
                roots.extend(system.map(|file| Root { file, own: false }));
            }
        }
        Ok(roots)
    }

    /// Where the path of an `Include` begins, and the rest of it; `None` where nothing can be there.
    fn anchor<'a>(&self, path: &'a str, own: bool) -> Result<Option<(PathBuf, &'a str)>, String> {
        if path.starts_with('/') {
            return Ok(Some((PathBuf::from("/"), path)));
        }
        let home = || "there is no home directory to look in; set HOME".to_owned();
        match (path.starts_with('~'), own) {
            (true, false) => Err("the system's files know no `~`; write the whole path".to_owned()),
            (true, true) => {
                let (user, rest) = path.split_once('/').unwrap_or((path, ""));
                // A user that does not exist has no files.
                let home = expand_tilde(user, &self.environment).ok();
                Ok(home.map(|home| (PathBuf::from(home), rest)))
            }
            (false, true) => {
                let home = self.environment.home.as_ref().ok_or_else(home)?;
                Ok(Some((home.join(".ssh"), path)))
            }
            (false, false) => Ok(Some((PathBuf::from(SYSTEM_DIRECTORY), path))),
        }
    }

    /// A file; `None` where it does not exist.
    fn read(&self, path: &Path, trust: Trust) -> Result<Option<Arc<File>>, ConfigError> {
        self.files.get(path.to_owned(), || {
            let unreadable = |error: io::Error| {
                ConfigError::new(format!("{}: cannot be read: {error}", path.display()))
            };
            let mut file = match fs::File::open(path) {
                Ok(file) => file,
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(unreadable(error)),
            };
            let metadata = file.metadata().map_err(unreadable)?;
            let others = metadata.uid() != 0 && Some(metadata.uid()) != self.environment.uid
                || metadata.mode() & WRITABLE_BY_OTHERS != 0;
            if others && trust == Trust::OwnerOnly {
                return Err(ConfigError::new(format!(
                    "{0}: bad owner or permissions; it must be yours or root's and writable by its \
                     owner only: `chmod go-w {0}`",
                    path.display()
                )));
            }
            let mut bytes = Vec::new();
            if !metadata.is_dir() {
                file.read_to_end(&mut bytes).map_err(unreadable)?;
            }
            let client_does = |habit| self.client_does(habit);
            let reader = Reader { local: &self.environment, client_does: &client_does };
            reader.parse(path, &bytes).map(Arc::new).map(Some)
        })
    }
}

/// Whether it matters who may write to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Blind,
    OwnerOnly,
}

impl World for Workstation {
    fn local(&self) -> &Environment {
        &self.environment
    }

    fn client_does(&self, habit: Habit) -> bool {
        self.habits.get(habit, || habit.ask().unwrap_or(habit.is_newest()))
    }

    fn client_version(&self) -> Option<String> {
        self.version.get_or_init(habits::client_version).clone()
    }

    fn include(&self, path: &str, own: bool, line: &ConfigLine) -> Result<Files, ConfigError> {
        self.includes.get((own, path.to_owned()), || {
            let wrong = |reason: String| ConfigError::at(line, format!("`Include`: {reason}"));
            let Some((base, pattern)) = self.anchor(path, own).map_err(wrong)? else {
                return Ok(Arc::default());
            };
            let paths = include::files(&base, pattern).map_err(|error| wrong(error.to_string()))?;
            let file = |path: &PathBuf| {
                let leads_nowhere =
                    || wrong(format!("{} leads nowhere; remove it", path.display()));
                self.read(path, Trust::OwnerOnly)?.ok_or_else(leads_nowhere)
            };
            paths.iter().map(file).collect()
        })
    }

    fn run(&self, command: &str) -> Result<bool, String> {
        self.commands.get(command.to_owned(), || {
            let shell = self.environment.variables.get("SHELL").unwrap_or("/bin/sh");
            run(shell, command, COMMAND_LIMIT)
        })
    }

    fn has_address(&self, name: &str) -> bool {
        self.names.get(name.to_owned(), || {
            (name, DEFAULT_PORT).to_socket_addrs().is_ok_and(|mut found| found.next().is_some())
        })
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, String> {
        let ask = || {
            let interfaces = getifaddrs().map_err(|error| {
                format!("the workstation's addresses cannot be listed ({error})")
            })?;
            let up = interfaces.filter(|i| i.flags.contains(InterfaceFlags::IFF_UP));
            let address = |interface: nix::ifaddrs::InterfaceAddress| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
            };
            Ok(up.filter_map(address).collect())
        };
        self.addresses.get_or_init(ask).clone()
    }
}

/// Whether a shell command succeeds. It sees no terminal and prints nowhere.
fn run(shell: &str, command: &str, limit: Duration) -> Result<bool, String> {
    let wrong = |what: String| format!("`{command}` {what}");
    let mut child = Command::new(shell)
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| wrong(format!("cannot be run by {shell} ({error}); set SHELL")))?;
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let code = status.code();
                return code
                    .map(|code| code == 0)
                    .ok_or_else(|| wrong(format!("ended by {status}")));
            }
            Ok(None) if begun.elapsed() > limit => {
                // It may have ended this moment; there is nothing else to do about it.
                let _ = child.kill();
                let _ = child.wait();
                return Err(wrong(format!("did not end within {} s", limit.as_secs_f64())));
            }
            Ok(None) => sleep(pause),
            Err(error) => return Err(wrong(format!("cannot be waited for ({error})"))),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Answers by question. A question is answered once, without holding up others.
#[derive(Debug)]
struct Answered<K, V>(Mutex<HashMap<K, Arc<OnceLock<V>>>>);

impl<K, V> Default for Answered<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: std::hash::Hash + Eq, V: Clone> Answered<K, V> {
    fn get(&self, question: K, answer: impl FnOnce() -> V) -> V {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(question).or_default())
        };
        slot.get_or_init(answer).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_paths_begin_somewhere() {
        let workstation = Workstation::new(Environment {
            home: Some("/home/me".into()),
            ..Environment::default()
        });
        let anchor = |path, own| workstation.anchor(path, own).map(|found| found.unwrap());
        for own in [true, false] {
            assert_eq!(anchor("/a/*", own).unwrap(), ("/".into(), "/a/*"));
        }
        assert_eq!(anchor("a/*", true).unwrap(), ("/home/me/.ssh".into(), "a/*"));
        assert_eq!(anchor("a/*", false).unwrap(), ("/etc/ssh".into(), "a/*"));
        assert_eq!(anchor("~/a", true).unwrap(), ("/home/me/".into(), "a"));
        assert!(anchor("~/a", false).unwrap_err().contains("no `~`"));
        assert_eq!(workstation.anchor("~no-such-user/a", true).unwrap(), None);
        assert!(Workstation::default().anchor("a", true).is_err());
    }

    #[test]
    fn commands() {
        let run = |shell, command, limit| run(shell, command, Duration::from_millis(limit));
        assert_eq!(run("/bin/sh", "exit 0", 10_000), Ok(true));
        assert_eq!(run("/bin/sh", "exit 3", 10_000), Ok(false));
        assert!(run("/bin/sh", "sleep 60", 50).unwrap_err().contains("did not end within 0.05 s"));
        assert!(run("/no/shell", "true", 10_000).unwrap_err().contains("set SHELL"));
    }

    #[test]
    fn questions_are_answered_once() {
        let answered = Answered::default();
        assert_eq!(
            [answered.get("a", || 1), answered.get("a", || 2), answered.get("b", || 3)],
            [1, 1, 3]
        );
    }
}
