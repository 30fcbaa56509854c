//! Text to blocks of directives. A line that is wrong for every host is an error here; what depends on the host is left to
//! evaluation.

use std::path::Path;
use std::sync::Arc;

use super::criteria::{Criterion, HostPattern, parse_match};
use super::error::{ConfigError, ConfigLine};
use super::habits::Habit;
use super::keywords::{Keyword, keyword};
use super::tokens;
use super::values::{self, JumpHost};
use super::words;
use crate::inventory::HostKeyPolicy;
use crate::ssh::environment::Environment;

/// One file, as far as it can be understood without a host.
#[derive(Debug)]
pub(super) struct File {
    pub(super) blocks: Vec<Block>,
}

/// What follows a `Host` or `Match` line, or stands before the first one.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) header: Header,
    pub(super) line: ConfigLine,
    pub(super) directives: Vec<(ConfigLine, Directive)>,
    /// Even where the block does not count, something in it has to be looked at.
    pub(super) always: bool,
}

/// What decides whether a block counts.
#[derive(Debug)]
pub(super) enum Header {
    /// Nothing: it begins the file.
    Top,
    Host(Vec<HostPattern>),
    Match(Vec<Criterion>),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Directive {
    Include(Vec<String>),
    /// A keyword that does not exist, in lower case. Whether that matters depends on `IgnoreUnknown`.
    Unknown(String),
    IgnoreUnknown(String),
    Tag(String),
    HostName(String),
    Port(u16),
    User(String),
    IdentityFile(String),
    CertificateFile(String),
    IdentitiesOnly(bool),
    IdentityAgent(String),
    ProxyJump(Vec<JumpHost>),
    ProxyCommand(String),
    ProxyUseFdpass(bool),
    /// As they are written, `none` included, here and in the other lists.
    UserKnownHostsFile(Vec<String>),
    GlobalKnownHostsFile(Vec<String>),
    HostKeyAlias(String),
    /// `None` for what fleetadm has no counterpart of.
    StrictHostKeyChecking(Option<HostKeyPolicy>),
    RevokedHostKeys(Vec<String>),
    RefuseConnection(String),
    /// Seconds; `None` for `none`.
    ConnectTimeout(Option<u32>),
    ConnectionAttempts(u32),
    /// Seconds; `None` for `none`.
    ServerAliveInterval(Option<u32>),
    ServerAliveCountMax(u32),
    PubkeyAuthentication(bool),
    PasswordAuthentication(bool),
    KbdInteractiveAuthentication(bool),
    CanonicalizeHostname(Canonicalize),
    CanonicalDomains(Vec<String>),
    CanonicalizeMaxDots(u32),
    CanonicalizeFallbackLocal(bool),
    CanonicalizePermittedCnames(Vec<String>),
}

/// `CanonicalizeHostname`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canonicalize {
    No,
    /// Where the workstation connects to the host itself.
    Yes,
    Always,
}

/// What parsing depends on besides the text.
pub(super) struct Reader<'a> {
    pub(super) local: &'a Environment,
    /// Asked only where it matters.
    pub(super) client_does: &'a dyn Fn(Habit) -> bool,
}

