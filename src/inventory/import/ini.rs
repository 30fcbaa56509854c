//! Ansible's INI inventories.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ansible::{GroupId, Inventory, UNGROUPED, Variable};
use super::error::ImportError;
use super::notes::Line;
use super::{literal, patterns, words};

/// What the lines of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Hosts,
    Children,
    Variables,
}

/// Adds what a document says to the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    document: &Arc<str>,
    text: &str,
) -> Result<(), ImportError> {
    let mut reader =
        Reader { inventory, group: UNGROUPED, section: Section::Hosts, awaited: BTreeMap::new() };
    for (index, written) in text.lines().enumerate() {
        let line = Line { document: document.clone(), number: index + 1 };
        let written = written.trim();
        if !written.is_empty() && !written.starts_with([';', '#']) {
            reader.line(written, &line).map_err(|problem| ImportError::at(&line, problem))?;
        }
    }
    match reader.awaited.into_values().min_by_key(|(line, _)| line.number) {
        Some((line, problem)) => Err(ImportError::at(&line, problem)),
        None => Ok(()),
    }
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    group: GroupId,
    section: Section,
    /// Groups that have no section of hosts or of groups so far, and what is wrong if it stays so.
    awaited: BTreeMap<GroupId, (Line, String)>,
}

impl Reader<'_> {
    fn line(&mut self, written: &str, line: &Line) -> Result<(), String> {
        if written.starts_with('[')
            && let Some((name, section)) = header(written)?
        {
            return self.header(name, section, line);
        }
        match self.section {
            Section::Hosts => self.hosts(written, line),
            Section::Children => self.child(written, line),
            Section::Variables => self.variable(written, line),
        }
    }

    fn header(&mut self, name: &str, section: Section, line: &Line) -> Result<(), String> {
        let known = self.inventory.find_group(name);
        self.group = self.inventory.group(name, line);
        self.section = section;
        if section != Section::Variables {
            self.awaited.remove(&self.group);
        } else if known.is_none() {
            let problem = format!("there is no group `{name}` for these variables");
            self.awaited.insert(self.group, (line.clone(), problem));
        }
        Ok(())
    }

    fn hosts(&mut self, written: &str, line: &Line) -> Result<(), String> {
        let words = words::split(written, true).map_err(str::to_owned)?;
        let Some((pattern, assignments)) = words.split_first() else { return Ok(()) };
        if pattern == "---" {
            return Err("this looks like YAML; say --format yaml".to_owned());
        }
        let (names, port) = patterns::expand(pattern)?;
        let variables = assignments
            .iter()
            .map(|word| {
                let (name, value) = word.split_once('=').ok_or_else(|| {
                    format!("expected `variable=value` after the host, found `{word}`")
                })?;
                Ok((name.to_owned(), literal::value(value)))
            })
            .collect::<Result<Vec<_>, String>>()?;
        for name in names {
            let host = self.inventory.add_host(self.group, &name, port, line);
            for (name, value) in variables.iter().cloned() {
                let variable = Variable { value, line: line.clone() };
                self.inventory.hosts[host].variables.insert(name, variable);
            }
        }
        Ok(())
    }

    fn child(&mut self, written: &str, line: &Line) -> Result<(), String> {
        let (name, comment) =
            written.split_at(written.find(char::is_whitespace).unwrap_or(written.len()));
        let comment = comment.trim_start();
        let name = match name.split_once('#') {
            Some((name, _)) => name,
            None if comment.is_empty() || comment.starts_with('#') => name,
            None => return Err(format!("expected the name of a group, found `{written}`")),
        };
        if name.is_empty() || name.contains([':', ']']) {
            return Err(format!("expected the name of a group, found `{written}`"));
        }
        let known = self.inventory.find_group(name);
        let child = self.inventory.group(name, line);
        if known.is_none() {
            let problem = format!("there is no group `{name}`");
            self.awaited.insert(child, (line.clone(), problem));
        }
        self.inventory.add_child(self.group, child)
    }

    fn variable(&mut self, written: &str, line: &Line) -> Result<(), String> {
        let (name, value) = written
            .split_once('=')
            .ok_or_else(|| format!("expected `variable=value`, found `{written}`"))?;
        let variable = Variable { value: literal::value(value.trim()), line: line.clone() };
        self.inventory.set(self.group, name.trim().to_owned(), variable)
    }
}

/// `[name]`, `[name:children]` or `[name:vars]`; `None` for a host pattern that begins with a range.
fn header(written: &str) -> Result<Option<(&str, Section)>, String> {
    let (inner, rest) = match written[1..].split_once(']') {
        Some((inner, rest)) => (inner, rest.trim_start()),
        None => return Err(format!("`{written}` is not the header of a section")),
    };
    if !rest.is_empty() && !rest.starts_with('#') {
        return if written.ends_with(']') {
            Err(format!("`{written}` is not the header of a section"))
        } else {
            Ok(None)
        };
    }
    let (name, kind) = inner.split_once(':').unwrap_or((inner, "hosts"));
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("`{written}` is not the header of a section"));
    }
    let section = match kind {
        "hosts" => Section::Hosts,
        "children" => Section::Children,
        "vars" => Section::Variables,
        _ => {
            return Err(format!(
                "`{kind}` is not a kind of section; expected `children` or `vars`"
            ));
        }
    };
    Ok(Some((name, section)))
}
