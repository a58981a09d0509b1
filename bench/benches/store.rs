//! Tiles to and from a folder, as a run moves them (encoding and digests included), beside plain files
//! of the same bytes: written and fsynced, read, read and digested; 1 and 4 in flight.
//!
//! Reads come from the page cache, for tiles and plain files alike. The folder is on the disk of the
//! build, `MEGAGRAM_BENCH_DIR` names another.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::tiles;
use megagram_storage::bridge::{Bridge, Load, Save};
use megagram_storage::codec::Stamp;
use megagram_storage::{Id, Key, Kind, Store, TileId};

const SIDE: usize = 1024;
const TILES: u32 = 16;
const IN_FLIGHT: [usize; 2] = [1, 4];

fn tile(id: &Id, i: u32) -> (Key, Stamp) {
    (Key::tile(Kind::Factor, id, TileId::new(i, 0)), Stamp { id: id.clone(), i, j: 0, rows: SIDE, cols: SIDE })
}

fn write_tiles(bridge: &Bridge, id: &Id, values: &Arc<Vec<f64>>) {
    let (done, all) = channel();
    for i in 0..TILES {
        let ((key, stamp), done) = (tile(id, i), done.clone());
        let save = Save { key, stamp, columns: vec!["l"], ld: SIDE, stride: SIDE * SIDE };
        bridge.save(save, Arc::clone(values), move |result| done.send(result).unwrap());
    }
    drop(done);
    all.iter().for_each(Result::unwrap);
}

fn read_tiles(bridge: &Bridge, id: &Id, buffers: &mut Vec<Vec<f64>>) {
    let (done, all) = channel();
    for i in 0..TILES {
        let ((key, stamp), done) = (tile(id, i), done.clone());
        let load = Load { key, stamp, column: "l", among_others: false, ld: SIDE };
        let buffer = buffers.pop().unwrap_or_default();
        bridge.load(load, buffer, move |values, result| done.send(result.map(|()| values)).unwrap());
    }
    drop(done);
    buffers.extend(all.iter().map(Result::unwrap));
}

/// Does `each` for every file, `threads` at a time. A file has a buffer of its own, as a tile has.
fn files(threads: usize, buffers: &[Mutex<Vec<u8>>], each: impl Fn(u32, &mut Vec<u8>) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(buffer) = buffers.get(i) else { break };
                    each(i as u32, &mut buffer.lock().unwrap());
                }
            });
        }
    });
}

fn read(folder: &Path, i: u32, buffer: &mut Vec<u8>) {
    buffer.clear();
    File::open(folder.join(i.to_string())).unwrap().read_to_end(buffer).unwrap();
}

fn store(c: &mut Criterion) {
    let place = std::env::var("MEGAGRAM_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    let folder = tempfile::tempdir_in(place).unwrap();
    let store = Store::open(folder.path().join("store").to_str().unwrap()).unwrap();
    let raw = folder.path().join("raw");
    std::fs::create_dir(&raw).unwrap();
    let id = Id::of(&serde_json::json!("bench"));
    let values = Arc::new(tiles::noise(SIDE * SIDE, 1));
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let buffers: Vec<_> = (0..TILES).map(|_| Mutex::new(Vec::with_capacity(bytes.len()))).collect();

    let mut group = c.benchmark_group("store");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(u64::from(TILES) * bytes.len() as u64));
    for in_flight in IN_FLIGHT {
        let bridge = Bridge::new(&store, in_flight, in_flight);
        group.bench_function(BenchmarkId::new("write/tiles", in_flight), |b| {
            b.iter(|| write_tiles(&bridge, &id, &values));
        });
        group.bench_function(BenchmarkId::new("write/fsynced files", in_flight), |b| {
            b.iter(|| {
                files(in_flight, &buffers, |i, _| {
                    let mut file = File::create(raw.join(i.to_string())).unwrap();
                    file.write_all(bytes).unwrap();
                    file.sync_all().unwrap();
                });
            });
        });
        let mut tiles = Vec::new();
        group.bench_function(BenchmarkId::new("read/tiles", in_flight), |b| {
            b.iter(|| read_tiles(&bridge, &id, &mut tiles));
        });
        group.bench_function(BenchmarkId::new("read/files", in_flight), |b| {
            b.iter(|| files(in_flight, &buffers, |i, buffer| read(&raw, i, buffer)));
        });
        group.bench_function(BenchmarkId::new("read/files + blake3", in_flight), |b| {
            b.iter(|| {
                files(in_flight, &buffers, |i, buffer| {
                    read(&raw, i, buffer);
                    std::hint::black_box(blake3::hash(buffer));
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
