//! What the lines that count for one host say, as it is written.

use super::error::ConfigLine;
use super::habits::Habit;
use super::parse::{Canonicalize, Directive};
use super::values::JumpHost;
use super::world::World;
use crate::inventory::HostKeyPolicy;

/// A value and the line that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) struct Said<T> {
    pub(in crate::ssh) value: T,
    pub(in crate::ssh) line: ConfigLine,
}

impl<T> Said<T> {
    /// Another value that the same line gives.
    pub(in crate::ssh) fn map<U>(self, change: impl FnOnce(T) -> U) -> Said<U> {
        Said { value: change(self.value), line: self.line }
    }
}

/// The first value of each setting, and every file of those that add up.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) ignore_unknown: Option<Said<String>>,
    pub(super) tag: Option<Said<String>>,
    pub(super) host_name: Option<Said<String>>,
    pub(super) port: Option<Said<u16>>,
    pub(super) user: Option<Said<String>>,
    pub(super) identity_files: Vec<Said<String>>,
    pub(super) certificate_files: Vec<Said<String>>,
    pub(super) identities_only: Option<Said<bool>>,
    pub(super) identity_agent: Option<Said<String>>,
    pub(super) proxy_jump: Option<Said<Vec<JumpHost>>>,
    pub(super) proxy_command: Option<Said<String>>,
    pub(super) proxy_use_fdpass: Option<Said<bool>>,
    pub(super) user_known_hosts: Option<Said<Vec<String>>>,
    pub(super) global_known_hosts: Option<Said<Vec<String>>>,
    pub(super) host_key_alias: Option<Said<String>>,
    pub(super) host_key_policy: Option<Said<Option<HostKeyPolicy>>>,
    pub(super) revoked_host_keys: Option<Said<Vec<String>>>,
    pub(super) connect_timeout: Option<Said<u32>>,
    pub(super) connection_attempts: Option<Said<u32>>,
    pub(super) server_alive_interval: Option<Said<u32>>,
    pub(super) server_alive_count: Option<Said<u32>>,
    pub(super) pubkey_authentication: Option<Said<bool>>,
    pub(super) password_authentication: Option<Said<bool>>,
    pub(super) kbd_interactive_authentication: Option<Said<bool>>,
    pub(super) canonicalize: Option<Said<Canonicalize>>,
    pub(super) canonical_domains: Option<Said<Vec<String>>>,
    pub(super) canonicalize_max_dots: Option<Said<u32>>,
    pub(super) canonicalize_fallback: Option<Said<bool>>,
    pub(super) permitted_cnames: Option<Said<Vec<String>>>,
}

impl Answers {
    /// Take what `directive` says as far as nobody has said it before.
    pub(super) fn take(&mut self, directive: &Directive, line: &ConfigLine, world: &dyn World) {
        use Directive as D;
        match directive {
            // Evaluation acts on these itself.
            D::Include(_) | D::Unknown(_) | D::RefuseConnection(_) => {}
            D::IgnoreUnknown(list) => first(&mut self.ignore_unknown, list, line),
            D::Tag(tag) => first(&mut self.tag, tag, line),
            D::HostName(name) => first(&mut self.host_name, name, line),
            D::Port(port) => first(&mut self.port, port, line),
            D::User(user) => first(&mut self.user, user, line),
            D::IdentityFile(file) => another(&mut self.identity_files, file, line),
            D::CertificateFile(file) => another(&mut self.certificate_files, file, line),
            D::IdentitiesOnly(only) => first(&mut self.identities_only, only, line),
            D::IdentityAgent(agent) => first(&mut self.identity_agent, agent, line),
            // Only one of the two counts, that which comes first.
            D::ProxyJump(hosts) if self.proxy_command.is_none() => {
                first(&mut self.proxy_jump, hosts, line);
            }
            D::ProxyJump(_) => {}
            D::ProxyCommand(command) => {
                let taken = self.proxy_jump.as_ref().is_some_and(|jump| {
                    !jump.value.is_empty() || !world.client_does(Habit::LaterCommandCounts)
                });
                if !taken {
                    first(&mut self.proxy_command, command, line);
                }
            }
            D::ProxyUseFdpass(pass) => first(&mut self.proxy_use_fdpass, pass, line),
            D::UserKnownHostsFile(files) => first_list(&mut self.user_known_hosts, files, line),
            D::GlobalKnownHostsFile(files) => first_list(&mut self.global_known_hosts, files, line),
            D::HostKeyAlias(alias) => first(&mut self.host_key_alias, alias, line),
            D::StrictHostKeyChecking(policy) => first(&mut self.host_key_policy, policy, line),
            D::RevokedHostKeys(files) => first_list(&mut self.revoked_host_keys, files, line),
            D::ConnectTimeout(time) => first_time(&mut self.connect_timeout, *time, line),
            D::ConnectionAttempts(count) => first(&mut self.connection_attempts, count, line),
            D::ServerAliveInterval(time) => {
                first_time(&mut self.server_alive_interval, *time, line);
            }
            D::ServerAliveCountMax(count) => first(&mut self.server_alive_count, count, line),
            D::PubkeyAuthentication(on) => first(&mut self.pubkey_authentication, on, line),
            D::PasswordAuthentication(on) => first(&mut self.password_authentication, on, line),
            D::KbdInteractiveAuthentication(on) => {
                first(&mut self.kbd_interactive_authentication, on, line);
            }
            D::CanonicalizeHostname(when) => first(&mut self.canonicalize, when, line),
            D::CanonicalDomains(domains) => first_list(&mut self.canonical_domains, domains, line),
            D::CanonicalizeMaxDots(dots) => first(&mut self.canonicalize_max_dots, dots, line),
            D::CanonicalizeFallbackLocal(local) => {
                first(&mut self.canonicalize_fallback, local, line);
            }
            D::CanonicalizePermittedCnames(rules) => {
                first_list(&mut self.permitted_cnames, rules, line);
            }
        }
    }
}

fn first<T: Clone>(answer: &mut Option<Said<T>>, value: &T, line: &ConfigLine) {
    answer.get_or_insert_with(|| Said { value: value.clone(), line: line.clone() });
}

/// An empty list says nothing.
fn first_list(answer: &mut Option<Said<Vec<String>>>, value: &Vec<String>, line: &ConfigLine) {
    if !value.is_empty() {
        first(answer, value, line);
    }
}

/// `none` says nothing: a later line still counts.
fn first_time(answer: &mut Option<Said<u32>>, value: Option<u32>, line: &ConfigLine) {
    if let Some(value) = value {
        first(answer, &value, line);
    }
}

fn another(answers: &mut Vec<Said<String>>, value: &String, line: &ConfigLine) {
    if !answers.iter().any(|said| said.value == *value) {
        answers.push(Said { value: value.clone(), line: line.clone() });
    }
}
