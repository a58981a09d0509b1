//! The bridge between the asynchronous store and synchronous workers.
//!
//! A caller hands over a buffer, goes on, and is called back from an I/O thread when the buffer is
//! filled or the object is durable. Fetching, decoding, digests and encoding happen here, never on
//! a worker. Bodies in flight are bounded by permits, so their memory can be stated in advance.

use std::sync::Arc;

use bytes::Bytes;
use object_store::GetRange;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::codec::{self, FOOTER_BYTES, FooterError, Parts, Stamp, Values};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::open::Store;

/// A column of a tile to be read.
#[derive(Debug, Clone)]
pub struct Load {
    /// The object.
    pub key: Key,
    /// What it must say it is.
    pub stamp: Stamp,
    /// The column to read.
    pub column: &'static str,
    /// Whether the file holds other columns, which are then not fetched.
    pub among_others: bool,
    /// Leading dimension in memory, at least `stamp.rows`.
    pub ld: usize,
}

/// A tile to be written.
#[derive(Debug, Clone)]
pub struct Save {
    /// The object.
    pub key: Key,
    /// What it says it is.
    pub stamp: Stamp,
    /// Columns, each `ld * side` values further into the buffer.
    pub columns: Vec<&'static str>,
    /// Leading dimension in memory.
    pub ld: usize,
    /// Values from one column's block to the next.
    pub stride: usize,
}

/// Reads and writes on behalf of workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bridge {
    store: Store,
    loads: Arc<Semaphore>,
    saves: Arc<Semaphore>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// An encoded body that goes back to its pool when the store has let go of it.
struct Body {
    bytes: Vec<u8>,
    pool: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.pool.lock().push(std::mem::take(&mut self.bytes));
    }
}

