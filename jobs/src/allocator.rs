//! How glibc keeps freed memory, so that a job stays within what it was given.

/// Sets the allocator up; to be called before any other thread starts.
///
/// By default every thread has an arena of its own and keeps what it frees there: tens of MiB that no
/// ledger knows of. One arena, reused, keeps tile buffers where the next tile finds them, without the
/// page faults that a fresh mapping costs each time.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator; no other thread runs yet.
    unsafe {
        const LARGEST: libc::c_int = 32 << 20;
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGEST);
    }
}
