//! Test vectors of the papers' formulas, and the time that kernels take.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{fc, kernels, network, noise};
use megagram_pipeline::kernel::{KernelOut, KernelSpec, Network, Scratch};
use megagram_pipeline::leaf;
use serde_json::json;

/// X[i,j] = sin(0.7(i+1)(j+1)) + 0.1j, 8 × 5, and T[i,j] = cos(0.4(i+1)(j+1)) − 0.05j, 3 × 5.
fn toy() -> (Vec<f64>, Vec<f64>) {
    let entry = |e: usize| ((e / 5 + 1) as f64 * (e % 5 + 1) as f64, (e % 5) as f64);
    let x = (0..40).map(entry).map(|(p, j)| (0.7 * p).sin() + 0.1 * j).collect();
    let t = (0..15).map(entry).map(|(p, j)| (0.4 * p).cos() - 0.05 * j).collect();
    (x, t)
}

fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs(), "{got} is not {want}");
}

#[test]
fn published_vectors() {
    let (x, t) = toy();
    for (kernel, nngp, ntk) in [
        (
            fc("relu".into(), 3, 1.79, 0.83),
            [3.635887853064, 3.193604387783, 3.271904317295],
            [9.903000662257345, 6.250443372720, 7.191516071486],
        ),
        (
            fc("erf".into(), 3, 1.5, 0.1),
            [0.708996077268, 0.299113645453, 0.503407277413],
            [2.918300628461, 0.689937078862, 1.603991467082],
        ),
    ] {
        let network = network(&kernel, 5);
        let xx = kernels(&network, &x, None, 5, 8);
        let xt = kernels(&network, &x, Some(&t), 5, 8);
        for (got, want) in [xx.nngp[0], xx.nngp[1], xt.nngp[0]].into_iter().zip(nngp) {
            close(got, want, 1e-9);
        }
        for (got, want) in [xx.ntk[0], xx.ntk[1], xt.ntk[0]].into_iter().zip(ntk) {
            close(got, want, 1e-8);
        }
    }
}

/// Time of an entry: `cargo test --release --test oracle_kernel_toy -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let (side, d) = (1024, 784);
    let (x, y) = (noise(side * d, 1), noise(side * d, 2));
    let (mut k, mut t) = (vec![0.0; side * side], vec![0.0; side * side]);
    let mut best = |work: &mut dyn FnMut(&mut [f64], &mut [f64])| {
        let mut clock = |work: &mut dyn FnMut(&mut [f64], &mut [f64])| {
            let start = std::time::Instant::now();
            work(&mut k, &mut t);
            start.elapsed().as_secs_f64()
        };
        (0..4).map(|_| clock(work)).fold(f64::INFINITY, f64::min) * 1e9 / (side * side) as f64
    };
    let gemm = best(&mut |k, _| leaf::rows_gram(&x, &y, side, d, k));
    eprintln!("gemm {gemm:.2} ns");
    for (name, depth, output) in [
        ("relu", 7, "nngp"),
        ("relu", 7, "both"),
        ("erf", 3, "nngp"),
        ("erf", 3, "both"),
        ("gelu", 3, "both"),
        ("tanh", 3, "both"),
    ] {
        let activation = match name {
            "tanh" => json!({ "type": "elementwise", "fn": name }),
            name => name.into(),
        };
        let mut kernel = fc(activation, depth, 1.6, 0.1);
        kernel["output"] = output.into();
        let network = Network::compile(&KernelSpec::from_value(&kernel).unwrap(), d).unwrap();
        let (xs, ys) = (network.rows(&x, side), network.rows(&y, side));
        let rows = best(&mut |_, _| drop(network.rows(&x, side))) / 1024.0 * 1024.0 * 1024.0;
        let mut scratch = Scratch::default();
        let entry = best(&mut |k, t| {
            let mut out = KernelOut { nngp: Some(k), ntk: (output == "both").then_some(t) };
            network.tile(&x, &xs, &y, &ys, side, false, &mut out, &mut scratch);
        });
        eprintln!(
            "{name} depth {depth} {output}: {entry:.2} ns an entry, {:.0} % of it in gemm; {rows:.0} ns a row",
            100.0 * gemm / entry
        );
    }
}
