//! PEM armour, read with bounds and without leaving copies of secrets behind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// No file of a PKI is larger; a bigger one is refused rather than parsed.
const MAX_BYTES: usize = 1 << 20;

/// One PEM block. No `Debug`: the content may be a private key.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Wraps DER in PEM, in lines of 64 characters as kubeadm's files have them.
pub(super) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Sized up front, so that growing never leaves a stale copy in freed memory.
    let mut out =
        Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = next;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// Every block of a PEM file, in order; text outside of blocks is ignored.
pub(super) fn decode(input: &[u8]) -> Result<Vec<Block>, &'static str> {
    if input.len() > MAX_BYTES {
        return Err("it is larger than 1 MiB");
    }
    let text = std::str::from_utf8(input).map_err(|_| "it is not text")?;
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = armour(line, "-----BEGIN ") else { continue };
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            let line = lines.next().ok_or("a PEM block has no end")?;
            match armour(line, "-----END ") {
                Some(end) if end == label => break,
                Some(_) => return Err("a PEM block ends under another name"),
                None => body.push_str(line.trim()),
            }
        }
        let der = STANDARD.decode(body.as_bytes()).map_err(|_| "a PEM block is not base64")?;
        blocks.push(Block { label: label.to_owned(), der: Zeroizing::new(der) });
    }
    Ok(blocks)
}

fn armour<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(start)?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(der in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = format!("# note\n{}\n{}", *encode("A B", &der), *encode("C", b"x"));
            let blocks = decode(text.as_bytes()).unwrap();
            prop_assert_eq!(blocks.len(), 2);
            prop_assert_eq!(&blocks[0].label, "A B");
            prop_assert_eq!(&*blocks[0].der, &der);
        }

        #[test]
        fn rubbish_never_panics(input in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&input);
        }
    }

    #[test]
    fn truncated_blocks_are_refused() {
        assert!(decode(b"-----BEGIN X-----\nAAAA\n").is_err());
        assert!(decode(b"-----BEGIN X-----\nAAAA\n-----END Y-----\n").is_err());
        assert!(decode(b"-----BEGIN X-----\n!!\n-----END X-----\n").is_err());
    }
}
