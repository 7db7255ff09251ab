//! A watched kind in memory, indexed by owner: a pass never lists anything.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{Stream, StreamExt, pin_mut};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::metrics::Metrics;
use super::retry::Retry;
use crate::engine::observed;

/// A watched kind in memory.
pub struct Cache<K: Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    owned: Arc<RwLock<Owned<K>>>,
}

/// Names of objects by the uid of their controlling owner, or by [`orphans_of`] their namespace.
type Owned<K> = HashMap<String, HashSet<ObjectRef<K>>>;

/// What a watch tells of one object.
pub struct Change<'a, K> {
    /// As the cache had it before.
    pub before: Option<&'a K>,
    /// As it is now; as it was last, where it is gone.
    pub object: &'a K,
    /// Whether it was deleted.
    pub gone: bool,
}

/// Feeds a [`Cache`].
pub struct Feed<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    cache: Cache<K>,
    metrics: Option<Arc<Metrics>>,
}

impl<K: Resource<DynamicType = ()> + 'static> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache {
            store: self.store.clone(),
            owned: Arc::clone(&self.owned),
        }
    }
}

/// The key under which objects without an owner stand.
fn orphans_of(namespace: &str) -> String {
    format!("orphans of {namespace}")
}

fn owner_key<K: Resource>(object: &K) -> String {
    let meta = object.meta();
    match observed::controller_uid(meta) {
        Some(uid) => uid.to_owned(),
        None => orphans_of(meta.namespace.as_deref().unwrap_or_default()),
    }
}

/// An empty cache and what fills it.
pub fn cache<K>() -> (Cache<K>, Feed<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let writer = Writer::new(());
    let cache = Cache {
        store: writer.as_reader(),
        owned: Arc::default(),
    };
    let feed = Feed {
        writer,
        cache: cache.clone(),
        metrics: None,
    };
    (cache, feed)
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The store behind it.
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// The objects that the owner with this uid controls, in order of their names.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.find(uid)
    }

    /// The objects of a namespace that nobody controls, in order of their names.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        self.find(&orphans_of(namespace))
    }

    fn find(&self, key: &str) -> Vec<Arc<K>> {
        let refs: Vec<ObjectRef<K>> = self
            .owned
            .read()
            .get(key)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let mut found: Vec<Arc<K>> = refs.iter().filter_map(|r| self.store.get(r)).collect();
        found.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        found
    }
}

impl<K> Feed<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    ObjectRef<K>: Hash + Eq,
{
    /// Failures of the watch are counted there.
    #[must_use]
    pub fn counted(mut self, metrics: &Arc<Metrics>) -> Self {
        self.metrics = Some(Arc::clone(metrics));
        self
    }

    /// Watches until dropped. `slim` drops what is not needed before the object is kept; `touched` is told of every object
    /// that came, changed or went. Failures of the watch are logged once each time they begin, and tried again.
    pub async fn run(
        self,
        api: Api<K>,
        config: watcher::Config,
        slim: impl Fn(&mut K) + Send + Sync + 'static,
        touched: impl Fn(&K) + Send,
    ) {
        self.run_changes(api, config, slim, move |change: Change<K>| {
            tell(&change, &touched);
        })
        .await;
    }

    /// As [`Self::run`], but `changed` is told what the object was before, too.
    pub async fn run_changes(
        mut self,
        api: Api<K>,
        config: watcher::Config,
        slim: impl Fn(&mut K) + Send + Sync + 'static,
        changed: impl Fn(Change<K>) + Send,
    ) {
        let stream = watcher::watcher(api, config).modify(move |object| {
            object.meta_mut().managed_fields = None;
            slim(object);
        });
        self.follow_changes(stream, changed, || {}).await;
    }

    /// Takes the events of a watch until it ends; after each failure it is left alone for a while. `filled` is told each time
    /// the store holds all that there is.
    pub async fn follow(
        &mut self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        touched: impl Fn(&K) + Send,
        filled: impl Fn() + Send,
    ) {
        self.follow_changes(stream, move |change: Change<K>| tell(&change, &touched), filled)
            .await;
    }

    async fn follow_changes(
        &mut self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        changed: impl Fn(Change<K>) + Send,
        filled: impl Fn() + Send,
    ) {
        let kind = K::kind(&()).into_owned();
        pin_mut!(stream);
        let mut failing = false;
        let mut retry = Retry::of(&kind);
        while let Some(event) = stream.next().await {
            let wait = retry.after(&event, Instant::now());
            if let (Err(_), Some(metrics)) = (&event, &self.metrics) {
                metrics.watch_failed(&kind);
            }
            match event {
                Ok(event) => {
                    failing = false;
                    self.take_changes(&event, &changed);
                    if matches!(event, Event::InitDone) {
                        filled();
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%kind, %error, "the watch failed; trying again");
                }
                Err(error) => tracing::debug!(%kind, %error, "the watch still fails"),
            }
            if let Some(wait) = wait {
                sleep(wait).await;
            }
        }
    }

    /// Takes one event of the watch.
    pub fn take(&mut self, event: &Event<K>, touched: &impl Fn(&K)) {
        self.take_changes(event, &|change: Change<K>| tell(&change, touched));
    }

