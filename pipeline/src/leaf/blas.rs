//! Which BLAS this is, and which of its kernels it uses on this processor.

use super::solve;
use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::sync::OnceLock;

/// The BLAS that the leaf operations call. Results have equal bits only for equal values of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blas {
    /// The library's name: `blis`.
    pub name: String,
    /// The library's version.
    pub version: String,
    /// The kernel that the library chose, by its own name: `skx`, `haswell`, `zen3`, `generic`, …
    pub kernel: String,
}

impl fmt::Display for Blas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.kernel)
    }
}

unsafe extern "C" {
    fn bli_init();
    fn bli_arch_query_id() -> c_int;
    fn bli_arch_string(id: c_int) -> *const c_char;
    fn bli_info_get_version_str() -> *const c_char;
}

/// The BLAS, made ready on the first call: chooses the kernels for this processor and one thread.
///
/// BLIS does not know every processor by name and falls back to scalar code on those it does not know,
/// so the choice is made by instruction set; a `BLIS_ARCH_TYPE` that the user set is respected. The
/// choice is an environment variable that BLIS reads once, so the first call belongs at the top of
/// `main`, before other threads exist. Every leaf operation makes this call; it costs one atomic load.
pub fn blas() -> &'static Blas {
    static BLAS: OnceLock<Blas> = OnceLock::new();
    BLAS.get_or_init(|| {
        set_unless_set("BLIS_NUM_THREADS", "1");
        // BLIS takes a name for 0 and ends the process on a number it does not know.
        let given = std::env::var("BLIS_ARCH_TYPE").ok().and_then(|v| v.parse::<u8>().ok());
        if let (Some(arch), false) = (arch_type(), given.is_some_and(|v| v <= ARCH_TYPE_MAX)) {
            // SAFETY: only on the first call, which the program makes before it starts threads.
            unsafe { std::env::set_var("BLIS_ARCH_TYPE", arch) }
        }
        // SAFETY: plain C functions without preconditions; the strings are static and end with NUL.
        unsafe {
            bli_init();
            Blas {
                name: "blis".to_string(),
                version: text(bli_info_get_version_str()),
                kernel: text(bli_arch_string(bli_arch_query_id())),
            }
        }
    })
}

/// The last of BLIS's numbers for x86-64 kernels that a user may ask for (0 skx … 3 haswell).
const ARCH_TYPE_MAX: u8 = 3;

/// BLIS's number (`arch_t`) for the best kernels that this processor can run: 0 is skx, 3 haswell.
#[cfg(target_arch = "x86_64")]
fn arch_type() -> Option<&'static str> {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    if avx512 {
        Some("0")
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        Some("3")
    } else {
        None
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn arch_type() -> Option<&'static str> {
    None
}

fn set_unless_set(key: &str, value: &str) {
    if std::env::var_os(key).is_none() {
        // SAFETY: only on the first call, which the program makes before it starts threads.
        unsafe { std::env::set_var(key, value) }
    }
}

/// # Safety
/// `s` is null or a string that ends with NUL and lives for the call.
unsafe fn text(s: *const c_char) -> String {
    if s.is_null() {
        return "unknown".to_string();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

/// Cache blocks of the chosen kernel in rows and columns: MC, KC (the enlarged one of the edge), NC.
fn blocks() -> [usize; 3] {
    match blas().kernel.as_str() {
        "skx" => [240, 320, 3752],
        _ => [144, 320, 4080],
    }
}

/// Bytes of the buffers that BLIS and our own solves pack into, per thread that calls them (an upper bound: its
/// pools hold one block of A and one panel of B of full size). Only what a call needs is ever touched, see
/// [`pack_bytes_at`].
pub fn pack_bytes() -> usize {
    let [mc, kc, nc] = blocks();
    (mc * kc + kc * nc) * size_of::<f64>() + solve::BYTES
}

/// Bytes of [`pack_bytes`] that become resident when no operand has more than `side` rows or columns.
pub fn pack_bytes_at(side: usize) -> usize {
    let [mc, kc, nc] = blocks();
    // One register block of rounding on either side, and one page at the ends.
    let side = side + 32;
    let kc = kc.min(side);
    (mc.min(side) * kc + kc * nc.min(side)) * size_of::<f64>() + 4 * 4096 + solve::BYTES
}
