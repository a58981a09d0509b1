//! Activations with an inner part in f32 beside themselves in f64.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use super::{Activation, TABLE, Terms};
use crate::kernel::arguments::Arguments;
use crate::kernel::level::Level;
use crate::kernel::precision::PRECISION;
use crate::kernel::single::SINGLE_ERROR;
use serde_json::{Value, json};

/// Every activation that takes a precision, with arguments where it has any.
fn activations() -> Vec<(Value, [Box<dyn Activation>; 2])> {
    let tables = [
        json!({ "type": "relu" }),
        json!({ "type": "leaky_relu", "alpha": 0.1 }),
        json!({ "type": "leaky_relu", "alpha": 0.99 }),
        json!({ "type": "ab_relu", "a": -0.5, "b": 2.0 }),
        json!({ "type": "ab_relu", "a": 0.0, "b": 0.0 }),
        json!({ "type": "abs" }),
        json!({ "type": "erf" }),
        json!({ "type": "erf", "a": 2.0, "b": 0.3, "c": -0.5 }),
        json!({ "type": "erf", "b": 30.0 }),
        json!({ "type": "sigmoid_like" }),
    ];
    let takers = TABLE.iter().filter(|entry| entry.params.iter().any(|param| param.key == PRECISION));
    assert!(takers.clone().all(|entry| tables.iter().any(|table| table["type"] == entry.name)));
    let built = |mut table: Value, precision: &str| {
        table[PRECISION] = precision.into();
        let entry = TABLE.iter().find(|entry| table["type"] == entry.name).unwrap();
        let arguments = Arguments::read(entry, table.as_object().unwrap(), "").unwrap();
        (entry.build)(&arguments).unwrap()
    };
    tables.into_iter().map(|table| (table.clone(), ["f64", "f32"].map(|p| built(table.clone(), p)))).collect()
}

/// F and the slope of every correlation, between rows of two variances.
fn strip(activation: &dyn Activation, level: Level, q: [f64; 2], k: &[f64]) -> [Vec<f64>; 2] {
    let mut terms = Terms::empty(1, 2 * k.len(), k.len(), activation.planes());
    terms.learn(activation, 0, 0, &vec![q[0]; k.len()]);
    terms.learn(activation, 0, k.len(), &vec![q[1]; k.len()]);
    let (mut f, mut slope) = (k.to_vec(), vec![1.0; k.len()]);
    activation.strip(level, terms.from(0).at(0, k.len()), terms.from(k.len()).at(0, 1), &mut f, &mut slope);
    [f, slope]
}

/// Correlations from −1 to 1, densely, and ever nearer to both ends; an odd number of them.
fn correlations() -> Vec<f64> {
    let near = (0..=8_000).map(|step| 1.0 - 10f64.powf(-17.0 * f64::from(step) / 8_000.0));
    let even = (0..10_000).map(|step| f64::from(step) / 10_000.0);
    near.chain(even).flat_map(|c| [c, -c]).chain([1e-300, 1e-30, -1e-12]).collect()
}

const VARIANCES: [[f64; 2]; 9] = [
    [1.0, 1.0],
    [0.3, 7.0],
    [1e-6, 1e4],
    [1e-30, 1e-30],
    [50.0, 51.0],
    [1e8, 1e8],
    [0.0, 1.0],
    [1e-150, 2.0],
    [1e30, 1e-30],
];

#[test]
fn the_error_is_within_the_bound() {
    for (table, [double, single]) in activations() {
        let mut worst = [0.0f64; 2];
        for q in VARIANCES {
            let k: Vec<f64> = correlations().iter().map(|c| c * (q[0] * q[1]).sqrt()).collect();
            let diagonal = q.map(|q| double.row(q, &mut vec![0.0; double.planes()]));
            let scale = [(diagonal[0].f * diagonal[1].f).sqrt(), (diagonal[0].slope * diagonal[1].slope).sqrt()];
            let want = strip(double.as_ref(), Level::detect(), q, &k);
            for level in Level::all() {
                let got = strip(single.as_ref(), level, q, &k);
                for output in [0, 1] {
                    for (got, want) in got[output].iter().zip(&want[output]) {
                        assert!(got.is_finite(), "{table} {q:?} {level:?}");
                        let error = (got - want).abs();
                        worst[output] = worst[output].max(if error == 0.0 { 0.0 } else { error / scale[output] });
                    }
                }
            }
        }
        assert!(worst.iter().all(|worst| *worst <= SINGLE_ERROR), "{worst:?} of {table}");
    }
}

#[test]
fn levels_with_fma_agree_in_every_bit() {
    for (table, [_, single]) in activations() {
        for q in VARIANCES {
            let k: Vec<f64> = correlations().iter().map(|c| c * (q[0] * q[1]).sqrt()).collect();
            let of = |level| strip(single.as_ref(), level, q, &k).map(|v| v.into_iter().map(f64::to_bits).collect());
            let mut levels = Level::all().into_iter().filter(|level| *level != Level::Baseline);
            let first: Option<[Vec<u64>; 2]> = levels.next().map(of);
            assert!(levels.all(|level| Some(of(level)) == first), "{table} {q:?}");
        }
    }
}

#[test]
fn diagonals_and_equal_rows_are_those_of_f64_and_order_is_none() {
    for (table, [double, single]) in activations() {
        for q in [0.0, 1e-150, 1e-30, 1e-3, 0.7, 1.0, 3.3, 1e4, 1e8] {
            let mut kept = vec![0.0; single.planes()];
            let (exact, dual) = (double.row(q, &mut kept), single.row(q, &mut kept));
            assert_eq!(exact, dual, "{table} {q}");
            assert!(dual.f >= 0.0 && dual.slope >= 0.0, "{table} {q}");
            for level in Level::all() {
                let [f, slope] = strip(single.as_ref(), level, [q, q], &[q; 3]);
                assert_eq!((f, slope), (vec![dual.f; 3], vec![dual.slope; 3]), "{table} {q}");
                let k: Vec<f64> = correlations().iter().map(|c| c * (q * 2.9).sqrt()).collect();
                let [one, other] = [[q, 2.9], [2.9, q]].map(|q| strip(single.as_ref(), level, q, &k));
                assert_eq!(one, other, "{table} {q}");
            }
        }
    }
}
