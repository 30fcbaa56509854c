//! Time left, in the short form that kubeadm and kubectl show.

use time::Duration;

/// `9y`, `364d`, `23h`, `59m`, `59s`: the largest unit that fits, and nothing of the others. What is over is `<invalid>`,
/// but for two seconds by which clocks may differ.
pub fn residual(left: Duration) -> String {
    let seconds = left.whole_seconds();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 60 => format!("{seconds}s"),
        () if minutes < 60 => format!("{minutes}m"),
        () if hours < 24 => format!("{hours}h"),
        () if hours < 24 * 365 => format!("{}d", hours / 24),
        () => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_fits_is_shown() {
        let cases = [
            (Duration::seconds(-2), "<invalid>"),
            (Duration::seconds(-1), "0s"),
            (Duration::seconds(59), "59s"),
            (Duration::seconds(60), "1m"),
            (Duration::minutes(59), "59m"),
            (Duration::minutes(60), "1h"),
            (Duration::hours(24) - Duration::SECOND, "23h"),
            (Duration::hours(8760) - Duration::SECOND, "364d"),
            (Duration::hours(8760), "1y"),
            (Duration::hours(87_600) - Duration::SECOND, "9y"),
        ];
        for (left, shown) in cases {
            assert_eq!(residual(left), shown, "{left}");
        }
    }
}
