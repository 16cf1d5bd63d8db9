//! Memory that is freed stays with the process.
//!
//! A step allocates and frees the same megabytes again and again. By itself glibc gives blocks of this size back to the system at once, and
//! the next step pays for every page of them anew: with convolutions a fifth of its time.

/// Asks the C library for it, where that is glibc. For a process of its own alone: a program that has yarak as a library decides itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep() {
    /// The largest that glibc takes. What is larger, such as a column of a dataset, still comes and goes by itself.
    const BLOCK: i32 = 32 << 20;
    /// Some steps' worth. A thread cannot use what another one has freed, so that each keeps up to as much: more would show beside the
    /// data of a run, and in the limit of a container.
    const KEPT: i32 = 128 << 20;
    // SAFETY: `mallopt` takes numbers, and changes where later blocks come from. Where it refuses one, nothing changes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Not known here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep() {}
