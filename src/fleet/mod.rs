//! Many hosts at once: selection, bounded concurrency, per-host outcome.
