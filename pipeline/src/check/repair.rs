//! Repair: the tiles of a gram or a factor that are missing, computed again as they were.

use std::collections::HashSet;
use std::sync::Arc;

use megagram_storage::bridge::Bridge;
use megagram_storage::codec::BODY_SLACK;
use megagram_storage::{Id, Key, Kind, Store};

use super::recipe::Recipe;
use crate::dataflow::{Cluster, Crew};
use crate::error::{Error, Result};
use crate::leaf::{self, Blas};
use crate::pass::Pass;
use crate::pass::factor::{FactorPass, Given};
use crate::pass::gram::GramPass;
use crate::pass::ledger::Ledger;
use crate::progress::Progress;
use crate::simulate::Machine;

/// With what a repair is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairOptions {
    /// Bytes of all buffers.
    pub memory: u64,
    /// Timely workers.
    pub workers: usize,
}

/// Computes the missing tiles of a matrix again; returns how many there were.
///
/// # Errors
/// [`Error::MixedBits`] if this machine's BLAS would give other bits than the matrix has; otherwise as
/// a run.
pub fn repair(store: &Store, kind: Kind, id: &Id, options: RepairOptions, progress: &Arc<dyn Progress>) -> Result<u64> {
    let recipe = Recipe::read(store, kind, id)?;
    let here = leaf::blas().to_string();
    if !Blas::same_bits(&here, &recipe.blas) {
        return Err(Error::MixedBits(format!(
            "{kind}/{id}: was made with BLAS {}, this machine has {here}: repair it on a machine of the same kind",
            recipe.blas
        )));
    }
    let listing = store.list(&format!("{kind}/{id}/tiles"))?;
    let present: HashSet<_> = listing.iter().filter_map(|(key, _)| key.tile_id()).collect();
    let missing: HashSet<_> = recipe.gram.grid.lower().filter(|t| !present.contains(t)).collect();
    let count = missing.len() as u64;
    if count == 0 {
        return Ok(0);
    }
    let mut ledger = Ledger::new(options.memory);
    let side = recipe.source.side;
    let network = &recipe.source.network;
    let in_flight = 2 * (8 * (side * side * recipe.gram.outputs.len()) as u64 + BODY_SLACK as u64);
    ledger.charge("bodies in flight", in_flight);
    ledger.charge("BLAS pack buffers", (options.workers * leaf::pack_bytes_at(side)) as u64);
    ledger.charge("kernel scratch", (options.workers * network.scratch_bytes(side)) as u64);
    ledger.charge("states of the rows", u64::from(recipe.gram.grid.blocks()) * network.row_bytes(side) as u64);
    let pass: Arc<dyn Pass> = match recipe.factor {
        None => {
            let split = (options.workers, 1);
            Arc::new(GramPass::new(recipe.gram, recipe.source, missing, 1, split, ledger)?)
        }
        Some((place, output, noise_var)) => {
            let whole = recipe.gram.grid.lower().try_fold(true, |whole, tile| {
                Ok::<_, Error>(
                    whole && (!missing.contains(&tile) || store.has(&Key::tile(Kind::Gram, &recipe.gram.id, tile))?),
                )
            })?;
            let given = if whole { Given::Stored(recipe.gram, output) } else { Given::Computed(recipe.source, output) };
            Arc::new(FactorPass::new(
                place,
                given,
                noise_var,
                missing,
                (1, options.workers),
                &Machine::nominal(true, 1, 1),
                ledger,
            )?)
        }
    };
    let crew = Crew::start(Cluster::alone(), options.workers)?;
    progress.begin("repair", "tiles", count);
    let done = crew.sweep(pass, &Bridge::new(store, 1, 1), progress);
    progress.end();
    done.map(|done| done.tiles)
}
