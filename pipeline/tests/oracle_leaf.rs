//! The leaf operations against their slow twins, and their speed.

#![allow(clippy::unwrap_used)]

mod random;

use megagram_pipeline::leaf::{self, reference};
use random::{Random, padded};

const SIDES: [usize; 11] = [1, 2, 3, 5, 8, 17, 64, 128, 129, 200, 300];

/// The largest difference in units of `eps · scale`.
fn residual(got: &[f64], want: &[f64], scale: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(want)
        .map(|(g, w)| {
            assert!(!g.is_nan(), "NaN");
            (g - w).abs() / (f64::EPSILON * scale)
        })
        .fold(0.0, f64::max)
}

#[test]
fn products_equal_their_twins() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for side in SIDES {
        for rows in [side, (side / 2).max(1)] {
            let (c, a, b) = (random.vec(rows * side), random.vec(rows * side), random.vec(side * side));
            let scale = 8.0 + side as f64;
            let (mut got, mut want) = (c.clone(), c.clone());
            leaf::gemm_nt(&mut got, &a, &b, rows, side);
            reference::gemm_nt(&mut want, &a, &b, rows, side);
            assert!(residual(&got, &want, scale) < 4.0);
            let (mut got, mut want) = (c.clone(), c.clone());
            leaf::gemm_nn(&mut got, &a, &b, rows, side);
            reference::gemm_nn(&mut want, &a, &b, rows, side);
            assert!(residual(&got, &want, scale) < 4.0);
        }
        let (c, a) = (random.vec(side * side), random.vec(side * side));
        let (mut got, mut want) = (c.clone(), c);
        leaf::syrk(&mut got, &a, side);
        reference::syrk(&mut want, &a, side);
        assert!(residual(&got, &want, 8.0 + side as f64) < 4.0);
    }
    for (m, n, k) in [(1, 1, 1), (7, 2, 300), (64, 10, 64), (129, 1, 5), (3, 0, 3), (256, 10, 1000)] {
        let (c, a, b) = (random.vec(m * n), random.vec(m * k), random.vec(k * n));
        let (mut got, mut want) = (c.clone(), c);
        leaf::gemm_acc(&mut got, &a, &b, m, n, k);
        reference::gemm_acc(&mut want, &a, &b, m, n, k);
        assert!(residual(&got, &want, 8.0 + k as f64) < 4.0);
    }
    for (rows, d) in [(1, 1), (2, 784), (17, 5), (64, 3072), (129, 10), (256, 300), (4, 0)] {
        let (x, y) = (random.vec(rows * d), random.vec(rows * d));
        let (mut got, mut want) = (vec![f64::NAN; rows * rows], vec![0.0; rows * rows]);
        leaf::rows_gram(&x, &y, rows, d, &mut got);
        reference::rows_gram(&x, &y, rows, d, &mut want);
        assert!(residual(&got, &want, 8.0 + d as f64) < 4.0);
    }
}

#[test]
fn solves_equal_their_twins() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for side in SIDES {
        for rows in [side, (side / 2).max(1), side + 3] {
            let (c, l) = (random.vec(rows * side), random.lower(side));
            let (mut got, mut want) = (c.clone(), c.clone());
            leaf::trsm(&mut got, &l, rows, side);
            reference::trsm(&mut want, &l, rows, side);
            assert!(residual(&got, &want, 16.0) < 4.0);
            let (mut got, mut want) = (c.clone(), c);
            leaf::trsm_back(&mut got, &l, rows, side);
            reference::trsm_back(&mut want, &l, rows, side);
            assert!(residual(&got, &want, 16.0) < 4.0);
        }
    }
}

#[test]
fn potrf_equals_its_twin() {
    let mut random = Random(0x0dd0_0dd0_1111_2222);
    for side in SIDES.into_iter().chain([31, 32, 33, 65, 500]) {
        let c = random.definite(side);
        let (mut got, mut want) = (c.clone(), c.clone());
        let pivots = leaf::potrf(&mut got, side, side).unwrap();
        let expected = reference::potrf(&mut want, side, side).unwrap();
        let scale = 8.0 * (side as f64 + 8.0).powi(2);
        assert!(residual(&got, &want, scale) < 4.0);
        assert_eq!(pivots.at, expected.at);
        assert!((pivots.smallest - expected.smallest).abs() < f64::EPSILON * scale * 10.0);
        // ‖L·Lᵀ − C‖ in units of eps·n·‖C‖, the LAPACK measure.
        let mut product = vec![0.0; side * side];
        reference::syrk(&mut product, &got, side);
        let norm = (0..side).map(|i| c[i + i * side]).fold(0.0, f64::max);
        for j in 0..side {
            for i in 0..side {
                if i < j {
                    assert_eq!(got[i + j * side], 0.0);
                } else {
                    let error = (product[i + j * side] + c[i + j * side]).abs();
                    assert!(error < 4.0 * f64::EPSILON * (side as f64 + 8.0) * norm);
                }
            }
        }
    }
}

