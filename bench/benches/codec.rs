//! A tile to Parquet bytes and back, 8 MiB, beside the least it could cost: its digest, and one copy.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::tiles;
use megagram_storage::codec::{self, Column, Parts, Stamp, Values};
use megagram_storage::{Id, Key, Kind, TileId};

const SIDE: usize = 1024;

fn codec_of_a_tile(c: &mut Criterion) {
    let id = Id::of(&serde_json::json!("bench"));
    let key = Key::tile(Kind::Factor, &id, TileId::new(1, 0));
    let stamp = Stamp { id, i: 1, j: 0, rows: SIDE, cols: SIDE };
    let values = tiles::noise(SIDE * SIDE, 1);
    let raw: &[u8] = bytemuck::cast_slice(&values);
    let columns = [("l", Values { data: &values, ld: SIDE })];
    let body = Bytes::from(codec::encode(&stamp, &columns, Vec::new()).unwrap());

    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    let mut copy = vec![0u8; raw.len()];
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut copy).copy_from_slice(black_box(raw))));
    group.bench_function("blake3", |b| b.iter(|| blake3::hash(black_box(raw))));
    group.bench_function("blake3 + memcpy", |b| {
        b.iter(|| {
            black_box(&mut copy).copy_from_slice(black_box(raw));
            blake3::hash(black_box(raw))
        });
    });
    let mut encoded = Vec::new();
    group.bench_function("encode", |b| {
        b.iter(|| encoded = codec::encode(&stamp, &columns, std::mem::take(&mut encoded)).unwrap());
    });
    let bytes = Bytes::from(raw.to_vec());
    group.bench_function("digest + frame", |b| {
        b.iter(|| {
            let digest = codec::digest(columns[0].1, SIDE, SIDE);
            codec::frame(&stamp, &[Column { name: "l", digest, bytes: bytes.clone() }]).unwrap()
        });
    });
    let mut decoded = Vec::new();
    group.bench_function("decode", |b| {
        b.iter(|| codec::decode(&key, Parts::whole(body.clone()), &stamp, "l", SIDE, &mut decoded).unwrap());
    });
    group.finish();
}

criterion_group!(benches, codec_of_a_tile);
criterion_main!(benches);
