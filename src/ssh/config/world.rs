//! What evaluation asks the workstation. The real one is [`super::workstation`].

use std::net::IpAddr;
use std::sync::Arc;

use super::error::{ConfigError, ConfigLine};
use super::habits::Habit;
use super::parse::File;
use crate::ssh::environment::Environment;

/// Files in the order they count.
pub(super) type Files = Arc<[Arc<File>]>;

/// Answers that do not change during a run. An error is the reason, for people.
pub(super) trait World {
    /// Names and variables.
    fn local(&self) -> &Environment;

    /// Whether the workstation's OpenSSH does something.
    fn client_does(&self, habit: Habit) -> bool;

    /// The version that the workstation's OpenSSH has; `None` where there is none.
    fn client_version(&self) -> Option<String>;

    /// The files that the `Include` of `path` in `line` stands for. The operator's own files include from `~/.ssh`, the
    /// system's from `/etc/ssh`.
    fn include(&self, path: &str, own: bool, line: &ConfigLine) -> Result<Files, ConfigError>;

    /// Whether a command succeeds.
    fn run(&self, command: &str) -> Result<bool, String>;

    /// Whether a host name has an address.
    fn has_address(&self, name: &str) -> bool;

    /// The addresses of the workstation's interfaces.
    fn addresses(&self) -> Result<Vec<IpAddr>, String>;
}

#[cfg(test)]
pub(super) use fake::Fake;

#[cfg(test)]
mod fake {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::Mutex;

    use super::super::parse::Reader;
    use super::*;

    /// A workstation made up for a test.
    pub(in crate::ssh::config) struct Fake {
        pub(in crate::ssh::config) local: Environment,
        /// What its client does otherwise than the newest.
        pub(in crate::ssh::config) odd: Vec<Habit>,
        /// Files by the path that `Include` names.
        pub(in crate::ssh::config) files: BTreeMap<&'static str, &'static str>,
        /// Names that have an address.
        pub(in crate::ssh::config) names: BTreeSet<&'static str>,
        pub(in crate::ssh::config) addresses: Vec<IpAddr>,
        /// The commands that were run. `true` succeeds.
        pub(in crate::ssh::config) commands: Mutex<Vec<String>>,
    }

    impl Fake {
        pub(in crate::ssh::config) fn new(local: Environment) -> Self {
            Self {
                local,
                odd: Vec::new(),
                files: BTreeMap::new(),
                names: BTreeSet::new(),
                addresses: Vec::new(),
                commands: Mutex::default(),
            }
        }

        /// A file of this workstation.
        pub(in crate::ssh::config) fn parse(
            &self,
            path: &str,
            text: &str,
        ) -> Result<Arc<File>, ConfigError> {
            let does = |habit| self.client_does(habit);
            let reader = Reader { local: &self.local, client_does: &does };
            reader.parse(Path::new(path), text.as_bytes()).map(Arc::new)
        }
    }

    impl World for Fake {
        fn local(&self) -> &Environment {
            &self.local
        }

        fn client_does(&self, habit: Habit) -> bool {
            habit.is_newest() != self.odd.contains(&habit)
        }

        fn client_version(&self) -> Option<String> {
            Some("OpenSSH_9.2p1 Debian-2".to_owned())
        }

        fn include(&self, path: &str, _: bool, _: &ConfigLine) -> Result<Files, ConfigError> {
            self.files.get(path).into_iter().map(|text| self.parse(path, text)).collect()
        }

        fn run(&self, command: &str) -> Result<bool, String> {
            self.commands.lock().unwrap().push(command.to_owned());
            Ok(command == "true")
        }

        fn has_address(&self, name: &str) -> bool {
            self.names.contains(name)
        }

        fn addresses(&self) -> Result<Vec<IpAddr>, String> {
            Ok(self.addresses.clone())
        }
    }
}
