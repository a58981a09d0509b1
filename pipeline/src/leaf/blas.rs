//! Who makes the products on this processor: our own kernel, or the BLAS and which of its kernels.

use super::solve;
use crate::kernel::level::Level;
use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::sync::OnceLock;

/// What makes the products of the leaf operations. Results have equal bits only for equal values of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blas {
    /// The library's name: `blis`, or `megagram` for our own product.
    pub name: String,
    /// The library's version; of our own product that of its bits.
    pub version: String,
    /// The kernel, by the library's own name: `skx`, `haswell`, `zen3`, `generic`, …; `avx512` of our own.
    pub kernel: String,
}

/// Whose code a product runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    Blas,
}

/// To be raised when our own product gives other bits than before.
const OWN_VERSION: &str = "2";

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

/// What makes the products, made ready on the first call.
///
/// Our own product where there is AVX-512, unless the user names kernels of BLIS by `BLIS_ARCH_TYPE`; else BLIS with one
/// thread. BLIS does not know every processor by name and falls back to scalar code on those it does not know,
/// so its kernels are chosen by instruction set. The choice is an environment variable that BLIS reads once, so the
/// first call belongs at the top of `main`, before other threads exist. Every product makes this call; it costs one
/// atomic load.
pub fn blas() -> &'static Blas {
    &made().1
}

/// Whose code a product runs.
pub(super) fn maker() -> Maker {
    made().0
}

fn made() -> &'static (Maker, Blas) {
    static MADE: OnceLock<(Maker, Blas)> = OnceLock::new();
    MADE.get_or_init(|| {
        // BLIS takes a name for 0 and ends the process on a number it does not know.
        let given = std::env::var("BLIS_ARCH_TYPE").ok().and_then(|v| v.parse::<u8>().ok());
        let given = given.filter(|v| *v <= ARCH_TYPE_MAX);
        match Level::detect() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if given.is_none() => {
                let [name, version, kernel] = ["megagram", OWN_VERSION, "avx512"].map(String::from);
                (Maker::Avx512, Blas { name, version, kernel })
            }
            level => {
                if let (Some(arch), None) = (arch_type(level), given) {
                    // SAFETY: only on the first call, which the program makes before it starts threads.
                    unsafe { std::env::set_var("BLIS_ARCH_TYPE", arch) }
                }
                (Maker::Blas, blis())
            }
        }
    })
}

/// BLIS, with the kernels that the environment names.
fn blis() -> Blas {
    set_unless_set("BLIS_NUM_THREADS", "1");
    // SAFETY: plain C functions without preconditions; the strings are static and end with NUL.
    unsafe {
        bli_init();
        Blas {
            name: "blis".to_string(),
            version: text(bli_info_get_version_str()),
            kernel: text(bli_arch_string(bli_arch_query_id())),
        }
    }
}

/// The last of BLIS's numbers for x86-64 kernels that a user may ask for (0 skx … 3 haswell).
const ARCH_TYPE_MAX: u8 = 3;

/// BLIS's number (`arch_t`) for the best kernels of a level: 3 is haswell. With AVX-512 it is not asked.
fn arch_type(level: Level) -> Option<&'static str> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Fma => Some("3"),
        _ => None,
    }
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

/// Cache blocks of BLIS's kernel in rows and columns: MC, KC (the enlarged one of the edge), NC.
fn blocks() -> [usize; 3] {
    match blas().kernel.as_str() {
        "skx" => [240, 320, 3752],
        _ => [144, 320, 4080],
    }
}

/// Bytes of the buffers that products and solves pack into, per thread that calls them, when no operand has more
/// than `side` rows or columns (an upper bound).
pub fn pack_bytes_at(side: usize) -> usize {
    solve::BYTES
        + match maker() {
            #[cfg(target_arch = "x86_64")]
            Maker::Avx512 => super::panels::bytes_at(side),
            Maker::Blas => {
                let [mc, kc, nc] = blocks();
                // One register block of rounding on either side, and one page at the ends.
                let side = side + 32;
                let kc = kc.min(side);
                (mc.min(side) * kc + kc * nc.min(side)) * size_of::<f64>() + 4 * 4096
            }
        }
}
