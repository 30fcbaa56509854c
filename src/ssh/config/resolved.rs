//! Answers with everything expanded: what the layers above see.

use std::path::PathBuf;

use super::answers::{Answers, Said};
use super::error::{ConfigError, ConfigLine};
use super::evaluate::Evaluation;
use super::habits::Habit;
use super::parse::is_none;
use super::tokens::{MOST, expand_tilde};
use super::values::JumpHost;
use super::world::World;
use crate::inventory::HostKeyPolicy;

/// What OpenSSH's configuration says about one host. `None` is left open.
#[derive(Debug)]
pub(in crate::ssh) struct Resolved {
    /// The name to connect to, in its canonical form.
    pub(in crate::ssh) host_name: String,
    /// The line that says it, where it is not the name asked for.
    pub(in crate::ssh) host_name_line: Option<ConfigLine>,
    pub(in crate::ssh) user: Option<Said<String>>,
    pub(in crate::ssh) port: Option<Said<u16>>,
    /// `None` where nobody names one; empty where somebody wants none.
    pub(in crate::ssh) identity_files: Option<Vec<Said<PathBuf>>>,
    pub(in crate::ssh) certificate_files: Vec<Said<PathBuf>>,
    pub(in crate::ssh) identities_only: Option<Said<bool>>,
    /// The agent's socket; an inner `None` for no agent.
    pub(in crate::ssh) identity_agent: Option<Said<Option<PathBuf>>>,
    pub(in crate::ssh) user_known_hosts: Option<Said<Vec<PathBuf>>>,
    pub(in crate::ssh) global_known_hosts: Option<Said<Vec<PathBuf>>>,
    pub(in crate::ssh) host_key_alias: Option<Said<String>>,
    pub(in crate::ssh) host_key_policy: Option<Said<HostKeyPolicy>>,
    /// The nearest to the workstation first; empty for none.
    pub(in crate::ssh) proxy_jump: Option<Said<Vec<JumpHost>>>,
    /// A command of the workstation's shell; an inner `None` for none.
    pub(in crate::ssh) proxy_command: Option<Said<Option<String>>>,
    /// Seconds; never zero.
    pub(in crate::ssh) connect_timeout: Option<Said<u32>>,
    /// Never zero.
    pub(in crate::ssh) connection_attempts: Option<Said<u32>>,
    /// Seconds; zero for no requests.
    pub(in crate::ssh) server_alive_interval: Option<Said<u32>>,
    /// Zero for no limit.
    pub(in crate::ssh) server_alive_count: Option<Said<u32>>,
    pub(in crate::ssh) pubkey_authentication: Option<Said<bool>>,
    pub(in crate::ssh) password_authentication: Option<Said<bool>>,
    pub(in crate::ssh) kbd_interactive_authentication: Option<Said<bool>>,
}

impl Resolved {
    /// Expand what an evaluation has found.
    pub(super) fn expand(mut evaluation: Evaluation<'_>) -> Result<Self, ConfigError> {
        expand_user(&mut evaluation)?;
        if let Some(alias) = &mut evaluation.answers.host_key_alias {
            alias.value.make_ascii_lowercase();
        }
        let (world, host) = (evaluation.world, evaluation.host.clone());
        let tokens = evaluation.tokens(&host, evaluation.query.name);
        let answers = &evaluation.answers;
        refuse_unsupported(answers)?;

        let path = |said: &Said<String>, keyword: &str| {
            let expanded = expand_tilde(&said.value, world.local());
            let expanded = expanded.and_then(|path| tokens.expand(&path, MOST));
            said.with(keyword, expanded.map(PathBuf::from))
        };
        let paths = |said: &[Said<String>], keyword| {
            let files = said.iter().filter(|said| !is_none(&said.value));
            files.map(|said| path(said, keyword)).collect::<Result<Vec<_>, _>>()
        };
        let list = |said: &Said<Vec<String>>, expand: &dyn Fn(&str) -> Result<String, String>| {
            let files = said.value.iter().filter(|file| !is_none(file));
            files.map(|file| expand(file).map(PathBuf::from)).collect::<Result<Vec<_>, _>>()
        };
        let tilde = |file: &str| expand_tilde(file, world.local());
        let all = |file: &str| tilde(file).and_then(|file| tokens.expand(&file, MOST));

        let resolved = Self {
            identity_files: match answers.identity_files.as_slice() {
                [] => None,
                files => Some(paths(files, "IdentityFile")?),
            },
            certificate_files: answers
                .certificate_files
                .iter()
                .map(|said| path(said, "CertificateFile"))
                .collect::<Result<_, _>>()?,
            identity_agent: map(&answers.identity_agent, |said| {
                said.with("IdentityAgent", all(&said.value).map(|agent| socket(&agent, world)))
            })?,
            user_known_hosts: map(&answers.user_known_hosts, |said| {
                said.with("UserKnownHostsFile", list(said, &all))
            })?,
            global_known_hosts: map(&answers.global_known_hosts, |said| {
                said.with("GlobalKnownHostsFile", list(said, &tilde))
            })?,
            proxy_command: map(&answers.proxy_command, |said| {
                let command = Some(&said.value).filter(|command| !is_none(command));
                let expand = |command: &String| tokens.expand_some(command, "hknpr");
                said.with("ProxyCommand", command.map(expand).transpose())
            })?,
            host_name_line: evaluation.host_line.clone(),
            host_name: host.clone(),
            user: answers.user.clone(),
            port: answers.port.clone(),
            identities_only: answers.identities_only.clone(),
            host_key_alias: answers.host_key_alias.clone(),
            host_key_policy: answers
                .host_key_policy
                .as_ref()
                .and_then(|said| said.value.map(|value| Said { value, line: said.line.clone() })),
            proxy_jump: answers.proxy_jump.clone(),
            connect_timeout: answers.connect_timeout.clone().filter(|said| said.value > 0),
            connection_attempts: answers.connection_attempts.clone(),
            server_alive_interval: answers.server_alive_interval.clone(),
            server_alive_count: answers.server_alive_count.clone(),
            pubkey_authentication: answers.pubkey_authentication.clone(),
            password_authentication: answers.password_authentication.clone(),
            kbd_interactive_authentication: answers.kbd_interactive_authentication.clone(),
        };
        Ok(resolved)
    }
}

