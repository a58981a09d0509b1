//! Stores by URL: a folder, `file://`, `s3://`, `gs://`, `az://` or `memory://`.
//!
//! A [`Store`] is bytes under keys. It knows nothing of tiles beyond counting their payload. It
//! never caches and never locks: which objects exist is asked of the store by listing.
//!
//! ```
//! use megagram_storage::{Key, Store};
//! let store = Store::open("memory://")?;
//! let key = Key::result("demo", "summary.json");
//! assert!(store.create(&key, b"{}".to_vec().into())?);
//! assert!(!store.create(&key, b"{}".to_vec().into())?, "a second create must not overwrite");
//! assert_eq!(&store.get(&key)?[..], b"{}");
//! # Ok::<(), megagram_storage::Error>(())
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::{GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::{Handle, Runtime};

use crate::error::{Error, Result};
use crate::key::Key;

/// An object that was asked for.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// A local file, and its length in bytes.
    File(std::fs::File, u64),
    /// The bytes of an object.
    Bytes(Bytes),
}

/// Counted payload of tiles: objects and bytes that went through [`Store`] since it was opened.
#[derive(Debug, Default)]
pub struct Meter {
    gets: AtomicU64,
    puts: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

/// One reading of a [`Meter`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// GET requests for tiles.
    pub gets: u64,
    /// PUT requests for tiles.
    pub puts: u64,
    /// Bytes of tiles read.
    pub bytes_read: u64,
    /// Bytes of tiles written.
    pub bytes_written: u64,
}

impl Traffic {
    /// What went through since `earlier`.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            gets: self.gets - earlier.gets,
            puts: self.puts - earlier.puts,
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
        }
    }

    /// The sum of two readings.
    pub fn plus(self, other: Traffic) -> Traffic {
        Traffic {
            gets: self.gets + other.gets,
            puts: self.puts + other.puts,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
        }
    }
}

/// The I/O threads. The last to hold the store may be one of them, which must not wait for itself.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An object store, opened. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// For as long as the store is held.
    _threads: Arc<Threads>,
    runtime: Handle,
    meter: Arc<Meter>,
    url: Arc<str>,
    folder: Option<Arc<std::path::Path>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.url)
    }
}

fn store_error(url: &str, verb: &str, key: &str, error: &object_store::Error) -> Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    Error::Store(format!("store {url}: cannot {verb} {key}: {text}"))
}

/// Whether `location` names an object store by URL rather than a folder or file.
pub fn is_url(location: &str) -> bool {
    location
        .split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+'))
}

impl Store {
    /// Opens a store. A folder is made if it is missing. Credentials and endpoints come from the
    /// environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
    ///
    /// # Errors
    /// [`Error::Store`] if the place cannot be opened or made.
    pub fn open(location: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(64)
            .thread_name("megagram-io")
            .enable_all()
            .build()
            .map_err(|e| Error::Store(format!("store {location}: cannot start I/O threads: {e}")))?;
        let bad = |what: String| Error::Store(format!("store {location}: {what}"));
        let (objects, folder): (Arc<dyn ObjectStore>, Option<Arc<std::path::Path>>) =
            if !is_url(location) || location.starts_with("file://") {
                let path = location.strip_prefix("file://").unwrap_or(location);
                std::fs::create_dir_all(path)
                    .map_err(|e| bad(format!("cannot make the folder: {e}; choose another `store` or its rights")))?;
                let full = std::path::absolute(path).map_err(|e| bad(e.to_string()))?;
                let full = full.canonicalize().map_err(|e| bad(e.to_string()))?;
                let local = LocalFileSystem::new_with_prefix(&full).map_err(|e| bad(e.to_string()))?;
                (Arc::new(local.with_fsync(true)), Some(full.into()))
            } else {
                let url = url::Url::parse(location).map_err(|e| bad(format!("not a URL: {e}")))?;
                // Big tiles on slow links need more than the client's 30 s.
                let client = [("timeout".to_owned(), "180s".to_owned())];
                let env = std::env::vars().map(|(k, v)| (k.to_ascii_lowercase(), v));
                let (objects, prefix) =
                    object_store::parse_url_opts(&url, env.chain(client)).map_err(|e| bad(e.to_string()))?;
                let objects: Arc<dyn ObjectStore> = if prefix.as_ref().is_empty() {
                    Arc::from(objects)
                } else {
                    Arc::new(object_store::prefix::PrefixStore::new(objects, prefix))
                };
                (objects, None)
            };
        let handle = runtime.handle().clone();
        let threads = Arc::new(Threads(Some(runtime)));
        Ok(Self { objects, _threads: threads, runtime: handle, meter: Arc::default(), url: location.into(), folder })
    }

