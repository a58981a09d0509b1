//! Twelve by four sums with AVX2, in assembly: with the three vectors of a column and one factor they take all sixteen registers,
//! and the compiler, which reads factors early, keeps some of the sums in memory.

use std::arch::asm;
use std::arch::x86_64::__m256d;

/// Rows of the sums.
pub(super) const ROWS: usize = 12;
/// Columns of the sums.
pub(super) const COLUMNS: usize = 4;
/// Terms that are made before it is looked whether there are more.
pub(super) const TOGETHER: usize = 4;
/// Terms by which [`plus`] asks for columns ahead.
const AHEAD: usize = 32;

/// The sums of a column, four rows a vector, of each column.
pub(super) type Sums = [[__m256d; ROWS / 4]; COLUMNS];

/// The instructions of term `t` of those together: a column of A, then each factor of B with it.
macro_rules! term {
    ($op:literal $t:literal) => {
        concat!(
            term!(load "x0" $t 0),
            term!(load "x1" $t 32),
            term!(load "x2" $t 64),
            term!(column $op $t 0 "s00" "s01" "s02"),
            term!(column $op $t 8 "s10" "s11" "s12"),
            term!(column $op $t 16 "s20" "s21" "s22"),
            term!(column $op $t 24 "s30" "s31" "s32"),
        )
    };
    (load $x:literal $t:literal $at:literal) => {
        concat!("vmovupd {", $x, "}, [{a} + ", $t, "*{column} + ", $at, "]\n")
    };
    (column $op:literal $t:literal $at:literal $s0:literal $s1:literal $s2:literal) => {
        concat!(
            "vbroadcastsd {f}, qword ptr [{b} + ", $t, "*{factors} + ", $at, "]\n",
            $op, " {", $s0, "}, {x0}, {f}\n",
            $op, " {", $s1, "}, {x1}, {f}\n",
            $op, " {", $s2, "}, {x2}, {f}\n",
        )
    };
}

/// A function that adds terms to sums by one instruction; at each of the terms together some instructions come first.
macro_rules! sums {
    ($(#[$doc:meta])* $name:ident, $op:literal, [$($first:literal)*] [$($second:literal)*] [$($third:literal)*] [$($fourth:literal)*]) => {
        $(#[$doc])*
        ///
        /// A column of A is twelve numbers, one every `COLUMN` numbers; its factors are four, one lot every `FACTORS` numbers. There
        /// are `count` times [`TOGETHER`] terms, at least one. Each sum takes its terms in order, by fused multiply-adds.
        ///
        /// # Safety
        /// The operands have so many terms, and the processor has the instructions.
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $name<const COLUMN: usize, const FACTORS: usize>(
            sums: &mut Sums,
            [a, b]: [*const f64; 2],
            count: usize,
        ) {
            debug_assert!(count > 0);
            let [s0, s1, s2, s3] = sums;
            // SAFETY: it reads what the caller vouches for; a prefetch may name any address.
            unsafe {
                asm!(
                    "2:",
                    $($first,)*
                    term!($op 0),
                    $($second,)*
                    term!($op 1),
                    $($third,)*
                    term!($op 2),
                    $($fourth,)*
                    term!($op 3),
                    "add {a}, 4*{column}",
                    "add {b}, 4*{factors}",
                    "dec {n}",
                    "jnz 2b",
                    // An operand must be named in the text, also where nothing is asked for ahead.
                    "/* {ahead} */",
                    column = const COLUMN * size_of::<f64>(),
                    factors = const FACTORS * size_of::<f64>(),
                    ahead = const AHEAD * COLUMN * size_of::<f64>(),
                    a = inout(reg) a => _,
                    b = inout(reg) b => _,
                    n = inout(reg) count => _,
                    x0 = out(ymm_reg) _,
                    x1 = out(ymm_reg) _,
                    x2 = out(ymm_reg) _,
                    f = out(ymm_reg) _,
                    s00 = inout(ymm_reg) s0[0],
                    s01 = inout(ymm_reg) s0[1],
                    s02 = inout(ymm_reg) s0[2],
                    s10 = inout(ymm_reg) s1[0],
                    s11 = inout(ymm_reg) s1[1],
                    s12 = inout(ymm_reg) s1[2],
                    s20 = inout(ymm_reg) s2[0],
                    s21 = inout(ymm_reg) s2[1],
                    s22 = inout(ymm_reg) s2[2],
                    s30 = inout(ymm_reg) s3[0],
                    s31 = inout(ymm_reg) s3[1],
                    s32 = inout(ymm_reg) s3[2],
                    options(readonly, nostack)
                );
            }
        }
    };
}

sums!(
    /// `sums ← sums + A·B`, where A comes from the second-level cache or from farther: its columns are asked for ahead, a line each.
    plus,
    "vfmadd231pd",
    ["prefetcht0 [{a} + {ahead}]" "prefetcht0 [{a} + {ahead} + 64]"]
    ["prefetcht0 [{a} + {ahead} + 128]"]
    ["prefetcht0 [{a} + {ahead} + 192]" "prefetcht0 [{a} + {ahead} + 256]"]
    ["prefetcht0 [{a} + {ahead} + 320]"]
);
sums!(
    /// `sums ← sums − A·B`, where both are near.
    minus,
    "vfnmadd231pd",
    [] [] [] []
);
