//! Who makes the products on this processor: our own kernel, or the BLAS and which of its kernels.

#[cfg(target_arch = "x86_64")]
use super::panels::Vectors;
use super::solve;
use crate::kernel::level::Level;
use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::sync::OnceLock;

/// What makes the products of the leaf operations. Results have equal bits where [`Blas::same_bits`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blas {
    /// The library's name: `blis`, or `megagram` for our own product.
    pub name: String,
    /// The library's version; of our own product that of its bits.
    pub version: String,
    /// The kernel, by the library's own name: `skx`, `haswell`, `zen3`, `generic`, …; `avx512` or `avx2` of our own.
    pub kernel: String,
}

/// Whose code a product runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// Our own product.
    #[cfg(target_arch = "x86_64")]
    Panels(Vectors),
    Blas,
}

const OWN_NAME: &str = "megagram";
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

impl Blas {
    /// Whether products of two makers, as [`Blas`] is written, have equal bits: those of our own product have with vectors of any
    /// width, those of a library only with the same kernels.
    pub fn same_bits(one: &str, other: &str) -> bool {
        let own = |blas: &str| {
            blas.strip_prefix(OWN_NAME)?.strip_prefix(' ')?.split_once(' ').map(|(version, _)| version.to_owned())
        };
        one == other || own(one).is_some_and(|version| own(other) == Some(version))
    }
}

/// What makes the products, made ready on the first call.
///
/// Our own product where there is AVX-512 or AVX2 with FMA, unless the user names kernels of BLIS by `BLIS_ARCH_TYPE`; else BLIS
/// with one thread. BLIS does not know every processor by name and falls back to scalar code on those it does not know,
/// so its kernels are the user's to choose. The choice is an environment variable that BLIS reads once. The
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
        let own = if given.is_none() { own() } else { None };
        own.unwrap_or_else(|| (Maker::Blas, blis()))
    })
}

/// Our own product, where the processor has vectors for it.
fn own() -> Option<(Maker, Blas)> {
    let (maker, kernel) = match Level::detect() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => (Maker::Panels(Vectors::Avx512), "avx512"),
        #[cfg(target_arch = "x86_64")]
        Level::Fma => (Maker::Panels(Vectors::Avx2), "avx2"),
        Level::Baseline => return None,
    };
    let [name, version, kernel] = [OWN_NAME, OWN_VERSION, kernel].map(String::from);
    Some((maker, Blas { name, version, kernel }))
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
            Maker::Panels(vectors) => vectors.bytes_at(side),
            Maker::Blas => {
                let [mc, kc, nc] = blocks();
                // One register block of rounding on either side, and one page at the ends.
                let side = side + 32;
                let kc = kc.min(side);
                (mc.min(side) * kc + kc * nc.min(side)) * size_of::<f64>() + 4 * 4096
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_turn_on_the_version_of_our_product_and_on_the_kernels_of_others() {
        assert!(Blas::same_bits("megagram 2 avx512", "megagram 2 avx2"));
        assert!(Blas::same_bits("blis 1.0 haswell", "blis 1.0 haswell"));
        for (one, other) in [
            ("megagram 1 avx512", "megagram 2 avx512"),
            ("megagram 2 avx2", "blis 1.0 haswell"),
            ("blis 1.0 skx", "blis 1.0 haswell"),
            ("megagram 2", "megagram 3"),
        ] {
            assert!(!Blas::same_bits(one, other) && !Blas::same_bits(other, one), "{one}, {other}");
        }
    }
}
