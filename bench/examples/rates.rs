//! What the cores do at best, as one JSON object: the peak, and the leaf operations on one core and on all
//! cores at once, in GF/s.
//!
//!     cargo run --release -p megagram-bench --example rates -- [SECONDS [TILE]]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use megagram_bench::{peak, tiles};
use megagram_pipeline::leaf;
use serde_json::{Map, json};

/// Operations of one call, on data of the thread's own.
type Operation = Box<dyn FnMut() -> f64>;

fn operation(name: &str, side: usize) -> Operation {
    let (a, b) = (tiles::noise(side * side, 1), tiles::noise(side * side, 2));
    let mut c = a.clone();
    match name {
        "gemm" => Box::new(move || {
            leaf::gemm_nt(&mut c, &a, &b, side, side);
            tiles::flops::gemm(side)
        }),
        "gemm_laid" => {
            let [mut x, mut y] = [(); 2].map(|()| leaf::Laid::default());
            x.lay(&a, side);
            y.lay(&b, side);
            Box::new(move || {
                leaf::gemm_nt_laid(&mut c, &x, &y);
                tiles::flops::gemm(side)
            })
        }
        "syrk" => Box::new(move || {
            leaf::syrk(&mut c, &a, side);
            tiles::flops::syrk(side)
        }),
        "trsm" => {
            let l = tiles::triangle(side);
            Box::new(move || {
                // Fresh values each time, or they would fade to denormal numbers; the copy is in the time.
                c.copy_from_slice(&a);
                leaf::trsm(&mut c, &l, side, side);
                tiles::flops::trsm(side)
            })
        }
        "potrf" => {
            let definite = tiles::definite(side);
            Box::new(move || {
                c.copy_from_slice(&definite);
                if leaf::potrf(&mut c, side, side).is_ok() { tiles::flops::potrf(side) } else { 0.0 }
            })
        }
        _ => Box::new(|| peak::fma_f64(100_000)),
    }
}

/// GF/s of `threads` threads that do the same at the same time.
fn rate(name: &str, side: usize, threads: usize, wanted: Duration) -> f64 {
    let barrier = Barrier::new(threads);
    let work = || {
        let mut once = operation(name, side);
        once();
        barrier.wait();
        let (since, mut flops) = (Instant::now(), 0.0);
        while since.elapsed() < wanted {
            flops += once();
        }
        flops / 1e9 / since.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().filter_map(|t| t.join().ok()).sum()
    })
}

fn main() {
    // While there is one thread: it chooses the BLAS kernel.
    let blas = leaf::blas().to_string();
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let side = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(1024);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Map::new();
    for (key, value) in
        [("blas", json!(blas)), ("width", json!(peak::width())), ("tile", json!(side)), ("cores", json!(cores))]
    {
        report.insert(key.to_owned(), value);
    }
    for name in ["peak", "gemm", "gemm_laid", "syrk", "trsm", "potrf"] {
        let of = |threads| rate(name, side, threads, Duration::from_secs_f64(seconds));
        report.insert(name.to_owned(), json!({ "one_core": of(1), "all_cores": of(cores) }));
    }
    println!("{}", serde_json::Value::Object(report));
}
