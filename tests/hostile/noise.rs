//! Bytes nobody would write: from nowhere, or a good document that was damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What has a meaning to some parser, a terminal, a shell or a file system.
const TOKENS: [&[u8]; 44] = [
    b"\0",
    b"\x1b[2J",
    b"\x1b]0;owned\x07",
    b"\x9b31m",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{85}".as_bytes(),
    b"99999999999999999999999999999999",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"-1",
    b"0",
    b"1e999",
    b"-.inf",
    b"NaN",
    b"0x1F",
    b"[[[[[[[[",
    b"{{{{{{{{",
    b"]",
    b"}",
    b"&a [*a, *a]",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"? ",
    b"- ",
    b"|\n",
    b"\r\n",
    b"\n",
    b"\n\n",
    b"\t",
    b" ",
    b"'",
    b"\"",
    b"\"\"\"",
    b"\\",
    b"\n---\n",
    b"../../../etc/passwd",
    b"end\n",
    b"$(id)",
];

#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Insert(Index, &'static [u8]),
    Set(Index, u8),
    Move(Index, Index, Index),
}

impl Damage {
    fn to(&self, bytes: &mut Vec<u8>) {
        let ends = bytes.len() + 1;
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(ends), to.index(ends));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Cut(at) => bytes.truncate(at.index(ends)),
            Self::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Self::Repeat(from, to, times) => {
                let range = range(from, to);
                let part = bytes[range.clone()].repeat(*times);
                bytes.splice(range.end..range.end, part);
            }
            Self::Insert(at, token) => {
                let at = at.index(ends);
                bytes.splice(at..at, token.iter().copied());
            }
            Self::Set(at, byte) => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            Self::Move(from, to, at) => {
                let part: Vec<u8> = bytes.drain(range(from, to)).collect();
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, part);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        1 => index().prop_map(Damage::Cut),
        2 => (index(), index()).prop_map(|(from, to)| Damage::Remove(from, to)),
        2 => (index(), index(), 1..4usize).prop_map(|(from, to, n)| Damage::Repeat(from, to, n)),
        4 => (index(), select(&TOKENS[..])).prop_map(|(at, token)| Damage::Insert(at, token)),
        3 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (index(), index(), index()).prop_map(|(from, to, at)| Damage::Move(from, to, at)),
    ]
}

/// One of these samples, damaged a few times; one time in ten bytes from nowhere.
pub fn near(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (select(samples), vec(damage(), 1..5)).prop_map(|(mut bytes, damages)| {
        for damage in damages {
            damage.to(&mut bytes);
        }
        bytes
    });
    let token = prop_oneof![
        select(&TOKENS[..]).prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..6),
        "[a-z .:=-]{0,6}".prop_map(String::into_bytes),
    ];
    let rubbish = vec(token, 0..40).prop_map(|tokens| tokens.concat());
    prop_oneof![9 => damaged, 1 => rubbish]
}

/// The same as text.
pub fn near_text(samples: Vec<Vec<u8>>) -> impl Strategy<Value = String> {
    near(samples).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Fails unless an error can be shown on a terminal: not endless, and without control characters but `allowed` ones.
pub fn expect_harmless(error: &str, allowed: &[char]) {
    let bad = |c: &char| c.is_control() && !allowed.contains(c);
    assert!(!error.chars().any(|c| bad(&c)), "control characters: {error:?}");
    assert!(error.len() < 64 << 10, "{} bytes of error", error.len());
}
