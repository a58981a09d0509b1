//! Rows of one norm: K and Θ of two rows with x·x/d = 1 are functions of their angle alone, so depth costs nothing.
//!
//! The functions are known by the layers themselves, at some angles ([`Network::at_unit_norm`]). Between them they are
//! polynomials, on pieces that halve towards either end, where the functions bend most. Where these do not give back
//! what the layers say at other angles there is no profile, and pairs go through the layers one by one.
//!
//! Interpolation at Chebyshev points: Trefethen, Approximation Theory and Approximation Practice (2013), chapters 2 and 8.

use super::{Network, Plan, Scratch};
use crate::kernel::elementary::{sine, turned};
use crate::kernel::level::{Level, Work, mul_add};
use crate::kernel::sweep::{At, Geometry, Kept, State, run};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm512_fmadd_pd, _mm512_loadu_pd, _mm512_loadu_si512, _mm512_permutex2var_pd, _mm512_setzero_pd, _mm512_storeu_pd,
};
use std::f64::consts::PI;

/// Coefficients of a polynomial, and angles at which it is what the layers say.
const NODES: usize = 20;
/// Pieces from one end of the angles to the right angle; each is twice as long as the one before.
const PIECES: usize = 8;
/// Those from both ends: two vectors, from which one instruction chooses.
const BOTH: usize = 2 * PIECES;
/// Angles of each piece at which a polynomial is tried.
const TRIED: usize = 24;
/// Pairs that go through the layers together.
const GROUP: usize = 16;
/// Fewer operations an entry than this are done sooner layer by layer.
const FLOPS_MIN: u64 = 160;
/// How far from the layers K may be, relative to K of a row with itself.
const NEAR: f64 = 8e-15;
/// The same for Θ, and what is granted to it at an angle θ besides, divided by θ: so far the layers themselves do not know the angle.
const NEAR_TANGENT: (f64, f64) = (1e-12, 5e-11);
/// A row is of unit norm if its x·x/d is 1 but for this: rounding.
const UNIT: f64 = 4e-15;

/// `table[power][piece]`, for the ends of parallel and of opposite rows.
type Table = [[f64; BOTH]; NODES];

/// K and Θ of rows of unit norm, as functions of their angle.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    nngp: Table,
    ntk: Option<Table>,
}

/// Which rows of a block are of unit norm.
#[derive(Debug, Clone)]
pub(super) struct Units {
    q: Vec<f64>,
    /// 1/√q, or 0 for a row of another norm.
    inverse: Vec<f64>,
}

impl Units {
    /// Rows of these variances; `None` if no row is of unit norm.
    pub(super) fn of(q: &[f64]) -> Option<Units> {
        let inverse: Vec<f64> = q.iter().map(|q| if (q - 1.0).abs() <= UNIT { 1.0 / q.sqrt() } else { 0.0 }).collect();
        inverse.iter().any(|inverse| *inverse > 0.0).then(|| Units { q: q.to_vec(), inverse })
    }

    /// Whether a row is of unit norm.
    pub(super) fn has(&self, row: usize) -> bool {
        self.inverse[row] > 0.0
    }

    /// Bytes of memory for so many rows.
    pub(super) fn memory(rows: usize) -> usize {
        2 * rows * size_of::<f64>()
    }
}

