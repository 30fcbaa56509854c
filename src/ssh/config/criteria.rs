//! `Host` and `Match`: what decides whether a block counts.

use std::net::IpAddr;

use ipnet::IpNet;

use super::habits::Habit;
use super::words;
use crate::ssh::glob::glob;

/// One pattern of a `Host` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    negated: bool,
    text: String,
    /// There are wildcards in it. Most have none, and there may be thousands.
    wild: bool,
}

impl HostPattern {
    /// A pattern as it is written, with `!` in front if it is negated.
    pub(super) fn parse(written: &str) -> Self {
        let (negated, text) = match written.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, written),
        };
        Self { negated, text: text.to_owned(), wild: text.contains(['*', '?']) }
    }

    /// Names are told apart by case here, unlike anywhere else.
    fn matches(&self, name: &str) -> bool {
        if self.wild { glob(&self.text, name) } else { self.text == name }
    }
}

/// Whether a `Host` line is about `name`: one pattern must match, and no negated one.
pub(super) fn matches_host(patterns: &[HostPattern], name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.iter().filter(|pattern| pattern.matches(name)) {
        if pattern.negated {
            return false;
        }
        found = true;
    }
    found
}

/// Whether a list of patterns, separated by commas, is about `text`: one must match, and none with `!` in front.
pub(super) fn matches_list(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(excluded) if glob(excluded, text) => return false,
            Some(_) => {}
            None => found = found || glob(pattern, text),
        }
    }
    found
}

/// One condition of a `Match` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    All,
    /// `canonical`: whether this is the second pass.
    Canonical,
    /// `final`: the same, and that there be one.
    Final,
    /// The name connected to, as far as it is known by then; in lower case, as case does not count.
    Host(String),
    /// The name asked for, likewise.
    OriginalHost(String),
    /// The login user, as far as it is known by then.
    User(String),
    /// The operator.
    LocalUser(String),
    /// Whether the workstation has an address in one of these networks.
    LocalNetwork(Vec<IpNet>),
    /// The workstation's OpenSSH.
    Version(String),
    /// `Tag`, as far as it is known by then.
    Tagged(String),
    /// The remote command. Connections outlive commands here, so nothing can be said.
    Command,
    /// The kind of session. It is always `exec` here.
    SessionType(String),
    /// Whether a command succeeds.
    Exec(String),
}

/// The conditions behind `Match`. An error says what is wrong with them.
pub(super) fn parse_match(
    text: &str,
    client_does: &dyn Fn(Habit) -> bool,
) -> Result<Vec<Criterion>, String> {
    // Older clients look at the quotes in the new way, too, before they go on in theirs.
    let arguments = words::arguments(text).ok_or("a quote is not closed; close it")?;
    let new = parse_words(MatchWords::Arguments(arguments.into_iter()));
    let old = parse_words(MatchWords::Delimited(Some(text)));
    if new == old || client_does(Habit::ReadsMatchAsArguments) { new } else { old }
}

fn parse_words(mut words: MatchWords<'_>) -> Result<Vec<Criterion>, String> {
    let mut criteria = Vec::new();
    while let Some(word) = words.next_criterion() {
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        let lower = name.to_ascii_lowercase();
        if lower == "all" {
            // Other conditions may stand before it, one at most.
            if criteria.len() > 1 || words.next().is_some_and(|word| !word.is_empty()) {
                return Err("`all` stands alone; leave out the other conditions".to_owned());
            }
            criteria.push(Criterion { negated, test: Test::All });
            return Ok(criteria);
        }
        let simple = match lower.as_str() {
            "canonical" => Some(Test::Canonical),
            "final" => Some(Test::Final),
            _ => None,
        };
        if let Some(test) = simple {
            criteria.push(Criterion { negated, test });
            continue;
        }
        let (lower, value) = match lower.split_once('=') {
            Some((key, _)) if words.splits_equals() => {
                (key.to_owned(), Some(name[key.len() + 1..].to_owned()))
            }
            _ => (lower, words.next()),
        };
        let may_be_empty = matches!(lower.as_str(), "tagged" | "command");
        let value = value
            .filter(|value| may_be_empty || !value.is_empty())
            .ok_or_else(|| format!("`{lower}` has nothing behind it; add what to compare with"))?;
        criteria.push(Criterion { negated, test: test(&lower, value)? });
    }
    if criteria.is_empty() {
        return Err("`Match` has no condition; add one, for example `all`".to_owned());
    }
    if words.next().is_some() {
        return Err("an empty condition ends the line early; leave it out".to_owned());
    }
    Ok(criteria)
}

