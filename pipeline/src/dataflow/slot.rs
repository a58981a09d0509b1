//! The memory of a slot.

/// A buffer of `len` zeros, on large pages where the system has them: the first touch of a page costs the
/// kernel far more than the copy into it, and a tile has two thousand small ones.
pub(super) fn zeros(len: usize) -> Vec<f64> {
    // From the system, fresh memory is zero and is not touched yet.
    let buffer = vec![0.0; len];
    #[cfg(target_os = "linux")]
    large_pages(&buffer);
    buffer
}

#[cfg(target_os = "linux")]
fn large_pages(buffer: &Vec<f64>) {
    /// Smaller buffers are left to the allocator.
    const LARGE: usize = 2 << 20;
    const PAGE: usize = 1 << 12;
    let bytes = buffer.capacity() * size_of::<f64>();
    if bytes < LARGE {
        return;
    }
    // Outwards, so that the pages between two slots do not split what is large.
    let begin = buffer.as_ptr() as usize / PAGE * PAGE;
    let end = (buffer.as_ptr() as usize + bytes).next_multiple_of(PAGE);
    // SAFETY: advice on mapped pages changes nothing that they hold; where it is refused, the pages stay small.
    unsafe {
        libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_HUGEPAGE);
    }
}
