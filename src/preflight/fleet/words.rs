//! Numbers for people: rounded, with the unit that fits. Decides nothing.

/// Seconds as `1.5 s`, `12 min`, `3 h` or `40 days`.
pub(super) fn duration(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    match seconds {
        s if s < 2.0 * MINUTE => format!("{s:.1} s"),
        s if s < 2.0 * HOUR => format!("{:.0} min", s / MINUTE),
        s if s < 2.0 * DAY => format!("{:.0} h", s / HOUR),
        s => format!("{:.0} days", s / DAY),
    }
}

/// Megabytes as `512 MB` or `9.5 GB`.
pub(super) fn size(megabytes: u64) -> String {
    if megabytes < 1024 {
        return format!("{megabytes} MB");
    }
    format!("{:.1} GB", megabytes as f64 / 1024.0)
}

/// `1 host`, `2 hosts`.
pub(super) fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit() {
        let durations = [0.25, 90.0, 300.0, 7200.0, 864_000.0].map(duration);
        assert_eq!(durations, ["0.2 s", "90.0 s", "5 min", "2 h", "10 days"]);
        assert_eq!([512, 9728].map(size), ["512 MB", "9.5 GB"]);
        assert_eq!([count(1, "host"), count(2, "host")], ["1 host", "2 hosts"]);
    }
}
