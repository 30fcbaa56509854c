//! Text laid out in columns. Widths are in characters.

/// `text` in lines of at most `width`, broken at blanks; words too long for a line after a comma, else anywhere. Line
/// breaks stay.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    // Something has to fit, however narrow the terminal.
    let width = width.max(16);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            for (place, piece) in pieces(word, width).into_iter().enumerate() {
                let length = piece.chars().count();
                let blank = usize::from(place == 0 && used > 0);
                if used + blank + length > width && used > 0 {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                } else if blank > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(piece);
                used += length;
            }
        }
        lines.push(line);
    }
    lines
}

/// A word in pieces that fit: whole, or broken after commas and where there is none, anywhere.
fn pieces(word: &str, width: usize) -> Vec<&str> {
    if word.chars().count() <= width {
        return vec![word];
    }
    let mut pieces = Vec::new();
    for part in word.split_inclusive(',') {
        let mut rest = part;
        while let Some((cut, _)) = rest.char_indices().nth(width) {
            let (piece, tail) = rest.split_at(cut);
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
    }
    pieces
}

/// `text` in at most `width`, with a mark where its middle was: names of one kind differ at their ends.
pub fn middle_cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let head = width.saturating_sub(1) / 2;
    let tail = width.saturating_sub(1) - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_then_at_commas_then_anywhere() {
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
        assert_eq!(wrap("on a-1,b-22,c-333,d-4444 now", 16), ["on a-1,b-22,", "c-333,d-4444 now"]);
        assert_eq!(wrap("abcdefghijklmnopqrst", 16), ["abcdefghijklmnop", "qrst"]);
        assert_eq!(wrap("a\n\nb", 80), ["a", "", "b"]);
    }

    #[test]
    fn the_middle_of_long_names_is_cut() {
        assert_eq!(middle_cut("bridge-nf-call-ip6tables", 13), "bridge…tables");
        assert_eq!(middle_cut("swap", 13), "swap");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_sticks_out(text in "[a-zä, ]{0,120}", width in 16usize..40) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
