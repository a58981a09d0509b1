//! Large pages, where the system has them: the first touch of a page costs the kernel far more than the copy into it,
//! and a tile has two thousand small ones.

/// A buffer of `len` zeros on them.
pub(crate) fn zeros(len: usize) -> Vec<f64> {
    // From the system, fresh memory is zero and is not touched yet.
    let buffer = vec![0.0; len];
    large(&buffer);
    buffer
}

/// Asks for them for what a buffer has room for; best before it is touched.
#[cfg(target_os = "linux")]
pub(crate) fn large<T>(buffer: &Vec<T>) {
    /// Smaller buffers are left to the allocator.
    const LARGE: usize = 2 << 20;
    const PAGE: usize = 1 << 12;
    let bytes = buffer.capacity() * size_of::<T>();
    if bytes < LARGE {
        return;
    }
    // Outwards, so that the pages between two buffers do not split what is large.
    let begin = buffer.as_ptr() as usize / PAGE * PAGE;
    let end = (buffer.as_ptr() as usize + bytes).next_multiple_of(PAGE);
    // SAFETY: advice on mapped pages changes nothing that they hold; where it is refused, the pages stay small.
    unsafe {
        libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_HUGEPAGE);
    }
}

/// There are none to ask for.
#[cfg(not(target_os = "linux"))]
pub(crate) fn large<T>(_: &Vec<T>) {}
