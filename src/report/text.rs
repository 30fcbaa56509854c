//! Making text from hosts fit for a terminal.

/// The text without control characters (ANSI sequences lose their escape byte and so their power), tabs
/// kept, cut at `limit` characters.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out: String = text
        .chars()
        .filter(|c| *c == '\t' || !c.is_control())
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .take(limit)
        .collect();
    if text.chars().count() > limit {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn escape_sequences_and_direction_overrides_lose_their_power() {
        assert_eq!(printable("\x1b[31mred\x07\u{202e}x\ty", 100), "[31mredx\ty");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
