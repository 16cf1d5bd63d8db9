//! Terminals that hang up (SIGHUP).

/// Whether whoever started this process wants it to outlive its terminal, as `nohup` does: it ignores the signal from the start.
#[cfg(target_os = "linux")]
pub fn is_ignored() -> bool {
    // SAFETY: `signal` takes and gives numbers and touches no memory of ours. No thread of ours handles this signal yet.
    unsafe {
        let before = libc::signal(libc::SIGHUP, libc::SIG_IGN);
        if before != libc::SIG_IGN {
            libc::signal(libc::SIGHUP, before);
        }
        before == libc::SIG_IGN
    }
}

/// Ignores the signal again, once a handler was set for it.
#[cfg(target_os = "linux")]
pub fn ignore() {
    // SAFETY: as above; the handler that is taken away waits for nothing.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn is_ignored() -> bool {
    false
}

/// Nothing to do where it is never ignored.
#[cfg(not(target_os = "linux"))]
pub fn ignore() {}
