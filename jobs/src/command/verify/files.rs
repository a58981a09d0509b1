//! What a store holds beside the tiles of grams and factors: prepared rows, tables, tiles of V.

use megagram_storage::codec::{Parts, Stamp, decode};
use megagram_storage::dataset::Prepared;
use megagram_storage::table::{Column, Table};
use megagram_storage::{Id, Key, Kind, Manifest, Result, Store, TileGrid, TileId};
use serde::Serialize;

use super::tells_damage;
use crate::command::stored::ids;

/// Files that were read.
#[derive(Debug, Default, Serialize)]
pub(super) struct Files {
    pub(super) read: u64,
    pub(super) bytes: u64,
    pub(super) bad: Vec<BadFile>,
}

/// A file that is not what it should be.
#[derive(Debug, Serialize)]
pub(super) struct BadFile {
    pub(super) key: String,
    pub(super) why: String,
}

impl Files {
    fn add(&mut self, key: &Key, bytes: u64, check: Result<bool>) -> Result<()> {
        self.read += 1;
        self.bytes += bytes;
        if let Some(why) = tells_damage(check)? {
            self.bad.push(BadFile { key: key.to_string(), why });
        }
        Ok(())
    }
}

/// Reads all of them, one at a time.
///
/// # Errors
/// The store's; a manifest that cannot be read.
pub(super) fn check(store: &Store) -> crate::exit::Result<Files> {
    let mut files = Files::default();
    for id in ids(store, Kind::Data)? {
        rows(store, &id, &mut files)?;
    }
    for folder in [Kind::Factor.folder(), Kind::Border.folder(), "results"] {
        for (key, bytes) in store.list(folder)? {
            let table = key.as_str().ends_with(".parquet") && !key.is_tile() && !key.is_aside();
            if table {
                files.add(&key, bytes, finite_table(store, &key))?;
            }
        }
    }
    for id in ids(store, Kind::Border)? {
        tiles(store, &id, &mut files)?;
    }
    Ok(files)
}

/// The rows of a data set. Its manifest was written last: where there is none, they are not finished.
fn rows(store: &Store, id: &Id, files: &mut Files) -> crate::exit::Result<()> {
    let Some(manifest) = Manifest::find(store, Kind::Data, id)? else { return Ok(()) };
    let prepared = Prepared::of(&manifest)?;
    let mut values = Vec::new();
    for block in 0..prepared.blocks() {
        let read = prepared.load_block(store, block, prepared.tile as usize, &mut values);
        let bytes = 8 * (prepared.grid().rows(block) * prepared.width) as u64;
        files.add(&Key::rows(id, block), bytes, read.map(|()| finite(&values)))?;
    }
    Ok(())
}

/// The tiles of V that a border keeps.
fn tiles(store: &Store, id: &Id, files: &mut Files) -> crate::exit::Result<()> {
    let manifest = Manifest::read(store, Kind::Border, id)?;
    let tile = manifest.fact("tile")?;
    let (test, train) = (TileGrid::new(manifest.fact("m")?, tile), TileGrid::new(manifest.fact("n")?, tile));
    let mut values = Vec::new();
    for (key, bytes) in store.list(&format!("{}/{id}/tiles", Kind::Border))? {
        let Some(TileId { row, col }) = key.tile_id() else { continue };
        let (rows, cols) = (test.rows(row), train.rows(col));
        let stamp = Stamp { id: id.clone(), i: row, j: col, rows, cols };
        let read = store.get(&key).and_then(|bytes| decode(&key, Parts::whole(bytes), &stamp, "v", rows, &mut values));
        files.add(&key, bytes, read.map(|()| finite(&values)))?;
    }
    Ok(())
}

/// Whether a table that is what was written holds finite numbers alone.
fn finite_table(store: &Store, key: &Key) -> Result<bool> {
    let table = Table::decode(key, store.get(key)?)?;
    Ok(table.columns.iter().all(|(_, column)| match column {
        Column::F64(values) => finite(values),
        Column::I64(_) => true,
    }))
}

pub(super) fn finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}
