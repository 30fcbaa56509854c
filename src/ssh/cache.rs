//! Values read from a file once per run, however many hosts need them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A map from path to what was read there.
#[derive(Debug)]
pub(super) struct FileCache<T>(Mutex<HashMap<PathBuf, Arc<T>>>);

impl<T> Default for FileCache<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T> FileCache<T> {
    /// What `read` made of `path`, calling it only the first time.
    ///
    /// The lock is held while reading, so that a thousand hosts starting at once read the file once.
    pub(super) fn get(&self, path: &Path, read: impl FnOnce(&Path) -> T) -> Arc<T> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = entries.get(path) {
            return Arc::clone(value);
        }
        let value = Arc::new(read(path));
        entries.insert(path.to_owned(), Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_path_once() {
        let cache = FileCache::default();
        assert_eq!(*cache.get(Path::new("a"), |_| 1), 1);
        assert_eq!(*cache.get(Path::new("a"), |_| 2), 1);
        assert_eq!(*cache.get(Path::new("b"), |_| 3), 3);
    }
}
