//! Certificates as text, without what must differ from one cluster to the next.

use std::collections::BTreeMap;

use super::lab::{CONTROL_PLANE, Lab};

/// What differs between two clusters' certificates on purpose: how its line is recognised, why.
const MASKED: &[(&str, &str)] = &[
    ("serial", "random"),
    ("modulus", "every cluster has its own keys; their kind and size are compared"),
    ("signature", "follows from the key"),
    ("key identifier", "follows from the key"),
    (
        "validity",
        "compared as a length, in minutes: kubeadm reads the clock anew for every certificate",
    ),
];

/// OpenSSL's description of each certificate, masked. PEM texts by name; OpenSSL is the lab host's.
pub fn described(lab: &Lab, certificates: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    // What OpenSSL could not read would describe itself as nothing, so its failure ends the script.
    let script = "set -eu; d=$(mktemp -d); cd \"$d\"; awk '/BEGIN CERT/ { n++ } { print > n }'; \
        for f in $(ls | sort -n); do openssl x509 -in \"$f\" -noout -text; \
        echo ====; done; rm -r \"$d\"";
    let pem: String = certificates.values().map(|pem| format!("{}\n", pem.trim())).collect();
    let output = lab.bytes(CONTROL_PLANE, &["sh", "-c", script], pem.as_bytes());
    let text = String::from_utf8(output).unwrap();
    let texts: Vec<_> = text.split_terminator("====\n").map(masked).collect();
    assert_eq!(texts.len(), certificates.len(), "one certificate each:\n{text}");
    certificates.keys().cloned().zip(texts).collect()
}

fn masked(text: &str) -> String {
    let mut lines = Vec::new();
    let mut not_before = None;
    let mut previous = String::new();
    for line in text.lines() {
        let bare = line.trim();
        let hex = |text: &str| {
            text.contains(':') && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
        };
        let shown = if let Some(date) = bare.strip_prefix("Not Before: ") {
            not_before = Some(seconds(date));
            "<validity>".to_owned()
        } else if let Some(date) = bare.strip_prefix("Not After : ") {
            format!("valid for {} min", (seconds(date) - not_before.unwrap() + 30) / 60)
        } else if bare.starts_with("Serial Number:") || previous.starts_with("Serial Number:") {
            "<serial>".to_owned()
        } else if previous.starts_with("X509v3 Subject Key Identifier")
            || previous.starts_with("X509v3 Authority Key Identifier")
        {
            assert!(hex(bare.trim_start_matches("keyid:")), "{bare}");
            "<key identifier>".to_owned()
        } else if hex(bare.trim_end_matches(':')) {
            "<modulus or signature>".to_owned()
        } else {
            line.to_owned()
        };
        if lines.last() != Some(&shown) {
            lines.push(shown);
        }
        previous = bare.to_owned();
    }
    assert!(lines.iter().any(|line| line.contains("valid for")), "{text}");
    assert!(lines.iter().any(|line| line.contains("Public-Key:")), "{text}");
    // Every mask says why.
    for line in lines.iter().filter(|line| line.starts_with('<')) {
        assert!(MASKED.iter().any(|(name, _)| line.contains(name)), "{line}");
    }
    lines.join("\n")
}

/// Seconds of OpenSSL's `Nov  3 10:00:00 2026 GMT`.
fn seconds(date: &str) -> i64 {
    let format = time::macros::format_description!(
        "[month repr:short] [day padding:space] [hour]:[minute]:[second] [year] GMT"
    );
    let parsed = time::PrimitiveDateTime::parse(date.trim(), format);
    parsed.unwrap_or_else(|error| panic!("{date}: {error}")).assume_utc().unix_timestamp()
}

#[test]
fn what_differs_on_purpose_is_masked_and_nothing_else() {
    let text = |serial: &str, year: u16, usage: &str| {
        format!(
            "        Serial Number: {serial} (0x1)\n            Not Before: Nov  3 10:00:00 {year} GMT\n            \
             Not After : Nov  3 10:00:00 {} GMT\n                Public-Key: (2048 bit)\n    ab:cd:\n    ef\n    {usage}",
            year + 1
        )
    };
    assert_eq!(masked(&text("1", 2026, "CA:TRUE")), masked(&text("2", 2029, "CA:TRUE")));
    assert_ne!(masked(&text("1", 2026, "CA:TRUE")), masked(&text("1", 2026, "CA:FALSE")));
    // A leap year is a day longer.
    assert_ne!(masked(&text("1", 2026, "CA:TRUE")), masked(&text("1", 2027, "CA:TRUE")));
}