impl Bridge {
    /// A bridge to `store` with at most `loads` reads and `saves` writes in flight.
    pub fn new(store: &Store, loads: usize, saves: usize) -> Self {
        Self {
            store: store.clone(),
            loads: Arc::new(Semaphore::new(loads.max(1))),
            saves: Arc::new(Semaphore::new(saves.max(1))),
            bodies: Arc::default(),
        }
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Reads a tile's column into `buffer` and calls `done` with it. A tile whose bytes are wrong
    /// is fetched once more before [`Error::Corrupt`] is told.
    pub fn load(&self, what: Load, buffer: Vec<f64>, done: impl FnOnce(Vec<f64>, Result<()>) + Send + 'static) {
        let this = self.clone();
        self.store.runtime().spawn(async move {
            let permit = this.loads.acquire().await;
            let mut buffer = buffer;
            let mut result = this.fetch(&what, &mut buffer).await;
            if matches!(result, Err(Error::Corrupt { .. })) {
                result = this.fetch(&what, &mut buffer).await;
            }
            drop(permit);
            done(buffer, result);
        });
    }

    /// Runs a blocking read (of prepared rows, say) under a read permit.
    pub fn read_with(
        &self,
        buffer: Vec<f64>,
        read: impl FnOnce(&Store, &mut Vec<f64>) -> Result<()> + Send + 'static,
        done: impl FnOnce(Vec<f64>, Result<()>) + Send + 'static,
    ) {
        let this = self.clone();
        self.store.runtime().spawn(async move {
            let permit = this.loads.acquire().await;
            let store = this.store.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = buffer;
                let result = read(&store, &mut buffer);
                (buffer, result)
            });
            let (buffer, result) = read.await.unwrap_or_else(|e| {
                (Vec::new(), Err(Error::Store(format!("store {}: a read broke off: {e}", this.store.url()))))
            });
            drop(permit);
            done(buffer, result);
        });
    }

    /// Writes a tile from `values` and calls `done` when it is durable.
    pub fn save(&self, what: Save, values: Arc<Vec<f64>>, done: impl FnOnce(Result<()>) + Send + 'static) {
        let this = self.clone();
        self.store.runtime().spawn(async move {
            let permit = this.saves.acquire().await;
            let body = this.bodies.lock().pop().unwrap_or_default();
            let columns: Vec<_> = (what.columns.iter().enumerate())
                .map(|(c, name)| (*name, Values { data: &values[c * what.stride..(c + 1) * what.stride], ld: what.ld }))
                .collect();
            let result = match codec::encode(&what.stamp, &columns, body) {
                Ok(bytes) => {
                    let body = Body { bytes, pool: Arc::clone(&this.bodies) };
                    this.store.put_async(&what.key, Bytes::from_owner(body)).await
                }
                Err(e) => Err(e),
            };
            drop(permit);
            drop(values);
            done(result);
        });
    }

    /// Writes a small object and calls `done` when it is durable.
    pub fn put(&self, key: Key, bytes: Bytes, done: impl FnOnce(Result<()>) + Send + 'static) {
        let this = self.clone();
        self.store.runtime().spawn(async move {
            let permit = this.saves.acquire().await;
            let result = this.store.put_async(&key, bytes).await;
            drop(permit);
            done(result);
        });
    }

    async fn fetch(&self, what: &Load, buffer: &mut Vec<f64>) -> Result<()> {
        let parts = if what.among_others {
            self.fetch_column(what).await?
        } else {
            Parts::whole(self.store.get_async(&what.key).await?)
        };
        codec::decode(&what.key, parts, &what.stamp, what.column, what.ld, buffer)
    }

    /// Footer and one column of a file that holds several.
    async fn fetch_column(&self, what: &Load) -> Result<Parts> {
        let (tail, len) = self.store.get_range_async(&what.key, GetRange::Suffix(FOOTER_BYTES)).await?;
        let mut parts = Parts { len, parts: vec![(len - tail.len() as u64, tail)] };
        let metadata = match codec::footer(&what.key, &parts) {
            Ok(metadata) => metadata,
            Err(FooterError::Bad(e)) => return Err(e),
            Err(FooterError::Needs(bytes)) if bytes <= len => {
                let (tail, _) = self.store.get_range_async(&what.key, GetRange::Suffix(bytes)).await?;
                parts.parts = vec![(len - tail.len() as u64, tail)];
                match codec::footer(&what.key, &parts) {
                    Ok(metadata) => metadata,
                    Err(FooterError::Bad(e)) => return Err(e),
                    Err(FooterError::Needs(_)) => {
                        return Err(Error::Corrupt { key: what.key.to_string(), why: "its footer has no end".into() });
                    }
                }
            }
            Err(FooterError::Needs(_)) => {
                return Err(Error::Corrupt { key: what.key.to_string(), why: "it is shorter than its footer".into() });
            }
        };
        let range = codec::column_range(&what.key, &metadata, what.column)?;
        let have = parts.parts[0].0;
        if range.start < have {
            // What the footer's part holds already is not fetched again, unless pages straddle it.
            let (bytes, _) = self.store.get_range_async(&what.key, GetRange::Bounded(range.clone())).await?;
            parts.parts.insert(0, (range.start, bytes));
        }
        Ok(parts)
    }
}

/// GET requests and bytes that reading one column costs.
///
/// # Errors
/// As [`codec::encode`].
pub fn load_cost(rows: usize, cols: usize, columns: &[&str], column: &str) -> Result<(u64, u64)> {
    let file = codec::encoded_len(rows, cols, columns)?;
    if columns.len() == 1 || file <= FOOTER_BYTES {
        return Ok((1, file));
    }
    let index = columns.iter().position(|c| *c == column).unwrap_or(0) as u64;
    // Columns are equally long: the file is a 4-byte magic, the columns, the footer.
    let chunk = codec::chunk_len(rows, cols)?;
    let start = 4 + index * chunk;
    Ok(if start < file - FOOTER_BYTES { (2, FOOTER_BYTES + chunk) } else { (1, FOOTER_BYTES) })
}
