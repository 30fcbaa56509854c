//! Which hosts an expression such as `workers,&gpu,!node-[1-3]` means.
//!
//! Terms are separated by commas or blanks. A term is a host's name, a glob (`*`, `?`) over names, a range,
//! a group, a role, `all`, or a list: `@FILE`, a file of further terms (one or more to a line, `#` begins
//! a comment), and `@failed`, the hosts that did not end well in the last run. A file called `failed` is
//! `@./failed`.
//!
//! A plain term adds its hosts, `&` in front of one keeps only hosts that it means as well, `!` takes its hosts
//! out. Order does not matter: the result is the union of the plain terms (every host, where there are
//! none), intersected with each `&` term, without every `!` term. A file is an expression of its own, and
//! as a term it stands for the hosts that this selects; one without terms stands for none.
//!
//! A term that means nothing is an error, and so is a selection that leaves no host.

mod error;
mod glob;

use std::collections::HashMap;
use std::sync::Arc;

use super::model::Host;
use super::ranges;
use super::rules::EVERY_HOST;
use super::suggest::nearest;
pub use error::SelectionError;
use glob::glob;

/// The list of hosts that did not end well.
const FAILED: &str = "failed";

/// Where lists come from. Files and earlier runs are the caller's to know.
pub trait Sources {
    /// The text of a file, or why it cannot be had.
    fn file(&self, path: &str) -> Result<String, String>;

    /// Names of the hosts that failed, were unreachable or incomplete in the last run with this
    /// inventory, or why they are not known.
    fn failed(&self) -> Result<Vec<String>, String>;
}

/// The hosts an expression means, in inventory order.
pub fn select<'a>(
    hosts: &'a [Arc<Host>],
    expression: &str,
    sources: &dyn Sources,
) -> Result<Vec<&'a Arc<Host>>, SelectionError> {
    let mut selection = Selection { sources: Some(sources), ..Selection::new(hosts) };
    for word in words(expression) {
        selection.add(word)?;
    }
    selection.finish()
}

/// The terms of an expression; commas and spaces inside brackets belong to a range.
pub(super) fn words(expression: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let separates = move |c: char| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        !inside && (c == ',' || c.is_whitespace())
    };
    expression.split(separates).filter(|word| !word.is_empty())
}

/// For each host of the inventory, whether it is meant.
type Set = Vec<bool>;

/// What the terms of one expression come to.
struct Terms {
    /// There is at least one.
    any: bool,
    /// The union of the plain terms; `None` where there are none.
    chosen: Option<Set>,
    /// What every `&` term means.
    kept: Set,
    /// What no `!` term means.
    allowed: Set,
}

impl Terms {
    fn new(hosts: usize) -> Self {
        Self { any: false, chosen: None, kept: vec![true; hosts], allowed: vec![true; hosts] }
    }

    fn add(&mut self, operator: Option<char>, meant: &[bool]) {
        self.any = true;
        let (set, joined): (&mut Set, fn(bool, bool) -> bool) = match operator {
            None => {
                let chosen = self.chosen.get_or_insert_with(|| vec![false; meant.len()]);
                (chosen, |before, meant| before || meant)
            }
            Some('&') => (&mut self.kept, |before, meant| before && meant),
            Some(_) => (&mut self.allowed, |before, meant| before && !meant),
        };
        for (mark, meant) in set.iter_mut().zip(meant) {
            *mark = joined(*mark, *meant);
        }
    }

    /// Where there are no terms, no host is meant.
    fn finish(self) -> Set {
        let marks = self.kept.iter().zip(&self.allowed).enumerate();
        let is_chosen = |index: usize| self.chosen.as_ref().is_none_or(|chosen| chosen[index]);
        marks
            .map(|(index, (kept, allowed))| self.any && is_chosen(index) && *kept && *allowed)
            .collect()
    }
}

/// A selection term by term, for callers that know where each term stands.
pub(super) struct Selection<'a, 's> {
    hosts: &'a [Arc<Host>],
    by_name: HashMap<&'a str, usize>,
    sources: Option<&'s dyn Sources>,
    terms: Terms,
    /// Files being read, the outermost first.
    open: Vec<String>,
    /// Why a list was empty, for when nothing is left in the end.
    empty_list: Option<String>,
}

