//! Vector instructions, chosen once at run time.
//!
//! The crate is built for every x86-64. What runs for each entry of a tile is compiled three times: for
//! AVX-512, for AVX2 with FMA, and for the baseline. The first two use fused multiply-adds at the same
//! places and so give equal bits; the baseline never fuses.

use std::sync::OnceLock;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Fma,
    Baseline,
}

impl Level {
    /// The best that this processor has.
    pub(crate) fn detect() -> Level {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| Level::all().into_iter().next().unwrap_or(Level::Baseline))
    }

    /// All that this processor has, the best first.
    pub(crate) fn all() -> Vec<Level> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fma
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
            {
                levels.push(Level::Avx512);
            }
            if fma {
                levels.push(Level::Fma);
            }
        }
        levels.push(Level::Baseline);
        levels
    }

    /// Runs a piece of work compiled for this level.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) {
        match self {
            // SAFETY: the level was detected on this processor.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Fma => unsafe { fma(work) },
            Level::Baseline => work.run::<false>(),
        }
    }
}

/// A loop over entries. `run` must be `#[inline(always)]`, and so must all that it calls: only then is
/// it compiled for the level.
pub(crate) trait Work {
    /// Does the work, with fused multiply-adds where `FMA` says so.
    fn run<const FMA: bool>(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn avx512<W: Work>(work: W) {
    work.run::<true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma<W: Work>(work: W) {
    work.run::<true>();
}

/// `a·b + c`, fused or not.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The state of a strip of entries through a dense layer: `k ← w·k + b` and `t ← c·k_before + w·t + d`,
/// where c and d are those of the parameterization ([`Affine`]). `t` is empty without an NTK.
pub(crate) fn affine(level: Level, layer: &Affine, k: &mut [f64], t: &mut [f64]) {
    struct Strip<'a>(&'a Affine, &'a mut [f64], &'a mut [f64]);
    impl Work for Strip<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Strip(&Affine { w_var, b_var, ntk }, k, t) = self;
            if t.is_empty() {
                for k in k.iter_mut() {
                    *k = mul_add::<FMA>(w_var, *k, b_var);
                }
                return;
            }
            match ntk {
                AffineNtk::Ntk => {
                    for (k, t) in k.iter_mut().zip(t.iter_mut()) {
                        *k = mul_add::<FMA>(w_var, *k, b_var);
                        *t = mul_add::<FMA>(w_var, *t, *k);
                    }
                }
                AffineNtk::Standard { width, bias } => {
                    for (k, t) in k.iter_mut().zip(t.iter_mut()) {
                        *t = mul_add::<FMA>(w_var, *t, mul_add::<FMA>(width, *k, bias));
                        *k = mul_add::<FMA>(w_var, *k, b_var);
                    }
                }
            }
        }
    }
    level.run(Strip(layer, k, t));
}

/// A dense layer, compiled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) w_var: f64,
    pub(crate) b_var: f64,
    pub(crate) ntk: AffineNtk,
}

/// What a dense layer does to Θ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AffineNtk {
    /// Θ' = w_var·Θ + K'.
    Ntk,
    /// Θ' = width·K + w_var·Θ + bias, with the width of the layer's input; bias is 1, or 0 without one.
    Standard { width: f64, bias: f64 },
}
