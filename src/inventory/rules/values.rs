//! Plain values: ports, durations, modes, paths, arguments.

use std::time::Duration;

use crate::inventory::document::Number;
use crate::inventory::error::{Fault, quoted};
use crate::inventory::ssh::{Become, HostKeyPolicy};
use crate::inventory::suggest::nearest;

/// A TCP port.
pub(in crate::inventory) fn port(number: i64) -> Result<u16, Fault> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Fault::new(format!("{number} is not a port"), "expected 1 to 65535")),
    }
}

/// A limit or an interval: whole seconds, or a number with `ms`, `s`, `m` or `h`. Never zero.
pub(in crate::inventory) fn duration(number: &Number) -> Result<Duration, Fault> {
    let expected =
        "expected seconds (`15`) or a number with a unit (`\"500ms\"`, `\"15s\"`, `\"2m\"`)";
    let (found, duration) = match number {
        Number::Integer(seconds) => {
            (seconds.to_string(), u64::try_from(*seconds).ok().map(Duration::from_secs))
        }
        Number::Text(text) => (quoted(text), with_unit(text)),
    };
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| Fault::new(format!("{found} is not a duration"), expected))
}

/// How long certificates are valid: at least a minute, and at most a hundred years, beyond which the last second of a
/// certificate would lie outside of what all of its readers can say.
pub(in crate::inventory) fn validity_period(number: &Number) -> Result<Duration, Fault> {
    let period = duration(number)?;
    if (60..=876_000 * 3600).contains(&period.as_secs()) {
        return Ok(period);
    }
    let found = format!("{} s is no validity of certificates", period.as_secs_f64());
    Err(Fault::new(found, "expected one minute to 100 years (`\"876000h\"`)"))
}

fn with_unit(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(end);
    let count: u64 = count.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs),
        "h" => count.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// Permission bits: `"0644"` or `0o644`. `written` is the source text, to tell `644` from `0o644`.
pub(in crate::inventory) fn mode(number: &Number, written: &str) -> Result<u32, Fault> {
    let expected = "expected an octal mode: `\"0644\"` or `0o644`";
    let mode = match number {
        Number::Integer(mode) if written.starts_with("0o") => u32::try_from(*mode).ok(),
        Number::Integer(_) => None,
        Number::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            u32::from_str_radix(text, 8).ok()
        }
        Number::Text(_) => None,
    };
    mode.filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| Fault::new(format!("{} is not a file mode", quoted(written)), expected))
}

/// A path on a host.
pub(in crate::inventory) fn absolute_path(text: &str) -> Result<String, Fault> {
    let plain = !text.contains(char::is_control) && !text.split('/').any(|part| part == "..");
    if text.starts_with('/') && plain && text.len() > 1 {
        return Ok(text.to_owned());
    }
    let expected = "expected an absolute path without `..`";
    Err(Fault::new(format!("{} is not an absolute path", quoted(text)), expected))
}

/// A login name.
pub(in crate::inventory) fn user(text: &str) -> Result<String, Fault> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '@' | ':' | '/');
    if text.is_empty() || text.starts_with('-') || text.contains(odd) {
        return Err(Fault::new(
            format!("{} is not a user name", quoted(text)),
            "expected a login name",
        ));
    }
    Ok(text.to_owned())
}

/// How to become root.
pub(in crate::inventory) fn become_root(text: &str) -> Result<Become, Fault> {
    [Become::None, Become::Sudo, Become::Doas]
        .into_iter()
        .find(|way| way.as_str() == text)
        .ok_or_else(|| {
            Fault::new(
                format!("{} is not a way to become root", quoted(text)),
                "expected `none`, `sudo` or `doas`",
            )
            .suggest(nearest(text, ["none", "sudo", "doas"]))
        })
}

/// What to do about unknown host keys. There is no word for not checking.
pub(in crate::inventory) fn host_key_policy(text: &str) -> Result<HostKeyPolicy, Fault> {
    [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew]
        .into_iter()
        .find(|policy| policy.as_str() == text)
        .ok_or_else(|| {
            Fault::new(
                format!("{} is not a host key policy", quoted(text)),
                "expected `strict` or `accept-new`; host keys are always checked",
            )
        })
}

