//! What is asked of the operating system about processes: the cores that one runs on, and that one ends.

use std::process::Child;

/// Runs this process on these cores alone, for as long as it lives. Where the system does not know how, or refuses, it runs anywhere:
/// results do not hang on it.
#[cfg(target_os = "linux")]
pub fn pin(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: `cpu_set_t` is a set of bits, for which all zeros is the empty set; `CPU_SET` checks its index against the set's size, and
    // `sched_setaffinity` reads so many bytes of it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for core in cores.iter().filter(|core| **core < CORES) {
            libc::CPU_SET(*core, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// The cores that this process may run on; as many numbers as there are cores where the system does not say which.
#[cfg(target_os = "linux")]
pub fn cores() -> Vec<usize> {
    // SAFETY: as above; `sched_getaffinity` writes no more than so many bytes.
    let allowed: Vec<usize> = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) {
            0 => (0..CORES)
                .filter(|core| libc::CPU_ISSET(*core, &set))
                .collect(),
            _ => Vec::new(),
        }
    };
    // A container may be given less time than it has cores.
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    match allowed.is_empty() {
        true => (0..most).collect(),
        false => allowed.into_iter().take(most).collect(),
    }
}

/// The size of a set of cores.
#[cfg(target_os = "linux")]
const CORES: usize = libc::CPU_SETSIZE as usize;

/// Asks a process to save and end, as Ctrl-C does.
#[cfg(target_os = "linux")]
pub fn ask_to_end(child: &mut Child) {
    if let (Ok(id), Ok(None)) = (i32::try_from(child.id()), child.try_wait()) {
        // SAFETY: `kill` takes numbers and touches no memory of ours; the child has not been waited for, so the number is still its own.
        unsafe {
            libc::kill(id, libc::SIGTERM);
        }
    }
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn pin(_: &[usize]) {}

/// As many numbers as there are cores.
#[cfg(not(target_os = "linux"))]
pub fn cores() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Ctrl-C reaches processes of the same terminal by itself.
#[cfg(not(target_os = "linux"))]
pub fn ask_to_end(_: &mut Child) {}
