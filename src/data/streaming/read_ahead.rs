//! The threads that read ahead: one that plans and puts together, and workers with a handle on the file each.
//!
//! Jobs and results go through bounded channels, so that what is in flight is bounded too. Which worker reads what, and when,
//! changes nothing in what is read. Dropping the value stops all threads after the job that they are at, and waits for them.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, select};
use rand_chacha::ChaCha8Rng;

use super::plan::{Drawing, Job, Plan, Sweep, Values};
use super::stored::Stored;
use crate::data::hdf5::File;
use crate::data::{Bytes, Gathered, LoadError, Split};
use crate::subnormals::FlushSubnormals;

/// Threads that read and decode.
const WORKERS: usize = 2;
/// The first sweep of a file that any row can be read from is short, so that training begins soon.
const FIRST_BATCHES: usize = 16;
/// By how much each sweep is longer than the one before, until the memory is used.
const GROWTH: usize = 4;

/// Batches that are read ahead of the learner.
pub struct ReadAhead {
    stored: Arc<Stored>,
    split: Arc<Split>,
    drawing: Drawing,
    /// Batches in the longest sweep.
    most: usize,
    window: Option<Sweep>,
    threads: Option<Threads>,
    waited: Duration,
}

/// Dropping it ends the threads.
struct Threads {
    /// Taken away to stop: nothing is ever sent.
    stop: Option<Sender<()>>,
    windows: Option<Receiver<Result<Sweep, LoadError>>>,
    planner: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Batches within so many bytes of memory.
    ///
    /// # Errors
    /// The memory that would be enough, where the given is not.
    pub fn new(
        stored: Arc<Stored>,
        split: Arc<Split>,
        drawing: Drawing,
        memory: Bytes,
    ) -> Result<Self, Bytes> {
        let [observation, action] = stored.dataset_file().widths();
        let [seen, acted, after] = drawing.pipeline.most_needed();
        // The numbers, which rows they are of, and which were drawn.
        let waiting = (seen + after) * stored.packing().row_bytes();
        let row = (waiting + 4 * (acted * action + seen + acted + after + 1)) as u64;
        let each = row.saturating_mul(drawing.batch as u64);
        // What a worker reads at once, and what waits in the channels.
        let span = 4 * (2 * observation + action + 1) as u64 * stored.reading().span as u64;
        let fixed =
            stored.resident().0 + 4 * split.training.len() as u64 + 4 * WORKERS as u64 * span;
        // The sweep that is taken from and the one that is under way.
        let most = memory.0.saturating_sub(fixed) / (2 * each);
        if most == 0 {
            return Err(Bytes(fixed + 2 * each));
        }
        Ok(Self {
            stored,
            split,
            drawing,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            window: None,
            threads: None,
            waited: Duration::ZERO,
        })
    }

    /// The batch of these transitions, which were drawn from the generator as it was `before`.
    ///
    /// Where they are what was read ahead, as they are but for the first time and after a jump of the generator (a resumed
    /// run), this only waits for the threads; else it begins anew from there.
    pub(in crate::data) fn take(
        &mut self,
        rows: &[u32],
        before: &ChaCha8Rng,
    ) -> Result<Gathered, LoadError> {
        for _ in 0..2 {
            if self
                .window
                .as_ref()
                .is_none_or(|window| window.rows().is_none())
            {
                // The memory of the last sweep is given back before the next is taken.
                self.window = None;
                let asked = Instant::now();
                self.window = match &self.threads {
                    Some(threads) => threads.next()?,
                    None => None,
                };
                self.waited += asked.elapsed();
            }
            if let Some(window) = &mut self.window
                && window.rows() == Some(rows)
            {
                return window.take(&self.stored, &self.drawing.pipeline);
            }
            self.begin(before.clone())?;
        }
        // The generator does not draw twice what it drew once: give what was asked for all the same.
        let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        self.stored.read(&rows, &self.drawing.pipeline)
    }

    /// For how long whoever takes batches has waited for a sweep that was not read yet.
    pub(in crate::data) fn waited(&self) -> Duration {
        self.waited
    }

    fn begin(&mut self, generator: ChaCha8Rng) -> Result<(), LoadError> {
        self.threads = None;
        self.window = None;
        let files: Vec<File> = (0..WORKERS)
            .map(|_| self.stored.dataset_file().file_for_thread())
            .collect::<Result<_, _>>()?;
        let (stop, stopped) = bounded(0);
        let (finished, windows) = bounded(0);
        let planner = Planner {
            stored: self.stored.clone(),
            split: self.split.clone(),
            drawing: self.drawing,
            most: self.most,
            generator,
        };
        let planner = thread::Builder::new()
            .name("read ahead".to_owned())
            .spawn(move || planner.run(files, &stopped, &finished))
            .map_err(|source| LoadError::Threads { source })?;
        self.threads = Some(Threads {
            stop: Some(stop),
            windows: Some(windows),
            planner: Some(planner),
        });
        Ok(())
    }
}

