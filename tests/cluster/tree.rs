//! Files of a host with owner and mode, taken as a tar archive.

use std::collections::BTreeMap;
use std::io::Read;

/// A file or a directory.
pub struct Entry {
    /// `d` or `f`, mode in octal, owner: `f 600 0:0`.
    pub kind: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Entries by path, without a slash at the beginning or the end.
pub type Tree = BTreeMap<String, Entry>;

/// Read an archive.
pub fn of(archive: &[u8]) -> Tree {
    let mut tree = Tree::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().trim_matches('/').to_owned();
        let header = entry.header();
        let letter = if header.entry_type().is_dir() { 'd' } else { 'f' };
        let mode = header.mode().unwrap() & 0o7777;
        let kind = format!("{letter} {mode:o} {}:{}", header.uid().unwrap(), header.gid().unwrap());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        tree.insert(path, Entry { kind, content });
    }
    tree
}

/// A file as text.
pub fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    let entry = tree.get(path).unwrap_or_else(|| panic!("no {path} among {:?}", tree.keys()));
    std::str::from_utf8(&entry.content).unwrap()
}