impl Reader<'_> {
    /// The file at `path` that `bytes` were read from.
    pub(super) fn parse(&self, path: &Path, bytes: &[u8]) -> Result<File, ConfigError> {
        let path: Arc<Path> = path.into();
        let line = |number| ConfigLine { file: Arc::clone(&path), number };
        let block = |header, line| Block { header, line, directives: Vec::new(), always: false };
        let mut blocks = Vec::new();
        let mut current = block(Header::Top, line(0));
        for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line(index + 1);
            match self.line(bytes).map_err(|reason| ConfigError::at(&line, reason))? {
                None => {}
                Some(Line::Header(header)) => {
                    blocks.push(std::mem::replace(&mut current, block(header, line)));
                }
                Some(Line::Directive(directive)) => {
                    current.always |=
                        matches!(directive, Directive::Unknown(_) | Directive::Include(_));
                    current.directives.push((line, directive));
                }
            }
        }
        blocks.push(current);
        Ok(File { blocks })
    }

    fn line(&self, bytes: &[u8]) -> Result<Option<Line>, String> {
        let is_comment = || bytes.trim_ascii_start().starts_with(b"#");
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            _ if is_comment() => return Ok(None),
            _ => return Err("the line is not text in UTF-8; correct it".to_owned()),
        };
        let mut rest = Some(text.trim_end_matches([' ', '\t', '\r', '\x0c']));
        let mut word = words::next_delimited(&mut rest);
        if word.as_ref().is_some_and(|word| word.is_empty()) {
            word = words::next_delimited(&mut rest);
        }
        let Some(word) = word.filter(|word| !word.is_empty() && !word.starts_with('#')) else {
            return Ok(None);
        };
        let rest = rest.unwrap_or("").trim_start_matches([' ', '\t', '\r']);
        if rest.is_empty() {
            return Err(format!("`{word}` has nothing behind it; add a value, or remove the line"));
        }
        let arguments = words::arguments(rest)
            .ok_or_else(|| format!("a quote behind `{word}` is not closed; close it"))?;
        let line = match keyword(&word.to_ascii_lowercase()) {
            None => Ok(Line::Directive(Directive::Unknown(word.to_ascii_lowercase()))),
            Some(Keyword::Unused(shape)) => {
                let time = |text: &str| self.time(text).is_some();
                return match shape.check(&arguments, time) {
                    None => Ok(None),
                    Some(wrong) => Err(format!("`{word}`: {wrong}")),
                };
            }
            Some(Keyword::Host) => patterns(&arguments).map(Header::Host).map(Line::Header),
            Some(Keyword::Match) => {
                parse_match(rest, self.client_does).map(Header::Match).map(Line::Header)
            }
            Some(keyword) => self.directive(keyword, rest, &arguments).map(Line::Directive),
        };
        line.map(Some).map_err(|wrong| format!("`{word}`: {wrong}"))
    }

    fn directive(
        &self,
        keyword: Keyword,
        rest: &str,
        arguments: &[String],
    ) -> Result<Directive, String> {
        use Directive as D;
        let one = || match arguments {
            [text] if !text.is_empty() => Ok(text.clone()),
            _ => Err("expected one argument; put one with blanks in quotes".to_owned()),
        };
        let flag = || {
            let wrong = |text| format!("expected `yes` or `no`, not `{text}`");
            one().and_then(|text| values::flag(&text).ok_or_else(|| wrong(text)))
        };
        let number = || {
            let wrong = |text| format!("expected a number, not `{text}`");
            one().and_then(|text| values::number(&text).ok_or_else(|| wrong(text)))
        };
        let time = || {
            let wrong = |text| format!("expected a time such as `30` or `5m`, not `{text}`");
            one().and_then(|text| match text.as_str() {
                "none" => Ok(None),
                _ => self.time(&text).map(Some).ok_or_else(|| wrong(text)),
            })
        };
        // What takes the rest of the line takes it as it is, quotes included.
        let line = rest.trim_start_matches([' ', '\t', '\r', '=']);
        Ok(match keyword {
            Keyword::Host | Keyword::Match | Keyword::Unused(_) => {
                return Err("is not a setting".to_owned());
            }
            Keyword::Include => D::Include(several(arguments)?),
            Keyword::IgnoreUnknown => D::IgnoreUnknown(one()?),
            Keyword::Tag => D::Tag(one()?),
            Keyword::HostName => D::HostName(one()?),
            Keyword::Port => {
                let wrong = |text| format!("expected 1 to 65535, not `{text}`");
                D::Port(one().and_then(|text| values::port(&text).ok_or_else(|| wrong(text)))?)
            }
            Keyword::User => D::User(one()?),
            Keyword::IdentityFile => D::IdentityFile(one()?),
            Keyword::CertificateFile => D::CertificateFile(one()?),
            Keyword::IdentitiesOnly => D::IdentitiesOnly(flag()?),
            Keyword::IdentityAgent => D::IdentityAgent(self.agent(one()?)?),
            Keyword::ProxyJump => D::ProxyJump(values::proxy_jump(line).ok_or_else(|| {
                format!("expected hosts as `user@host:port`, separated by commas, not `{line}`")
            })?),
            Keyword::ProxyCommand => D::ProxyCommand(line.to_owned()),
            Keyword::ProxyUseFdpass => D::ProxyUseFdpass(flag()?),
            Keyword::UserKnownHostsFile => D::UserKnownHostsFile(several_or_none(arguments)?),
            Keyword::GlobalKnownHostsFile => D::GlobalKnownHostsFile(several_or_none(arguments)?),
            Keyword::HostKeyAlias => D::HostKeyAlias(one()?),
            Keyword::StrictHostKeyChecking => D::StrictHostKeyChecking(policy(&one()?)?),
            Keyword::RevokedHostKeys => D::RevokedHostKeys(several_or_none(arguments)?),
            Keyword::RefuseConnection => D::RefuseConnection(one()?),
            Keyword::ConnectTimeout => D::ConnectTimeout(time()?),
            Keyword::ConnectionAttempts => D::ConnectionAttempts(number()?),
            Keyword::ServerAliveInterval => D::ServerAliveInterval(time()?),
            Keyword::ServerAliveCountMax => D::ServerAliveCountMax(number()?),
            Keyword::PubkeyAuthentication => {
                let text = one()?;
                let bound = ["unbound", "host-bound"].iter().any(|w| text.eq_ignore_ascii_case(w));
                D::PubkeyAuthentication(if bound { true } else { flag()? })
            }
            Keyword::PasswordAuthentication => D::PasswordAuthentication(flag()?),
            Keyword::KbdInteractiveAuthentication => D::KbdInteractiveAuthentication(flag()?),
            Keyword::CanonicalizeHostname => D::CanonicalizeHostname(match flag() {
                Ok(true) => Canonicalize::Yes,
                Ok(false) => Canonicalize::No,
                Err(_) if one()?.eq_ignore_ascii_case("always") => Canonicalize::Always,
                Err(wrong) => return Err(wrong),
            }),
            Keyword::CanonicalDomains => D::CanonicalDomains(domains(arguments)?),
            Keyword::CanonicalizeMaxDots => D::CanonicalizeMaxDots(number()?),
            Keyword::CanonicalizeFallbackLocal => D::CanonicalizeFallbackLocal(flag()?),
            Keyword::CanonicalizePermittedCnames => {
                D::CanonicalizePermittedCnames(several_or_none(arguments)?)
            }
        })
    }

    fn time(&self, text: &str) -> Option<u32> {
        let fractions = text.contains('.') && (self.client_does)(Habit::ReadsFractions);
        values::time(text, fractions)
    }

    /// OpenSSH wants the variables of an agent's path to be there whatever the host.
    fn agent(&self, text: String) -> Result<String, String> {
        tokens::expand_variables(&text, self.local)?;
        let name = text.strip_prefix('$').filter(|name| !name.starts_with('{'));
        match name {
            Some(name) if name.is_empty() || name.contains(not_in_name) => {
                Err(format!("`{name}` is not the name of an environment variable; correct it"))
            }
            _ => Ok(text),
        }
    }
}