impl Threads {
    /// The next sweep, waited for; `None` where the planner is gone.
    fn next(&self) -> Result<Option<Sweep>, LoadError> {
        match self.windows.as_ref().map(Receiver::recv) {
            Some(Ok(window)) => window.map(Some),
            _ => Ok(None),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop = None;
        self.windows = None;
        if let Some(planner) = self.planner.take() {
            // A planner that panicked has said so, and there is nothing left to stop.
            let _ = planner.join();
        }
    }
}

struct Planner {
    stored: Arc<Stored>,
    split: Arc<Split>,
    drawing: Drawing,
    most: usize,
    generator: ChaCha8Rng,
}

/// A job's rows, or why there are none.
type Piece = (Job, Result<Values, LoadError>);

impl Planner {
    /// Sweeps until asked to stop, or until a sweep failed.
    fn run(
        mut self,
        files: Vec<File>,
        stopped: &Receiver<()>,
        finished: &Sender<Result<Sweep, LoadError>>,
    ) {
        FlushSubnormals::for_this_thread();
        // Where chunks have to be decoded, a short sweep costs nearly what a long one does.
        let mut batches = if self.stored.reading().is_encoded {
            self.most
        } else {
            FIRST_BATCHES
        };
        let stored = self.stored.clone();
        thread::scope(|scope| {
            // Within the scope, so that the workers see the channel's end before they are waited for.
            let (ask, asked) = bounded::<(Job, Arc<Plan>)>(WORKERS);
            let (give, given) = bounded::<Piece>(WORKERS);
            for file in files {
                let (asked, give, stored) = (asked.clone(), give.clone(), &stored);
                scope.spawn(move || {
                    FlushSubnormals::for_this_thread();
                    for (job, plan) in asked {
                        let piece = stored.fetch(&file, &plan, &job);
                        // Who has the last piece has the plan for itself.
                        drop(plan);
                        if give.send((job, piece)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop((asked, give));
            loop {
                batches = batches.min(self.most);
                let plan = Plan::draw(
                    &stored,
                    &self.split.training,
                    &self.drawing,
                    batches,
                    &mut self.generator,
                );
                let Some(window) = self.sweep(plan, &ask, &given, stopped) else {
                    return;
                };
                let failed = window.is_err();
                select! {
                    send(finished, window) -> sent => if sent.is_err() || failed { return },
                    recv(stopped) -> _ => return,
                }
                batches = batches.saturating_mul(GROWTH);
            }
        });
    }

    /// Has all rows of a plan fetched; `None` when asked to stop.
    fn sweep(
        &self,
        plan: Plan,
        ask: &Sender<(Job, Arc<Plan>)>,
        given: &Receiver<Piece>,
        stopped: &Receiver<()>,
    ) -> Option<Result<Sweep, LoadError>> {
        let widths = self.stored.dataset_file().widths();
        let packing = self.stored.packing();
        let mut values = Values::of(&plan, packing, widths[1]);
        let mut jobs = plan.jobs(self.stored.reading().span).into_iter().peekable();
        let plan = Arc::new(plan);
        let (mut under_way, mut failure) = (0, None);
        loop {
            let next = jobs.peek().cloned().filter(|_| failure.is_none());
            let piece = match next {
                None if under_way == 0 => break,
                None => select! {
                    recv(given) -> piece => Some(piece.ok()?),
                    recv(stopped) -> _ => return None,
                },
                Some(job) => select! {
                    send(ask, (job, plan.clone())) -> sent => {
                        sent.ok()?;
                        jobs.next();
                        under_way += 1;
                        None
                    },
                    recv(given) -> piece => Some(piece.ok()?),
                    recv(stopped) -> _ => return None,
                },
            };
            let Some((job, read)) = piece else {
                continue;
            };
            under_way -= 1;
            match read {
                Ok(read) => values.put(&job, &read, widths[1]),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure.or(self.stored.unchanged().err()) {
            return Some(Err(error));
        }
        // All jobs came back, and with each its share of the plan.
        let plan = Arc::into_inner(plan)?;
        Some(Ok(Sweep {
            plan,
            values,
            widths,
            next: 0,
        }))
    }
}