    /// The location the store was opened with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of a local store.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Tile payload so far.
    pub fn traffic(&self) -> Traffic {
        let m = &self.meter;
        Traffic {
            gets: m.gets.load(Ordering::Relaxed),
            puts: m.puts.load(Ordering::Relaxed),
            bytes_read: m.bytes_read.load(Ordering::Relaxed),
            bytes_written: m.bytes_written.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn count_get(&self, key: &Key, bytes: usize) {
        if key.is_tile() {
            self.meter.gets.fetch_add(1, Ordering::Relaxed);
            self.meter.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn failed(&self, verb: &str, key: &Key, error: &object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { .. } => Error::NotFound { key: key.to_string() },
            other => store_error(&self.url, verb, key.as_str(), other),
        }
    }

    /// The whole object.
    pub async fn get_async(&self, key: &Key) -> Result<Bytes> {
        let read = async { self.objects.get(&key.path()).await?.bytes().await };
        let bytes = read.await.map_err(|e| self.failed("read", key, &e))?;
        self.count_get(key, bytes.len());
        Ok(bytes)
    }

    /// The whole object, of which a local store only opens the file.
    pub(crate) async fn fetch_async(&self, key: &Key) -> Result<Fetched> {
        let got = self.objects.get(&key.path()).await.map_err(|e| self.failed("read", key, &e))?;
        let len = got.meta.size;
        let fetched = match got.payload {
            GetResultPayload::File(file, _) => Fetched::File(file, len),
            GetResultPayload::Stream(_) => Fetched::Bytes(got.bytes().await.map_err(|e| self.failed("read", key, &e))?),
        };
        self.count_get(key, len as usize);
        Ok(fetched)
    }

    /// The error of an object that is there and cannot be read.
    pub(crate) fn unreadable(&self, key: &Key, why: &str) -> Error {
        Error::Store(format!("store {}: cannot read {key}: {why}", self.url))
    }

    /// A part of an object.
    pub async fn get_range_async(&self, key: &Key, range: GetRange) -> Result<(Bytes, u64)> {
        let path = key.path();
        let part = |range| {
            let options = object_store::GetOptions { range: Some(range), ..Default::default() };
            self.objects.get_opts(&path, options)
        };
        let read = async {
            let result = match (part(range.clone()).await, range) {
                // Azure knows no suffix ranges; its client says so before it asks.
                (Err(object_store::Error::NotSupported { .. }), GetRange::Suffix(bytes)) => {
                    let len = self.objects.head(&path).await?.size;
                    part(GetRange::Bounded(len.saturating_sub(bytes)..len)).await?
                }
                (result, _) => result?,
            };
            let size = result.meta.size;
            Ok((result.bytes().await?, size))
        };
        let (bytes, size) = read.await.map_err(|e| self.failed("read", key, &e))?;
        self.count_get(key, bytes.len());
        Ok((bytes, size))
    }

    /// Writes the whole object; it is durable when this returns.
    pub async fn put_async(&self, key: &Key, payload: PutPayload) -> Result<()> {
        let len = payload.content_length() as u64;
        let put = self.objects.put(&key.path(), payload).await;
        put.map_err(|e| self.failed("write", key, &e))?;
        if key.is_tile() {
            self.meter.puts.fetch_add(1, Ordering::Relaxed);
            self.meter.bytes_written.fetch_add(len, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The whole object; waits for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Store`].
    pub fn get(&self, key: &Key) -> Result<Bytes> {
        self.runtime.block_on(self.get_async(key))
    }

    /// Writes the whole object; it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.runtime.block_on(self.put_async(key, bytes.into()))
    }

    /// Writes the object if there is none: `true` if this call made it, `false` if one was there.
    ///
    /// A store may not honour the condition, and a lost reply makes a retry meet its own object:
    /// a caller that cares reads back and compares.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn create(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        let path = key.path();
        let put = self.objects.put_opts(&path, PutPayload::from_bytes(bytes), options);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(self.failed("write", key, &e)),
        }
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn has(&self, key: &Key) -> Result<bool> {
        match self.runtime.block_on(self.objects.head(&key.path())) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.failed("look up", key, &e)),
        }
    }

    /// All objects below a folder (`gram`, `gram/<id>/tiles`, or "" for all) and their sizes in
    /// bytes, sorted by key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn list(&self, folder: &str) -> Result<Vec<(Key, u64)>> {
        let prefix = object_store::path::Path::from(folder);
        let prefix = (!folder.is_empty()).then_some(&prefix);
        let listing = self.objects.list(prefix).map_ok(|meta| (Key::listed(meta.location.as_ref()), meta.size));
        let mut keys: Vec<_> = self
            .runtime
            .block_on(listing.try_collect())
            .map_err(|e| store_error(&self.url, "list", if folder.is_empty() { "/" } else { folder }, &e))?;
        keys.sort();
        Ok(keys)
    }

    /// The folders right below a folder (the ids below `gram`, say), sorted.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = object_store::path::Path::from(folder);
        let listing = self.runtime.block_on(self.objects.list_with_delimiter(Some(&prefix)));
        let listing = listing.map_err(|e| store_error(&self.url, "list", folder, &e))?;
        let mut names = Vec::new();
        for path in &listing.common_prefixes {
            // A folder that was emptied is still there on a disk, and nothing to a store.
            let emptied =
                self.folder.is_some() && self.runtime.block_on(self.objects.list(Some(path)).next()).is_none();
            names.extend(path.filename().filter(|_| !emptied).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Removes an object; it is no error if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove(&self, key: &Key) -> Result<()> {
        match self.runtime.block_on(self.objects.delete(&key.path())) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.failed("remove", key, &e)),
        }
    }
}

#[cfg(test)]
mod tests;
