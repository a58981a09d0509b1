//! The matrices of a store, as their manifests and a listing tell.

use std::collections::BTreeMap;

use megagram_storage::codec::{Parts, Stamp, decode};
use megagram_storage::{Id, Key, Kind, Manifest, Store, TileGrid, TileId};
use serde_json::Value;

use crate::cli::Output;
use crate::exit::Result;

/// A gram or a factor.
#[derive(Debug)]
pub struct Stored {
    /// Gram or factor.
    pub kind: Kind,
    /// Its id.
    pub id: Id,
    /// Its grid.
    pub grid: TileGrid,
    /// The columns of its tiles.
    pub columns: Vec<String>,
    /// Which kernel outputs it is made of.
    pub outputs: Vec<String>,
    /// Tiles that are there, and their sizes in bytes.
    pub present: BTreeMap<TileId, u64>,
    /// The manifest.
    pub manifest: Manifest,
}

/// The ids below a kind's folder.
pub fn ids(store: &Store, kind: Kind) -> Result<Vec<Id>> {
    Ok(store.folders(kind.folder())?.iter().filter_map(|name| Id::parse(name)).collect())
}

/// A fact of a manifest, found while making the matrix or part of its question.
pub fn fact<'a>(manifest: &'a Manifest, name: &str) -> Option<&'a Value> {
    manifest.facts.get(name).or_else(|| manifest.spec.get(name))
}

impl Stored {
    /// Looks at one matrix.
    ///
    /// # Errors
    /// If its manifest is missing, of another format version, or does not say what it must.
    pub fn read(store: &Store, kind: Kind, id: &Id) -> Result<Self> {
        let manifest = Manifest::read(store, kind, id)?;
        let grid = TileGrid::new(manifest.fact("n")?, manifest.fact("tile")?);
        let (columns, outputs) = match kind {
            Kind::Factor => {
                let output: String = manifest.fact("output")?;
                (vec!["l".to_owned()], vec![output])
            }
            _ => {
                let outputs: Vec<String> = manifest.fact("outputs")?;
                (outputs.clone(), outputs)
            }
        };
        let listing = store.list(&format!("{kind}/{id}/tiles"))?;
        let present = listing.into_iter().filter_map(|(key, size)| Some((key.tile_id()?, size))).collect();
        Ok(Self { kind, id: id.clone(), grid, columns, outputs, present, manifest })
    }

    /// Tiles that are not there.
    pub fn missing(&self) -> u64 {
        let there = self.grid.lower().filter(|tile| self.present.contains_key(tile)).count() as u64;
        self.grid.lower_len() - there
    }

    /// The column that holds `output`, or the only one.
    pub fn column(&self, output: Option<Output>) -> Option<&str> {
        match output {
            Some(output) => {
                let at = self.outputs.iter().position(|o| o == output.name())?;
                self.columns.get(at).map(String::as_str)
            }
            None if self.columns.len() == 1 => self.columns.first().map(String::as_str),
            None => None,
        }
    }

    /// Reads the columns `columns` of a tile, checked, each into a packed buffer handed to `use_it`.
    ///
    /// # Errors
    /// [`megagram_storage::Error::Corrupt`] if it is not what it should be, or the store's error.
    pub fn tile(
        &self,
        store: &Store,
        tile: TileId,
        columns: &[&str],
        buffer: &mut Vec<f64>,
        mut use_it: impl FnMut(&[f64]),
    ) -> megagram_storage::Result<()> {
        let key = Key::tile(self.kind, &self.id, tile);
        let (rows, cols) = (self.grid.rows(tile.row), self.grid.rows(tile.col));
        let stamp = Stamp { id: self.id.clone(), i: tile.row, j: tile.col, rows, cols };
        let bytes = store.get(&key)?;
        for column in columns {
            decode(&key, Parts::whole(bytes.clone()), &stamp, column, rows, buffer)?;
            use_it(buffer);
        }
        Ok(())
    }
    /// Moves a tile to `aside/`, so that the next run computes it again and nothing is lost.
    ///
    /// # Errors
    /// The store's.
    pub fn set_aside(&self, store: &Store, tile: TileId) -> megagram_storage::Result<()> {
        let key = Key::tile(self.kind, &self.id, tile);
        store.put(&Key::aside(self.kind, &self.id, tile), store.get(&key)?)?;
        store.remove(&key)
    }
}
