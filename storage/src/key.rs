//! Typed keys: every object of a store is named here and nowhere else (docs/format.md).

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::grid::TileId;

/// The format version written into manifests and tiles.
pub const FORMAT_VERSION: u32 = 1;

/// An id: the first 16 hex digits of the blake3 of a canonical spec.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id(String);

impl Id {
    /// The id of a canonical spec. Object keys are sorted, so equal questions have equal ids.
    pub fn of(spec: &serde_json::Value) -> Self {
        let mut text = String::new();
        canonical(spec, &mut text);
        Self(blake3::hash(text.as_bytes()).to_hex().as_str()[..16].to_owned())
    }

    /// An id as it stands in a key, or `None` if it is not 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Self(text.to_owned()))
    }

    /// The 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn canonical(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// What a folder of the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Prepared rows of a data set.
    Data,
    /// A kernel matrix.
    Gram,
    /// A Cholesky factor.
    Factor,
    /// A test set's strips.
    Border,
}

impl Kind {
    /// All kinds, in the order in which a job makes them.
    pub const ALL: [Kind; 4] = [Kind::Data, Kind::Gram, Kind::Factor, Kind::Border];

    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Gram => "gram",
            Kind::Factor => "factor",
            Kind::Border => "border",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.folder())
    }
}

/// The name of one object, relative to the store's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    path: String,
    payload: bool,
}

impl Key {
    fn plain(path: String) -> Self {
        Self { path, payload: false }
    }

    /// `<kind>/<id>/manifest.json`
    pub fn manifest(kind: Kind, id: &Id) -> Self {
        Self::plain(format!("{kind}/{id}/manifest.json"))
    }

    /// `<kind>/<id>/tiles/<i>-<j>.parquet`
    pub fn tile(kind: Kind, id: &Id, tile: TileId) -> Self {
        Self { path: format!("{kind}/{id}/tiles/{tile}.parquet"), payload: true }
    }

    /// `<kind>/<id>/aside/<i>-<j>.parquet`: where a tile that failed its digest is kept.
    pub fn aside(kind: Kind, id: &Id, tile: TileId) -> Self {
        Self::plain(format!("{kind}/{id}/aside/{tile}.parquet"))
    }

    /// `data/<id>/rows/<i>.parquet`
    pub fn rows(id: &Id, block: u32) -> Self {
        Self::plain(format!("data/{id}/rows/{block:06}.parquet"))
    }

    /// `border/<id>/strips/<s>.parquet`
    pub fn strip(id: &Id, strip: u32) -> Self {
        Self::plain(format!("border/{id}/strips/{strip:06}.parquet"))
    }

    /// `<kind>/<id>/<name>`: a file beside a manifest, such as `z.parquet` or `failed.json`.
    pub fn beside(kind: Kind, id: &Id, name: &str) -> Self {
        Self::plain(format!("{kind}/{id}/{name}"))
    }

    /// `results/<job>/<name>`
    pub fn result(job: &str, name: &str) -> Self {
        Self::plain(format!("results/{job}/{name}"))
    }

    /// Whether the object is a tile: only tiles count as bytes read and written.
    pub fn is_tile(&self) -> bool {
        self.payload
    }

    /// Whether the object was set aside because its digest was wrong.
    pub fn is_aside(&self) -> bool {
        self.path.contains("/aside/")
    }

    /// The tile named by a key under `tiles/`.
    pub fn tile_id(&self) -> Option<TileId> {
        let (folder, name) = self.path.rsplit_once('/')?;
        if !folder.ends_with("/tiles") {
            return None;
        }
        name.strip_suffix(".parquet")?.parse().ok()
    }

    /// The kind and id of the folder the object lies in.
    pub fn owner(&self) -> Option<(Kind, Id)> {
        let mut parts = self.path.split('/');
        let folder = parts.next()?;
        let kind = Kind::ALL.into_iter().find(|k| k.folder() == folder)?;
        Some((kind, Id::parse(parts.next()?)?))
    }

    /// A key from a listing.
    pub fn listed(path: &str) -> Self {
        Self { path: path.to_owned(), payload: path.contains("/tiles/") }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    pub(crate) fn path(&self) -> Path {
        Path::from(self.path.as_str())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}
