//! The ledger: every buffer of a process is charged here, and what is left is cut into slots.

use crate::error::{Error, Result};

/// What memory a process has and what it is spent on, in bytes.
#[derive(Debug, Clone)]
pub struct Ledger {
    memory: u64,
    spent: Vec<(&'static str, u64)>,
}

impl Ledger {
    /// A ledger of `memory` bytes.
    pub fn new(memory: u64) -> Self {
        Self { memory, spent: Vec::new() }
    }

    /// Charges `bytes` for `what`.
    pub fn charge(&mut self, what: &'static str, bytes: u64) {
        self.spent.push((what, bytes));
    }

    /// Bytes charged.
    pub fn spent(&self) -> u64 {
        self.spent.iter().map(|(_, b)| b).sum()
    }

    /// Bytes not yet charged.
    pub fn left(&self) -> u64 {
        self.memory.saturating_sub(self.spent())
    }

    /// How many slots of `bytes` each are left.
    pub fn slots(&self, bytes: u64) -> usize {
        usize::try_from(self.left() / bytes.max(1)).unwrap_or(usize::MAX)
    }

    /// Fails unless `bytes` are left for `what`; the error says how much memory would do.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn require(&self, what: &str, bytes: u64) -> Result<()> {
        if bytes <= self.left() {
            return Ok(());
        }
        let parts: Vec<_> = self.spent.iter().map(|(name, b)| format!("{name} {} KiB", b.div_ceil(1024))).collect();
        let what = format!("{what} ({} KiB, beside {})", bytes.div_ceil(1024), parts.join(", "));
        Err(Error::Memory { what, needed: self.spent() + bytes, given: self.memory })
    }
}
