//! What a server says before it lets anybody in: shown with `-v`, whole lines of it, and not without end.

use std::sync::{Arc, Mutex, PoisonError};

use crate::report::{Event, Reporter, printable_line};

/// How much is kept, in bytes.
const LIMIT: usize = 4096;

/// How much of one line is shown, in characters.
const LINE_LIMIT: usize = 200;

/// The text heard so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::ssh) struct Banner(Arc<Mutex<String>>);

impl Banner {
    /// Keep `text`, as far as there is room.
    pub(in crate::ssh) fn hear(&self, text: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for c in text.chars().chain(['\n']) {
            if heard.len() + c.len_utf8() > LIMIT {
                return;
            }
            heard.push(c);
        }
    }

    /// Report it line by line, without empty ones.
    pub(in crate::ssh) fn report(&self, host: &str, reporter: &Reporter) {
        for text in self.lines() {
            reporter.emit(Event::Note { host: host.to_owned(), text });
        }
    }

    fn lines(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = heard.lines().map(|line| printable_line(line.trim_end(), LINE_LIMIT));
        lines.filter(|line| !line.is_empty()).map(|line| format!("banner: {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners_are_short_and_harmless() {
        let banner = Banner::default();
        banner.hear("\x1b[2JAuthorised use only.\r\n\r\n  Go away.");
        banner.hear("More.");
        insta::assert_snapshot!(banner.lines().join("\n"), @r"
        banner: Authorised use only.
        banner:   Go away.
        banner: More.
        ");
        banner.hear(&"ä\n".repeat(10_000));
        banner.hear("The last word.");
        assert!(banner.lines().len() < LIMIT);
        assert!(!banner.lines().contains(&"banner: The last word.".to_owned()));
    }
}
