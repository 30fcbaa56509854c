//! From a host to the workstation, into a directory for each host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::binaries::sha256_of;
use super::incoming::{Expected, Incoming};
use super::listing::FoundKind;
use super::local::{Present, Sandbox, Stage};
use super::places::{Item, Items, is_within, left_out_warning, place, usable};
use super::remote::Remote;
use super::{CopyError, CopyMode};
use crate::fleet::Task;
use crate::node::transport::Transport;
use crate::report::Unit;

/// How often a transfer says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// What to fetch, and where to.
pub struct Fetch {
    /// As the script is asked: absolute, or beginning with `./`.
    paths: Vec<String>,
    directory: PathBuf,
    max_size: u64,
}

/// What is to be done about one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Replace,
    ChangeMode,
}

impl Fetch {
    /// `paths` are files and directories on hosts, relative to the login directory without a leading `/`;
    /// `/etc/motd` of the host node-1 becomes `DIRECTORY/node-1/etc/motd`. From one host no more than `max_size`
    /// bytes are taken.
    ///
    /// # Errors
    /// A path cannot be used.
    pub fn prepare(
        paths: &[String],
        directory: impl Into<PathBuf>,
        max_size: u64,
    ) -> Result<Self, CopyError> {
        let paths = paths.iter().map(|path| usable(path)).collect::<Result<Vec<_>, _>>()?;
        for (index, path) in paths.iter().enumerate() {
            let is_same = |other: &String| {
                other.starts_with('/') != path.starts_with('/')
                    && (is_within(place(other), place(path))
                        || is_within(place(path), place(other)))
            };
            if let Some(other) = paths[..index].iter().find(|other| is_same(other)) {
                return Err(CopyError::Usage(format!(
                    "`{other}` and `{path}` would get into the same place; fetch them one after the other"
                )));
            }
        }
        Ok(Self { paths, directory: directory.into(), max_size })
    }

    /// Bring the workstation's copy of one host's files up to date, or say what that would change.
    ///
    /// # Errors
    /// Something here is in the way, the host refuses or sends what it was not asked for, or the connection is lost.
    pub async fn run(
        &self,
        transport: &dyn Transport,
        task: &Task,
        mode: CopyMode,
    ) -> Result<(), CopyError> {
        let remote = Remote::new(task, transport);
        let sandbox = Sandbox::new(&self.directory, &task.host.name);
        let listing = remote.list(&self.paths).await?;
        let Items { items, left_out } = Items::new(&self.paths, &listing)?;
        if let Some(warning) = left_out_warning(&left_out) {
            task.warn(warning);
        }
        let here = sandbox.clone();
        let compared = blocking(move || compare(&here, items)).await?;
        let differences = differences(&remote, compared).await?;
        let files = transfers(&differences);
        let size = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        if size > self.max_size {
            return Err(CopyError::Refused(format!(
                "{size} bytes are more than --max-size lets one host send"
            )));
        }
        if differences.is_empty() {
            return Ok(());
        }
        if mode != CopyMode::Apply {
            for difference in &differences {
                task.changed(difference.what(&sandbox), None, true);
            }
            return Ok(());
        }
        let stage = receive(&remote, &sandbox, &files, size, task).await?;
        let here = sandbox.clone();
        let (done, result) = blocking(move || Ok(place_all(&here, &stage, differences))).await?;
        for difference in &done {
            task.changed(difference.what(&sandbox), None, false);
        }
        result
    }
}

async fn receive(
    remote: &Remote<'_>,
    sandbox: &Sandbox,
    files: &[Expected],
    size: u64,
    task: &Task,
) -> Result<Stage, CopyError> {
    let stage = sandbox.stage()?;
    if files.is_empty() {
        return Ok(stage);
    }
    let mut incoming = Incoming::new(files, stage);
    let (mut through, mut told) = (0, Instant::now());
    let mut sink = |data: &[u8]| {
        through += data.len() as u64;
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            task.progress(through.min(size), size, Unit::Bytes);
        }
        incoming.push(data)
    };
    let result = remote.get(".", files, &mut sink).await;
    incoming.finish(result)
}

/// Something that was asked for, and what is in its place.
struct Compared {
    item: Item,
    present: Option<Present>,
    /// The checksum of a file that only this may tell from the host's.
    sum: Option<String>,
}

fn compare(sandbox: &Sandbox, items: Vec<Item>) -> Result<Vec<Compared>, CopyError> {
    let compare = |item: Item| {
        let present = sandbox.look(&item.local)?;
        let is_file = matches!(item.kind, FoundKind::File { .. });
        let same = present.as_ref().is_some_and(|present| is_file && present.kind == item.kind);
        let path = sandbox.path(&item.local);
        let sum = same.then(|| sha256_of(&path)).transpose();
        let sum = sum.map_err(|error| CopyError::local(&path, error))?;
        Ok(Compared { item, present, sum })
    };
    items.into_iter().map(compare).collect()
}

/// Something that is not as the host has it.
struct Difference {
    item: Item,
    action: Action,
}

impl Difference {
    fn what(&self, sandbox: &Sandbox) -> String {
        let verb = if self.action == Action::Create { "create" } else { "change" };
        format!("{verb} {}", sandbox.path(&self.item.local).display())
    }
}