impl<'a> Selection<'a, '_> {
    /// A selection that knows no lists.
    pub(super) fn new(hosts: &'a [Arc<Host>]) -> Self {
        let names = hosts.iter().enumerate().map(|(index, host)| (host.name.as_str(), index));
        Self {
            hosts,
            by_name: names.collect(),
            sources: None,
            terms: Terms::new(hosts.len()),
            open: Vec::new(),
            empty_list: None,
        }
    }

    pub(super) fn add(&mut self, word: &str) -> Result<(), SelectionError> {
        let (operator, meant) = self.term(word)?;
        self.terms.add(operator, &meant);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<&'a Arc<Host>>, SelectionError> {
        if !self.terms.any {
            return Err(SelectionError::Empty);
        }
        let picked: Vec<&Arc<Host>> = self
            .hosts
            .iter()
            .zip(self.terms.finish())
            .filter(|(_, picked)| *picked)
            .map(|(host, _)| host)
            .collect();
        if picked.is_empty() {
            return Err(SelectionError::NothingLeft { why: self.empty_list });
        }
        Ok(picked)
    }

    /// The operator in front of a term, and the hosts that the term behind it means.
    fn term(&mut self, word: &str) -> Result<(Option<char>, Set), SelectionError> {
        let term = word.strip_prefix(['!', '&']).unwrap_or(word);
        let operator = word.chars().next().filter(|_| term.len() < word.len());
        if term.is_empty() || term.starts_with(['!', '&']) {
            return Err(SelectionError::BadOperator(word.to_owned()));
        }
        let meant = match term.strip_prefix('@') {
            Some(list) => self.list(list)?,
            None => self.named(term)?,
        };
        Ok((operator, meant))
    }

    fn named(&self, term: &str) -> Result<Set, SelectionError> {
        let names =
            ranges::expand(term).map_err(|fault| SelectionError::BadRange(fault.into_title()))?;
        let mut meant = vec![false; self.hosts.len()];
        for name in names {
            let matches = self.matching(&name);
            if matches.is_empty() {
                let nearest = self.nearest(&name).map(str::to_owned);
                return Err(SelectionError::NoMatch { term: name, nearest });
            }
            for index in matches {
                meant[index] = true;
            }
        }
        Ok(meant)
    }

    fn list(&mut self, list: &str) -> Result<Set, SelectionError> {
        let sources = self.sources.ok_or_else(|| SelectionError::NoLists(format!("@{list}")))?;
        let unreadable = |reason| SelectionError::Unreadable { list: list.to_owned(), reason };
        if list.is_empty() {
            return Err(unreadable("a file's name is missing behind it".to_owned()));
        }
        if list == FAILED {
            let names = sources.failed().map_err(unreadable)?;
            return Ok(self.failed(&names));
        }
        if self.open.iter().any(|open| open == list) {
            return Err(SelectionError::Loop(list.to_owned()));
        }
        let text = sources.file(list).map_err(unreadable)?;
        self.open.push(list.to_owned());
        let mut terms = Terms::new(self.hosts.len());
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default();
            for word in words(text) {
                let (operator, meant) = self.term(word).map_err(|mistake| {
                    let mistake = Box::new(mistake);
                    SelectionError::InFile { file: list.to_owned(), line, mistake }
                })?;
                terms.add(operator, &meant);
            }
        }
        self.open.pop();
        if !terms.any {
            self.empty_list = Some(format!("{list} names none"));
        }
        Ok(terms.finish())
    }

    /// Hosts that are no longer in the inventory cannot be meant.
    fn failed(&mut self, names: &[String]) -> Set {
        let mut meant = vec![false; self.hosts.len()];
        for index in names.iter().filter_map(|name| self.by_name.get(name.as_str())) {
            meant[*index] = true;
        }
        if names.is_empty() {
            self.empty_list = Some("nothing failed in the last run".to_owned());
        } else if !meant.contains(&true) {
            let why = "what failed in the last run is not in the inventory any more";
            self.empty_list = Some(why.to_owned());
        }
        meant
    }

    fn matching(&self, name: &str) -> Vec<usize> {
        if let Some(index) = self.by_name.get(name) {
            return vec![*index];
        }
        let fits = |host: &Host| {
            if name.contains(['*', '?']) {
                return glob(name, &host.name);
            }
            name == EVERY_HOST
                || host.role.as_str() == name
                || host.groups.iter().any(|group| group == name)
        };
        let hosts = self.hosts.iter().enumerate();
        hosts.filter(|(_, host)| fits(host)).map(|(index, _)| index).collect()
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        let groups = self.hosts.iter().flat_map(|host| host.groups.iter().map(String::as_str));
        let names = self.hosts.iter().map(|host| host.name.as_str());
        let roles = self.hosts.iter().map(|host| host.role.as_str());
        nearest(name, names.chain(groups).chain(roles))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Vec<Arc<Host>> {
        let text = r#"
            [groups.gpu]
            [groups.old]
            [[hosts]]
            name = "cp1"
            role = "control-plane"
            [[hosts]]
            name = "node-[001-004]"
            [[hosts]]
            name = "gpu-[1-2]"
            groups = ["gpu"]
            [[hosts]]
            name = "gpu-3"
            groups = ["gpu", "old"]
        "#;
        super::super::parse(text, Path::new("/"), "test").unwrap().hosts
    }

    /// Files by name, and the hosts that failed.
    struct Lists(
        &'static [(&'static str, &'static str)],
        Result<&'static [&'static str], &'static str>,
    );

    impl Sources for Lists {
        fn file(&self, path: &str) -> Result<String, String> {
            let found = self.0.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
        }

        fn failed(&self) -> Result<Vec<String>, String> {
            match self.1 {
                Ok(names) => Ok(names.iter().map(|&name| name.to_owned()).collect()),
                Err(reason) => Err(reason.to_owned()),
            }
        }
    }

    const LISTS: Lists = Lists(
        &[
            ("racks", "node-001 # the first\r\n\n# node-004\nnode-[002, 003],!node-002\n"),
            ("not-old", "!old\n"),
            ("both", "@racks\ngpu,&@not-old,cp1"),
            ("empty", "# nobody\n\n"),
            ("wrong", "cp1\n\nnode-001, node-01 # typed by hand\n"),
            ("outer", "@wrong"),
            ("loop", "@again"),
            ("again", "cp1\n@loop"),
        ],
        Ok(&["gpu-2", "node-003", "gone"]),
    );

    fn names_with(expression: &str, lists: &Lists) -> Result<String, String> {
        let hosts = hosts();
        let picked = select(&hosts, expression, lists).map_err(|error| error.to_string())?;
        let names: Vec<&str> = picked.iter().map(|host| host.name.as_str()).collect();
        Ok(ranges::fold_hosts(&names))
    }

    fn names(expression: &str) -> Result<String, String> {
        names_with(expression, &LISTS)
    }

    #[test]
    fn terms_select() {
        for (expression, selected) in [
            ("cp1", "cp1"),
            ("node-*", "node-[001-004]"),
            ("node-00?", "node-[001-004]"),
            ("node-[002-003]", "node-[002-003]"),
            ("gpu", "gpu-[1-3]"),
            ("worker", "node-[001-004],gpu-[1-3]"),
            ("control-plane gpu-1", "cp1,gpu-1"),
            ("!worker", "cp1"),
            ("!gpu,worker,!node-001", "node-[002-004]"),
            ("all,!cp1", "node-[001-004],gpu-[1-3]"),
            ("gpu-1, gpu-1,,", "gpu-1"),
            ("node-[001,003]", "node-[001,003]"),
            ("worker,&gpu", "gpu-[1-3]"),
            ("&gpu worker,!gpu-2", "gpu-[1,3]"),
            ("&gpu,&old", "gpu-3"),
            ("&gpu", "gpu-[1-3]"),
            ("cp1,&gpu-*,gpu-1", "gpu-1"),
        ] {
            assert_eq!(names(expression).as_deref(), Ok(selected), "{expression}");
        }
    }

    #[test]
    fn lists_are_expressions_of_their_own() {
        for (expression, selected) in [
            ("@racks", "node-[001,003]"),
            ("!@racks,node-*", "node-[002,004]"),
            ("worker,&@racks", "node-[001,003]"),
            ("@not-old", "cp1,node-[001-004],gpu-[1-2]"),
            ("@both", "cp1,node-[001,003],gpu-[1-2]"),
            ("@failed", "node-003,gpu-2"),
            ("@failed,&gpu", "gpu-2"),
            ("gpu,!@failed", "gpu-[1,3]"),
            ("cp1,@empty", "cp1"),
            ("cp1,!@empty", "cp1"),
        ] {
            assert_eq!(names(expression).as_deref(), Ok(selected), "{expression}");
        }
    }

    #[test]
    fn terms_that_mean_nothing_are_errors() {
        for (expression, error) in [
            ("", "the selection is empty: give host names, globs, ranges, groups or roles"),
            ("node-01", "`node-01` matches no host, group or role; did you mean `node-001`?"),
            (
                "node-[004-005]",
                "`node-005` matches no host, group or role; did you mean `node-001`?",
            ),
            ("workers", "`workers` matches no host, group or role; did you mean `worker`?"),
            ("x*", "`x*` matches no host, group or role"),
            ("etcd", "`etcd` matches no host, group or role"),
            ("cp1,!cp1", "the selection leaves no host"),
            ("cp1,&gpu", "the selection leaves no host"),
            ("!", "`!`: write one `!` or `&` in front of a term, or none"),
            ("cp1,&!gpu", "`&!gpu`: write one `!` or `&` in front of a term, or none"),
            ("@", "`@`: a file's name is missing behind it"),
            ("@hosts.txt", "`@hosts.txt`: no such file"),
            ("@empty", "the selection leaves no host: empty names none"),
            (
                "@wrong",
                "wrong:3: `node-01` matches no host, group or role; did you mean `node-001`?",
            ),
            (
                "cp1 !@outer",
                "outer:1: wrong:3: `node-01` matches no host, group or role; did you mean `node-001`?",
            ),
            ("@loop", "loop:1: again:2: `@loop` is part of itself"),
        ] {
            assert_eq!(names(expression), Err(error.to_owned()), "{expression}");
        }
        assert!(names("node-[1-").is_err());
    }

    #[test]
    fn failed_hosts_may_be_unknown_or_none() {
        let why = |failed| names_with("@failed", &Lists(&[], failed)).unwrap_err();
        assert_eq!(why(Err("no run yet")), "`@failed`: no run yet");
        let nothing = "the selection leaves no host: nothing failed in the last run";
        assert_eq!(why(Ok(&[])), nothing);
        assert!(why(Ok(&["gone"])).contains("not in the inventory any more"));
        let others = names_with("gpu,!@failed", &Lists(&[], Ok(&[])));
        assert_eq!(others.as_deref(), Ok("gpu-[1-3]"));
    }

    #[test]
    fn inventories_have_no_lists() {
        let hosts = hosts();
        let error = Selection::new(&hosts).add("!@failed").unwrap_err();
        insta::assert_snapshot!(error, @"`@failed`: lists are for --limit; name hosts, groups or roles here");
    }

    proptest! {
        #[test]
        fn order_does_not_matter(
            terms in prop::collection::vec("[!&]?(cp1|gpu|old|worker|all|gpu-\\*|node-\\[001-003\\]|@racks|@failed)", 1..6),
            seed in any::<u64>(),
        ) {
            let mut shuffled = terms.clone();
            let length = shuffled.len();
            for index in 0..length {
                shuffled.swap(index, (seed >> index) as usize % length);
            }
            prop_assert_eq!(names(&terms.join(",")), names(&shuffled.join(" ")));
        }

        #[test]
        fn anything_is_answered(expression in "[-a-z0-9,!&@#*\\[\\] ]{0,24}") {
            let _ = names(&expression);
        }
    }
}
