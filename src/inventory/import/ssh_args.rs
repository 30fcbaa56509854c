//! Arguments of `ssh`, as far as an inventory can say the same.

use super::words;
use crate::inventory::rules;

/// One argument of `ssh`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// An option of OpenSSH's configuration.
    Setting {
        /// In lower case.
        keyword: String,
        value: String,
        /// As it was written.
        written: String,
    },
    /// Any other option.
    Flag { letter: char, value: Option<String>, written: String },
    /// What is no option: the host, or a part of the command.
    Word(String),
}

/// The letters whose argument may stand apart.
const WITH_VALUE: &str = "BDEFIJLOPQRSWbceilmopw";

/// Takes a command line of `ssh` apart; the name of the program is not part of it.
pub(super) fn parse(text: &str) -> Result<Vec<Argument>, &'static str> {
    let words = words::split(text, false)?;
    let mut words = words.into_iter();
    let mut arguments = Vec::new();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            arguments.push(Argument::Word(word));
            continue;
        };
        for (at, letter) in letters.char_indices() {
            if !WITH_VALUE.contains(letter) {
                let written = format!("-{letter}");
                arguments.push(Argument::Flag { letter, value: None, written });
                continue;
            }
            let rest = &letters[at + letter.len_utf8()..];
            let value = if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
            let value = value.ok_or("an option at the end has no argument")?;
            arguments.push(option(letter, value));
            break;
        }
    }
    Ok(arguments)
}

fn option(letter: char, value: String) -> Argument {
    let written = format!("-{letter} {value}");
    let keyword = match letter {
        'J' => "proxyjump",
        'i' => "identityfile",
        'l' => "user",
        'p' => "port",
        'o' => {
            let end = value.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(value.len());
            let (keyword, rest) = value.split_at(end);
            let rest = rest.trim_start();
            let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
            let (keyword, value) = (keyword.to_ascii_lowercase(), rest.to_owned());
            return Argument::Setting { keyword, value, written };
        }
        _ => return Argument::Flag { letter, value: Some(value), written },
    };
    Argument::Setting { keyword: keyword.to_owned(), value, written }
}

/// The hosts of a ProxyJump, in fleetadm's words; `None` where it is more than hosts.
pub(super) fn hops(value: &str) -> Option<Vec<String>> {
    if value.eq_ignore_ascii_case("none") {
        return Some(Vec::new());
    }
    let hop = |text: &str| {
        let text = text.trim();
        let text = text.strip_prefix("ssh://").map_or(text, |rest| rest.trim_end_matches('/'));
        rules::hop(text).is_ok().then(|| text.to_owned())
    };
    value.split(',').map(hop).collect()
}

/// A ProxyCommand that does what ProxyJump does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) hops: Vec<String>,
    /// What else the command says about the last of them.
    pub(super) left: Vec<Argument>,
}

