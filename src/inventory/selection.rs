//! Which hosts an expression such as `workers,!node-[1-3]` means.
//!
//! Terms are separated by commas or spaces: a host's name, a glob (`*`, `?`) over names, a range, a
//! group, a role, or `all`; `!` in front excludes. What is excluded stays out whatever the order, and
//! an expression of exclusions alone starts from every host.

use std::collections::HashMap;

use super::model::Host;
use super::ranges;
use super::rules::EVERY_HOST;
use super::suggest::nearest;

/// Why an expression selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// There is no term in it.
    #[error("the selection is empty: give host names, globs, ranges, groups or roles")]
    Empty,
    /// A term that fits no host.
    #[error(
        "`{term}` matches no host, group or role{}",
        nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
    )]
    NoMatch {
        /// The term, or the name of its range that is not there.
        term: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A range that cannot be read.
    #[error("{0}; write one as `node-[1-3]`")]
    BadRange(String),
    /// The exclusions leave nothing.
    #[error("the selection excludes every host it names")]
    NothingLeft,
}

/// The hosts an expression means, in inventory order.
pub fn select<'a>(hosts: &'a [Host], expression: &str) -> Result<Vec<&'a Host>, SelectionError> {
    let mut selection = Selection::new(hosts);
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

/// A selection term by term, for callers that know where each term stands.
pub(super) struct Selection<'a> {
    hosts: &'a [Host],
    by_name: HashMap<&'a str, usize>,
    chosen: Vec<bool>,
    excluded: Vec<bool>,
    any_chosen: bool,
    any_excluded: bool,
}

impl<'a> Selection<'a> {
    pub(super) fn new(hosts: &'a [Host]) -> Self {
        let names = hosts.iter().enumerate().map(|(index, host)| (host.name.as_str(), index));
        Self {
            hosts,
            by_name: names.collect(),
            chosen: vec![false; hosts.len()],
            excluded: vec![false; hosts.len()],
            any_chosen: false,
            any_excluded: false,
        }
    }

    pub(super) fn add(&mut self, word: &str) -> Result<(), SelectionError> {
        let (exclude, term) = match word.strip_prefix('!') {
            Some(term) => (true, term),
            None => (false, word),
        };
        let names =
            ranges::expand(term).map_err(|fault| SelectionError::BadRange(fault.into_title()))?;
        for name in names {
            let matches = self.matching(&name);
            if matches.is_empty() {
                let nearest = self.nearest(&name).map(str::to_owned);
                return Err(SelectionError::NoMatch { term: name, nearest });
            }
            let marks = if exclude { &mut self.excluded } else { &mut self.chosen };
            for index in matches {
                marks[index] = true;
            }
        }
        self.any_excluded |= exclude;
        self.any_chosen |= !exclude;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<&'a Host>, SelectionError> {
        if !self.any_chosen && !self.any_excluded {
            return Err(SelectionError::Empty);
        }
        let marks = self.chosen.iter().zip(&self.excluded);
        let picked: Vec<&Host> = self
            .hosts
            .iter()
            .zip(marks)
            .filter(|(_, (chosen, excluded))| (**chosen || !self.any_chosen) && !**excluded)
            .map(|(host, _)| host)
            .collect();
        if picked.is_empty() { Err(SelectionError::NothingLeft) } else { Ok(picked) }
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

/// `*` stands for any text, `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: one character further.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, next)) => {
                    (p, t) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn hosts() -> Vec<Host> {
        let text = r#"
            [groups.gpu]
            [[hosts]]
            name = "cp1"
            role = "control-plane"
            [[hosts]]
            name = "node-[001-004]"
            [[hosts]]
            name = "gpu-[1-2]"
            groups = ["gpu"]
        "#;
        super::super::parse(text, Path::new("/"), "test").unwrap().hosts
    }

    fn names(expression: &str) -> Result<String, String> {
        let hosts = hosts();
        let picked = select(&hosts, expression).map_err(|error| error.to_string())?;
        let names: Vec<&str> = picked.iter().map(|host| host.name.as_str()).collect();
        Ok(ranges::fold_hosts(&names))
    }

    #[test]
    fn terms_select() {
        for (expression, selected) in [
            ("cp1", "cp1"),
            ("node-*", "node-[001-004]"),
            ("node-00?", "node-[001-004]"),
            ("node-[002-003]", "node-[002-003]"),
            ("gpu", "gpu-[1-2]"),
            ("worker", "node-[001-004],gpu-[1-2]"),
            ("control-plane gpu-1", "cp1,gpu-1"),
            ("!worker", "cp1"),
            ("!gpu,worker,!node-001", "node-[002-004]"),
            ("all,!cp1", "node-[001-004],gpu-[1-2]"),
            ("gpu-1, gpu-1,,", "gpu-1"),
            ("node-[001,003]", "node-[001,003]"),
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
            ("cp1,!cp1", "the selection excludes every host it names"),
        ] {
            assert_eq!(names(expression), Err(error.to_owned()), "{expression}");
        }
        assert!(names("node-[1-").is_err());
    }

    #[test]
    fn globs() {
        for (pattern, text) in
            [("*", ""), ("a*c", "abbc"), ("*b*", "abc"), ("a?c", "abc"), ("**", "x")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a*c", "abb"), ("?", ""), ("a", "ab"), ("*b", "abc")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
