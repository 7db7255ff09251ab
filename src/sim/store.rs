//! Objects of one kind with the log of their writes, and caches that follow the log at a distance.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects of one kind, by name, and every write to them.
#[derive(Clone, Debug)]
pub struct Store<T> {
    objects: BTreeMap<String, Arc<T>>,
    log: Vec<(String, Option<Arc<T>>)>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store {
            objects: BTreeMap::new(),
            log: Vec::new(),
        }
    }
}

impl<T> Store<T> {
    /// The object of this name as it is now.
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.objects.get(name)
    }

    /// All objects as they are now, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<T>)> {
        self.objects.iter().map(|(name, object)| (name.as_str(), object))
    }

    /// How many writes there were.
    pub fn writes(&self) -> usize {
        self.log.len()
    }

    /// Creates or replaces.
    pub(super) fn put(&mut self, name: &str, object: T) {
        let object = Arc::new(object);
        self.objects.insert(name.to_owned(), Arc::clone(&object));
        self.log.push((name.to_owned(), Some(object)));
    }

    /// Deletes.
    pub(super) fn remove(&mut self, name: &str) {
        if self.objects.remove(name).is_some() {
            self.log.push((name.to_owned(), None));
        }
    }
}

/// What a watcher has seen of a [`Store`]: its state after some prefix of the log.
#[derive(Clone, Debug)]
pub struct Cache<T> {
    objects: BTreeMap<String, Arc<T>>,
    seen: usize,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache {
            objects: BTreeMap::new(),
            seen: 0,
        }
    }
}

impl<T> Cache<T> {
    /// The object of this name as it was.
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.objects.get(name)
    }

    /// All objects as they were, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.values()
    }

    /// A new list: everything is as it is.
    pub fn list(store: &Store<T>) -> Self {
        Cache {
            objects: store.objects.clone(),
            seen: store.log.len(),
        }
    }

    /// Sees the writes up to the `upto`-th; never goes back.
    pub fn follow(&mut self, store: &Store<T>, upto: usize) {
        let upto = upto.min(store.log.len());
        for (name, object) in store.log.get(self.seen..upto).unwrap_or_default() {
            match object {
                Some(object) => self.objects.insert(name.clone(), Arc::clone(object)),
                None => self.objects.remove(name),
            };
        }
        self.seen = self.seen.max(upto);
    }
}
