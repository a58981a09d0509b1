//! Plans whose time is known.

use megagram_storage::{Id, TileGrid};
use serde_json::json;

use super::*;
use crate::job::Covariance;
use crate::pass::factor::{FactorPass, FactorPlace, Given};
use crate::pass::gram::GramPlace;
use crate::pass::ledger::Ledger;
use crate::plan::foresee;
use crate::schedule::owners::Owners;

const SIDE: u32 = 32;
const TILE_BYTES: u64 = 8 * (SIDE * SIDE) as u64;

fn factor(blocks: u64, slots: u64, crew: (usize, usize)) -> FactorPass {
    let grid = TileGrid::new(blocks * u64::from(SIDE), SIDE);
    let id = Id::of(&json!(null));
    let gram = GramPlace { id: id.clone(), grid, outputs: vec![Covariance::Nngp] };
    let ledger = Ledger::new(slots * TILE_BYTES);
    let given = Given::Stored(gram, Covariance::Nngp);
    let machine = Machine::nominal(true, 4, 4);
    FactorPass::new(FactorPlace { id, grid }, given, 0.0, grid.lower().collect(), crew, &machine, ledger).unwrap()
}

fn machine(latency: f64, bandwidth: f64) -> Machine {
    Machine { flops: 1e9, latency, bandwidth, loads: 4, saves: 4 }
}

fn work(pass: &FactorPass, processes: usize) -> f64 {
    (0..processes).flat_map(|p| pass.steps(p)).flat_map(|s| s.tasks).map(|t| pass.work(&t)).sum::<f64>() / 1e9
}

#[test]
fn one_worker_beside_a_store_that_costs_nothing_is_always_busy() {
    let pass = factor(12, 30, (1, 1));
    let told = simulate(&pass, (1, 1), &machine(0.0, 1e30)).unwrap();
    assert!((told.seconds - work(&pass, 1)).abs() < 1e-6 * told.seconds, "{told:?}");
    assert!(told.busy > 0.999_999, "{told:?}");
}

#[test]
fn a_slow_way_to_the_store_takes_the_time_of_its_bytes() {
    let pass = factor(12, 30, (1, 1));
    let bytes = foresee(&pass, 1).unwrap()[0].traffic.bytes_read as f64;
    let told = simulate(&pass, (1, 1), &machine(0.0, 1e3)).unwrap();
    assert!(told.seconds >= bytes / 1e3 && told.seconds < 1.5 * bytes / 1e3, "{told:?}");
}

#[test]
fn several_processes_do_the_same_work_in_less_time() {
    let alone = simulate(&factor(32, 60, (1, 2)), (1, 2), &machine(0.0, 1e30)).unwrap();
    for processes in [2, 3, 4] {
        let pass = factor(32, 60, (processes, 2));
        assert!((work(&pass, processes) - alone.seconds * alone.busy * 2.0).abs() < 1e-6);
        let told = simulate(&pass, (processes, 2), &machine(0.0, 1e30)).unwrap();
        let ideal = alone.seconds * alone.busy / processes as f64;
        assert!(told.seconds >= ideal && told.seconds < 1.3 * ideal, "{processes}: {told:?}, ideal {ideal}");
    }
}

#[test]
fn what_is_shared_out_is_not_slower_than_tile_by_tile() {
    let machine = Machine::nominal(true, 4, 4);
    let best = simulate(&factor(16, 24, (4, 1)), (4, 1), &machine).unwrap();
    let mut plain = factor(16, 24, (4, 1));
    plain.share(Owners::skewed(4), 1, 1);
    assert!(best.seconds <= 1.05 * simulate(&plain, (4, 1), &machine).unwrap().seconds);
}

/// Whatever the room, every rule has a plan that fits it and comes to its end.
#[test]
fn every_rule_comes_to_its_end_in_any_room() {
    let machine = machine(1e-3, 1e8);
    for processes in 1..=6 {
        for (blocks, slots, workers) in
            [(1, 5, 1), (5, 5, 1), (9, 6, 2), (9, 17, 1), (12, 33, 2), (17, 60, 3), (8, 400, 2)]
        {
            let mut pass = factor(blocks, slots, (processes, workers));
            for owners in Owners::candidates(processes) {
                for flight in [1, 4] {
                    pass.share(owners, workers, flight);
                    let told = simulate(&pass, (processes, workers), &machine);
                    assert!(told.is_ok(), "{blocks} blocks, {slots} slots, {workers} workers, {owners:?}: {told:?}");
                }
            }
        }
    }
}