fn test(name: &str, value: String) -> Result<Test, String> {
    Ok(match name {
        "host" => Test::Host(value.to_ascii_lowercase()),
        "originalhost" => Test::OriginalHost(value.to_ascii_lowercase()),
        "user" => Test::User(value),
        "localuser" => Test::LocalUser(value),
        "localnetwork" => Test::LocalNetwork(networks(&value)?),
        "version" => Test::Version(value),
        "tagged" => Test::Tagged(value),
        "command" => Test::Command,
        "sessiontype" => Test::SessionType(value),
        "exec" => Test::Exec(value),
        other => return Err(format!("`Match` knows no {other:?}; correct it")),
    })
}

fn networks(list: &str) -> Result<Vec<IpNet>, String> {
    let network = |entry: &str| {
        let address = |text: &str| Some(IpNet::from(text.parse::<IpAddr>().ok()?));
        let net = entry.parse::<IpNet>().ok().or_else(|| address(entry));
        net.filter(|net| net.trunc() == *net)
            .ok_or_else(|| format!("{entry:?} is not a network; write it as `192.0.2.0/24`"))
    };
    list.split(',').map(network).collect()
}

/// The words behind `Match`, as old and new clients read them.
enum MatchWords<'a> {
    Delimited(Option<&'a str>),
    Arguments(std::vec::IntoIter<String>),
}

impl MatchWords<'_> {
    /// The next condition. An empty word ends old clients' lines.
    fn next_criterion(&mut self) -> Option<String> {
        match self {
            Self::Delimited(_) => self.next().filter(|word| !word.is_empty()),
            Self::Arguments(_) => self.next(),
        }
    }

    /// Whether `name=value` is one word that has to be taken apart.
    fn splits_equals(&self) -> bool {
        matches!(self, Self::Arguments(_))
    }

    fn next(&mut self) -> Option<String> {
        let word = match self {
            Self::Delimited(rest) => words::next_delimited(rest)?.into_owned(),
            Self::Arguments(words) => words.next()?,
        };
        if word.starts_with('#') {
            *self = Self::Delimited(None);
            return None;
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criteria(text: &str, new: bool) -> Result<Vec<(bool, Test)>, String> {
        let criteria = parse_match(text, &|_| new)?;
        Ok(criteria.into_iter().map(|criterion| (criterion.negated, criterion.test)).collect())
    }

    fn both(text: &str) -> Result<Vec<(bool, Test)>, String> {
        let new = criteria(text, true);
        assert_eq!(new.is_ok(), criteria(text, false).is_ok(), "{text}");
        new
    }

    #[test]
    fn every_criterion() {
        let text = |text: &str| text.to_owned();
        for (line, expected) in [
            ("all", Test::All),
            ("ALL # comment", Test::All),
            ("canonical", Test::Canonical),
            ("final", Test::Final),
            ("host a,!b", Test::Host(text("a,!b"))),
            ("host=a", Test::Host(text("a"))),
            ("originalhost a", Test::OriginalHost(text("a"))),
            ("User root", Test::User(text("root"))),
            ("localuser me", Test::LocalUser(text("me"))),
            ("version OpenSSH_9.*", Test::Version(text("OpenSSH_9.*"))),
            ("tagged x", Test::Tagged(text("x"))),
            ("command x", Test::Command),
            ("sessiontype exec", Test::SessionType(text("exec"))),
            ("exec \"test -e /x\"", Test::Exec(text("test -e /x"))),
        ] {
            assert_eq!(both(line).unwrap(), [(false, expected.clone())], "{line}");
            assert_eq!(both(&format!("!{line}")).unwrap(), [(true, expected)], "!{line}");
        }
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()];
        let expected = [(false, Test::LocalNetwork(networks))];
        assert_eq!(both("localnetwork 10.0.0.0/8,192.0.2.7").unwrap(), expected);
        assert_eq!(both("host a user b").unwrap().len(), 2);
        assert_eq!(both("host a all").unwrap().len(), 2);
    }

    #[test]
    fn mistakes() {
        for bad in [
            "# nothing",
            "host",
            "host # a",
            "host \"\"",
            "nonsense a",
            "all host a",
            "host a user b all",
            "localnetwork 10.0.0.1/8",
            "localnetwork home",
            "exec \"a",
        ] {
            assert!(both(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clients_read_quotes_differently() {
        let single = "exec 'test -e /x'";
        assert!(criteria(single, false).is_err());
        let new = criteria(single, true).unwrap();
        assert_eq!(new, [(false, Test::Exec("test -e /x".to_owned()))]);
    }

    #[test]
    fn lists_of_patterns() {
        assert!(matches_list("a*,b", "abc") && matches_list("a*,b", "b"));
        assert!(!matches_list("a*,!abc", "abc") && !matches_list("!b", "a"));
        assert!(!matches_list("A", "a"));
        let host = |patterns: &str, name| {
            let patterns: Vec<_> = patterns.split(' ').map(HostPattern::parse).collect();
            matches_host(&patterns, name)
        };
        assert!(host("* !b", "a") && !host("* !b", "b") && !host("!b *", "b"));
        assert!(!host("!b", "a") && !host("A", "a") && host("a", "a") && host("x ?", "a"));
    }
}