/// Some rows with one column.
pub(super) struct Strip<'a> {
    /// The rows' block, and the first of them.
    pub(super) rows: (&'a Units, usize),
    /// The column's block, and which it is.
    pub(super) column: (&'a Units, usize),
    /// K and Θ of each of the rows with itself.
    pub(super) diagonal: [&'a [f64]; 2],
}

impl Profile {
    /// The profile of a network, if it has one.
    fn of(network: &Network) -> Option<Profile> {
        let nodes: Vec<f64> = (0..BOTH)
            .flat_map(|piece| (0..NODES).map(move |j| cosine(piece, -libm::cos(PI * (j as f64 + 0.5) / NODES as f64))))
            .collect();
        let (k, t, _) = network.at_unit_norm(&nodes);
        let profile = Profile {
            nngp: interpolate(&nodes, &k)?,
            ntk: if t.is_empty() { None } else { Some(interpolate(&nodes, &t)?) },
        };
        profile.holds(network).then_some(profile)
    }

    /// Whether it says what the layers say, between the angles that it was made of.
    fn holds(&self, network: &Network) -> bool {
        let tried = |i: usize| (2 * i + 1) as f64 / TRIED as f64 - 1.0;
        let angles = (0..BOTH).flat_map(|piece| (0..TRIED).map(move |i| cosine(piece, tried(i))));
        // Down to where a correlation tells no angle: chaotic networks tear apart what is all but parallel.
        let small = (8..27).flat_map(|e| [1.0, -1.0].map(|end| end * libm::cos(2f64.powi(-e))));
        let angles: Vec<f64> = angles.chain(small).chain([1.0]).collect();
        let (k, t, [largest, tangent]) = network.at_unit_norm(&angles);
        // Dropout knows a row from another with the same numbers; a profile does not.
        let of_equal_rows = k.last().zip(t.last().or(Some(&tangent)));
        if of_equal_rows
            .is_none_or(|(k, t)| (k - largest).abs() > NEAR * largest || (t - tangent).abs() > NEAR * tangent)
        {
            return false;
        }
        angles.iter().enumerate().take(angles.len() - 1).all(|(i, c)| {
            let (piece, u) = place::<true>(*c);
            let told = |table: &Table| horner::<true>(table, piece, u);
            let angle = PI * (1.0 - turned::<true>(c.abs(), sine(*c)));
            let granted = NEAR_TANGENT.0 + NEAR_TANGENT.1 / angle.max(1e-8);
            (told(&self.nngp) - k[i]).abs() <= NEAR * largest
                && self.ntk.as_ref().is_none_or(|ntk| (told(ntk) - t[i]).abs() <= granted * tangent)
        })
    }

    /// Makes K, and Θ unless `t` is empty, of the covariances of the inputs. Rows of another norm get a number without meaning.
    pub(super) fn apply(&self, level: Level, strip: &Strip<'_>, k: &mut [f64], t: &mut [f64]) {
        let work = Apply { profile: self, strip, k, t };
        match level {
            // SAFETY: the level was detected on this processor.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512(work) },
            level => level.run(work),
        }
    }
}

impl Network {
    /// Whether a profile would be worth it.
    pub(super) fn may_have_profile(&self) -> bool {
        let flops: u64 = self.chain.iter().map(|step| step.flops(Geometry::POINT)).sum();
        matches!(self.plan, Plan::Flat) && self.ensemble.is_none() && flops >= FLOPS_MIN
    }

    /// All layers in one, for rows of unit norm.
    pub(super) fn profile(&self) -> Option<&Profile> {
        let made = || self.may_have_profile().then(|| Profile::of(self)).flatten();
        self.profile.get_or_init(made).as_ref()
    }

    /// K and Θ of pairs of rows with x·x/d = 1 and these covariances, layer by layer; Θ is empty if it is not an output. And
    /// both of such a row with itself.
    fn at_unit_norm(&self, covariances: &[f64]) -> (Vec<f64>, Vec<f64>, [f64; 2]) {
        // What is learnt of a row is the same for all.
        let (mut kept, mut scratch) = (Kept::new(&self.slots, GROUP, GROUP), Scratch::default());
        let itself = self.learn(&[], 0, GROUP, &[1.0; GROUP], &mut kept, &mut scratch);
        let diagonal = [&itself.k, &itself.t].map(|values| values.first().copied().unwrap_or(0.0));
        itself.release(&mut scratch.pool);
        let (mut k, mut t) = (Vec::with_capacity(covariances.len()), Vec::new());
        for some in covariances.chunks(GROUP) {
            let mut state = State::new(Geometry::POINT, some.len(), self.has_ntk(), &mut scratch.pool);
            state.k.copy_from_slice(some);
            state.t.fill(0.0);
            let at = At { level: self.level, xs: &kept, first: 0, ys: &kept, column: 0, each: false };
            run(&self.chain, &at, &mut state, &mut scratch.pool);
            k.extend_from_slice(&state.k);
            t.extend_from_slice(&state.t);
            state.release(&mut scratch.pool);
        }
        (k, t, diagonal)
    }
}

/// The least number of the second piece, as [`place`] counts: of four between an end and the right angle, doubled.
const FIRST: f64 = 1.0 / 64.0;
const MANTISSA: u64 = (1 << 52) - 1;
const ONE: u64 = 1023 << 52;
/// The exponent of a number in piece 0, if its numbers were halved on and on.
const EXPONENT: u64 = 1023 - (PIECES as u64 - 1);
/// The number before 2, which is that of the right angle.
const BELOW_TWO: f64 = 2.0 - f64::EPSILON;

/// On which piece the angle with cosine `c` lies, and where on it, from −1 to 1.
#[inline(always)]
fn place<const FMA: bool>(c: f64) -> (u64, f64) {
    let turned = turned::<FMA>(c, sine(c));
    let parallel = turned > 0.5;
    let end = if parallel { 1.0 - turned } else { turned };
    let v = 4.0 * end;
    let v = if v < BELOW_TWO { v } else { BELOW_TWO };
    let first = v < FIRST;
    let mantissa = f64::from_bits(v.to_bits() & MANTISSA | ONE);
    let piece = if first { 0 } else { (v.to_bits() >> 52).wrapping_sub(EXPONENT) };
    let u = if first { 2.0 / FIRST * v - 1.0 } else { 2.0 * mantissa - 3.0 };
    (if parallel { piece } else { piece + PIECES as u64 }, u)
}

/// The cosine of the angle at a place.
fn cosine(piece: usize, u: f64) -> f64 {
    let at = piece % PIECES;
    let v = if at == 0 { (u + 1.0) * FIRST / 2.0 } else { (u + 3.0) / 2.0 * 2f64.powi(at as i32 + 1 - PIECES as i32) };
    // Not the system's, whose last bits are its own.
    let cosine = libm::cos(PI * v / 4.0);
    if piece < PIECES { cosine } else { -cosine }
}

/// The polynomials of a function that has these values at the nodes, 20 a piece.
fn interpolate(cosines: &[f64], values: &[f64]) -> Option<Table> {
    let mut table = [[0.0; BOTH]; NODES];
    for (piece, (cosines, values)) in cosines.chunks_exact(NODES).zip(values.chunks_exact(NODES)).enumerate() {
        let mut rows = [[0.0; NODES + 1]; NODES];
        for ((row, c), value) in rows.iter_mut().zip(cosines).zip(values) {
            // Where rounding put the node, in Chebyshev polynomials: their matrix is all but orthogonal.
            let (found, u) = place::<true>(*c);
            if found != piece as u64 {
                return None;
            }
            (row[0], row[1], row[NODES]) = (1.0, u, *value);
            for k in 2..NODES {
                row[k] = 2.0 * u * row[k - 1] - row[k - 2];
            }
        }
        let chebyshev = solve(rows)?;
        // Powers of u, whose coefficients stay small, for those of the Chebyshev polynomials fall faster than 2⁻ᵏ.
        let (mut before, mut power) = ([0.0; NODES], [0.0; NODES]);
        before[0] = 1.0;
        power[1] = 1.0;
        for (k, coefficient) in chebyshev.iter().enumerate() {
            let of_k = if k == 0 { &before } else { &power };
            (0..NODES).for_each(|p| table[p][piece] += coefficient * of_k[p]);
            if k > 0 {
                let mut next = [0.0; NODES];
                (0..NODES).for_each(|p| next[p] = 2.0 * if p > 0 { power[p - 1] } else { 0.0 } - before[p]);
                (before, power) = (power, next);
            }
        }
    }
    table.iter().flatten().all(|c| c.is_finite()).then_some(table)
}

/// The solution of linear equations, each with its right-hand side behind it.
fn solve(mut rows: [[f64; NODES + 1]; NODES]) -> Option<[f64; NODES]> {
    for k in 0..NODES {
        let pivot = (k..NODES).max_by(|i, j| rows[*i][k].abs().total_cmp(&rows[*j][k].abs()))?;
        rows.swap(k, pivot);
        let (above, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / above[k][k];
            for (entry, pivot) in row.iter_mut().zip(&above[k]).skip(k) {
                *entry -= factor * pivot;
            }
        }
    }
    let mut solution = [0.0; NODES];
    for k in (0..NODES).rev() {
        let known: f64 = (k + 1..NODES).map(|j| rows[k][j] * solution[j]).sum();
        solution[k] = (rows[k][NODES] - known) / rows[k][k];
    }
    Some(solution)
}

#[inline(always)]
fn horner<const FMA: bool>(table: &Table, piece: u64, u: f64) -> f64 {
    let piece = piece as usize % BOTH;
    let mut sum = 0.0;
    for power in (0..NODES).rev() {
        sum = mul_add::<FMA>(sum, u, table[power][piece]);
    }
    sum
}

/// Entries at once: four vectors, so that none waits for the one before.
const WIDE: usize = 32;

struct Apply<'a> {
    profile: &'a Profile,
    strip: &'a Strip<'a>,
    k: &'a mut [f64],
    t: &'a mut [f64],
}

impl Work for Apply<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.all::<FMA, false>();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn avx512(work: Apply<'_>) {
    work.all::<true, true>();
}

impl Apply<'_> {
    /// With `CHOOSE` coefficients are chosen by instructions of AVX-512.
    #[inline(always)]
    fn all<const FMA: bool, const CHOOSE: bool>(self) {
        let Apply { profile, strip: Strip { rows: (rows, from), column: (columns, column), diagonal }, k, t } = self;
        let (column_q, column_inverse) = (columns.q[*column], columns.inverse[*column]);
        let n = k.len();
        for first in (0..n).step_by(WIDE) {
            let len = WIDE.min(n - first);
            let (mut before, mut q, mut inverse) = ([0.0; WIDE], [0.0; WIDE], [0.0; WIDE]);
            before[..len].copy_from_slice(&k[first..first + len]);
            q[..len].copy_from_slice(&rows.q[from + first..][..len]);
            inverse[..len].copy_from_slice(&rows.inverse[from + first..][..len]);
            let (mut piece, mut u) = ([0; WIDE], [0.0; WIDE]);
            for i in 0..WIDE {
                (piece[i], u[i]) = place::<FMA>(before[i] * (inverse[i] * column_inverse));
            }
            let tables = [Some(&profile.nngp), profile.ntk.as_ref()];
            for (output, values) in [&mut *k, &mut *t].into_iter().enumerate() {
                let (Some(table), false) = (tables[output], values.is_empty()) else { continue };
                let mut told = [0.0; WIDE];
                look::<FMA, CHOOSE>(table, &piece, &u, &mut told);
                let mut own = [0.0; WIDE];
                own[..len].copy_from_slice(&diagonal[output][first..first + len]);
                for i in 0..WIDE {
                    // Equal rows have exactly the values of the diagonal.
                    let equal = (before[i] == q[i]) & (q[i] == column_q);
                    told[i] = if equal { own[i] } else { told[i] };
                }
                values[first..first + len].copy_from_slice(&told[..len]);
            }
        }
    }
}

