//! Prepared rows in the store: `data/<id>/manifest.json` and one object per tile row.
//!
//! The manifest is written last, so where there is one, all rows are there.

use serde_json::{Value, json};

use super::source::Source;
use super::transform::Moments;
use crate::codec::{self, Parts, Stamp, Values};
use crate::error::{Error, Result};
use crate::grid::TileGrid;
use crate::key::{Id, Key, Kind};
use crate::manifest::Manifest;
use crate::open::Store;

/// A matrix of prepared rows: inputs, or targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Its folder below `data/`.
    pub id: Id,
    /// Number of rows.
    pub n: u64,
    /// Values in a row: inputs, or target columns.
    pub width: usize,
    /// Rows in a block.
    pub tile: u32,
    /// The blake3 of each block's values, as hex.
    pub row_digests: Vec<String>,
    /// Number of classes, of one-hot targets.
    pub classes: Option<u32>,
    /// Column moments that the rows were standardised by.
    pub moments: Option<Moments>,
    /// The column's name in the files: `x` or `y`.
    pub column: &'static str,
}

pub(crate) const INPUTS: &str = "inputs";
pub(crate) const TARGETS: &str = "targets";

/// The name of the one column of a part's files.
pub(crate) fn column_of(what: &str) -> &'static str {
    if what == TARGETS { "y" } else { "x" }
}

/// Where block `block` of `rows` rows lies, and what it says it is.
pub(crate) fn stamp(id: &Id, block: u32, rows: usize, width: usize) -> (Key, Stamp) {
    (Key::rows(id, block), Stamp { id: id.clone(), i: block, j: 0, rows, cols: width })
}

impl Prepared {
    /// Reads what the store says of a prepared matrix. Its rows are not read.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Format`] or [`Error::Store`].
    pub fn read(store: &Store, id: &Id) -> Result<Prepared> {
        Prepared::of(&Manifest::read(store, Kind::Data, id)?)
    }

    /// What a manifest of prepared rows says.
    ///
    /// # Errors
    /// [`Error::Format`] if it lacks something.
    pub fn of(manifest: &Manifest) -> Result<Prepared> {
        let prepared = Prepared {
            id: manifest.id.clone(),
            n: manifest.fact("n")?,
            width: manifest.fact("width")?,
            tile: manifest.fact("tile")?,
            row_digests: manifest.fact("row_digests")?,
            classes: manifest.fact("classes")?,
            moments: manifest.fact("moments")?,
            column: column_of(manifest.spec.get("what").and_then(Value::as_str).unwrap_or(INPUTS)),
        };
        if prepared.row_digests.len() != prepared.blocks() as usize {
            return Err(Error::Format(format!("{}: it does not list a digest for each block", manifest.key())));
        }
        Ok(prepared)
    }

    pub(crate) fn facts(&self) -> Value {
        json!({
            "n": self.n, "width": self.width, "tile": self.tile, "row_digests": self.row_digests,
            "classes": self.classes, "moments": self.moments,
        })
    }

    /// What the rows are, wherever they came from: the part of a gram's identity that is data.
    pub fn content(&self) -> Value {
        json!({ "n": self.n, "width": self.width, "tile": self.tile, "row_digests": self.row_digests })
    }

    /// The rows cut into blocks.
    pub fn grid(&self) -> TileGrid {
        TileGrid::new(self.n, self.tile)
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.grid().blocks()
    }

    /// Reads block `block` into `out`: row-major, `side` × `width` (`side` at least the rows of the
    /// block), zero past the last row. `out` is emptied first; its memory is reused. Id, place and
    /// digest are verified; a block that is not what it should be is fetched once more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a block that is damaged, [`Error::NotFound`] for one that is missing
    /// ([`super::repair`] makes either anew), [`Error::Store`]; [`Error::Input`] for a block past
    /// the end or a `side` too small.
    pub fn load_block(&self, store: &Store, block: u32, side: usize, out: &mut Vec<f64>) -> Result<()> {
        let rows = self.grid().rows(block);
        if rows == 0 || side < rows {
            return Err(Error::Input(format!(
                "data/{}: block {block} of {} with {rows} rows does not go into {side} rows",
                self.id,
                self.blocks()
            )));
        }
        match self.fetch(store, block, rows, out) {
            Err(Error::Corrupt { .. }) => self.fetch(store, block, rows, out)?,
            other => other?,
        }
        out.resize(side * self.width, 0.0);
        Ok(())
    }

    fn fetch(&self, store: &Store, block: u32, rows: usize, out: &mut Vec<f64>) -> Result<()> {
        let (key, stamp) = stamp(&self.id, block, rows, self.width);
        codec::decode(&key, Parts::whole(store.get(&key)?), &stamp, self.column, rows, out)?;
        let found = codec::digest(Values { data: out, ld: rows }, rows, self.width);
        let wanted = &self.row_digests[block as usize];
        if found != *wanted {
            let why = format!("the blake3 of its values is {found}, the manifest says {wanted}");
            return Err(Error::Corrupt { key: key.to_string(), why });
        }
        Ok(())
    }

    /// Reads every block; returns those that are missing or damaged, and why.
    ///
    /// # Errors
    /// [`Error::Store`], or [`Error::Format`] for a block of another format version.
    pub fn verify(&self, store: &Store) -> Result<Vec<(u32, Error)>> {
        let mut bad = Vec::new();
        let mut values = Vec::new();
        for block in 0..self.blocks() {
            match self.load_block(store, block, self.tile as usize, &mut values) {
                Err(e @ (Error::Corrupt { .. } | Error::NotFound { .. })) => bad.push((block, e)),
                other => other?,
            }
        }
        Ok(bad)
    }
}

/// Checks that inputs and targets have as many rows.
///
/// # Errors
/// [`Error::Input`] that says both numbers.
pub fn check_lengths(x: (&Prepared, &Source), y: (&Prepared, &Source)) -> Result<()> {
    if x.0.n == y.0.n {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{} has {} rows and {} has {}: each row of inputs needs its row of targets",
        x.1.location, x.0.n, y.1.location, y.0.n
    )))
}

/// Checks that two matrices, of training and test rows, have as many columns.
///
/// # Errors
/// [`Error::Input`] that says both numbers.
pub fn check_widths(train: (&Prepared, &Source), test: (&Prepared, &Source)) -> Result<()> {
    if train.0.width == test.0.width {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{} has {} columns and {} has {}: training and test rows must have the same",
        train.1.location, train.0.width, test.1.location, test.0.width
    )))
}
