//! The tables that say how to reach hosts: `[ssh]`, a group's or host's `ssh`, `[jump_hosts.NAME]`, and the same keys on
//! the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::items;
use crate::inventory::document::{Document, Number, Opt, Ssh, Texts};
use crate::inventory::error::{Fault, Problems, Span};
use crate::inventory::paths::Paths;
use crate::inventory::rules;
use crate::inventory::ssh::{Hop, JumpHost, Place, SshSettings, Written};

/// Reads tables.
pub(in crate::inventory) struct Tables<'a> {
    paths: &'a Paths,
    source: Source,
    jump_hosts: BTreeMap<String, JumpHost>,
}

/// Where the tables stand.
enum Source {
    /// In a document; where each of its lines starts, in bytes.
    Document {
        line_starts: Vec<usize>,
    },
    CommandLine,
}

impl<'a> Tables<'a> {
    /// What the command line says, with the jump hosts of an inventory.
    pub(in crate::inventory) fn of_command_line(
        paths: &'a Paths,
        jump_hosts: BTreeMap<String, JumpHost>,
    ) -> Self {
        Self { paths, source: Source::CommandLine, jump_hosts }
    }

    /// The tables of one document; `text` is its source.
    pub(super) fn of_document(
        document: &Document,
        text: &str,
        paths: &'a Paths,
        problems: &mut Problems,
    ) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        let source = Source::Document { line_starts };
        let mut tables = Self { paths, source, jump_hosts: BTreeMap::new() };
        let mut jump_hosts = BTreeMap::new();
        for (name, entry) in &document.jump_hosts {
            problems.check(name, |name| rules::address(name));
            let entry = entry.get_ref();
            if let Some(jump) = &entry.ssh.jump {
                let fault = Fault::new("a jump host has no `jump` of its own", "not here");
                let help = "list every host on the way in the `jump` of the hosts behind it";
                problems.push(fault.help(help).at(jump.span()));
            }
            problems.check_opt(entry.address.as_ref(), |text| rules::address(text));
            let ssh =
                tables.read(&format!("[jump_hosts.{}.ssh]", name.get_ref()), &entry.ssh, problems);
            let address = entry.address.as_ref().unwrap_or(name).get_ref().clone();
            jump_hosts.insert(name.get_ref().clone(), JumpHost { address, ssh });
        }
        tables.jump_hosts = jump_hosts;
        tables
    }

    /// The jump hosts that have tables of their own.
    pub(super) fn into_jump_hosts(self) -> BTreeMap<String, JumpHost> {
        self.jump_hosts
    }

    /// One table; `name` is what it is called when somebody asks where a value comes from.
    pub(in crate::inventory) fn read(
        &self,
        name: &str,
        raw: &Ssh,
        problems: &mut Problems,
    ) -> SshSettings {
        let mut reader = Reader { tables: self, name: name.into(), problems };
        SshSettings {
            user: reader.value(&raw.user, |text| rules::user(text)),
            port: reader.value(&raw.port, |number| rules::port(*number)),
            identity_files: reader.list(&raw.identity_file, |text| self.paths.expand(text)),
            certificate_files: reader.list(&raw.certificate_file, |text| self.paths.expand(text)),
            identities_only: reader.value(&raw.identities_only, |only| Ok(*only)),
            identity_agent: reader.value(&raw.identity_agent, |text| match text.as_str() {
                "none" => Ok("none".into()),
                path => self.paths.expand(path),
            }),
            known_hosts: reader.list(&raw.known_hosts, |text| self.paths.expand(text)),
            host_key_alias: reader
                .value(&raw.host_key_alias, |text| rules::address(text).map(|()| text.clone())),
            host_key_policy: reader
                .value(&raw.host_key_policy, |text| rules::host_key_policy(text)),
            jump: reader.list(&raw.jump, |text| self.hop(text)),
            connect_timeout: reader.duration(&raw.connect_timeout),
            command_timeout: reader.duration(&raw.command_timeout),
            keepalive: reader.duration(&raw.keepalive),
            become_root: reader.value(&raw.become_root, |text| rules::become_root(text)),
            become_user: reader.value(&raw.become_user, |text| rules::user(text)),
            password_command: reader
                .value(&raw.password_command, |text| rules::shell_command(text)),
            become_password_command: reader
                .value(&raw.become_password_command, |text| rules::shell_command(text)),
        }
    }

    fn hop(&self, text: &str) -> Result<Hop, Fault> {
        let (user, host, port) = rules::hop(text)?;
        Ok(match self.jump_hosts.get(&host) {
            Some(known) => Hop { user, host: known.address.clone(), port, ssh: known.ssh.clone() },
            None => Hop { user, host, port, ssh: SshSettings::default() },
        })
    }
}

/// Reads the values of one table.
struct Reader<'a, 'b> {
    tables: &'a Tables<'a>,
    name: Arc<str>,
    problems: &'b mut Problems,
}

impl Reader<'_, '_> {
    fn value<T, V>(
        &mut self,
        raw: &Opt<T>,
        rule: impl FnOnce(&T) -> Result<V, Fault>,
    ) -> Option<Written<V>> {
        let value = self.problems.check_opt(raw.as_ref(), rule)?;
        Some(self.written(value, raw.as_ref().map(Spanned::span)))
    }

    fn list<V>(
        &mut self,
        raw: &Texts,
        rule: impl Fn(&str) -> Result<V, Fault>,
    ) -> Option<Written<Vec<V>>> {
        let span = raw.as_ref().map(Spanned::span)?;
        let check = |item: &_| self.problems.check(item, |text: &&str| rule(text));
        let values = items(raw).iter().filter_map(check).collect();
        Some(self.written(values, Some(span)))
    }

    fn duration(&mut self, raw: &Opt<Number>) -> Option<Written<std::time::Duration>> {
        self.value(raw, rules::duration)
    }

    fn written<V>(&self, value: V, span: Option<Span>) -> Written<V> {
        let place = match &self.tables.source {
            Source::Document { line_starts } => {
                let at = span.unwrap_or(0..0).start;
                let line = line_starts.partition_point(|start| *start <= at);
                Place::Inventory { table: self.name.clone(), line }
            }
            Source::CommandLine => Place::CommandLine,
        };
        Written { value, place }
    }
}
