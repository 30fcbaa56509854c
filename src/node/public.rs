//! What of a host's files is no secret: certificates, and who and where of kubeconfigs. The host leaves the rest out, so
//! keys do not even travel.

use std::collections::BTreeMap;

use super::files::check_paths;
use super::{Node, NodeError};

/// The part of a file that is no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicPart {
    /// The lines that are none; of a file that ends in `.key` there are none, it only is there.
    pub content: Vec<u8>,
    /// When the file was last written, in seconds since 1970 by the host's clock.
    pub modified: i64,
}

impl Node {
    /// Read what is no secret of those of these files that exist.
    ///
    /// # Errors
    /// What the host said.
    pub async fn read_public(
        &self,
        paths: &[&str],
    ) -> Result<BTreeMap<String, PublicPart>, NodeError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        check_paths(paths.iter().copied())?;
        let mut arguments = vec!["public"];
        arguments.extend(paths);
        let answer = self.call(&arguments).await?;
        parse(&answer).ok_or_else(|| self.unexpected("public", "not a list of files"))
    }
}

/// `file MTIME PATH`, the file's lines with a blank in front, and `end` after the last file.
fn parse(answer: &[u8]) -> Option<BTreeMap<String, PublicPart>> {
    let text = std::str::from_utf8(answer).ok()?;
    let mut files: BTreeMap<String, PublicPart> = BTreeMap::new();
    let mut current: Option<&mut PublicPart> = None;
    let mut lines = text.lines();
    for line in lines.by_ref() {
        if let Some(content) = line.strip_prefix(' ') {
            let part = current.as_mut()?;
            part.content.extend(content.as_bytes());
            part.content.push(b'\n');
        } else if let Some(rest) = line.strip_prefix("file ") {
            let (modified, path) = rest.split_once(' ')?;
            let part = files.entry(path.to_owned()).or_default();
            *part = PublicPart { content: Vec::new(), modified: modified.parse().ok()? };
            current = Some(part);
        } else if line == "end" {
            return lines.next().is_none().then_some(files);
        } else {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_told_apart() {
        let files = parse(b"file 17 /a/b c\n x\n y\nfile 18 /k.key\nend\n").unwrap();
        assert_eq!(files["/a/b c"], PublicPart { content: b"x\ny\n".to_vec(), modified: 17 });
        assert_eq!(files["/k.key"], PublicPart { content: vec![], modified: 18 });
    }

    #[test]
    fn half_an_answer_is_none() {
        for answer in ["", "file 1 /a\n", " x\nend\n", "file a /a\nend\n", "end\nfile 1 /a\n"] {
            assert_eq!(parse(answer.as_bytes()), None, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_parsed_or_refused(answer in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&answer);
        }
    }
}