/// A shell command of the workstation: one line.
pub(in crate::inventory) fn shell_command(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(Fault::new(format!("{} is not a command", quoted(text)), "expected one line"));
    }
    Ok(text.to_owned())
}

/// A host on the way: `[user@]host[:port]`, an IPv6 address with a port in brackets. Gives user, host and port.
pub(in crate::inventory) fn hop(
    text: &str,
) -> Result<(Option<String>, String, Option<u16>), Fault> {
    let wrong = || {
        let expected = "expected `host`, `user@host` or `user@host:port`";
        Fault::new(format!("{} is not a jump host", quoted(text)), expected)
    };
    let (login, place) = match text.rsplit_once('@') {
        Some((login, place)) => (Some(user(login).map_err(|_| wrong())?), place),
        None => (None, text),
    };
    let (host, number) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
        // More than one colon: an IPv6 address without a port.
        None if place.matches(':').count() > 1 => (place, None),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    super::address(host).map_err(|_| wrong())?;
    let number = match number {
        Some(digits) => Some(digits.parse().ok().and_then(|n| port(n).ok()).ok_or_else(wrong)?),
        None => None,
    };
    Ok((login, host.to_owned(), number))
}

/// A command-line argument's name, as kubeadm's `extraArgs` want it.
pub(in crate::inventory) fn argument_name(text: &str) -> Result<(), Fault> {
    let fault = Fault::new(
        format!("{} is not an argument's name", quoted(text)),
        "expected the name without leading dashes",
    );
    let bare = text.trim_start_matches('-');
    let valid = !bare.is_empty()
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    match valid {
        true if bare.len() == text.len() => Ok(()),
        true => Err(fault.suggest(Some(bare))),
        false => Err(fault),
    }
}

/// A command-line argument's value: one line.
pub(in crate::inventory) fn argument_value(text: &str) -> Result<(), Fault> {
    if text.contains(char::is_control) {
        return Err(Fault::new("an argument's value has control characters", "expected one line"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let text = |text: &str| duration(&Number::Text(text.to_owned())).ok();
        assert_eq!(duration(&Number::Integer(15)).unwrap(), Duration::from_secs(15));
        assert_eq!(text("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(text("2m"), Some(Duration::from_secs(120)));
        assert_eq!(text("1h"), Some(Duration::from_secs(3600)));
        for bad in ["", "s", "15", "-1s", "1.5s", "15 s", "0s", "1d", "99999999999999999999h"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert!(duration(&Number::Integer(0)).is_err() && duration(&Number::Integer(-1)).is_err());
    }

    #[test]
    fn validity_is_not_for_ever() {
        let text = |text: &str| validity_period(&Number::Text(text.to_owned())).ok();
        assert_eq!(text("8760h"), Some(Duration::from_secs(8760 * 3600)));
        assert_eq!(text("1m"), Some(Duration::from_secs(60)));
        for bad in ["59s", "876001h", "1y", "0h"] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode(&Number::Text("0644".into()), "\"0644\"").unwrap(), 0o644);
        assert_eq!(mode(&Number::Integer(0o755), "0o755").unwrap(), 0o755);
        assert!(mode(&Number::Integer(644), "644").is_err());
        for bad in ["", "0o644", "999", "+644", "77777"] {
            assert!(mode(&Number::Text(bad.into()), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn jump_hosts() {
        let parts = |text: &str| {
            let (user, host, port) = hop(text).ok()?;
            Some((user.unwrap_or_default(), host, port.unwrap_or_default()))
        };
        let some = |user: &str, host: &str, port| Some((user.to_owned(), host.to_owned(), port));
        assert_eq!(parts("bastion"), some("", "bastion", 0));
        assert_eq!(parts("ops@10.0.0.1:2222"), some("ops", "10.0.0.1", 2222));
        assert_eq!(parts("2001:db8::1"), some("", "2001:db8::1", 0));
        assert_eq!(parts("ops@[2001:db8::1]:22"), some("ops", "2001:db8::1", 22));
        for bad in ["", "@bastion", "bastion:", "bastion:0", "bastion:x", "[::1]22", "a b", "-x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn argument_names_have_no_dashes_in_front() {
        assert!(argument_name("max-pods").is_ok());
        for bad in ["", "-", "--max-pods", "a b", "a=b"] {
            assert!(argument_name(bad).is_err(), "{bad}");
        }
    }
}
