//! Values that many hosts need and that are made once per run.

use std::collections::HashMap;
use std::hash::Hash;
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

/// A map of things that are shared by everybody who asks for the same key.
#[derive(Debug)]
pub(super) struct Table<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, V: Default> Table<K, V> {
    /// What belongs to `key`, made now if nobody has asked for it.
    pub(super) fn get(&self, key: K) -> Arc<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry(key).or_default())
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
