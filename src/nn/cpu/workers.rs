//! A few threads that share the tasks of one kernel.

use crate::subnormals::FlushSubnormals;
use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

/// How long a thread looks for work, and for nothing else: longer than the gaps between the kernels of one pass.
const SPIN: Duration = Duration::from_micros(50);

/// How long it goes on to look, letting others run in between, before it sleeps: longer than what else a training step does, such
/// as drawing its minibatch, and nothing next to a second of idleness. To wake a thread takes a virtual machine as long as a layer.
const PATIENCE: Duration = Duration::from_millis(2);

/// Some threads, the calling one included, that run numbered tasks together.
///
/// Nothing is allocated by a run. Between runs the threads look for work for two milliseconds, then sleep. A thread begins
/// with the same share of the tasks in every run, so that what it wrote last time is still in its cache, and then helps
/// the others with theirs: a task's result must depend on its number alone.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use yarak::nn::cpu::Workers;
///
/// let mut workers = Workers::new(2);
/// let sum = AtomicUsize::new(0);
/// workers.run(10, |task, _worker| {
///     sum.fetch_add(task, Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 45);
/// ```
#[derive(Debug)]
pub struct Workers {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

/// A run's tasks: calls the closure behind the pointer with a task's and a worker's number.
#[derive(Clone, Copy)]
struct Job {
    closure: *const (),
    call: unsafe fn(*const (), usize, usize),
    tasks: usize,
}

impl Job {
    /// The tasks that a worker begins with.
    fn share(&self, worker: usize, workers: usize) -> Range<usize> {
        self.tasks * worker / workers..self.tasks * (worker + 1) / workers
    }
}

/// A counter in a cache line of its own (two of them, as processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Next(AtomicUsize);

/// What the threads share.
struct Pool {
    /// The run's number in the upper half; below it [`OPEN`] while threads may join, and how many have joined.
    state: AtomicU64,
    /// For each thread, the next task of its share that nobody has taken.
    next: Vec<Next>,
    /// Written by the owner while the state is not open and nobody has joined, read by those who joined.
    job: UnsafeCell<Job>,
    /// The owner, so that the last one to leave can wake it. Written and read as `job`.
    owner: UnsafeCell<Option<Thread>>,
    /// The first panic of a run.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: the cells are written by the owner alone while nobody has joined, and read only by threads that joined; both
// orders go through `state`. The closure that `job` points to is `Sync` and outlives the run (see `Workers::run`).
unsafe impl Sync for Pool {}
// SAFETY: as above.
unsafe impl Send for Pool {}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

const OPEN: u64 = 1 << 31;
const JOINED: u64 = OPEN - 1;
const RUN: u64 = 1 << 32;

impl Workers {
    /// As many threads as asked for, the calling one included; 0 counts as 1. Where the system refuses a thread, the
    /// others do the work.
    pub fn new(threads: usize) -> Self {
        let pool = Arc::new(Pool {
            state: AtomicU64::new(0),
            next: (0..threads.max(1)).map(|_| Next::default()).collect(),
            job: UnsafeCell::new(Job {
                closure: std::ptr::null(),
                call: |_, _, _| {},
                tasks: 0,
            }),
            owner: UnsafeCell::new(None),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let mut handles = Vec::new();
        for worker in 1..threads {
            let pool = Arc::clone(&pool);
            match thread::Builder::new()
                .name(format!("yarak kernels {worker}"))
                .spawn(move || pool.work(worker))
            {
                Ok(handle) => handles.push(handle),
                Err(_) => break,
            }
        }
        Self {
            pool,
            threads: handles,
        }
    }

    /// The calling thread alone.
    pub fn single() -> Self {
        Self::new(1)
    }

    /// The number of threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `task(index, worker)` once for each index below `tasks`, and returns when all have returned. `worker`, below
    /// [`Workers::threads`], is the number of the thread that runs it: no two tasks that run at once have the same.
    ///
    /// # Panics
    /// With the first panic of a task; tasks that had not begun by then are left out.
    pub fn run<F: Fn(usize, usize) + Sync>(&mut self, tasks: usize, task: F) {
        if self.threads.is_empty() || tasks < 2 {
            return (0..tasks).for_each(|index| task(index, 0));
        }
        /// # Safety
        /// `closure` must point to an `F`.
        unsafe fn call<F: Fn(usize, usize)>(closure: *const (), index: usize, worker: usize) {
            // SAFETY: the caller's promise.
            unsafe { (*closure.cast::<F>())(index, worker) }
        }
        let pool = &*self.pool;
        // SAFETY: nobody has joined (`&mut self`, and the last run waited for that), so the cells are ours.
        unsafe {
            *pool.job.get() = Job {
                closure: (&raw const task).cast(),
                call: call::<F>,
                tasks,
            };
            *pool.owner.get() = Some(thread::current());
        }
        for (worker, next) in pool.next.iter().enumerate() {
            // SAFETY: as above.
            let share = unsafe { (*pool.job.get()).share(worker, pool.next.len()) };
            next.0.store(share.start, Ordering::Relaxed);
        }
        // Publishes the cells to those who join.
        pool.state.fetch_add(RUN | OPEN, Ordering::Release);
        for thread in self.threads.iter().take(tasks - 1) {
            thread.thread().unpark();
        }
        // The owner has joined in all but name: it closes the run itself.
        // SAFETY: the cells are not written before this function has returned.
        unsafe { pool.take_tasks(0) };
        // From here on nobody joins; whoever has must leave before `task` is dropped.
        pool.state.fetch_and(!OPEN, Ordering::Relaxed);
        wait(|| pool.state.load(Ordering::Acquire) & JOINED == 0);
        let panic = pool
            .panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.pool.stop.store(true, Ordering::Release);
        for handle in self.threads.drain(..) {
            handle.thread().unpark();
            // A worker's own panics were all caught and passed on by `run`.
            let _ = handle.join();
        }
    }
}

/// Spins for a moment, lets others run for another, then sleeps, until `done`. Whoever makes it so must wake this thread afterwards.
fn wait(done: impl Fn() -> bool) {
    let mut begin = None;
    loop {
        // The clock costs as much as a few of these looks.
        for _ in 0..16 {
            if done() {
                return;
            }
            spin_loop();
        }
        let waited = begin.get_or_insert_with(Instant::now).elapsed();
        if waited > PATIENCE {
            thread::park();
        } else if waited > SPIN {
            thread::yield_now();
        }
    }
}

impl Pool {
    /// A worker's life.
    fn work(&self, worker: usize) {
        FlushSubnormals::for_this_thread();
        let mut last = 0;
        loop {
            let fresh = |state: u64| state & OPEN != 0 && state / RUN != last;
            wait(|| self.stop.load(Ordering::Acquire) || fresh(self.state.load(Ordering::Relaxed)));
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let join = |state: u64| fresh(state).then_some(state + 1);
            let Ok(before) = self
                .state
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, join)
            else {
                continue;
            };
            last = before / RUN;
            // Taken before this worker leaves: afterwards the cell is the owner's again.
            // SAFETY: this worker has joined an open run, so the cells are not written until it leaves.
            let owner = unsafe {
                self.take_tasks(worker);
                (*self.owner.get()).clone()
            };
            let before = self.state.fetch_sub(1, Ordering::Release);
            if before & (OPEN | JOINED) == 1
                && let Some(owner) = owner
            {
                owner.unpark();
            }
        }
    }

    /// Runs tasks until none is left.
    ///
    /// # Safety
    /// The calling thread must own the pool or have joined the run.
    unsafe fn take_tasks(&self, worker: usize) {
        // SAFETY: the cell is not written while somebody takes part in the run.
        let job = unsafe { *self.job.get() };
        let workers = self.next.len();
        let tasks = AssertUnwindSafe(|| {
            for victim in (worker..workers).chain(0..worker) {
                let end = job.share(victim, workers).end;
                loop {
                    let index = self.next[victim].0.fetch_add(1, Ordering::Relaxed);
                    if index >= end {
                        break;
                    }
                    // SAFETY: `run` made the pointer and the function for the same closure, and waits for everybody
                    // who joined before it drops that closure.
                    unsafe { (job.call)(job.closure, index, worker) };
                }
            }
        });
        if let Err(panic) = catch_unwind(tasks) {
            for next in &self.next {
                next.0.store(job.tasks, Ordering::Relaxed);
            }
            self.panic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: usize = if cfg!(miri) { 20 } else { 5000 };

    #[test]
    fn every_task_runs_once_with_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 7] {
            let mut workers = Workers::new(threads);
            for tasks in [0, 1, 2, 5, 64] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                workers.run(tasks, |task, worker| {
                    assert!(worker < threads.max(1));
                    counts[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts
                        .iter()
                        .all(|count| count.load(Ordering::Relaxed) == 1),
                    "{threads} {tasks}"
                );
            }
        }
    }

    #[test]
    fn thousands_of_short_runs_with_pauses_lose_nothing() {
        let mut workers = Workers::new(3);
        let sum = AtomicUsize::new(0);
        for run in 0..RUNS {
            workers.run(3, |task, _| {
                sum.fetch_add(task + 1, Ordering::Relaxed);
            });
            if run % 100 == 0 {
                // Long enough that the others fall asleep.
                thread::sleep(PATIENCE * 2);
            }
        }
        assert_eq!(sum.into_inner(), 6 * RUNS);
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_lives_on() {
        let mut workers = Workers::new(2);
        for threads_task in 0..2 {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                workers.run(2, |task, _| {
                    assert!(task != threads_task, "task {task} is wrong")
                });
            }));
            let message = panic.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(*message, format!("task {threads_task} is wrong"));
        }
        let sum = AtomicUsize::new(0);
        workers.run(4, |task, _| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 6);
    }

    #[test]
    fn several_owners_do_not_disturb_each_other() {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut workers = Workers::new(2);
                    for run in 0..RUNS / 10 {
                        let sum = AtomicUsize::new(run);
                        workers.run(8, |task, _| {
                            sum.fetch_add(task, Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), run + 28);
                    }
                });
            }
        });
    }

    #[test]
    fn no_two_tasks_at_once_have_the_same_worker_number() {
        let mut workers = Workers::new(3);
        let busy = [const { AtomicBool::new(false) }; 3];
        for _ in 0..RUNS / 10 {
            workers.run(9, |_, worker| {
                assert!(!busy[worker].swap(true, Ordering::AcqRel));
                spin_loop();
                busy[worker].store(false, Ordering::Release);
            });
        }
    }
}
