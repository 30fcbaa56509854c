//! Why an expression selects nothing.

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
    /// Operators without a term, or more than one in front of it.
    #[error("`{0}`: write one `!` or `&` in front of a term, or none")]
    BadOperator(String),
    /// A list where only names can be meant.
    #[error("`{0}`: lists are for --limit; name hosts, groups or roles here")]
    NoLists(String),
    /// A list that cannot be had.
    #[error("`@{list}`: {reason}")]
    Unreadable {
        /// What stands behind the `@`.
        list: String,
        /// Why.
        reason: String,
    },
    /// A list that is part of itself.
    #[error("`@{0}` is part of itself")]
    Loop(String),
    /// A mistake in a list.
    #[error("{file}:{line}: {mistake}")]
    InFile {
        /// The file, as the expression names it.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong there.
        mistake: Box<SelectionError>,
    },
    /// The terms together leave no host.
    #[error("the selection leaves no host{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NothingLeft {
        /// A list that turned out empty.
        why: Option<String>,
    },
}