impl<T> Said<T> {
    /// Another value that the same line gives; `keyword` is what the line begins with.
    fn with<U>(&self, keyword: &str, value: Result<U, String>) -> Result<Said<U>, ConfigError> {
        match value {
            Ok(value) => Ok(Said { value, line: self.line.clone() }),
            Err(wrong) => Err(ConfigError::at(&self.line, format!("`{keyword}`: {wrong}"))),
        }
    }
}

fn map<T, U>(
    said: &Option<Said<T>>,
    expand: impl FnOnce(&Said<T>) -> Result<Said<U>, ConfigError>,
) -> Result<Option<Said<U>>, ConfigError> {
    said.as_ref().map(expand).transpose()
}

/// The socket that `IdentityAgent` means.
fn socket(agent: &str, world: &dyn World) -> Option<PathBuf> {
    match agent {
        "none" => None,
        "SSH_AUTH_SOCK" => world.local().agent.clone(),
        // The old way to write variables. The new one is expanded already.
        _ => match agent.strip_prefix('$') {
            Some(name) => world.local().variables.get(name).map(PathBuf::from),
            None => Some(PathBuf::from(agent)),
        },
    }
}

/// Expand the login user, where the client does that.
fn expand_user(evaluation: &mut Evaluation<'_>) -> Result<(), ConfigError> {
    let Some(said) = &evaluation.answers.user else { return Ok(()) };
    let expands = evaluation.query.user.is_none()
        && said.value.contains(['%', '$'])
        && evaluation.world.client_does(Habit::ExpandsUser);
    if !expands {
        return Ok(());
    }
    // Neither the user itself nor what it is a part of.
    let known: String = MOST.chars().filter(|token| !matches!(token, 'r' | 'C')).collect();
    let tokens = evaluation.tokens(&evaluation.host, evaluation.query.name);
    let expanded = tokens.expand(&said.value, &known).and_then(|user| {
        let odd = |c: char| c.is_control() || "'`\"\\;&<>|(){}".contains(c);
        match user.starts_with('-') || user.contains(odd) {
            true => Err(format!("{user:?} is not a user name; correct what it is made of")),
            false => Ok(user),
        }
    });
    evaluation.answers.user = Some(said.with("User", expanded)?);
    Ok(())
}

/// Some settings cannot be followed, and are not to be ignored.
fn refuse_unsupported(answers: &Answers) -> Result<(), ConfigError> {
    if let Some(said) = &answers.connection_attempts
        && said.value == 0
    {
        return Err(ConfigError::at(&said.line, "`ConnectionAttempts`: expected 1 or more, not 0"));
    }
    if let Some(said) = &answers.revoked_host_keys
        && !said.value.iter().all(|file| is_none(file))
    {
        let reason = "`RevokedHostKeys` is not supported; mark the keys @revoked in known_hosts, and set it to \
                      `none`";
        return Err(ConfigError::at(&said.line, reason));
    }
    if let (Some(command), Some(pass)) = (&answers.proxy_command, &answers.proxy_use_fdpass)
        && pass.value
        && !is_none(&command.value)
    {
        let reason =
            "`ProxyUseFdpass` is not supported; use a ProxyCommand that copies data instead";
        return Err(ConfigError::at(&pass.line, reason));
    }
    Ok(())
}
