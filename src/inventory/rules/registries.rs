//! Registries of images, and their mirrors.

use crate::inventory::error::{Fault, quoted};

/// The name of a registry as images have it: `HOST` or `HOST:PORT`, or `_default` for all the others.
pub(in crate::inventory) fn registry(text: &str) -> Result<String, Fault> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_name = |host: &str| {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        host.split('.').all(label)
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    // What has neither a dot nor a port is no registry in the name of an image, but for this one.
    let is_registry = host.contains('.') || port.is_some() || host == "localhost";
    if text == "_default" || (is_registry && is_name(host) && port.is_none_or(is_port)) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(
        format!("{} is not a registry", quoted(text)),
        "expected `host`, `host:port` or `_default`",
    );
    Err(fault.help("as names of images have it, in quotes: `[registries.\"registry.k8s.io\"]`"))
}

/// The URL of a mirror. Everybody on hosts can read it, so it has no password; `instead` says what can be done about that.
pub(in crate::inventory) fn mirror(text: &str, instead: &str) -> Result<String, Fault> {
    let expected = "expected `https://host`, with a port and a path where it has them";
    // Not what it is: it may hold a password.
    let wrong = |title: &str| Fault::new(title, expected);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| wrong("this is not the URL of a mirror"))?;
    let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        let fault = Fault::new("the URL of a mirror has a user in it", "expected none");
        return Err(fault.help(instead));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%+,=@".contains(c);
    if host.is_empty() || host.starts_with(':') || !rest.chars().all(allowed) {
        return Err(wrong("this is not the URL of a mirror"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_registries() {
        for name in [
            "registry.k8s.io",
            "docker.io",
            "localhost",
            "localhost:5000",
            "reg:443",
            "10.0.0.1:5000",
            "_default",
        ] {
            assert_eq!(registry(name).unwrap(), name);
        }
        for name in [
            "",
            "k8s",
            "https://docker.io",
            "docker.io/library",
            "a..b",
            "../etc",
            "a.b:0x1",
            "a.b:",
            "A.b",
            "-a.b",
            "a.b:99999",
        ] {
            assert!(registry(name).is_err(), "{name}");
        }
    }

    #[test]
    fn urls_of_mirrors() {
        for (url, kept) in [
            ("https://mirror.example.com", "https://mirror.example.com"),
            ("http://10.0.0.1:5000/", "http://10.0.0.1:5000"),
            ("https://[fd00::1]:5000/v2/k8s", "https://[fd00::1]:5000/v2/k8s"),
        ] {
            assert_eq!(mirror(url, "").unwrap(), kept);
        }
        for url in [
            "",
            "mirror.example.com",
            "https://",
            "https:///x",
            "https://:80",
            "ftp://a",
            "https://a b",
            "https://a\"]\nb",
            "https://a?b",
            "https://a#b",
        ] {
            assert!(mirror(url, "").is_err(), "{url}");
        }
        let fault = format!("{:?}", mirror("https://jane:hush@a.example.com", "").unwrap_err());
        assert!(fault.contains("has a user in it") && !fault.contains("hush"), "{fault}");
    }
}