/// A smooth kernel on a line with next to no noise: nearly singular, and still no error but that of rounding.
#[test]
fn ill_conditioned_tiles_are_factored_and_solved_with_small_residuals() {
    let side = 300;
    let mut c = vec![0.0; side * side];
    for (at, value) in c.iter_mut().enumerate() {
        let (i, j) = (at % side, at / side);
        let x = (i as f64 - j as f64) / 30.0;
        *value = (-0.5 * x * x).exp() + if i == j { 1e-10 } else { 0.0 };
    }
    let (mut l, mut slow) = (c.clone(), c.clone());
    let pivots = leaf::potrf(&mut l, side, side).unwrap();
    let expected = reference::potrf(&mut slow, side, side).unwrap();
    assert!(pivots.smallest < 1e-9 && expected.smallest < 1e-9);
    let mut rest = c.clone();
    reference::syrk(&mut rest, &l, side);
    for j in 0..side {
        for i in j..side {
            assert!(rest[i + j * side].abs() < 4.0 * f64::EPSILON * side as f64, "{i},{j}");
        }
    }
    // |X·Lᵀ − B| against n·ε·(|X|·|Lᵀ|), both ways, entry by entry.
    let b = Random(11).vec(side * side);
    for back in [false, true] {
        let mut x = b.clone();
        if back {
            leaf::trsm_back(&mut x, &l, side, side)
        } else {
            leaf::trsm(&mut x, &l, side, side)
        }
        for j in 0..side {
            for i in 0..side {
                let (mut sum, mut bound) = (0.0, 0.0);
                for k in if back { j..side } else { 0..j + 1 } {
                    let term = x[i + k * side] * if back { l[k + j * side] } else { l[j + k * side] };
                    sum += term;
                    bound += term.abs();
                }
                assert!((sum - b[i + j * side]).abs() <= 4.0 * side as f64 * f64::EPSILON * bound, "{i},{j}");
            }
        }
    }
}

#[test]
fn a_bad_pivot_is_named_and_makes_no_nan() {
    let mut random = Random(77);
    for side in [1, 2, 3, 17, 64, 129] {
        for at in [0, side / 2, side - 1] {
            for value in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
                let mut c = random.definite(side);
                for j in 0..at {
                    c[at + j * side] = 0.0;
                }
                c[at + at * side] = value;
                let clean: Vec<bool> = c.iter().map(|v| v.is_finite()).collect();
                let bad = leaf::potrf(&mut c, side, side).unwrap_err();
                assert_eq!(bad.at, at);
                assert!(bad.value.to_bits() == value.to_bits());
                for (v, was) in c.iter().zip(clean) {
                    assert!(v.is_finite() || !was, "a number became {v}");
                }
            }
        }
        // Padding rows do not count for the smallest pivot.
        let c = random.definite(side);
        let mut c = padded(&c, side, side - 1, side - 1, true);
        c[side * side - 1] = 1e-9;
        let pivots = leaf::potrf(&mut c, side, side - 1).unwrap();
        assert!(pivots.smallest > 1e-6);
    }
}

#[test]
fn blas_says_what_it_is() {
    let blas = leaf::blas();
    assert!(["blis", "megagram"].contains(&blas.name.as_str()));
    assert!(!blas.version.is_empty() && !blas.kernel.is_empty());
    assert_eq!(blas.to_string(), format!("{} {} {}", blas.name, blas.version, blas.kernel));
    assert!(leaf::pack_bytes_at(128) < leaf::pack_bytes_at(1024));
}

/// Who makes the products is chosen once a process, so the tests here run again in one that is told to take BLIS.
#[test]
fn all_holds_of_the_library_too() {
    const AGAIN: &str = "MEGAGRAM_TEST_AGAIN";
    let library = leaf::blas().name == "blis";
    if std::env::var_os(AGAIN).is_some() || library {
        return assert!(library);
    }
    // 3 are the kernels for AVX2, which every processor with AVX-512 has.
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let out = again.env(AGAIN, "1").env("BLIS_ARCH_TYPE", "3").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

/// Speed of every operation: `cargo test --release --test oracle_leaf -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    eprintln!("{}", leaf::blas());
    let mut random = Random(5);
    for side in [128, 256, 512, 1024] {
        let cube = (side as f64).powi(3);
        let (c, a, b) = (random.vec(side * side), random.vec(side * side), random.vec(side * side));
        let l = random.lower(side);
        let definite = {
            let mut c = vec![0.0; side * side];
            leaf::syrk(&mut c, &a, side);
            c.iter_mut().for_each(|v| *v = -*v);
            (0..side).for_each(|i| c[i + i * side] += 1.0);
            c
        };
        let time = |name: &str, flops: f64, start: &[f64], op: &mut dyn FnMut(&mut [f64])| {
            let mut best = f64::INFINITY;
            let mut work = start.to_vec();
            for _ in 0..(2e9 / flops).clamp(3.0, 200.0) as usize {
                work.copy_from_slice(start);
                let clock = std::time::Instant::now();
                op(&mut work);
                best = best.min(clock.elapsed().as_secs_f64());
            }
            eprintln!("{side:5} {name:10} {:7.1} GF/s", flops / best / 1e9);
        };
        time("gemm_nt", 2.0 * cube, &c, &mut |c| leaf::gemm_nt(c, &a, &b, side, side));
        time("gemm_nn", 2.0 * cube, &c, &mut |c| leaf::gemm_nn(c, &a, &b, side, side));
        time("rows_gram", 2.0 * cube, &c, &mut |c| leaf::rows_gram(&a, &b, side, side, c));
        time("syrk", cube, &c, &mut |c| leaf::syrk(c, &a, side));
        time("trsm", cube, &c, &mut |c| leaf::trsm(c, &l, side, side));
        time("trsm_back", cube, &c, &mut |c| leaf::trsm_back(c, &l, side, side));
        time("potrf", cube / 3.0, &definite, &mut |c| {
            leaf::potrf(c, side, side).unwrap();
        });
        let z = random.vec(side * 10);
        time("gemm_acc10", 20.0 * (side * side) as f64, &c[..side * 10], &mut |c| {
            leaf::gemm_acc(c, &a, &z, side, 10, side);
        });
    }
}