async fn differences(
    remote: &Remote<'_>,
    compared: Vec<Compared>,
) -> Result<Vec<Difference>, CopyError> {
    let hashed = compared.iter().filter(|compared| compared.sum.is_some());
    let paths: Vec<String> = hashed.map(|compared| compared.item.remote.clone()).collect();
    let sums = remote.sums(".", &paths).await?;
    let sums: BTreeMap<String, String> = paths.into_iter().zip(sums).collect();
    let mut differences = Vec::new();
    for compared in compared {
        let same_sum =
            compared.sum.is_some() && compared.sum.as_ref() == sums.get(&compared.item.remote);
        if let Some(action) = action(&compared, same_sum)? {
            differences.push(Difference { item: compared.item, action });
        }
    }
    Ok(differences)
}

fn action(compared: &Compared, same_sum: bool) -> Result<Option<Action>, CopyError> {
    let Compared { item, present, .. } = compared;
    let Some(present) = present else { return Ok(Some(Action::Create)) };
    let conflict = |why| Err(CopyError::conflict(&item.local, why));
    Ok(match (&item.kind, &present.kind) {
        (FoundKind::Directory, FoundKind::Directory) => None,
        (FoundKind::Directory, _) => {
            return conflict("is a directory on the host and something else here; move that away");
        }
        (_, FoundKind::Directory) => {
            return conflict("is a directory here and not on the host; move it away");
        }
        (FoundKind::File { .. }, FoundKind::File { .. }) if same_sum => {
            (item.mode != present.mode).then_some(Action::ChangeMode)
        }
        (FoundKind::Link { .. }, _) if item.kind == present.kind => None,
        _ => Some(Action::Replace),
    })
}

/// The files that are to be sent.
fn transfers(differences: &[Difference]) -> Vec<Expected> {
    let transfer = |difference: &Difference| match difference.item.kind {
        FoundKind::File { size } if difference.action != Action::ChangeMode => {
            Some(Expected { path: difference.item.remote.clone(), size })
        }
        _ => None,
    };
    differences.iter().filter_map(transfer).collect()
}

/// Put everything in place, as far as that goes; links last, when nothing is written any more that they might be on the
/// way of. Gives what was done.
fn place_all(
    sandbox: &Sandbox,
    stage: &Stage,
    differences: Vec<Difference>,
) -> (Vec<Difference>, Result<(), CopyError>) {
    let (links, others): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|difference| matches!(difference.item.kind, FoundKind::Link { .. }));
    let (mut done, mut received) = (Vec::new(), 0);
    for difference in others.into_iter().chain(links) {
        let Item { local, kind, mode, .. } = &difference.item;
        let result = match kind {
            FoundKind::Directory => sandbox.make_directory(local, *mode),
            FoundKind::File { .. } if difference.action == Action::ChangeMode => {
                sandbox.set_mode(local, *mode)
            }
            FoundKind::File { .. } => {
                received += 1;
                stage.place(received - 1, local, *mode)
            }
            FoundKind::Link { target } => stage.link(target, local),
            // Refused before.
            FoundKind::Special => Ok(()),
        };
        if let Err(error) = result {
            return (done, Err(error));
        }
        done.push(difference);
    }
    (done, Ok(()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CopyError> + Send + 'static,
) -> Result<T, CopyError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|error| Err(CopyError::Usage(format!("interrupted: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_do_not_get_into_the_same_place() {
        let both = ["/etc".to_owned(), "etc/motd".to_owned()];
        let error = Fetch::prepare(&both, "x", 1).err().unwrap();
        insta::assert_snapshot!(error, @"`/etc` and `./etc/motd` would get into the same place; fetch them one after the other");
        assert!(Fetch::prepare(&["/etc".to_owned(), "/etc/motd".to_owned()], "x", 1).is_ok());
    }

    #[test]
    fn only_differences_are_fetched() {
        let compared = |kind: FoundKind, mode, present: Option<(FoundKind, u32)>| {
            let item = Item { remote: "/x".to_owned(), local: "x".to_owned(), kind, mode };
            let present = present.map(|(kind, mode)| Present { kind, mode });
            Compared { item, present, sum: None }
        };
        let file = |size| FoundKind::File { size };
        let link = |target: &str| FoundKind::Link { target: target.to_owned() };
        let dir = || FoundKind::Directory;
        for (one, same_sum, expected) in [
            (compared(file(1), 0o644, None), false, Some(Action::Create)),
            (compared(file(1), 0o644, Some((file(1), 0o644))), true, None),
            (compared(file(1), 0o644, Some((file(1), 0o600))), true, Some(Action::ChangeMode)),
            (compared(file(1), 0o644, Some((file(1), 0o644))), false, Some(Action::Replace)),
            (compared(file(1), 0o644, Some((link("x"), 0o777))), false, Some(Action::Replace)),
            (compared(link("x"), 0o777, Some((link("x"), 0o777))), false, None),
            (compared(link("x"), 0o777, Some((link("y"), 0o777))), false, Some(Action::Replace)),
            (compared(dir(), 0o755, Some((dir(), 0o700))), false, None),
        ] {
            assert_eq!(action(&one, same_sum).unwrap(), expected);
        }
        assert!(action(&compared(dir(), 0o755, Some((file(1), 0o644))), false).is_err());
        assert!(action(&compared(file(1), 0o644, Some((dir(), 0o755))), false).is_err());
    }
}
