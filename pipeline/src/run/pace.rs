//! How fast this machine is, tried for a moment: the times of a plan follow from it.

use std::time::{Duration, Instant};

use crate::kernel::{KernelOut, Network, OutputKind, Scratch};
use crate::leaf;

/// The rate of one tile gemm on this machine, GF/s: the best of a few short runs.
pub fn gemm_gflops(side: usize) -> f64 {
    let side = side.min(1024);
    let (a, b) = (vec![0.5; side * side], vec![0.25; side * side]);
    let mut c = vec![0.0; side * side];
    let flops = 2.0 * (side as f64).powi(3);
    let repeats = (1e8 / flops).ceil().max(1.0) as usize;
    let once = |c: &mut Vec<f64>| {
        let since = Instant::now();
        for _ in 0..repeats {
            leaf::gemm_nt(c, &a, &b, side, side);
        }
        flops * repeats as f64 / 1e9 / since.elapsed().as_secs_f64()
    };
    (0..4).map(|_| once(&mut c)).fold(0.0, f64::max)
}

/// A tile that takes this long tells the rate of all.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// Entries that go through a network in one call, at least: a row of the data with itself does not show what a tile costs.
const SIDE_MIN: usize = 8;

/// Nominal operations ([`Network::flops`]) of a kernel that a worker does in a second, on rows such as `x` has: the largest
/// tile up to `side` that does not take long. `None` without any row.
pub(super) fn kernel_flops(network: &Network, x: &[f64], side: usize) -> Option<f64> {
    let d = network.input_dim();
    if x.len() < d {
        return None;
    }
    let rows =
        |from: usize, count: usize| -> Vec<f64> { x.iter().copied().cycle().skip(from * d).take(count * d).collect() };
    let mut scratch = Scratch::default();
    let mut part = SIDE_MIN.min(side);
    loop {
        let (a, b) = (rows(0, part), rows(part, part));
        let (of_a, of_b) = (network.rows(&a, part), network.rows(&b, part));
        let mut tiles: Vec<Vec<f64>> = network.outputs().iter().map(|_| vec![0.0; part * part]).collect();
        let mut out = KernelOut { nngp: None, ntk: None };
        for (output, tile) in network.outputs().iter().zip(&mut tiles) {
            match output {
                OutputKind::Nngp => out.nngp = Some(tile),
                OutputKind::Ntk => out.ntk = Some(tile),
            }
        }
        let mut took = Duration::MAX;
        // The first call fills the buffers.
        for _ in 0..2 {
            let since = Instant::now();
            network.tile(&a, &of_a, &b, &of_b, part, false, &mut out, &mut scratch);
            took = took.min(since.elapsed());
        }
        if part == side || took > LONG_ENOUGH {
            return Some(network.flops(part as u64, part as u64) as f64 / took.as_secs_f64().max(1e-9));
        }
        part = (2 * part).min(side);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Inputs, KernelSpec};
    use serde_json::json;

    #[test]
    fn every_kind_of_network_has_a_rate_and_no_rows_have_none() {
        let dense = json!({ "type": "dense", "w_var": 1.5 });
        let conv = json!({ "type": "conv", "filter_shape": [2], "w_var": 1.5 });
        for (layers, shape) in [
            (json!([dense, { "type": "relu" }, dense]), None),
            (json!([conv, { "type": "relu" }, { "type": "flatten" }, dense]), Some(vec![3, 2])),
        ] {
            for output in ["nngp", "ntk", "both"] {
                let spec = KernelSpec::from_value(&json!({ "output": output, "layers": layers })).unwrap();
                let network = Network::compile(&spec, Inputs { width: 6, shape: shape.clone(), mask: None }).unwrap();
                let x: Vec<f64> = (0..30).map(|e| libm::sin(f64::from(e))).collect();
                for side in [1, 8, 40] {
                    let rate = kernel_flops(&network, &x, side).unwrap();
                    assert!(rate.is_finite() && rate > 0.0, "{output}, side {side}: {rate}");
                }
                assert_eq!(kernel_flops(&network, &[], 8), None);
            }
        }
    }
}
