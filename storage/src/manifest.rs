//! Manifests: what a folder of the store holds, written once by put-if-absent.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::key::{FORMAT_VERSION, Id, Key, Kind};
use crate::open::Store;

/// What every manifest says: `format_version`, `kind`, `id`, the canonical `spec` the id is the
/// hash of, and facts found while making it.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Manifest {
    /// The format of this folder's files.
    pub format_version: u32,
    /// What the folder holds.
    pub kind: Kind,
    /// The hash of `spec`.
    pub id: Id,
    /// The canonical question.
    pub spec: Value,
    /// Facts that follow from the question or tell how it was answered; not part of the id.
    pub facts: Value,
}

impl Manifest {
    /// A manifest for the canonical question `spec`.
    pub fn new(kind: Kind, spec: Value, facts: Value) -> Self {
        Self { format_version: FORMAT_VERSION, kind, id: Id::of(&spec), spec, facts }
    }

    /// The manifest's key.
    pub fn key(&self) -> Key {
        Key::manifest(self.kind, &self.id)
    }

    /// One of the facts, or a clear error.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing or of another type.
    pub fn fact<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.facts.get(name).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value)
            .map_err(|e| Error::Format(format!("{}: the fact `{name}` cannot be read: {e}", self.key())))
    }

    /// Writes the manifest if there is none, and returns the one that is there then. Of two
    /// processes that write at once, both get the same answer.
    ///
    /// # Errors
    /// [`Error::Format`] if the folder holds another format version or another question.
    pub fn publish(&self, store: &Store) -> Result<Manifest> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Format(format!("{}: cannot be written as JSON: {e}", self.key())))?;
        store.create(&self.key(), text.into())?;
        let found = Manifest::read(store, self.kind, &self.id)?;
        if found.spec != self.spec {
            return Err(Error::Format(format!(
                "{}: holds another question under the same id; use another store",
                self.key()
            )));
        }
        Ok(found)
    }

    /// Reads a manifest and checks version, kind and id.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Format`] if it is of another version or not a manifest.
    pub fn read(store: &Store, kind: Kind, id: &Id) -> Result<Manifest> {
        let key = Key::manifest(kind, id);
        let bytes = store.get(&key)?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| {
            Error::Format(format!("{key}: not a manifest: {e}; remove the folder or use another store"))
        })?;
        match value.get("format_version").and_then(Value::as_u64) {
            Some(v) if v == u64::from(FORMAT_VERSION) => {}
            found => {
                return Err(Error::Format(format!(
                    "{key}: format version {}; this program reads and writes version {FORMAT_VERSION}: use the \
                     version that wrote it, or another store",
                    found.map_or("unknown".to_owned(), |v| v.to_string())
                )));
            }
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|e| Error::Format(format!("{key}: not a manifest: {e}")))?;
        if manifest.kind != kind || &manifest.id != id || Id::of(&manifest.spec) != manifest.id {
            return Err(Error::Format(format!("{key}: its kind, id or spec is not that of its place")));
        }
        Ok(manifest)
    }

    /// Reads a manifest, or `None` if there is none.
    ///
    /// # Errors
    /// As [`Manifest::read`], less `NotFound`.
    pub fn find(store: &Store, kind: Kind, id: &Id) -> Result<Option<Manifest>> {
        match Manifest::read(store, kind, id) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
