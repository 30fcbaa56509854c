//! The directory of runs: their names, which of them is meant, and how long they are kept.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::{EVENTS, RunRecord, read};
use crate::report::file::at;

/// So many runs are kept.
const KEPT: usize = 50;

/// No longer than this.
const KEPT_FOR: Duration = Duration::days(30);

/// And no more than this of them, in bytes of their events. The logs by host take about as much again.
const KEPT_BYTES: u64 = 256 << 20;

/// How much of a record its first line may be: the names of all hosts are in it.
const FIRST_LINE: u64 = 64 << 20;

/// A run's name: when it began, and something to tell it from others of that moment. Names sort as the runs began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(String);

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");

impl RunId {
    fn new(started: OffsetDateTime) -> io::Result<Self> {
        let time = started.format(TIME).map_err(io::Error::other)?;
        // Good enough for a name. The first number of a cryptographic generator costs as much as a hundred hosts do.
        let random = RandomState::new().hash_one(0) & 0xff_ffff;
        Ok(Self(format!("{time}-{random:06x}")))
    }

    fn started(&self) -> Option<OffsetDateTime> {
        let (time, random) = self.0.split_once('-')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = random.len() == 6 && random.bytes().all(is_hex);
        let time = PrimitiveDateTime::parse(time, TIME).ok().filter(|_| fits)?;
        Some(time.assume_utc())
    }
}

impl FromStr for RunId {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let id = Self(text.to_owned());
        match id.started() {
            Some(_) => Ok(id),
            None => Err(io::Error::other(format!("{text:?} is not the name of a run"))),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All runs on record.
#[derive(Debug, Clone)]
pub struct Runs {
    directory: PathBuf,
}

impl Runs {
    /// The user's own: in `$XDG_STATE_HOME/fleetadm/runs`, by default `~/.local/state/fleetadm/runs`.
    ///
    /// # Errors
    /// The user has no home.
    pub fn of_user() -> io::Result<Self> {
        // A relative XDG_STATE_HOME is invalid by its specification and does not count.
        let stated = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let state = stated.filter(|path| path.is_absolute()).or_else(|| {
            let home = std::env::home_dir().filter(|home| home.is_absolute())?;
            Some(home.join(".local/state"))
        });
        let state = state.ok_or_else(|| {
            io::Error::other("there is no home directory; set XDG_STATE_HOME to an absolute path")
        })?;
        Ok(Self::kept_in(&state.join("fleetadm/runs")))
    }

    /// In this directory, which is made for the first run.
    pub fn kept_in(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// A new directory for a run that begins at this time, and its name. Only the user can get at it.
    pub(super) fn begin(&self, started: OffsetDateTime) -> io::Result<(RunId, PathBuf)> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| at(&self.directory, &error))?;
        loop {
            let id = RunId::new(started)?;
            let directory = self.directory.join(id.to_string());
            match DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => return Ok((id, directory)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at(&directory, &error)),
            }
        }
    }

    /// The runs, the newest first.
    ///
    /// # Errors
    /// The directory cannot be read. That there is none is no error.
    pub fn all(&self) -> io::Result<Vec<RunId>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.directory, &error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<RunId> = names.filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ids)
    }

    /// The file with the events of a run.
    pub fn events(&self, id: &RunId) -> PathBuf {
        self.directory.join(&id.0).join(EVENTS)
    }

    /// The file with the events of the run that `name` means: a name, the beginning of one that no other has, `last`, or a
    /// file or directory of a record anywhere.
    ///
    /// # Errors
    /// It means no run, or more than one.
    pub fn find(&self, name: &str) -> io::Result<PathBuf> {
        let path = Path::new(name);
        if name != "last" && (name.contains('/') || path.exists()) {
            return Ok(if path.is_dir() { path.join(EVENTS) } else { path.to_owned() });
        }
        let all = self.all()?;
        let fits: Vec<&RunId> = match name {
            "last" => all.first().into_iter().collect(),
            name => all.iter().filter(|id| id.0.starts_with(name)).collect(),
        };
        match fits.as_slice() {
            [id] => Ok(self.events(id)),
            [] => {
                let directory = self.directory.display();
                Err(io::Error::other(format!("there is no run {name} in {directory}")))
            }
            [newest, ..] => {
                let count = fits.len();
                Err(io::Error::other(format!(
                    "{name} is the beginning of {count} runs, as {newest}"
                )))
            }
        }
    }

    /// The last run with this inventory that has ended, however; `None` where there was none.
    ///
    /// # Errors
    /// The inventory is no file, or a record cannot be read.
    pub fn last_of(&self, inventory: &Path) -> io::Result<Option<RunRecord>> {
        // The same inventory under another name or through a link is the same.
        let inventory = fs::canonicalize(inventory).map_err(|_| {
            let inventory = inventory.display();
            io::Error::other(format!(
                "no run is on record for an inventory that is no file: {inventory}"
            ))
        })?;
        for id in self.all()? {
            let path = self.events(&id);
            // One that another process takes away meanwhile is too old to be meant.
            let Ok(file) = File::open(&path) else { continue };
            if is_under_way(&file) || !is_of(&file, &inventory) {
                continue;
            }
            return read(&path).map(Some);
        }
        Ok(None)
    }

    /// Take away what is too old or too much. What cannot be removed, the next run tries again.
    pub(super) fn prune(&self, now: OffsetDateTime) {
        let mut bytes = 0;
        for (place, id) in self.all().unwrap_or_default().iter().enumerate() {
            let path = self.events(id);
            bytes += path.metadata().map_or(0, |metadata| metadata.len());
            let old = id.started().is_some_and(|started| now - started > KEPT_FOR);
            if place > 0
                && (place >= KEPT || old || bytes > KEPT_BYTES)
                && !File::open(&path).is_ok_and(|file| is_under_way(&file))
            {
                // Another run may be at it.
                let _ = fs::remove_dir_all(self.directory.join(&id.0));
            }
        }
    }
}

/// Whether somebody is still writing the record.
pub(super) fn is_under_way(file: &File) -> bool {
    // Nobody has a lock where the file system has none.
    let locked = flock(file, FlockOperation::NonBlockingLockShared)
        .is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK);
    // At once, so that whoever looks keeps no run from locking its own.
    let _ = flock(file, FlockOperation::Unlock);
    locked
}

/// Whether a record's first line names this inventory.
fn is_of(file: &File, inventory: &Path) -> bool {
    let mut first = String::new();
    let read = BufReader::new(io::Read::take(file, FIRST_LINE)).read_line(&mut first);
    let value = serde_json::from_str::<Value>(&first).unwrap_or_default();
    read.is_ok() && value["inventory"].as_str() == Some(&*inventory.to_string_lossy())
}
