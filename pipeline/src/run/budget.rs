//! How a process's memory is spent: what is fixed for a stage, and what is left for its pass.

use megagram_storage::Store;
use megagram_storage::bridge::Bridge;

use super::Run;
use crate::error::Result;
use crate::kernel::Network;
use crate::leaf;
use crate::pass::ledger::Ledger;
use crate::simulate::Machine;

/// Reads and writes in flight at most; more would only hold memory.
const IN_FLIGHT_MAX: u64 = 4;

/// Reads and writes in flight for tiles of `body` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Reads.
    pub loads: usize,
    /// Writes.
    pub saves: usize,
    bytes: u64,
}

impl InFlight {
    /// An eighth of memory for bodies in flight, at least one read and one write.
    pub fn of(memory: u64, body: u64, local: bool) -> Self {
        // A body from the network is collected in pieces and then joined.
        let load = if local { body } else { 2 * body };
        let pairs = (memory / 8 / (load + body)).clamp(1, IN_FLIGHT_MAX);
        Self { loads: pairs as usize, saves: pairs as usize, bytes: pairs * (load + body) }
    }

    /// The machine that a pass is shared out for.
    pub fn machine(self, local: bool) -> Machine {
        Machine::nominal(local, self.loads, self.saves)
    }
}

/// A ledger with all that a stage needs beside its pass.
pub fn ledger(
    memory: u64,
    workers: usize,
    tile: u32,
    in_flight: InFlight,
    network: Option<&Network>,
    rows: u64,
) -> Ledger {
    let side = tile as usize;
    let mut ledger = Ledger::new(memory);
    ledger.charge("BLAS pack buffers", (workers * leaf::pack_bytes_at(side)) as u64);
    ledger.charge("bodies in flight", in_flight.bytes);
    if let Some(network) = network {
        ledger.charge("kernel scratch", (workers * network.scratch_bytes(side)) as u64);
        let blocks = rows.div_ceil(u64::from(tile));
        ledger.charge("states of the rows", blocks * network.row_bytes(side) as u64);
    }
    ledger
}

impl Run<'_> {
    /// Reads and writes in flight for tiles of `columns` columns.
    pub(super) fn in_flight(&self, columns: usize) -> InFlight {
        let tile = u64::from(self.job.compute.tile);
        let body = 8 * tile * tile * columns as u64 + 65_536;
        InFlight::of(self.job.compute.memory, body, self.store.folder().is_some())
    }

    /// The ledger and the bridge of a stage.
    pub(super) fn budget(
        &self,
        columns: usize,
        network: Option<&Network>,
        rows: u64,
    ) -> Result<(Ledger, Bridge, InFlight)> {
        let in_flight = self.in_flight(columns);
        let compute = &self.job.compute;
        let ledger = ledger(compute.memory, compute.workers, compute.tile, in_flight, network, rows);
        ledger.require("the program's buffers", 0)?;
        Ok((ledger, bridge(&self.store, in_flight), in_flight))
    }
}

fn bridge(store: &Store, in_flight: InFlight) -> Bridge {
    Bridge::new(store, in_flight.loads, in_flight.saves)
}
