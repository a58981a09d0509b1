//! The sweep: one Timely dataflow for every pass.
//!
//! ```text
//!  take ──► do one leaf call ──► announce to every process ──► hear
//!   ▲            (BLAS)           names, ~20 bytes each          │
//!   └──────────────── the process's desk ◄──────────────────────┘
//! ```
//!
//! Tile bytes never travel here: they go through the store. The frontier tells which resident sets
//! (groups) are complete in all processes. An error travels as data, so all workers end alike.

use std::sync::Arc;
use std::time::Duration;

use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Capability, Probe};
use timely::dataflow::{ProbeHandle, StreamVec};
use timely::worker::Worker;

use super::desk::{Desk, Event};

/// Runs a pass on this worker, together with all other workers of all processes.
pub fn sweep(worker: &mut Worker, desk: &Arc<Desk>, processes: usize) {
    let workers = worker.peers() / processes;
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        let taking = Arc::clone(desk);
        let done: StreamVec<_, Event> = source(scope, "Take", move |capability: Capability<u64>, info| {
            let again = scope.activator_for(std::rc::Rc::clone(&info.address));
            taking.enlist(scope.worker().sync_activator_for(info.address.to_vec()));
            let mut capability = Some(capability);
            move |output| {
                let Some(held) = &mut capability else { return };
                // One leaf call an activation, then yield to the rest of the dataflow.
                if let Some(work) = taking.take() {
                    taking.run(work);
                    again.activate();
                }
                let (events, oldest) = taking.news();
                if !events.is_empty() {
                    output.session(&*held).give_iterator(events.into_iter());
                }
                match oldest {
                    Some(group) if group > *held.time() && group < u64::from(u32::MAX) => held.downgrade(&group),
                    Some(_) => {}
                    None => capability = None,
                }
            }
        });
        let hearing = Arc::clone(desk);
        done.flat_map(move |event| (0..processes as u64).map(move |p| (p, event.clone())))
            .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
                Exchange::new(move |(p, _): &(u64, Event)| p * workers as u64),
                "Hear",
                move |_, _| {
                    move |(input, _), _| {
                        input.for_each_stamp(|_, batches| {
                            for (_, event) in batches.flat_map(|b| b.drain(..)) {
                                hearing.hear(event);
                            }
                        });
                    }
                },
            )
            .probe_with(&probe);
    });
    while !probe.done() {
        worker.step_or_park(Some(Duration::from_millis(200)));
    }
}
