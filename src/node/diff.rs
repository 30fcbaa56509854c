//! How a file on a host differs from the one that is wanted, for people to read.

use similar::TextDiff;

use super::change::{FileAction, FileChange};
use super::files::RemoteFile;

/// Longer differences than this help nobody.
const MAX_LINES: usize = 400;
const MAX_CONTENT: usize = 512 << 10;

pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    pub(super) content: &'a [u8],
    pub(super) mode: u32,
    pub(super) secret: bool,
}

/// What would happen to a file. `foreign`: the one that is there is not root's.
pub(super) fn compare(
    wanted: &Wanted<'_>,
    present: Option<&RemoteFile>,
    foreign: bool,
) -> FileChange {
    let mut details = Vec::new();
    if let Some(present) = present {
        if present.mode != wanted.mode {
            details.push(format!("mode {:04o} to {:04o}", present.mode, wanted.mode));
        }
        if foreign {
            details.push("owner to root".to_owned());
        }
    }
    let old = present.map_or(&[][..], |file| &file.content);
    if present.is_none() || old != wanted.content {
        details.push(content_difference(wanted, old, present.is_none()));
    }
    let action = match present {
        None => FileAction::Created,
        Some(_) if details.is_empty() => FileAction::Unchanged,
        Some(_) => FileAction::Changed,
    };
    let detail = (!details.is_empty()).then(|| details.join("\n"));
    FileChange { path: wanted.path.to_owned(), action, detail }
}

pub(super) fn content_difference(wanted: &Wanted<'_>, old: &[u8], is_new: bool) -> String {
    let (kind, new) = (if is_new { "is new" } else { "differs" }, wanted.content);
    if wanted.secret {
        return format!("secret content {kind}");
    }
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return format!("binary content {kind}");
    };
    if old.len().max(new.len()) > MAX_CONTENT {
        return format!("content {kind}: {} to {} bytes", old.len(), new.len());
    }
    let from = if is_new { "/dev/null" } else { wanted.path };
    let difference = TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(from, wanted.path)
        .to_string();
    let mut shown: Vec<String> = difference
        .lines()
        .take(MAX_LINES)
        .map(|line| line.chars().filter(|c| *c == '\t' || !c.is_control()).collect())
        .collect();
    let left_out = difference.lines().skip(MAX_LINES).count();
    if left_out > 0 {
        shown.push(format!("... and {left_out} more lines"));
    }
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn change(old: Option<&[u8]>, new: &[u8], secret: bool) -> FileChange {
        let present =
            old.map(|old| RemoteFile { content: Zeroizing::new(old.to_vec()), mode: 0o644 });
        let wanted = Wanted { path: "/etc/x", content: new, mode: 0o600, secret };
        compare(&wanted, present.as_ref(), false)
    }

    #[test]
    fn shows_text_and_hides_secrets() {
        let text = change(Some(b"a\nb\x1b[2J\n"), b"a\nc\n", false);
        insta::assert_snapshot!(text.detail.unwrap_or_default(), @r"
        mode 0644 to 0600
        --- /etc/x
        +++ /etc/x
        @@ -1,2 +1,2 @@
         a
        -b[2J
        +c
        ");
        let secret = change(Some(b"old key"), b"new key", true);
        insta::assert_snapshot!(secret.detail.unwrap_or_default(), @r"
        mode 0644 to 0600
        secret content differs
        ");
        let created = change(None, b"", true);
        assert_eq!(created.action, FileAction::Created);
        assert_eq!(created.detail.as_deref(), Some("secret content is new"));
    }
}
