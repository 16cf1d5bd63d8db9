//! The kernels of the learner that runs on this thread.

use std::cell::{Cell, RefCell};

use super::cpu::{Kernels, Saved};

thread_local! {
    static THREADS: Cell<Option<usize>> = const { Cell::new(None) };
    static KERNELS: RefCell<Option<Kernels>> = const { RefCell::new(None) };
    static SAVED: RefCell<Vec<Saved>> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lets the learner that runs on the calling thread use so many threads, the calling one included; at least 1. Without it a
/// learner uses all cores. Results do not depend on it, bit for bit.
pub fn set_threads(threads: usize) {
    THREADS.set(Some(threads.max(1)));
    KERNELS.set(None);
}

/// The threads that this thread's learner uses.
pub fn threads() -> usize {
    THREADS
        .get()
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()))
}

/// Runs with this thread's kernels, which are made at their first use.
pub(crate) fn with_kernels<T>(run: impl FnOnce(&mut Kernels) -> T) -> T {
    KERNELS.with_borrow_mut(|kernels| run(kernels.get_or_insert_with(|| Kernels::new(threads()))))
}

/// What a forward pass keeps. Its buffers go back when it is dropped, wherever in a graph that happens.
#[derive(Debug)]
pub(crate) struct Lease(Option<Saved>);

impl Lease {
    /// Buffers that an earlier pass has given back, or new ones.
    pub fn take() -> Self {
        Lease(Some(SAVED.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }

    /// The buffers.
    pub fn saved(&self) -> &Saved {
        self.0
            .as_ref()
            .expect("a lease has its buffers until it is dropped")
    }

    /// The buffers, to be filled.
    pub fn saved_mut(&mut self) -> &mut Saved {
        self.0
            .as_mut()
            .expect("a lease has its buffers until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(saved) = self.0.take() {
            // When the thread ends there is nobody to give them back to.
            let _ = SAVED.try_with(|pool| pool.borrow_mut().push(saved));
        }
    }
}

/// A buffer of `len` numbers for a gradient, with whatever an earlier step has left in it.
pub(crate) fn take_buffer(len: usize) -> Vec<f32> {
    BUFFERS.with_borrow_mut(
        |buffers| match buffers.iter().position(|buffer| buffer.len() == len) {
            Some(place) => buffers.swap_remove(place),
            None => vec![0.0; len],
        },
    )
}

/// Gives a buffer back. A few are kept, the rest are freed.
pub(crate) fn give_buffer(buffer: Vec<f32>) {
    const KEPT: usize = 8;
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    });
}
