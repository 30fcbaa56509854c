//! The files that a path with wildcards stands for, as glob(3) has it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that `pattern` stands for below `base`, in byte order. What cannot be looked into has no files.
pub(super) fn files(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    descend(base.to_owned(), &parts, &mut found)?;
    found.sort();
    Ok(found)
}

fn descend(directory: PathBuf, parts: &[&str], found: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        // A link that leads nowhere is there, too; reading it will say so.
        if fs::symlink_metadata(&directory).is_ok() {
            found.push(directory);
        }
        return Ok(());
    };
    let Some(pattern) = Pattern::parse(part)? else {
        return descend(directory.join(unescaped(part)), rest, found);
    };
    let Ok(entries) = fs::read_dir(&directory) else { return Ok(()) };
    for entry in entries.flatten() {
        if pattern.matches(&entry.file_name()) {
            descend(entry.path(), rest, found)?;
        }
    }
    Ok(())
}

fn unescaped(part: &str) -> String {
    let mut text = String::new();
    let mut characters = part.chars();
    while let Some(c) = characters.next() {
        text.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    text
}

/// The wildcards of one part of a path.
#[derive(Debug)]
struct Pattern(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    /// `*`.
    Any,
    /// `?`.
    One,
    Character(char),
    /// `[a-z]`, or with `!` or `^` in front.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// `None` where there are no wildcards.
    fn parse(part: &str) -> io::Result<Option<Self>> {
        let mut pieces = Vec::new();
        let mut rest: &[char] = &part.chars().collect::<Vec<_>>();
        let mut wild = false;
        while let Some((&c, after)) = rest.split_first() {
            rest = after;
            pieces.push(match (c, rest) {
                ('*', _) => Piece::Any,
                ('?', _) => Piece::One,
                ('[', _) => match set(rest)? {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Piece::Character('['),
                },
                ('\\', [next, after @ ..]) => {
                    rest = after;
                    Piece::Character(*next)
                }
                (c, _) => Piece::Character(c),
            });
            wild |= !matches!(pieces.last(), Some(Piece::Character(_)));
        }
        Ok(wild.then_some(Self(pieces)))
    }

    fn matches(&self, name: &OsStr) -> bool {
        let Some(name) = name.to_str() else { return false };
        // Hidden files are meant only by a dot.
        let hidden = name.starts_with('.');
        if hidden && !matches!(self.0.first(), Some(Piece::Character('.'))) {
            return false;
        }
        matches(&self.0, &name.chars().collect::<Vec<_>>())
    }
}

/// The set behind `[`, and what follows it; `None` where it is not closed.
fn set(text: &[char]) -> io::Result<Option<(Piece, &[char])>> {
    let (negated, text) = match text {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    let mut rest = text;
    loop {
        let (first, after) = match rest {
            [']', after @ ..] if !ranges.is_empty() => {
                return Ok(Some((Piece::Set { negated, ranges }, after)));
            }
            ['[', ':' | '.' | '=', ..] => {
                let reason = "classes such as [:alpha:] are not understood; list the characters";
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
            ['\\', first, after @ ..] => (*first, after),
            [first, after @ ..] => (*first, after),
            [] => return Ok(None),
        };
        rest = match after {
            ['-', last, after @ ..] if *last != ']' => {
                ranges.push((first, *last));
                after
            }
            _ => {
                ranges.push((first, first));
                after
            }
        };
    }
}

fn matches(pieces: &[Piece], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go back to: behind the last `*`, and the text position it has been stretched to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let one = match pieces.get(p) {
            Some(Piece::Any) => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            Some(Piece::One) => true,
            Some(Piece::Character(c)) => *c == text[t],
            Some(Piece::Set { negated, ranges }) => {
                let within = |&(first, last): &(char, char)| (first..=last).contains(&text[t]);
                ranges.iter().any(within) != *negated
            }
            None => false,
        };
        match (one, star) {
            (true, _) => (p, t) = (p + 1, t + 1),
            (false, Some((after_star, stretched))) => {
                star = Some((after_star, stretched + 1));
                (p, t) = (after_star, stretched + 1);
            }
            (false, None) => return false,
        }
    }
    pieces[p..].iter().all(|piece| matches!(piece, Piece::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], pattern: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let files = files(directory.path(), pattern).unwrap();
        let name = |path: PathBuf| {
            path.strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned()
        };
        files.into_iter().map(name).collect()
    }

    #[test]
    fn wildcards() {
        let names = ["b.conf", "a.conf", ".hidden.conf", "a", "d/x.conf", "e/x.conf", "[a]"];
        assert_eq!(found(&names, "*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(found(&names, ".*.conf"), [".hidden.conf"]);
        assert_eq!(found(&names, "?"), ["a", "d", "e"]);
        assert_eq!(found(&names, "[a-b].conf"), ["a.conf", "b.conf"]);
        assert_eq!(found(&names, "[!a].conf"), ["b.conf"]);
        assert_eq!(found(&names, "[^]a].conf"), ["b.conf"]);
        assert_eq!(found(&names, "*/x.conf"), ["d/x.conf", "e/x.conf"]);
        assert_eq!(found(&names, r"\[a\]"), ["[a]"]);
        assert_eq!(found(&names, "[a"), Vec::<String>::new());
        assert_eq!(found(&names, "d//x.conf"), ["d/x.conf"]);
        assert_eq!(found(&names, "nothing*"), Vec::<String>::new());
        assert!(files(Path::new("/"), "[[:alpha:]]").is_err());
    }

    #[test]
    fn stars_stretch() {
        let matches = |pattern, name: &str| {
            Pattern::parse(pattern).unwrap().unwrap().matches(OsStr::new(name))
        };
        assert!(matches("*a*b", "xaxxab") && matches("a**", "a") && matches("*-*-*", "a-b-c"));
        assert!(!matches("*a*b", "xaxx") && !matches("a?", "a"));
    }
}