/// Reads `ssh -W %h:%p ... [user@]host`; `None` for any other command.
pub(super) fn jump(command: &str) -> Option<Jump> {
    let command = command.trim();
    let command = command.strip_prefix("exec ").unwrap_or(command);
    let (program, arguments) = command.split_once(char::is_whitespace)?;
    if program.rsplit('/').next() != Some("ssh") {
        return None;
    }
    let (mut host, mut user, mut port) = (None, None, None);
    let (mut forwards, mut hops, mut left) = (false, Vec::new(), Vec::new());
    for argument in parse(arguments).ok()? {
        match argument {
            Argument::Word(word) if host.is_none() => host = Some(word),
            Argument::Word(_) => return None,
            Argument::Flag { letter: 'W', value: Some(value), .. } => {
                forwards = matches!(value.as_str(), "%h:%p" | "[%h]:%p");
            }
            // Quiet, without a terminal, without forwardings: so is fleetadm.
            Argument::Flag { letter: 'q' | 'T' | 'a' | 'x', .. } => {}
            Argument::Setting { keyword, value, .. } if keyword == "user" && user.is_none() => {
                user = Some(value);
            }
            Argument::Setting { keyword, value, .. } if keyword == "port" && port.is_none() => {
                port = Some(value);
            }
            Argument::Setting { keyword, value, .. } if keyword == "proxyjump" => {
                hops = self::hops(&value)?;
            }
            other => left.push(other),
        }
    }
    let host = host.filter(|_| forwards)?;
    let host = host.strip_prefix("ssh://").unwrap_or(&host);
    let (login, place) = match host.rsplit_once('@') {
        Some((login, place)) => (Some(login.to_owned()), place),
        None => (user, host),
    };
    let mut hop = login.map(|login| format!("{login}@")).unwrap_or_default();
    match port {
        // An IPv6 address needs brackets to have a port.
        Some(port) if place.contains(':') && !place.starts_with('[') => {
            hop.push_str(&format!("[{place}]:{port}"));
        }
        Some(port) => hop.push_str(&format!("{place}:{port}")),
        None => hop.push_str(place),
    }
    hops.extend(self::hops(&hop)?);
    Some(Jump { hops, left })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn setting(keyword: &str, value: &str, written: &str) -> Argument {
        let [keyword, value, written] = [keyword, value, written].map(str::to_owned);
        Argument::Setting { keyword, value, written }
    }

    #[test]
    fn arguments_are_taken_apart() {
        let flag = |letter, value: Option<&str>, written: &str| Argument::Flag {
            letter,
            value: value.map(str::to_owned),
            written: written.to_owned(),
        };
        assert_eq!(
            parse(r#"-C -qo Port=22 -oUser=me -o "ProxyJump a" -Jb -i 'my key' -F file -o X"#)
                .unwrap(),
            [
                flag('C', None, "-C"),
                flag('q', None, "-q"),
                setting("port", "22", "-o Port=22"),
                setting("user", "me", "-o User=me"),
                setting("proxyjump", "a", "-o ProxyJump a"),
                setting("proxyjump", "b", "-J b"),
                setting("identityfile", "my key", "-i my key"),
                flag('F', Some("file"), "-F file"),
                setting("x", "", "-o X"),
            ]
        );
        assert!(parse("-o").is_err() && parse("'").is_err());
    }

    #[test]
    fn proxy_commands_that_jump() {
        for (command, hops) in [
            ("ssh -W %h:%p bastion", &["bastion"][..]),
            ("/usr/bin/ssh -q -W %h:%p ops@bastion.example.com", &["ops@bastion.example.com"]),
            ("ssh -W [%h]:%p -p 2222 -l ops bastion -q", &["ops@bastion:2222"]),
            ("exec ssh -J a,b@c -W %h:%p d", &["a", "b@c", "d"]),
            ("ssh -p 22 -W %h:%p fd00::1", &["[fd00::1]:22"]),
            ("ssh -W %h:%p ssh://ops@bastion:2222", &["ops@bastion:2222"]),
        ] {
            let jump = jump(command).unwrap_or_else(|| panic!("{command}"));
            assert_eq!(
                (jump.hops.as_slice(), &*jump.left),
                (&hops.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()[..], &[][..]),
                "{command}"
            );
        }
        let left = jump("ssh -i key -W %h:%p bastion").unwrap().left;
        assert_eq!(left, [setting("identityfile", "key", "-i key")]);
        for command in [
            "nc %h %p",
            "ssh bastion nc %h %p",
            "ssh -W other:22 bastion",
            "ssh -W %h:%p",
            "ssh bastion",
            "ssh -W %h:%p 'bad host'",
            "ssh",
            "",
        ] {
            assert_eq!(jump(command), None, "{command}");
        }
    }

    #[test]
    fn proxy_jumps() {
        assert_eq!(hops("a,b@c:22, ssh://d").unwrap(), ["a", "b@c:22", "d"]);
        assert_eq!(hops("none").unwrap(), [""; 0]);
        assert_eq!(hops("a,%h"), None);
    }

    proptest! {
        #[test]
        fn anything_is_answered(text in "[-JoiWp=%h: a'\"\\\\,@ä\\[]{0,20}") {
            let _ = (parse(&text), jump(&format!("ssh {text}")), hops(&text));
        }
    }
}
