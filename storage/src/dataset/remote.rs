//! An object of a store, read in ranges. A few blocks are kept, because the readers of tables ask
//! for many small pieces that lie close together.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use object_store::GetRange;

use crate::error::Result;
use crate::key::Key;
use crate::open::Store;

const BLOCK_BYTES: u64 = 1 << 20;
const BLOCKS_KEPT: usize = 8;

/// An object and its latest blocks.
#[derive(Debug)]
pub(crate) struct Remote {
    store: Store,
    key: Key,
    len: u64,
    /// Block number and bytes, the latest used last.
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Remote {
    /// Asks the store for the object's length.
    pub fn open(store: &Store, key: &Key) -> Result<Remote> {
        // The reply to any range tells the length; Azure knows no suffix ranges.
        let first = store.get_range_async(key, GetRange::Bounded(0..1));
        let (_, len) = store.runtime().block_on(first)?;
        Ok(Remote { store: store.clone(), key: key.clone(), len, blocks: Mutex::default() })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes `start..end`, which must lie within the object.
    pub fn read(&self, start: u64, end: u64) -> io::Result<Bytes> {
        if end - start > BLOCK_BYTES {
            return self.fetch(start, end);
        }
        let (first, last) = (start / BLOCK_BYTES, (end - 1) / BLOCK_BYTES);
        let skip = (start - first * BLOCK_BYTES) as usize;
        let len = (end - start) as usize;
        let block = self.block(first)?;
        if first == last {
            return Ok(block.slice(skip..skip + len));
        }
        let mut both = BytesMut::from(&block[skip..]);
        both.extend_from_slice(&self.block(last)?[..len - both.len()]);
        Ok(both.freeze())
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = blocks.iter().position(|(n, _)| *n == number).and_then(|at| blocks.remove(at));
        let bytes = match kept {
            Some((_, bytes)) => bytes,
            None => {
                let start = number * BLOCK_BYTES;
                self.fetch(start, (start + BLOCK_BYTES).min(self.len))?
            }
        };
        if blocks.len() == BLOCKS_KEPT {
            blocks.pop_front();
        }
        blocks.push_back((number, bytes.clone()));
        Ok(bytes)
    }

    fn fetch(&self, start: u64, end: u64) -> io::Result<Bytes> {
        let read = self.store.get_range_async(&self.key, GetRange::Bounded(start..end));
        let (bytes, _) = self.store.runtime().block_on(read).map_err(io::Error::other)?;
        if bytes.len() as u64 != end - start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}
