//! Splitting a stream of bytes into lines of bounded length.

/// Longest line passed on in one piece; longer ones come in several.
const MAX_LINE: usize = 64 * 1024;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Add `data`, and hand every line that is now complete to `on_line`, without its newline.
    pub(super) fn push(&mut self, mut data: &[u8], mut on_line: impl FnMut(&str)) {
        while !data.is_empty() {
            let room = (MAX_LINE - self.pending.len()).min(data.len());
            let end = data[..room].iter().position(|&byte| byte == b'\n');
            let (line, rest) = data.split_at(end.unwrap_or(room));
            self.pending.extend_from_slice(line);
            if end.is_some() {
                data = &rest[1..];
                self.flush_with(&mut on_line);
            } else {
                data = rest;
                if self.pending.len() == MAX_LINE {
                    self.flush_with(&mut on_line);
                }
            }
        }
    }

    /// Hand over what is left without a newline, if anything.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            self.flush_with(&mut on_line);
        }
    }

    fn flush_with(&mut self, on_line: &mut impl FnMut(&str)) {
        let line = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        on_line(&String::from_utf8_lossy(line));
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_across_chunks() {
        assert_eq!(split(&[b"a\nb", b"c\r\n", b"\n", b"end"]), ["a", "bc", "", "end"]);
        assert_eq!(split(&[b""]), [""; 0]);
        assert_eq!(split(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let line = vec![b'x'; MAX_LINE * 2 + 1];
        let lengths: Vec<usize> = split(&[&line]).iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, 1]);
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(text in "[ab\n]{0,40}", at in 0usize..40) {
            let at = at.min(text.len());
            let (left, right) = text.as_bytes().split_at(at);
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(split(&[left, right]), expected);
        }
    }
}
