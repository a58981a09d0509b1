//! The peak of a core: independent fused multiply-adds on registers, and nothing else.
//!
//! It is measured beside every rate it is compared with: clocks change with the load, the vector width
//! and the neighbours on a shared machine.

/// The widest fused multiply-adds that this processor has: `avx512`, `avx2` or `scalar`.
pub fn width() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    "scalar"
}

/// Does `rounds` rounds of independent double-precision fused multiply-adds, each counted as two operations;
/// says how many operations that was.
pub fn fma_f64(rounds: u64) -> f64 {
    #[cfg(target_arch = "x86_64")]
    match width() {
        // SAFETY: the processor has the instructions.
        "avx512" => return unsafe { wide::avx512(rounds.max(1)) },
        // SAFETY: as above.
        "avx2" => return unsafe { wide::avx2(rounds.max(1)) },
        _ => {}
    }
    scalar(rounds)
}

/// Sixteen independent chains, as the compiler makes them.
fn scalar(rounds: u64) -> f64 {
    let (a, b) = std::hint::black_box((FACTORS[0], FACTORS[1]));
    let mut sums = [0.0f64; 16];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum += a * b;
        }
    }
    std::hint::black_box(sums);
    rounds as f64 * 16.0 * 2.0
}

/// Numbers with digits in them: products of zeros cost less power, and would flatter the clock.
static FACTORS: [f64; 2] = [0.812_345_678_912_345_6, 1.234_567_891_234_5];

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::FACTORS;
    use std::arch::asm;

    /// Chains in flight: more than latency times units, on every processor so far.
    const CHAINS: f64 = 12.0;

    macro_rules! chains {
        ($rounds:expr, $load:literal, $fma:literal, $r:literal) => {
            asm!(
                concat!($load, " ", $r, "14, qword ptr [{p}]"),
                concat!($load, " ", $r, "15, qword ptr [{p} + 8]"),
                // The sums are zero in all lanes.
                "vxorpd xmm0, xmm0, xmm0",
                "vxorpd xmm1, xmm1, xmm1",
                "vxorpd xmm2, xmm2, xmm2",
                "vxorpd xmm3, xmm3, xmm3",
                "vxorpd xmm4, xmm4, xmm4",
                "vxorpd xmm5, xmm5, xmm5",
                "vxorpd xmm6, xmm6, xmm6",
                "vxorpd xmm7, xmm7, xmm7",
                "vxorpd xmm8, xmm8, xmm8",
                "vxorpd xmm9, xmm9, xmm9",
                "vxorpd xmm10, xmm10, xmm10",
                "vxorpd xmm11, xmm11, xmm11",
                "2:",
                concat!($fma, " ", $r, "0, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "1, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "2, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "3, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "4, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "5, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "6, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "7, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "8, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "9, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "10, ", $r, "14, ", $r, "15"),
                concat!($fma, " ", $r, "11, ", $r, "14, ", $r, "15"),
                "dec {n}",
                "jnz 2b",
                p = in(reg) FACTORS.as_ptr(),
                n = inout(reg) $rounds => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm14") _, out("xmm15") _,
                options(nostack, readonly),
            )
        };
    }

    /// # Safety
    /// The processor has avx512f; `rounds` is not 0.
    pub unsafe fn avx512(rounds: u64) -> f64 {
        // SAFETY: registers alone, and two numbers read.
        unsafe { chains!(rounds, "vbroadcastsd", "vfmadd231pd", "zmm") }
        rounds as f64 * CHAINS * 8.0 * 2.0
    }

    /// # Safety
    /// The processor has avx2 and fma; `rounds` is not 0.
    pub unsafe fn avx2(rounds: u64) -> f64 {
        // SAFETY: registers alone, and two numbers read.
        unsafe { chains!(rounds, "vbroadcastsd", "vfmadd231pd", "ymm") }
        rounds as f64 * CHAINS * 4.0 * 2.0
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_operations_are_counted() {
        let lanes = match super::width() {
            "avx512" => 12.0 * 8.0,
            "avx2" => 12.0 * 4.0,
            _ => 16.0,
        };
        assert_eq!(super::fma_f64(10), 10.0 * lanes * 2.0);
    }
}
