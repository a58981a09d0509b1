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
fn a_triangle_of_products_has_the_bits_of_the_square() {
    let mut random = Random(0x5151_0f0f_2323_a7a7);
    for (rows, d) in [(1, 3), (17, 784), (128, 37), (129, 300), (200, 784), (255, 5), (513, 400)] {
        let x = random.vec(rows * d);
        let (mut square, mut triangle) = (vec![0.0; rows * rows], vec![f64::NAN; rows * rows]);
        leaf::rows_gram(&x, &x, rows, d, &mut square);
        leaf::rows_gram_lower(&x, rows, d, &mut triangle);
        // Other kernels of BLIS take small products another way.
        if leaf::blas().name == "megagram" || leaf::blas().kernel == "skx" {
            leading_equal(&square, &triangle, rows, rows, rows, true);
        }
        for j in 0..rows {
            for i in j..rows {
                assert!((square[i + j * rows] - triangle[i + j * rows]).abs() < 1e-12 * d as f64);
            }
        }
    }
}

/// Ragged tiles: a solve and a factor of any number of rows and columns are the leading parts of larger ones.
#[test]
fn small_solves_do_not_feel_rows_or_columns() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    let side = 300;
    let (c, l, definite) = (random.vec(side * side), random.lower(side), random.definite(side));
    let (mut solved, mut factored) = (c.clone(), definite.clone());
    leaf::trsm(&mut solved, &l, side, side);
    leaf::potrf(&mut factored, side, side).unwrap();
    for n in [1, 7, 8, 9, 23, 24, 25, 63, 127, 128, 129, 200, 241, 299] {
        let mut edge = padded(&c, side, n, side, false);
        leaf::trsm(&mut edge, &padded(&l, side, n, n, true), side, side);
        leading_equal(&solved, &edge, side, n, n, false);
        let mut edge = padded(&definite, side, n, n, true);
        leaf::potrf(&mut edge, side, n).unwrap();
        leading_equal(&factored, &edge, side, n, n, true);
        // Fewer rows in fact, as in the solve of a few columns of targets.
        let mut few: Vec<f64> = c.chunks_exact(side).flat_map(|column| column[..n].to_vec()).collect();
        leaf::trsm(&mut few, &l, n, side);
        for j in 0..side {
            for i in 0..n.min(16) {
                let scale = solved[i + j * side].abs().max(1.0);
                assert!((few[i + j * n] - solved[i + j * side]).abs() < 1e-11 * scale);
            }
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

#[test]
fn tiles_that_are_laid_out_give_the_same_bits() {
    let mut random = Random(0x0ddb_a115_0f7e_57aa);
    // One tile's memory after the other's, as on a shelf.
    let (mut a, mut b) = (leaf::Laid::default(), leaf::Laid::default());
    for side in [600, 1, 7, 24, 25, 64, 130, 513, 1030] {
        let (c, x, y) = (random.vec(side * side), random.vec(side * side), random.vec(side * side));
        a.lay(&x, side);
        b.lay(&y, side);
        let (mut plain, mut laid) = (c.clone(), c.clone());
        leaf::gemm_nt(&mut plain, &x, &y, side, side);
        leaf::gemm_nt_laid(&mut laid, &a, &b);
        leading_equal(&plain, &laid, side, side, side, false);
        let (mut plain, mut laid) = (c.clone(), c);
        leaf::syrk(&mut plain, &x, side);
        leaf::syrk_laid(&mut laid, &a);
        leading_equal(&plain, &laid, side, side, side, false);
    }
}
