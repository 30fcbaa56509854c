//! Checks before anything is changed: pure functions over facts. Never does I/O.
