//! The few DER encodings that certificate extensions and key files need. Not a general ASN.1 library.

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// Tag of a context-specific, primitive element.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// One tag-length-value element whose content is the concatenation of `parts`.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let used = &bytes[(length.leading_zeros() / 8) as usize..];
            // At most 8 length bytes on any platform, so the cast cannot truncate.
            out.push(0x80 | used.len() as u8);
            out.extend_from_slice(used);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Splits one element off `input`: its tag, its content, and what follows it.
pub(super) fn split(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (bytes, rest) = rest.split_at(count);
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 1u8.., content in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let mut encoded = element(tag, &[&content]);
            encoded.push(7);
            prop_assert_eq!(split(&encoded), Some((tag, &content[..], &[7u8][..])));
        }

        #[test]
        fn rubbish_never_panics(input in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = split(&input);
        }
    }
}
