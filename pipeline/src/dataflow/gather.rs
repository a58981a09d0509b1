//! Gather: every process learns what every process says. The one way in which processes agree.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use timely::dataflow::InputHandle;
use timely::dataflow::ProbeHandle;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Input, Probe};
use timely::worker::Worker;

/// What a process says, and what all have said.
pub struct Table {
    process: usize,
    says: Vec<u8>,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Table {
    /// A table at which `process` of `processes` says `says`.
    pub fn new(process: usize, processes: usize, says: Vec<u8>) -> Self {
        Self { process, says, heard: Mutex::new(vec![Vec::new(); processes]) }
    }

    /// What each process said, once the gather is over.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().clone()
    }
}

/// Runs a gather on this worker, together with all other workers of all processes.
pub fn gather(worker: &mut Worker, table: &Arc<Table>, processes: usize) {
    let workers = worker.peers() / processes;
    let speaks = worker.index().is_multiple_of(workers);
    let probe = ProbeHandle::new();
    let hearing = Arc::clone(table);
    let mut input: InputHandle<u64, _> = InputHandle::new();
    worker.dataflow(|scope| {
        scope
            .input_from(&mut input)
            .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
                Exchange::new(move |said: &(u64, u64, Vec<u8>)| said.0 * workers as u64),
                "Gather",
                move |_, _| {
                    move |(input, _), _| {
                        input.for_each_stamp(|_, batches| {
                            for (_, from, says) in batches.flat_map(|b: &mut Vec<_>| b.drain(..)) {
                                if let Some(seat) = hearing.heard.lock().get_mut(from as usize) {
                                    *seat = says;
                                }
                            }
                        });
                    }
                },
            )
            .probe_with(&probe);
    });
    if speaks {
        for to in 0..processes as u64 {
            input.send((to, table.process as u64, table.says.clone()));
        }
    }
    input.close();
    while !probe.done() {
        worker.step_or_park(Some(Duration::from_millis(200)));
    }
}
