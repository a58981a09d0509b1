//! What a run reuses, it verifies first: every stored tile is read and its digest checked.

use std::collections::{BTreeSet, HashSet};
use std::sync::mpsc::channel;

use megagram_storage::bridge::{Bridge, Load};
use megagram_storage::{Error as StorageError, Id, Kind, TileId, Traffic};

use super::Run;
use crate::error::{Error, Result};
use crate::pass::costs::Costs;

/// Tiles of a matrix that are in the store.
pub(super) struct Stored {
    /// Those that are not.
    pub(super) missing: HashSet<TileId>,
    /// How many are.
    pub(super) present: u64,
    /// What verifying them costs.
    pub(super) cost: Traffic,
}

impl Run<'_> {
    /// Lists which of the tiles `wanted` of a matrix are there (process 0 does) and verifies those (each
    /// process its share). A damaged tile is an error that names it.
    pub(super) fn stored(
        &self,
        (kind, id): (Kind, &Id),
        wanted: BTreeSet<TileId>,
        columns: &[&'static str],
        bridge: &Bridge,
        load: impl Fn(TileId, &'static str) -> Load,
    ) -> Result<Stored> {
        let store = &self.store;
        let present: Vec<TileId> = self.crew.lead(|| {
            let listing = store.list(&format!("{kind}/{id}/tiles"))?;
            Ok(listing.iter().filter_map(|(key, _)| key.tile_id()).filter(|t| wanted.contains(t)).collect())
        })?;
        let costs: Vec<Costs> = columns.iter().map(|_| Costs::new(columns)).collect();
        let mut cost = Traffic::default();
        let mut loads = Vec::new();
        for (at, tile) in present.iter().enumerate() {
            for (column, costs) in columns.iter().zip(&costs) {
                let load = load(*tile, column);
                cost = cost.plus(costs.read(load.stamp.rows, load.stamp.cols, column)?);
                if at % self.crew.processes == self.crew.process {
                    loads.push(load);
                }
            }
        }
        let mine = loads.len() as u64;
        if mine > 0 {
            self.progress.begin("verify", "tiles", mine);
        }
        let damage = verify(bridge, loads, self.in_flight(columns.len()).loads, || self.progress.advance(1));
        if mine > 0 {
            self.progress.end();
        }
        // All processes tell, so that all meet the same damage.
        let told: Vec<Option<StorageError>> = self.crew.gather(&damage.err())?;
        if let Some(error) = told.into_iter().flatten().next() {
            return Err(Error::Storage(error));
        }
        let there: HashSet<TileId> = present.into_iter().collect();
        let missing = wanted.into_iter().filter(|t| !there.contains(t)).collect();
        Ok(Stored { missing, present: there.len() as u64, cost })
    }
}

/// Reads `loads`, `at_once` at a time; the first damage ends it.
pub(super) fn verify(bridge: &Bridge, loads: Vec<Load>, at_once: usize, each: impl Fn()) -> Result<(), StorageError> {
    let (send, receive) = channel();
    let mut buffers: Vec<Vec<f64>> = vec![Vec::new(); at_once.max(1)];
    let mut loads = loads.into_iter();
    let mut under_way = 0;
    loop {
        while let Some(buffer) = buffers.pop() {
            let Some(load) = loads.next() else { break };
            let send = send.clone();
            // A receiver that left after an error needs no more.
            bridge.load(load, buffer, move |buffer, result| drop(send.send((buffer, result))));
            under_way += 1;
        }
        if under_way == 0 {
            return Ok(());
        }
        let Ok((buffer, result)) = receive.recv() else { return Ok(()) };
        under_way -= 1;
        result?;
        each();
        buffers.push(buffer);
    }
}
