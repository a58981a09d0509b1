//! How long it takes to plan, and to walk a plan, for matrices far larger than memory. What the plans read is
//! printed beside: `bench/simulate.py` tells it for whole jobs, from the program itself.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use criterion::{Criterion, criterion_group, criterion_main};
use megagram_pipeline::schedule::blocks::{Begin, Resident, factor_steps};
use megagram_pipeline::schedule::owners::Owners;
use megagram_pipeline::schedule::panels::{Space, choose, resident_sets};
use megagram_pipeline::schedule::residency::{Blocks, Replay, Room};
use megagram_pipeline::schedule::{Name, Step};

const WORKERS: usize = 2;
const TILE: u64 = 1024;
const TILE_BYTES: u64 = 8 * TILE * TILE;
/// Bodies in flight and pack buffers, in tiles: what a run keeps beside its slots.
const BESIDE: u64 = 10;

struct Tiles;

impl Blocks for Tiles {
    fn class(&self, _: Name) -> usize {
        0
    }

    fn memory_only(&self, _: Name) -> bool {
        false
    }
}

fn plan(blocks: u32, slots: usize) -> (Vec<Resident>, u32) {
    let space = Space { slots, owners: Owners::ALONE, workers: WORKERS, slack: 4 * WORKERS, flight: 1 };
    (resident_sets(&choose(blocks, space).unwrap(), blocks), space.rows_abreast())
}

fn steps(sets: &[Resident], abreast: u32) -> impl Iterator<Item = Step> + '_ {
    let all = |_, _| true;
    sets.iter().zip(0..).flat_map(move |(set, group)| factor_steps(set, group, Begin::Load, abreast, all))
}

/// Tiles of the factor that a walk of the plan reads.
fn loads(sets: &[Resident], abreast: u32, slots: usize) -> usize {
    let replay = Replay::new(&Tiles, &[Room { slots }], || steps(sets, abreast));
    let moves = replay.flat_map(|planned| planned.unwrap().acquire);
    moves.filter(|a| a.load && !a.target).count()
}

fn schedules(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    group.sample_size(10);
    for (n, memory) in [(32_768u64, 1u64 << 30), (60_000, 4 << 30), (131_072, 4 << 30)] {
        let blocks = n.div_ceil(TILE) as u32;
        let (all, slots) = (memory / TILE_BYTES, (memory / TILE_BYTES - BESIDE) as usize);
        let name = format!("{n} in {} GiB", memory >> 30);
        let (sets, abreast) = plan(blocks, slots);
        let bound = f64::from(blocks).powi(3) / (3.0 * (all as f64).sqrt());
        let read = loads(&sets, abreast, slots);
        eprintln!("{name}: {read} tiles read, N³/(3√S) = {bound:.0}, ratio {:.3}", read as f64 / bound);
        group.bench_function(format!("choose/{name}"), |b| b.iter(|| plan(blocks, slots)));
        group.bench_function(format!("walk/{name}"), |b| b.iter(|| loads(&sets, abreast, slots)));
    }
    group.finish();
}

criterion_group!(benches, schedules);
criterion_main!(benches);
