//! From the workstation to a host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::incoming::{Expected, Incoming, Memory};
use super::plan::{self, Action, Difference, Owner, asked, compare, to_hash};
use super::remote::Remote;
use super::shipment::Shipment;
use super::source::{self, Destination, Kind, Wanted};
use super::{CopyError, CopyMode};
use crate::fleet::Task;
use crate::node::diff;
use crate::node::transport::Transport;
use crate::report::Unit;

/// Files up to this size are shown with their difference, in bytes.
const MAX_DIFF: u64 = 64 << 10;
/// No more than this is read from a host to be shown, in bytes.
const MAX_DIFFS: u64 = 1 << 20;

/// How often a transfer says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The pipe between reading files and sending them, in bytes.
const PIPE: usize = 256 << 10;

/// Files and trees of the workstation, read once for all hosts, and where they go.
pub struct Push {
    root: String,
    wanted: Vec<Wanted>,
    owner: Option<Owner>,
}

impl Push {
    /// Walk and hash `sources`. `destination` is the name of the copy or, where it ends with `/` or there are several
    /// sources, a directory for them; without a leading `/` it is relative to the login directory. `mode` and
    /// `owner` are for all files, in place of their own mode and of whoever writes them. No host is contacted.
    ///
    /// # Errors
    /// A source cannot be read, or something cannot be copied.
    pub fn prepare(
        sources: &[PathBuf],
        destination: &str,
        mode: Option<u32>,
        owner: Option<Owner>,
    ) -> Result<Self, CopyError> {
        let destination = Destination::parse(destination, sources.len() > 1)?;
        let wanted = source::scan(sources, &destination, mode)?;
        Ok(Self { root: destination.root, wanted, owner })
    }

    /// Bring one host up to date, or say what that would change.
    ///
    /// # Errors
    /// Something there is in the way, the host refuses, or the connection is lost. What was not yet in place
    /// is as it was.
    pub async fn run(
        &self,
        transport: &dyn Transport,
        task: &Task,
        mode: CopyMode,
    ) -> Result<(), CopyError> {
        let remote = Remote::new(task, transport);
        let paths: Vec<String> = self.wanted.iter().map(|wanted| asked(&wanted.path)).collect();
        let listing = remote.look(&self.root, mode == CopyMode::Apply, &paths).await?;
        let hashed = to_hash(&self.wanted, &listing);
        let names: Vec<String> = hashed.iter().map(|wanted| asked(&wanted.path)).collect();
        let sums = remote.sums(&self.root, &names).await?;
        let sums = hashed.iter().map(|wanted| wanted.path.as_str()).zip(sums).collect();
        let differences = compare(&self.wanted, &listing, &sums, self.owner.as_ref())?;
        match mode {
            _ if differences.is_empty() => Ok(()),
            CopyMode::Apply => self.send(&remote, &differences, task).await,
            CopyMode::DryRun { diff } => {
                let shown = if diff { differences.as_slice() } else { &[] };
                let mut texts = self.contents(&remote, &listing.entries, shown).await?;
                for difference in &differences {
                    let text = texts.remove(difference.wanted.path.as_str());
                    let detail = self.detail(difference, text.as_deref());
                    task.changed(self.what(difference), detail, true);
                }
                Ok(())
            }
        }
    }

    async fn send(
        &self,
        remote: &Remote<'_>,
        differences: &[Difference<'_>],
        task: &Task,
    ) -> Result<(), CopyError> {
        let shipment = Shipment::new(differences);
        let owner = self.owner.as_ref().map(Owner::to_argument).unwrap_or_default();
        let size = shipment.size();
        let mut told = Instant::now();
        let progress = |bytes| {
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                task.progress(bytes, size, Unit::Bytes);
            }
        };
        let (reader, writer) = tokio::io::duplex(PIPE);
        let (written, placed) =
            tokio::join!(shipment.write(writer, progress), remote.put(&self.root, &owner, reader));
        let mut placed_paths = placed.paths.iter();
        let mut next = placed_paths.next();
        // The script goes through them in order; what it does not name was not touched.
        for difference in differences {
            if next.is_some_and(|path| *path == difference.wanted.path) {
                next = placed_paths.next();
                task.changed(self.what(difference), self.detail(difference, None), false);
            }
        }
        // A file that could not be read is why the host did not get it.
        written?;
        Ok(placed.result?)
    }

    /// What is at the changed files that are small enough to be shown, by path.
    async fn contents(
        &self,
        remote: &Remote<'_>,
        entries: &BTreeMap<String, super::listing::Found>,
        differences: &[Difference<'_>],
    ) -> Result<BTreeMap<String, Vec<u8>>, CopyError> {
        let mut left = MAX_DIFFS;
        let mut files = Vec::new();
        for difference in differences.iter().filter(|difference| difference.content) {
            let (Kind::File { size: new, .. }, Some(old)) =
                (&difference.wanted.kind, plan::size(entries, difference.wanted))
            else {
                continue;
            };
            if *new <= MAX_DIFF && old <= MAX_DIFF && old <= left {
                left -= old;
                files.push(Expected { path: asked(&difference.wanted.path), size: old });
            }
        }
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut incoming = Incoming::new(&files, Memory::default());
        let read = remote.get(&self.root, &files, &mut |data| incoming.push(data)).await;
        let contents = incoming.finish(read)?.0;
        Ok(files.iter().map(|file| file.path[2..].to_owned()).zip(contents).collect())
    }

    fn what(&self, difference: &Difference<'_>) -> String {
        let verb = if difference.action == Action::Create { "create" } else { "change" };
        format!("{verb} {}", self.place(difference.wanted))
    }

    /// Where something goes, for people.
    fn place(&self, wanted: &Wanted) -> String {
        match self.root.as_str() {
            "." => wanted.path.clone(),
            root => format!("{}/{}", root.trim_end_matches('/'), wanted.path),
        }
    }

    /// What is different, in words; `old` is what is there, where that was read.
    fn detail(&self, difference: &Difference<'_>, old: Option<&[u8]>) -> Option<String> {
        let mut details = difference.details.clone();
        if let (Some(old), Kind::File { source, .. }) = (old, &difference.wanted.kind)
            // What cannot be read now is reported when it is copied.
            && let Ok(new) = std::fs::read(source)
        {
            let wanted = diff::Wanted {
                path: &self.place(difference.wanted),
                content: &new,
                mode: difference.wanted.mode,
                secret: false,
            };
            details.push(diff::content_difference(&wanted, old, false));
        }
        (!details.is_empty()).then(|| details.join("\n"))
    }
}
