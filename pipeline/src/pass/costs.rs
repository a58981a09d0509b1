//! What reading and writing a tile costs in requests and bytes: exact, because a tile's size is a pure
//! function of its shape.

use std::collections::HashMap;

use megagram_storage::bridge::load_cost;
use megagram_storage::{Traffic, codec};
use parking_lot::Mutex;

use crate::error::Result;

/// Costs of the tiles of one matrix.
#[derive(Debug)]
pub struct Costs {
    columns: Vec<&'static str>,
    known: Mutex<HashMap<(usize, usize, bool), Traffic>>,
}

impl Costs {
    /// Costs of tiles with these columns.
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), known: Mutex::default() }
    }

    /// Cost of reading column `column` of a tile.
    ///
    /// # Errors
    /// As encoding a tile.
    pub fn read(&self, rows: usize, cols: usize, column: &str) -> Result<Traffic> {
        if let Some(known) = self.known.lock().get(&(rows, cols, true)) {
            return Ok(*known);
        }
        let (gets, bytes_read) = load_cost(rows, cols, &self.columns, column)?;
        let cost = Traffic { gets, bytes_read, ..Traffic::default() };
        self.known.lock().insert((rows, cols, true), cost);
        Ok(cost)
    }

    /// Cost of writing a tile.
    ///
    /// # Errors
    /// As encoding a tile.
    pub fn write(&self, rows: usize, cols: usize) -> Result<Traffic> {
        if let Some(known) = self.known.lock().get(&(rows, cols, false)) {
            return Ok(*known);
        }
        let bytes_written = codec::encoded_len(rows, cols, &self.columns)?;
        let cost = Traffic { puts: 1, bytes_written, ..Traffic::default() };
        self.known.lock().insert((rows, cols, false), cost);
        Ok(cost)
    }
}
