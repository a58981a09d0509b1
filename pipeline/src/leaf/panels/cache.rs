//! What the processor tells of its caches, and what blocks follow from it.

use super::DEEP;
use super::width::Width;
use std::arch::x86_64::{__cpuid_count, CpuidResult};
use std::sync::OnceLock;

/// Rows of a block of A, of whole slivers; no bit depends on it.
///
/// A block takes half of the second-level cache, except where AMD's last-level cache feeds the kernel: the slivers of a whole tile
/// of 1024 stream from there past a panel of B, which is the faster the fewer the blocks. The narrower kernel asks twice as much an
/// operation of the cache, and streams only from a large one.
pub(super) fn tall<W: Width>() -> usize {
    static CACHES: OnceLock<Caches> = OnceLock::new();
    let caches = CACHES.get_or_init(caches);
    let streams = caches.amd && (W::STREAMS || caches.third.is_some_and(|bytes| bytes >= LARGE));
    match caches.second {
        Some(bytes) if !streams => (bytes / 2 / (DEEP * size_of::<f64>()) / W::SLIVER).clamp(2, 44) * W::SLIVER,
        _ => 44 * W::SLIVER,
    }
}

/// A last-level cache from which the narrower kernel streams, in bytes.
const LARGE: usize = 16 << 20;

/// The caches beyond the first level.
struct Caches {
    /// The size of the second level, where it is told.
    second: Option<usize>,
    /// That of the third, as a core reaches it.
    third: Option<usize>,
    amd: bool,
}

/// They are told by two leaves of one form, Intel's (Intel SDM, vol. 2A, CPUID leaf 4) or AMD's, which leaves the former empty (AMD64
/// Architecture Programmer's Manual, vol. 3, E.4.15); by AMD's processors without it in a form of its own (E.4.5).
#[allow(unused_unsafe, reason = "reading CPUID is unsafe for Rust before 1.94")]
fn caches() -> Caches {
    // SAFETY: every 64-bit x86 processor has CPUID.
    let leaf = |leaf, index| unsafe { __cpuid_count(leaf, index) };
    let all = |number: u32| (0..8).map(move |i| leaf(number, i)).take_while(|cache| cache.eax & 31 != 0);
    let level = |number, level| all(number).filter(|cache| (cache.eax >> 5) & 7 == level).last().map(bytes);
    if leaf(0, 0).eax >= 4 && all(4).next().is_some() {
        return Caches { second: level(4, 2), third: level(4, 3), amd: false };
    }
    let told = leaf(0x8000_0000, 0).eax;
    if told >= 0x8000_001d && all(0x8000_001d).next().is_some() {
        return Caches { second: level(0x8000_001d, 2), third: level(0x8000_001d, 3), amd: true };
    }
    let kib = if told >= 0x8000_0006 { leaf(0x8000_0006, 0).ecx >> 16 } else { 0 };
    Caches { second: (kib > 0).then_some(kib as usize * 1024), third: None, amd: true }
}

/// The size of a cache that a leaf of this form tells of.
fn bytes(cache: CpuidResult) -> usize {
    let field = |from: u32, bits: u32| ((cache.ebx >> from) & ((1 << bits) - 1)) as usize + 1;
    field(22, 10) * field(12, 10) * field(0, 12) * (cache.ecx as usize + 1)
}