/// The polynomials at some places.
#[inline(always)]
fn look<const FMA: bool, const CHOOSE: bool>(
    table: &Table,
    piece: &[u64; WIDE],
    u: &[f64; WIDE],
    told: &mut [f64; WIDE],
) {
    #[cfg(target_arch = "x86_64")]
    if CHOOSE {
        // SAFETY: the caller was compiled for AVX-512; all arrays have the lengths that are read and written.
        return unsafe { choose(table, piece, u, told) };
    }
    for i in 0..WIDE {
        told[i] = horner::<FMA>(table, piece[i], u[i]);
    }
}

/// # Safety
/// The processor has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not inlined with the instructions")]
unsafe fn choose(table: &Table, piece: &[u64; WIDE], u: &[f64; WIDE], told: &mut [f64; WIDE]) {
    const VECTORS: usize = WIDE / 8;
    // SAFETY: the arrays have the lengths that are read and written.
    unsafe {
        let mut sums = [_mm512_setzero_pd(); VECTORS];
        let (mut pieces, mut us) = ([_mm512_loadu_si512(piece.as_ptr().cast()); VECTORS], sums);
        for v in 0..VECTORS {
            pieces[v] = _mm512_loadu_si512(piece.as_ptr().add(8 * v).cast());
            us[v] = _mm512_loadu_pd(u.as_ptr().add(8 * v));
        }
        for power in (0..NODES).rev() {
            let low = _mm512_loadu_pd(table[power].as_ptr());
            let high = _mm512_loadu_pd(table[power].as_ptr().add(PIECES));
            for v in 0..VECTORS {
                sums[v] = _mm512_fmadd_pd(sums[v], us[v], _mm512_permutex2var_pd(low, pieces[v], high));
            }
        }
        for v in 0..VECTORS {
            _mm512_storeu_pd(told.as_mut_ptr().add(8 * v), sums[v]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::KernelSpec;
    use serde_json::json;

    fn has_profile(activation: serde_json::Value, depth: u32, w_var: f64) -> bool {
        let fc = json!({ "depth": depth, "activation": activation, "w_var": w_var, "b_var": 0.1 });
        let Ok(spec) = KernelSpec::from_value(&json!({ "output": "both", "fc": fc })) else { return false };
        Network::compile(&spec, 10).is_ok_and(|network| network.profile().is_some())
    }

    #[test]
    fn smooth_functions_of_the_angle_have_one_and_others_do_not() {
        for activation in ["relu", "erf", "gelu", "abs", "sin", "leaky_relu", "tanh", "softplus"] {
            let layer = match activation {
                "leaky_relu" => json!({ "type": activation, "alpha": 0.1 }),
                "tanh" | "softplus" => json!({ "type": "elementwise", "fn": activation }),
                _ => json!(activation),
            };
            assert!(has_profile(layer.clone(), 5, 1.6) && has_profile(layer, 30, 1.4), "{activation}");
        }
        assert!(has_profile(json!("relu"), 100, 1.6));
        assert!(!has_profile(json!("relu"), 2, 1.6), "a few layers are as fast");
        // Angles that were next to nothing are torn apart.
        assert!(!has_profile(json!("erf"), 100, 3.0) && !has_profile(json!("sign"), 9, 1.6));
    }
}
