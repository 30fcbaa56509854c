//! What an action did, or would do in a dry run.

/// One change on a host, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What, in a few words: `create /etc/kubernetes/admin.conf`.
    pub what: String,
    /// More about it, for example a unified diff; never a secret.
    pub detail: Option<String>,
}

impl Change {
    /// A change that needs no more words.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), detail: None }
    }
}

/// What happened to a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// It was not there.
    Created,
    /// Its content, mode or owner was different.
    Changed,
    /// It was as wanted, and was not touched.
    Unchanged,
}

impl FileAction {
    /// The payload's word for it.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "created" => Some(Self::Created),
            "changed" => Some(Self::Changed),
            "unchanged" => Some(Self::Unchanged),
            _ => None,
        }
    }
}

/// What happened to one file or directory of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// What happened.
    pub action: FileAction,
    /// The difference, where asked for; of secrets only that there is one.
    pub detail: Option<String>,
}

impl FileChange {
    /// As a change for people; `None` when nothing changed.
    pub fn into_change(self) -> Option<Change> {
        let verb = match self.action {
            FileAction::Created => "create",
            FileAction::Changed => "change",
            FileAction::Unchanged => return None,
        };
        Some(Change { what: format!("{verb} {}", self.path), detail: self.detail })
    }
}