    fn take_changes(&mut self, event: &Event<K>, changed: &impl Fn(Change<K>)) {
        match event {
            Event::Apply(object) => {
                let before = self.cache.store.get(&ObjectRef::from_obj(object));
                self.writer.apply_watcher_event(event);
                let mut owned = self.cache.owned.write();
                if let Some(before) = &before {
                    forget(&mut owned, before.as_ref());
                }
                remember(&mut owned, object);
                drop(owned);
                changed(Change {
                    before: before.as_deref(),
                    object,
                    gone: false,
                });
            }
            Event::Delete(object) => {
                let before = self.cache.store.get(&ObjectRef::from_obj(object));
                self.writer.apply_watcher_event(event);
                forget(&mut self.cache.owned.write(), object);
                changed(Change {
                    before: before.as_deref(),
                    object,
                    gone: true,
                });
            }
            Event::Init | Event::InitApply(_) => self.writer.apply_watcher_event(event),
            Event::InitDone => {
                let mut before: HashMap<ObjectRef<K>, Arc<K>> = self
                    .cache
                    .store
                    .state()
                    .into_iter()
                    .map(|o| (key(o.as_ref()), o))
                    .collect();
                self.writer.apply_watcher_event(event);
                let after = self.cache.store.state();
                let mut owned: Owned<K> = HashMap::new();
                for object in &after {
                    remember(&mut owned, object.as_ref());
                }
                *self.cache.owned.write() = owned;
                let after = after
                    .into_iter()
                    .map(|object| (before.remove(&key(object.as_ref())), object));
                let after: Vec<(Option<Arc<K>>, Arc<K>)> = after.collect();
                // What was deleted while the watch was down is told too.
                for object in before.values() {
                    changed(Change {
                        before: Some(object),
                        object,
                        gone: true,
                    });
                }
                for (before, object) in &after {
                    changed(Change {
                        before: before.as_deref(),
                        object,
                        gone: false,
                    });
                }
            }
        }
    }
}

/// Tells of the object, and of the former one where its owner was another.
fn tell<K>(change: &Change<K>, touched: &impl Fn(&K))
where
    K: Resource<DynamicType = ()> + 'static,
{
    if let Some(before) = change
        .before
        .filter(|b| owner_key(*b) != owner_key(change.object))
    {
        touched(before);
    }
    touched(change.object);
}

/// The name under which an object stands, without the version and the uid that `ObjectRef::from_obj` copies too.
fn key<K>(object: &K) -> ObjectRef<K>
where
    K: Resource<DynamicType = ()> + 'static,
{
    let meta = object.meta();
    let name = ObjectRef::new(meta.name.as_deref().unwrap_or_default());
    match meta.namespace.as_deref() {
        Some(namespace) => name.within(namespace),
        None => name,
    }
}

fn remember<K>(owned: &mut Owned<K>, object: &K)
where
    K: Resource<DynamicType = ()> + 'static,
{
    owned.entry(owner_key(object)).or_default().insert(key(object));
}

fn forget<K>(owned: &mut Owned<K>, object: &K)
where
    K: Resource<DynamicType = ()> + 'static,
{
    let group = owner_key(object);
    if let Some(all) = owned.get_mut(&group) {
        all.remove(&key(object));
        if all.is_empty() {
            owned.remove(&group);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::api::replica_set::ReplicaSet;

    fn replica_set(name: &str, owner: Option<&str>) -> ReplicaSet {
        let owners = owner.map(|uid| {
            serde_json::json!([{"apiVersion": "v1", "kind": "Rollout", "name": "r", "uid": uid, "controller": true}])
        });
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "n", "ownerReferences": owners},
        }))
        .unwrap()
    }

    #[test]
    fn objects_are_found_by_owner_and_leave_with_every_kind_of_event() {
        let (cache, mut feed) = cache::<ReplicaSet>();
        let seen = RefCell::new(Vec::new());
        let touched = |rs: &ReplicaSet| seen.borrow_mut().push(rs.metadata.name.clone().unwrap());
        let names = |uid: &str| -> Vec<String> {
            cache
                .owned_by(uid)
                .iter()
                .map(|rs| rs.metadata.name.clone().unwrap())
                .collect()
        };
        feed.take(&Event::Init, &touched);
        feed.take(&Event::InitApply(replica_set("a", Some("1"))), &touched);
        feed.take(&Event::InitApply(replica_set("b", Some("1"))), &touched);
        feed.take(&Event::InitDone, &touched);
        assert_eq!(names("1"), ["a", "b"]);
        feed.take(&Event::Apply(replica_set("b", Some("2"))), &touched);
        assert_eq!(
            (names("1"), names("2")),
            (vec!["a".to_owned()], vec!["b".to_owned()])
        );
        feed.take(&Event::Apply(replica_set("a", None)), &touched);
        assert_eq!(cache.orphans("n").len(), 1);
        feed.take(&Event::Delete(replica_set("b", Some("2"))), &touched);
        assert!(names("2").is_empty());
        seen.borrow_mut().clear();
        feed.take(&Event::Init, &touched);
        feed.take(&Event::InitDone, &touched);
        assert_eq!(
            *seen.borrow(),
            ["a"],
            "what went while the watch was down is told"
        );
    }
}
