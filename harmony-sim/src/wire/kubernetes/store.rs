//! Versions of objects: what has changed since when.
//!
//! What an object is, the state says; here it is only compared with what it was. Source: Kubernetes documentation, "API
//! concepts", sections "Efficient detection of changes", "Retrieving large results sets in chunks".

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::resource::Resource;

/// Changes that are remembered.
const REMEMBERED: usize = 4096;

/// A change of an object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    resource: Resource,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(super) kind: &'static str,
    pub(super) object: Value,
}

/// The objects as they were last seen.
#[derive(Debug, Default)]
pub(super) struct Store {
    version: u64,
    /// By name, with their versions in them.
    objects: BTreeMap<Resource, BTreeMap<String, Value>>,
    changes: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    /// Made once for each request, for a key is made for each.
    pub(super) pems: BTreeMap<String, String>,
}

/// The name in an object.
pub(super) fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn set_version(object: &mut Value, version: u64) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    }
}

fn is_same(kept: &Value, fresh: &Value) -> bool {
    let mut kept = kept.clone();
    if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    kept == *fresh
}

impl Store {
    /// Takes notice of the objects of a resource.
    pub(super) fn refresh(&mut self, resource: Resource, objects: Vec<Value>) {
        let mut before = self.objects.remove(&resource).unwrap_or_default();
        let mut kept = BTreeMap::new();
        for mut object in objects {
            let name = name_of(&object).to_owned();
            let kind = match before.remove(&name) {
                Some(known) if is_same(&known, &object) => {
                    kept.insert(name, known);
                    continue;
                }
                Some(_) => "MODIFIED",
                None => "ADDED",
            };
            self.version += 1;
            set_version(&mut object, self.version);
            self.remember(Change { version: self.version, resource, kind, object: object.clone() });
            kept.insert(name, object);
        }
        for (_, mut object) in before {
            self.version += 1;
            set_version(&mut object, self.version);
            self.remember(Change { version: self.version, resource, kind: "DELETED", object });
        }
        self.objects.insert(resource, kept);
    }

    fn remember(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.version;
        }
    }

    /// The latest version.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The objects of a resource, sorted by name.
    pub(super) fn objects(&self, resource: Resource) -> impl Iterator<Item = &Value> {
        self.objects.get(&resource).into_iter().flat_map(BTreeMap::values)
    }

    /// One of them.
    pub(super) fn object(&self, resource: Resource, name: &str) -> Option<&Value> {
        self.objects.get(&resource)?.get(name)
    }

    /// What has changed after a version; nothing at all, where that is forgotten.
    pub(super) fn since(&self, resource: Resource, version: u64) -> Option<Vec<Change>> {
        if version < self.forgotten {
            return None;
        }
        let changes = self.changes.iter().filter(|change| change.version > version && change.resource == resource);
        Some(changes.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, value: u32) -> Value {
        json!({"metadata": {"name": name}, "value": value})
    }

    #[test]
    fn a_change_is_told_once_and_only_what_is_remembered_can_be_asked_for() {
        let mut store = Store::default();
        let kinds = |store: &Store, since| {
            let changes = store.since(Resource::Nodes, since).expect("remembered").into_iter();
            changes.map(|change| (change.kind, name_of(&change.object).to_owned())).collect::<Vec<_>>()
        };
        store.refresh(Resource::Nodes, vec![object("a", 1), object("b", 1)]);
        let before = store.version();
        store.refresh(Resource::Nodes, vec![object("a", 1), object("b", 1)]);
        assert_eq!(store.version(), before, "nothing has changed");
        store.refresh(Resource::Nodes, vec![object("a", 2)]);
        assert_eq!(kinds(&store, before), [("MODIFIED", "a".to_owned()), ("DELETED", "b".to_owned())]);
        assert_eq!(kinds(&store, 0).len(), 4);
        for value in 0..u32::try_from(REMEMBERED).expect("fits") {
            store.refresh(Resource::Nodes, vec![object("a", value + 3)]);
        }
        assert!(store.since(Resource::Nodes, before).is_none());
        assert_eq!(kinds(&store, store.version() - 1).len(), 1);
    }
}
