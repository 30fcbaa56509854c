//! The name that is connected to in its canonical form: addresses in one spelling, names in lower case and, with
//! `CanonicalizeHostname`, in full.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::ConfigError;
use super::evaluate::Evaluation;
use super::habits::Habit;
use super::parse::{Canonicalize, is_none};

/// Give `evaluation.host` its canonical form.
pub(super) fn canonicalize(evaluation: &mut Evaluation<'_>) -> Result<(), ConfigError> {
    let host = &evaluation.host;
    if let Some(address) = address(host) {
        evaluation.host = address;
        return Ok(());
    }
    if looks_like_address(host) {
        return Ok(());
    }
    evaluation.host = host.to_ascii_lowercase();
    if let Some(full) = full_name(evaluation)? {
        evaluation.host = full;
    }
    Ok(())
}

/// The name with a domain of `CanonicalDomains` behind it, where that has an address.
fn full_name(evaluation: &Evaluation<'_>) -> Result<Option<String>, ConfigError> {
    let Evaluation { host, answers, world, .. } = evaluation;
    let wanted = match evaluation.canonicalize() {
        Canonicalize::No => false,
        Canonicalize::Yes => is_direct(evaluation),
        Canonicalize::Always => true,
    };
    if !wanted {
        return Ok(None);
    }
    if let Some(rules) = &answers.permitted_cnames
        && !rules.value.iter().all(|rule| is_none(rule))
    {
        let reason = "`CanonicalizePermittedCNAMEs` is not supported; set it to `none`, or use another \
                      configuration with --ssh-config";
        return Err(ConfigError::at(&rules.line, reason));
    }
    let said = |said: &Option<super::answers::Said<u32>>| said.as_ref().map(|said| said.value);
    let most_dots = said(&answers.canonicalize_max_dots).unwrap_or(1);
    if let Some(name) = host.strip_suffix('.') {
        if world.has_address(host) {
            return Ok(Some(name.to_owned()));
        }
    } else if host.matches('.').count() > most_dots as usize {
        return Ok(None);
    } else {
        let domains = answers.canonical_domains.iter().flat_map(|said| &said.value);
        let names = domains.take_while(|domain| !is_none(domain)).map(|d| format!("{host}.{d}"));
        for name in names {
            if world.has_address(&format!("{name}.")) {
                return Ok(Some(name));
            }
        }
    }
    match &answers.canonicalize_fallback {
        Some(fallback) if !fallback.value => Err(ConfigError::at(
            &fallback.line,
            format!(
                "{host} has no address in any of `CanonicalDomains`, and \
                 `CanonicalizeFallbackLocal` wants one; correct the name or the domains"
            ),
        )),
        _ => Ok(None),
    }
}

/// Whether the workstation connects to the host itself, as far as it is known.
fn is_direct(evaluation: &Evaluation<'_>) -> bool {
    let Evaluation { query, answers, world, .. } = evaluation;
    let jump = match query.jump_host {
        Some(host) => Some(!host.is_empty()),
        None => answers.proxy_jump.as_ref().map(|said| !said.value.is_empty()),
    };
    let command = answers.proxy_command.as_ref().filter(|said| !is_none(&said.value));
    match jump {
        Some(true) => false,
        Some(false) if !world.client_does(Habit::NoJumpIsDirect) => false,
        Some(false) | None => query.jump_host.is_some() || command.is_none(),
    }
}

/// Whether a name can only be an address.
fn looks_like_address(name: &str) -> bool {
    name.contains(['%', ':']) || name.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The usual spelling of an address; `None` for a name.
fn address(name: &str) -> Option<String> {
    let (plain, zone) = name.split_once('%').map_or((name, None), |(plain, z)| (plain, Some(z)));
    match (plain.parse::<Ipv6Addr>(), zone) {
        (Ok(address), Some(zone)) => Some(format!("{address}%{zone}")),
        (Ok(address), None) => Some(address.to_string()),
        (Err(_), Some(_)) => None,
        (Err(_), None) => ipv4(name).map(|address| address.to_string()),
    }
}

/// What inet_aton(3) makes of up to four numbers, any of them decimal, octal or hexadecimal; the last one fills the rest.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if !part.starts_with(|c: char| c.is_ascii_digit()) => None,
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    };
    let numbers: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let free = 32_u32.checked_sub(8 * u32::try_from(first.len()).ok()?)?;
    let fits = free > 0 && u64::from(*last) < 1 << free && first.iter().all(|part| *part < 256);
    if !fits {
        return None;
    }
    let high = first.iter().enumerate().map(|(index, part)| part << (24 - 8 * index)).sum::<u32>();
    Some(Ipv4Addr::from(high | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for (written, canonical) in [
            ("10.0.0.1", "10.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("FD00:0::1", "fd00::1"),
            ("FE80::1%eth0", "fe80::1%eth0"),
        ] {
            assert_eq!(address(written).as_deref(), Some(canonical), "{written}");
        }
        for name in ["node", "10.0.0", "256.0.0.1", "1.2.3.4.5", "1.2.3.256", "", ".", "+1"] {
            let expected = if name == "10.0.0" { Some("10.0.0.0".to_owned()) } else { None };
            assert_eq!(address(name), expected, "{name}");
        }
        assert!(looks_like_address("256.0.0.1") && looks_like_address("fd00::x"));
        assert!(!looks_like_address("node1"));
    }
}
