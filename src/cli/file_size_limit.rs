//! Limits of a file's size, as clusters and `ulimit -f` set them.

/// Lets a write beyond the limit fail like one on a full disk, which is named and loses nothing, where by itself the system ends the
/// process without a word. For a process of its own alone.
#[cfg(target_os = "linux")]
pub fn let_writes_fail() {
    // SAFETY: `signal` takes numbers and touches no memory of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn let_writes_fail() {}
