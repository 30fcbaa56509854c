//! The same output of many hosts, told once.
//!
//! What is kept of a host is bounded, and what is kept of all; what goes beyond still counts when outputs are compared.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::inventory::{Host, fold_hosts};
use crate::report::Event;
use crate::ssh::{Exit, Stream};

/// How much of a host's output is kept, in bytes.
const KEPT: usize = 1 << 20;

/// How much is kept of all hosts' outputs together, in bytes.
const KEPT_OF_ALL: usize = 256 << 20;

/// What one command prints, as it arrives.
#[derive(Default)]
struct Capture {
    stdout: Output,
    stderr: Output,
    kept: usize,
    left_out: u64,
}

struct Output {
    text: String,
    digest: Context,
}

impl Default for Output {
    fn default() -> Self {
        Self { text: String::new(), digest: Context::new(&SHA256) }
    }
}

impl Capture {
    /// Take one more line. `room` is what may still be kept of all hosts.
    fn push(&mut self, stream: Stream, line: &str, room: &Room) {
        let output = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        output.digest.update(line.as_bytes());
        output.digest.update(b"\n");
        let size = line.len() + 1;
        // A line after one that did not fit would hide the gap.
        if self.left_out == 0 && self.kept + size <= KEPT && room.take(size) {
            self.kept += size;
            output.text.push_str(line);
            output.text.push('\n');
        } else {
            self.left_out += size as u64;
        }
    }

    fn is_empty(&self) -> bool {
        self.kept == 0 && self.left_out == 0
    }
}

/// What may still be kept, in bytes.
struct Room(AtomicUsize);

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// How a command ended, and what it printed.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    ended: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

struct Group {
    exit_code: Option<i32>,
    stdout: String,
    stderr: String,
    left_out: u64,
    /// Indices.
    hosts: Vec<usize>,
}

/// Groups hosts whose commands printed the same and ended alike.
pub struct Merge {
    groups: Mutex<HashMap<Key, Group>>,
    room: Room,
}

impl Default for Merge {
    fn default() -> Self {
        Self { groups: Mutex::default(), room: Room(AtomicUsize::new(KEPT_OF_ALL)) }
    }
}

/// One host's part in a [`Merge`]. It counts when it is dropped: also that of a command that was given up has
/// printed what it has.
pub struct Part<'a> {
    merge: &'a Merge,
    host: usize,
    capture: Capture,
    exit: Option<Exit>,
}

impl<'a> Part<'a> {
    /// The part of the host with this index.
    pub fn new(merge: &'a Merge, host: usize) -> Self {
        Self { merge, host, capture: Capture::default(), exit: None }
    }

    /// Take one more line.
    pub fn push(&mut self, stream: Stream, line: &str) {
        self.capture.push(stream, line, &self.merge.room);
    }

    /// The command ended by itself.
    pub fn ended(&mut self, exit: Exit) {
        self.exit = Some(exit);
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let capture = std::mem::take(&mut self.capture);
        // A host without a word and without an end was never reached.
        if self.exit.is_some() || !capture.is_empty() {
            self.merge.add(self.host, capture, self.exit.as_ref());
        }
    }
}

impl Merge {
    fn add(&self, host: usize, capture: Capture, exit: Option<&Exit>) {
        let Capture { stdout, stderr, kept, left_out } = capture;
        let ended = exit.map_or_else(|| "not finished".to_owned(), Exit::to_string);
        let digest = |output: Context| output.finish().as_ref().to_vec();
        let key = Key { ended, stdout: digest(stdout.digest), stderr: digest(stderr.digest) };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get_mut(&key) {
            group.hosts.push(host);
            self.room.give_back(kept);
            return;
        }
        let group = Group {
            exit_code: match exit {
                Some(Exit::Code(code)) => Some(*code),
                Some(Exit::Signal(_)) | None => None,
            },
            stdout: stdout.text,
            stderr: stderr.text,
            left_out,
            hosts: vec![host],
        };
        groups.insert(key, group);
    }