enum Line {
    Header(Header),
    Directive(Directive),
}

fn not_in_name(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != '_'
}

fn patterns(arguments: &[String]) -> Result<Vec<HostPattern>, String> {
    Ok(several(arguments)?.iter().map(|text| HostPattern::parse(text)).collect())
}

/// Any number of arguments.
fn several(arguments: &[String]) -> Result<Vec<String>, String> {
    if arguments.iter().any(String::is_empty) {
        return Err("an argument is empty; leave it out".to_owned());
    }
    Ok(arguments.to_vec())
}

/// The same, or `none` alone.
fn several_or_none(arguments: &[String]) -> Result<Vec<String>, String> {
    let arguments = several(arguments)?;
    if arguments.len() > 1 && arguments.iter().any(|text| is_none(text)) {
        return Err("`none` stands alone; leave out the other arguments".to_owned());
    }
    Ok(arguments)
}

/// OpenSSH's word for nothing at all.
pub(super) fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

fn domains(arguments: &[String]) -> Result<Vec<String>, String> {
    let domain = |text: &String| {
        let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_');
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric())
            || text.contains(odd)
            || text.contains("..")
        {
            return Err(format!("`{text}` is not a domain; correct it"));
        }
        let text = text.to_ascii_lowercase();
        Ok(text.strip_suffix('.').unwrap_or(&text).to_owned())
    };
    several_or_none(arguments)?.iter().map(domain).collect()
}

/// OpenSSH asks by default and can be told not to check. Here both are `strict`, as the default is.
fn policy(text: &str) -> Result<Option<HostKeyPolicy>, String> {
    match text.to_ascii_lowercase().as_str() {
        "accept-new" => Ok(Some(HostKeyPolicy::AcceptNew)),
        "yes" | "true" => Ok(Some(HostKeyPolicy::Strict)),
        "ask" | "no" | "false" | "off" => Ok(None),
        _ => Err(format!("expected `yes`, `no`, `ask`, `off` or `accept-new`, not `{text}`")),
    }
}
