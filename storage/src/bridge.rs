//! The bridge between the asynchronous store and synchronous workers.
//!
//! A caller hands over a buffer, goes on, and is called back from an I/O thread when the buffer is
//! filled or the object is durable. Fetching, decoding, digests and encoding happen here, never on
//! a worker. Bodies in flight are bounded by permits, so their memory can be stated in advance. A block
//! without padding has no body: the store reads it where it stands. The values of a local file come
//! straight to their place.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{GetRange, PutPayload};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinError;

use crate::codec::{self, Column, FOOTER_BYTES, FooterError, LocalFile, Parts, Stamp, Values};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::open::{Fetched, Store};
use crate::pool::{Pool, Pooled};

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

impl Save {
    /// The block of each column.
    fn blocks<'a>(&'a self, values: &'a [f64]) -> impl Iterator<Item = Values<'a>> {
        (0..self.columns.len()).map(|c| Values { data: &values[c * self.stride..(c + 1) * self.stride], ld: self.ld })
    }
}

fn decode_file(store: &Store, file: &LocalFile, what: &Load, buffer: &mut Vec<f64>) -> Result<()> {
    let read = codec::decode(&what.key, file.clone(), &what.stamp, what.column, what.ld, buffer);
    match file.failure() {
        Some(why) => Err(store.unreadable(&what.key, &why)),
        None => read,
    }
}

/// Reads and writes on behalf of workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bridge {
    store: Store,
    loads: Arc<Semaphore>,
    saves: Arc<Semaphore>,
    digests: Arc<Semaphore>,
    buffers: Pool,
}

/// A block as bytes.
struct Block(Arc<Vec<f64>>);

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Bytes that the store reads from. Once it has let go of them all, `_held` tells so.
struct Lent<T> {
    bytes: T,
    _held: oneshot::Sender<()>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Lent<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Bridge {
    /// A bridge to `store` with at most `loads` reads and `saves` writes in flight.
    pub fn new(store: &Store, loads: usize, saves: usize) -> Self {
        Self {
            store: store.clone(),
            loads: Arc::new(Semaphore::new(loads.max(1))),
            saves: Arc::new(Semaphore::new(saves.max(1))),
            digests: Arc::new(Semaphore::new(saves.max(1))),
            buffers: Pool::default(),
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
            let what = Arc::new(what);
            let (mut buffer, mut result) = this.fetch(&what, buffer).await;
            if matches!(result, Err(Error::Corrupt { .. })) {
                (buffer, result) = this.fetch(&what, buffer).await;
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
            let (buffer, result) = this.fill(buffer, move |buffer| read(&store, buffer)).await;
            drop(permit);
            done(buffer, result);
        });
    }

    /// Writes a tile from `values` and calls `done` when it is durable.
    pub fn save(&self, what: Save, values: Arc<Vec<f64>>, done: impl FnOnce(Result<()>) + Send + 'static) {
        let this = self.clone();
        self.store.runtime().spawn(async move { done(this.write(what, values).await) });
    }

    /// Writes a small object and calls `done` when it is durable.
    pub fn put(&self, key: Key, bytes: Bytes, done: impl FnOnce(Result<()>) + Send + 'static) {
        let this = self.clone();
        self.store.runtime().spawn(async move {
            let permit = this.saves.acquire().await;
            let result = this.store.put_async(&key, bytes.into()).await;
            drop(permit);
            done(result);
        });
    }

    /// Runs a blocking read into `buffer` beside the I/O threads.
    async fn fill(
        &self,
        buffer: Vec<f64>,
        read: impl FnOnce(&mut Vec<f64>) -> Result<()> + Send + 'static,
    ) -> (Vec<f64>, Result<()>) {
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = buffer;
            let result = read(&mut buffer);
            (buffer, result)
        });
        read.await.unwrap_or_else(|e| (Vec::new(), Err(self.broke_off("read", &e))))
    }

    fn broke_off(&self, what: &str, error: &JoinError) -> Error {
        Error::Store(format!("store {}: a {what} broke off: {error}", self.store.url()))
    }

    async fn fetch(&self, what: &Arc<Load>, buffer: Vec<f64>) -> (Vec<f64>, Result<()>) {
        let (what, store) = (Arc::clone(what), self.store.clone());
        let parts = if what.among_others {
            self.fetch_column(&what).await
        } else {
            match self.store.fetch_async(&what.key).await {
                Ok(Fetched::File(file, len)) => {
                    let file = LocalFile::new(file, len);
                    return self.fill(buffer, move |buffer| decode_file(&store, &file, &what, buffer)).await;
                }
                Ok(Fetched::Bytes(bytes)) => Ok(Parts::whole(bytes)),
                Err(e) => Err(e),
            }
        };
        match parts {
            Ok(parts) => {
                let decode = move |buffer: &mut Vec<f64>| {
                    codec::decode(&what.key, parts, &what.stamp, what.column, what.ld, buffer)
                };
                self.fill(buffer, decode).await
            }
            Err(e) => (buffer, Err(e)),
        }
    }

    /// Writes a tile. The digests come before the permit, so that the store need not wait for them. A
    /// block without padding is written from where it stands; another is packed first.
    async fn write(&self, what: Save, values: Arc<Vec<f64>>) -> Result<()> {
        let turn = self.digests.acquire().await;
        let digesting = tokio::task::spawn_blocking(move || {
            let digests = what.blocks(&values).map(|v| codec::digest(v, what.stamp.rows, what.stamp.cols)).collect();
            (what, values, digests)
        });
        let (what, values, digests): (_, _, Vec<String>) = digesting.await.map_err(|e| self.broke_off("write", &e))?;
        drop(turn);
        let _permit = self.saves.acquire().await;
        let (_held, let_go) = oneshot::channel();
        let count = what.stamp.rows * what.stamp.cols;
        let (bytes, stride) = if what.ld == what.stamp.rows {
            (Bytes::from_owner(Lent { bytes: Block(values), _held }), what.stride)
        } else {
            (Bytes::from_owner(Lent { bytes: self.pack(&what, &values), _held }), count)
        };
        let columns: Vec<_> = (what.columns.iter().zip(digests).enumerate())
            .map(|(c, (name, digest))| {
                let at = 8 * c * stride;
                Column { name, digest, bytes: bytes.slice(at..at + 8 * count) }
            })
            .collect();
        drop(bytes);
        let payload: PutPayload = codec::frame(&what.stamp, &columns)?.into_iter().collect();
        drop(columns);
        let result = self.store.put_async(&what.key, payload).await;
        // Ends when the sender is dropped, with the last piece; nothing is ever sent.
        let _ = let_go.await;
        result
    }

    /// The values of a padded block without their padding, in a buffer of the pool.
    fn pack(&self, what: &Save, values: &[f64]) -> Pooled {
        let Stamp { rows, cols, .. } = what.stamp;
        let mut packed = self.buffers.take();
        packed.bytes.clear();
        packed.bytes.reserve_exact(8 * rows * cols * what.columns.len());
        for run in what.blocks(values).flat_map(|block| block.runs(rows, cols)) {
            packed.bytes.extend_from_slice(bytemuck::cast_slice(run));
        }
        packed
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