    /// A block for each group, the largest first, so that what is out of the ordinary comes last; groups of the same
    /// size in the order of `hosts`.
    pub fn take_events(&self, hosts: &[Arc<Host>]) -> Vec<Event> {
        let groups = || self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups: Vec<(Key, Group)> = std::mem::take(&mut *groups()).into_iter().collect();
        for (_, group) in &mut groups {
            group.hosts.sort_unstable();
        }
        groups.sort_by_key(|(_, group)| {
            (usize::MAX - group.hosts.len(), group.hosts.first().copied())
        });
        let event = |(key, group): (Key, Group)| {
            let names = || group.hosts.iter().map(|index| hosts[*index].name.as_str());
            Event::Merged {
                hosts: names().map(str::to_owned).collect(),
                folded: fold_hosts(&names().collect::<Vec<_>>()),
                exit_code: group.exit_code,
                ended: key.ended,
                stdout: group.stdout,
                stderr: group.stderr,
                left_out: group.left_out,
            }
        };
        groups.into_iter().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::run::tests::hosts;

    fn capture(lines: &[(Stream, &str)]) -> Capture {
        let mut capture = Capture::default();
        for (stream, line) in lines {
            capture.push(*stream, line, &Merge::default().room);
        }
        capture
    }

    fn shown(merge: Merge, count: usize) -> Vec<String> {
        let show = |event| match event {
            Event::Merged { folded, hosts, ended, stdout, stderr, left_out, .. } => {
                format!("{folded} {} {ended} {stdout:?} {stderr:?} {left_out}", hosts.len())
            }
            other => panic!("{other:?}"),
        };
        merge.take_events(&hosts(count)).into_iter().map(show).collect()
    }

    #[test]
    fn the_largest_group_comes_first() {
        let merge = Merge::default();
        let out = |line| capture(&[(Stream::Stdout, line)]);
        merge.add(5, out("b"), Some(&Exit::Code(0)));
        merge.add(4, out("a"), Some(&Exit::Code(0)));
        merge.add(0, out("c"), Some(&Exit::Code(0)));
        merge.add(2, out("a"), Some(&Exit::Code(0)));
        merge.add(3, out("a"), Some(&Exit::Code(1)));
        merge.add(1, out("a"), None);
        insta::assert_snapshot!(shown(merge, 6).join("\n"), @r#"
        node-[2,4] 2 exit status 0 "a\n" "" 0
        node-0 1 exit status 0 "c\n" "" 0
        node-1 1 not finished "a\n" "" 0
        node-3 1 exit status 1 "a\n" "" 0
        node-5 1 exit status 0 "b\n" "" 0
        "#);
    }

    #[test]
    fn how_the_two_outputs_were_mixed_does_not_matter() {
        let (out, err) = (|line| (Stream::Stdout, line), |line| (Stream::Stderr, line));
        let merge = Merge::default();
        for (host, lines) in [
            [out("1"), err("x"), out("2")],
            [err("x"), out("1"), out("2")],
            [out("1"), err("2"), out("x")],
        ]
        .iter()
        .enumerate()
        {
            merge.add(host, capture(lines), Some(&Exit::Code(0)));
        }
        assert_eq!(shown(merge, 3).len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_the_rest_still_counts() {
        let long = "x".repeat(KEPT / 2);
        let of = |last: &str| {
            let mut capture = capture(&[(Stream::Stdout, "head")]);
            for line in [&long, &long, last, last] {
                capture.push(Stream::Stdout, line, &Merge::default().room);
            }
            assert!(capture.stdout.text.len() <= KEPT);
            capture
        };
        let merge = Merge::default();
        for (host, last) in ["same", "same", "other"].into_iter().enumerate() {
            merge.add(host, of(last), Some(&Exit::Code(0)));
        }
        let events = merge.take_events(&hosts(3));
        assert_eq!(events.len(), 2);
        for event in events {
            let Event::Merged { stdout, left_out, .. } = event else { panic!("{event:?}") };
            assert!(stdout.starts_with("head\nxxx") && left_out > KEPT as u64 / 2);
        }
    }

    #[test]
    fn memory_is_bounded_over_all_hosts() {
        let merge = Merge { room: Room(AtomicUsize::new(10)), ..Merge::default() };
        for (host, line) in ["123456", "123456", "abcd", "ABCD"].into_iter().enumerate() {
            let mut part = Part::new(&merge, host);
            part.push(Stream::Stdout, line);
            part.ended(Exit::Code(0));
        }
        insta::assert_snapshot!(shown(merge, 4).join("\n"), @r#"
        node-[0-1] 2 exit status 0 "123456\n" "" 0
        node-2 1 exit status 0 "" "" 5
        node-3 1 exit status 0 "" "" 5
        "#);
    }

    #[test]
    fn a_part_counts_however_it_ends() {
        let merge = Merge::default();
        let mut given_up = Part::new(&merge, 0);
        given_up.push(Stream::Stderr, "half");
        drop(given_up);
        drop(Part::new(&merge, 1));
        Part::new(&merge, 2).ended(Exit::Signal("KILL".to_owned()));
        let shown = shown(merge, 3);
        insta::assert_snapshot!(shown.join("\n"), @r#"
        node-0 1 not finished "" "half\n" 0
        node-2 1 killed by SIGKILL "" "" 0
        "#);
    }

    proptest! {
        #[test]
        fn every_host_is_in_one_group(printed in prop::collection::vec(0u8..3, 1..20)) {
            let merge = Merge::default();
            for (host, line) in printed.iter().enumerate() {
                merge.add(host, capture(&[(Stream::Stdout, &line.to_string())]), Some(&Exit::Code(0)));
            }
            let mut seen = Vec::new();
            let mut sizes = Vec::new();
            for event in merge.take_events(&hosts(printed.len())) {
                let Event::Merged { hosts, stdout, .. } = event else { panic!("{event:?}") };
                for name in &hosts {
                    let host: usize = name.trim_start_matches("node-").parse().unwrap();
                    prop_assert_eq!(stdout.trim(), printed[host].to_string());
                }
                sizes.push(hosts.len());
                seen.extend(hosts);
            }
            prop_assert!(sizes.is_sorted_by(|a, b| a >= b));
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), printed.len());
        }
    }
}
