//! Durations as kubeadm's flags take them: Go's, and days besides.

use std::time::Duration;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// `1h30m`, `24h0m0s`, `365d`: whole numbers, each with a unit; `0` alone needs none.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected numbers with units, as 30m, 1h30m or 365d";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = None;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
        let number: u64 = rest[..end].parse().map_err(|_| EXPECTED)?;
        let unit = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit));
        let (unit, milliseconds) = unit.ok_or(EXPECTED)?;
        let part = number.checked_mul(*milliseconds);
        total = Some(part.and_then(|part| part.checked_add(total.unwrap_or(0))).ok_or(EXPECTED)?);
        rest = &rest[end + unit.len()..];
    }
    total.map(Duration::from_millis).ok_or(EXPECTED)
}

/// The same for people, in at most two units: `1h 30m`.
pub(super) fn words(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        // An hour more or less of a year is nobody's concern, and a day is better known as 24 hours.
        if left >= seconds && !(unit == "d" && left < 2 * seconds) && parts.len() < 2 {
            parts.push(format!("{}{unit}", left / seconds));
            left %= seconds;
        }
    }
    if parts.is_empty() { format!("{}ms", duration.as_millis()) } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_and_days() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("24h0m0s", 86_400_000),
            ("1h30m", 5_400_000),
            ("365d", 31_536_000_000),
            ("2m5s7ms", 125_007),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "1", "h", "-1h", "1.5h", "1x", "1h30", "99999999999999999999h", "1 h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_for_people() {
        let text = |text: &str| words(parse(text).unwrap());
        assert_eq!(text("24h"), "24h");
        assert_eq!(text("8760h"), "365d");
        assert_eq!(text("90m"), "1h 30m");
        assert_eq!(text("50h1m"), "2d 2h");
        assert_eq!(text("7ms"), "7ms");
    }
}
