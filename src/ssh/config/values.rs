//! Values of keywords: flags, numbers, times, ports, jump hosts.

/// `yes` and `no`, and what stands for them.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// A number that fits into 31 bits.
pub(super) fn number(text: &str) -> Option<u32> {
    let number: u32 = text.trim_start().parse().ok()?;
    (number <= i32::MAX as u32).then_some(number)
}

/// A TCP port. OpenSSH takes names of services as well; there is only one it makes sense for.
pub(super) fn port(text: &str) -> Option<u16> {
    match text {
        "ssh" => Some(22),
        _ => text.trim_start().parse().ok().filter(|port| *port > 0),
    }
}

/// Seconds: numbers with `s`, `m`, `h`, `d` or `w`, added up.
pub(super) fn time(text: &str, fractions: bool) -> Option<u32> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: u64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        if let Some(fraction) = rest.strip_prefix('.').filter(|_| fractions) {
            let digits = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if digits.len() == fraction.len() || !matches!(digits, "" | "s" | "S") {
                return None;
            }
            rest = digits;
        }
        let unit = match rest.chars().next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        rest = rest.get(1..).unwrap_or("");
        total = total.checked_add(count.checked_mul(unit)?)?;
    }
    let total = u32::try_from(total).ok().filter(|total| *total <= i32::MAX as u32)?;
    (!text.is_empty()).then_some(total)
}

/// One host of `ProxyJump`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) struct JumpHost {
    /// The login user, where it is said.
    pub(in crate::ssh) user: Option<String>,
    /// The name to connect to, which has a configuration of its own.
    pub(in crate::ssh) host: String,
    /// The port, where it is said.
    pub(in crate::ssh) port: Option<u16>,
}

/// What follows `ProxyJump`, to the end of the line: hosts, the nearest to the workstation first; empty for `none`.
pub(super) fn proxy_jump(text: &str) -> Option<Vec<JumpHost>> {
    if text.eq_ignore_ascii_case("none") {
        return Some(Vec::new());
    }
    let text = text.split('#').next().unwrap_or("").trim_end();
    text.split(',').map(jump_host).collect()
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`.
fn jump_host(text: &str) -> Option<JumpHost> {
    let uri = text.strip_prefix("ssh://");
    let (user, place) = match uri {
        Some(uri) => uri.split_once('@').map_or((None, uri), |(user, place)| (Some(user), place)),
        None => text.rsplit_once('@').map_or((None, text), |(user, place)| (Some(user), place)),
    };
    let user = match (user, uri) {
        (None, _) => None,
        (Some(user), None) => Some(user.to_owned()),
        // Parameters of the connection are ignored.
        (Some(user), Some(_)) => Some(url_decoded(user.split(';').next().unwrap_or(user))?),
    };
    let place = match uri {
        Some(_) => place.strip_suffix('/').unwrap_or(place),
        None => place,
    };
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => (host, rest.strip_prefix(':')?),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if user.as_ref().is_some_and(String::is_empty) || host.is_empty() || host.contains(odd) {
        return None;
    }
    let port = if port.is_empty() { None } else { Some(self::port(port)?) };
    Some(JumpHost { user, host: host.to_owned(), port })
}

fn url_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok().filter(|byte| *byte != 0)?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("0", false), Some(0));
        assert_eq!(time("90", false), Some(90));
        assert_eq!(time("1h30M", false), Some(5400));
        assert_eq!(time("1w2d3", false), Some(777_603));
        assert_eq!(time("2147483647", false), Some(2_147_483_647));
        for bad in ["", "s", "-1", "1x", "1 s", "2147483648", "99999999999999999999", "1.5"] {
            assert_eq!(time(bad, false), None, "{bad}");
        }
        assert_eq!(time("1.5", true), Some(1));
        assert_eq!(time("1m2.9s", true), Some(62));
        for bad in ["1.", ".", "1.5m", "1..5", "1.5x"] {
            assert_eq!(time(bad, true), None, "{bad}");
        }
    }

    #[test]
    fn numbers_and_flags() {
        assert_eq!((number("0"), number("2147483647")), (Some(0), Some(2_147_483_647)));
        for bad in ["", "-1", "2147483648", "1x"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!((port("ssh"), port("65535")), (Some(22), Some(65535)));
        for bad in ["", "0", "65536", "http"] {
            assert_eq!(port(bad), None, "{bad}");
        }
        assert_eq!((flag("YES"), flag("false"), flag("maybe")), (Some(true), Some(false), None));
    }

    #[test]
    fn jump_hosts() {
        let parts = |text: &str| {
            let hosts = proxy_jump(text)?;
            let part = |hop: JumpHost| {
                (hop.user.unwrap_or_default(), hop.host, hop.port.unwrap_or_default())
            };
            Some(hosts.into_iter().map(part).collect::<Vec<_>>())
        };
        let one =
            |user: &str, host: &str, port| Some(vec![(user.to_owned(), host.to_owned(), port)]);
        assert_eq!(parts("none"), Some(Vec::new()));
        assert_eq!(parts("bastion"), one("", "bastion", 0));
        assert_eq!(parts("bastion # the old one"), one("", "bastion", 0));
        assert_eq!(parts("a@b@bastion:2222"), one("a@b", "bastion", 2222));
        assert_eq!(parts("[2001:db8::1]:22"), one("", "2001:db8::1", 22));
        assert_eq!(parts("[bastion]"), one("", "bastion", 0));
        assert_eq!(parts("bastion:"), one("", "bastion", 0));
        assert_eq!(parts("ssh://o%70s;x=y@bastion:2222/"), one("ops", "bastion", 2222));
        assert_eq!(parts("a,b:2").map(|hosts| hosts.len()), Some(2));
        for bad in ["", "@a", "a,", ",a", "a:0", "a:x", "2001:db8::1", "a/b", "ssh://a/b", "[a]b"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
