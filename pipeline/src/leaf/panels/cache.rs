//! What the processor tells of its caches.

use std::arch::x86_64::__cpuid_count;

/// The second-level cache.
pub(super) struct Second {
    /// Its size, where it is told.
    pub(super) bytes: Option<usize>,
    pub(super) amd: bool,
}

/// It is told as Intel's processors tell it (Intel SDM, vol. 2A, CPUID leaf 4) or as AMD's, which leave that leaf empty (AMD64
/// Architecture Programmer's Manual, vol. 3, E.4.5).
#[allow(unused_unsafe, reason = "reading CPUID is unsafe for Rust before 1.94")]
pub(super) fn second_level() -> Second {
    // SAFETY: every 64-bit x86 processor has CPUID.
    let leaf = |leaf, index| unsafe { __cpuid_count(leaf, index) };
    let caches = (0..8).filter(|_| leaf(0, 0).eax >= 4).map(|i| leaf(4, i)).take_while(|cache| cache.eax & 31 != 0);
    if let Some(second) = caches.filter(|cache| (cache.eax >> 5) & 7 == 2).last() {
        let field = |from: u32, bits: u32| ((second.ebx >> from) & ((1 << bits) - 1)) as usize + 1;
        let bytes = field(22, 10) * field(12, 10) * field(0, 12) * (second.ecx as usize + 1);
        return Second { bytes: Some(bytes), amd: false };
    }
    let told = leaf(0x8000_0000, 0).eax >= 0x8000_0006;
    let kib = if told { leaf(0x8000_0006, 0).ecx >> 16 } else { 0 };
    Second { bytes: (kib > 0).then_some(kib as usize * 1024), amd: true }
}
