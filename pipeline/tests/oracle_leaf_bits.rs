//! The rule that makes results exact: the leading part of a result has the same bits whatever the rest
//! of the tile holds, and whichever thread makes it.

#![allow(clippy::unwrap_used)]

mod random;

use megagram_pipeline::leaf;
use random::{Random, padded};

/// The leading part of two results has equal bits; only the lower triangle counts when `lower`.
fn leading_equal(a: &[f64], b: &[f64], rows: usize, n: usize, m: usize, lower: bool) {
    for j in 0..m {
        for i in if lower { j } else { 0 }..n {
            let e = i + j * rows;
            assert_eq!(a[e].to_bits(), b[e].to_bits(), "entry {i},{j} of {n}x{m} in {rows}");
        }
    }
}

#[test]
fn leading_parts_do_not_feel_the_padding() {
    let mut random = Random(0xfeed_beef_cafe_f00d);
    for side in [1, 2, 3, 17, 64, 128, 129, 256] {
        for n in [1, side / 3, side / 2, side - 1, side] {
            if n == 0 {
                continue;
            }
            let (c, a, b) = (random.vec(side * side), random.vec(side * side), random.vec(side * side));
            let l = random.lower(side);
            let short = |m: &[f64], unit| padded(m, side, n, n, unit);
            let rows = |m: &[f64]| padded(m, side, n, side, false);

            // A last row of tiles: fewer rows in C and A.
            let (mut full, mut edge) = (c.clone(), rows(&c));
            leaf::gemm_nt(&mut full, &a, &b, side, side);
            leaf::gemm_nt(&mut edge, &rows(&a), &b, side, side);
            leading_equal(&full, &edge, side, n, side, false);
            let (mut full, mut edge) = (c.clone(), rows(&c));
            leaf::gemm_nn(&mut full, &a, &b, side, side);
            leaf::gemm_nn(&mut edge, &rows(&a), &b, side, side);
            leading_equal(&full, &edge, side, n, side, false);
            let (mut full, mut edge) = (c.clone(), rows(&c));
            leaf::gemm_acc(&mut full, &a, &b, side, side, side);
            leaf::gemm_acc(&mut edge, &rows(&a), &b, side, side, side);
            leading_equal(&full, &edge, side, n, side, false);
            let (mut full, mut edge) = (c.clone(), rows(&c));
            leaf::trsm(&mut full, &l, side, side);
            leaf::trsm(&mut edge, &short(&l, true), side, side);
            leading_equal(&full, &edge, side, n, n, false);
            let (mut full, mut edge) = (c.clone(), rows(&c));
            leaf::trsm_back(&mut full, &l, side, side);
            leaf::trsm_back(&mut edge, &l, side, side);
            leading_equal(&full, &edge, side, n, side, false);
            let (mut full, mut edge) = (c.clone(), short(&c, true));
            leaf::syrk(&mut full, &a, side);
            leaf::syrk(&mut edge, &rows(&a), side);
            leading_equal(&full, &edge, side, n, n, true);

            // The backward sweep from an edge tile: its padding columns add exact zeros.
            let wide = |m: &[f64]| padded(m, side, side, n, false);
            let (mut given, mut edge) = (wide(&c), wide(&c));
            leaf::gemm_nn(&mut given, &wide(&a), &rows(&b), side, side);
            leaf::gemm_nn(&mut edge, &wide(&a), &padded(&b, side, n, n, false), side, side);
            leading_equal(&given, &edge, side, side, n, false);

            let c = random.definite(side);
            let (mut full, mut edge) = (c.clone(), short(&c, true));
            leaf::potrf(&mut full, side, side).unwrap();
            leaf::potrf(&mut edge, side, n).unwrap();
            leading_equal(&full, &edge, side, n, n, true);
            // The padding stays the identity.
            for i in n..side {
                assert_eq!(edge[i + i * side], 1.0);
            }

            let d = 37;
            let (x, y) = (random.vec(side * d), random.vec(side * d));
            let cut = |m: &[f64]| {
                let mut m = m.to_vec();
                m[n * d..].fill(0.0);
                m
            };
            let (mut full, mut edge) = (vec![0.0; side * side], vec![0.0; side * side]);
            leaf::rows_gram(&x, &y, side, d, &mut full);
            leaf::rows_gram(&cut(&x), &cut(&y), side, d, &mut edge);
            leading_equal(&full, &edge, side, n, n, false);
        }
    }
}

#[test]
fn threads_get_the_same_bits() {
    let side = 200;
    let c = Random(3).definite(side);
    let factor = || {
        let mut c = c.clone();
        leaf::potrf(&mut c, side, side).map(|_| c).unwrap()
    };
    let want = factor();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(factor)).collect();
        for worker in workers {
            leading_equal(&worker.join().unwrap(), &want, side, side, side, false);
        }
    });
}
