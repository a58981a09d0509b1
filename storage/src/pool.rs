//! Buffers that are used again: a fresh one of a tile's size costs more in page faults than the copy into it.

use std::sync::Arc;

use parking_lot::Mutex;

/// Buffers at rest. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back to its pool when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Pooled {
    /// What it holds; at first, what it held before.
    pub(crate) bytes: Vec<u8>,
    pool: Pool,
}

impl Pool {
    /// A buffer of any size, and whatever it held before.
    pub(crate) fn take(&self) -> Pooled {
        Pooled { bytes: self.0.lock().pop().unwrap_or_default(), pool: self.clone() }
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.0.lock().push(std::mem::take(&mut self.bytes));
    }
}
