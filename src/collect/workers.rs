//! Environments in threads of their own: what simulates a world takes so long for a step that several cores pay.
//!
//! Each thread owns a stretch of the environments, the calling one the first stretch. A step sends the others the actions of
//! their rows over a channel and takes outcomes back over another; the buffers travel to and fro. Rows, seeds and errors come out as they would one after the
//! other, whatever the number of threads, and so does what is saved: a run may be resumed with another number, or with none
//! (`any_environment`).

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bevy_app::App;
use bevy_ecs::prelude::*;
use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};

use super::any_environment::{KEY, refused_row, wrong_count};
use super::entity::{Action, Ended, EnvironmentRow, Observation, Restart, Reward};
use super::plugin::AppEnvironmentExt;
use super::{CollectError, SmallVector};
use crate::checkpoint::{AppPersistExt, CheckpointError, Snapshot};
use crate::env::{self, Environment, EnvironmentError};
use crate::schedule::RunError;
use crate::subnormals::FlushSubnormals;

/// The threads, in the order of their rows.
#[derive(Resource)]
pub(super) struct Workers {
    each: Vec<Worker>,
    /// Rows of every worker but the last, which may have fewer.
    rows_each: usize,
}

struct Worker {
    rows: Range<usize>,
    hands: Hands,
    /// Where this step's actions are written and the last one's outcomes are read.
    rows_of_step: RowsOfStep,
}

enum Hands {
    /// The calling thread's own, which does what it was ordered to when it is asked for the answer: by then the others work.
    /// Environments may be sent to another thread and not shared, and nobody ever waits for this lock.
    Here(Mutex<(Vec<Owned>, Option<Order>)>),
    There {
        orders: Option<Sender<Order>>,
        answers: Receiver<Answer>,
        thread: Option<JoinHandle<()>>,
    },
}

enum Order {
    /// Move the rows that are not to restart.
    Step(RowsOfStep),
    /// Begin episodes in the rows that are to restart.
    Restart(RowsOfStep),
    Save,
    Load(Vec<env::Snapshot>),
    /// The next episodes begin from these seeds, counted on from the first row's.
    Seed(u64),
}

enum Answer {
    Moved(RowsOfStep, Result<(), EnvironmentError>),
    Saved(Vec<env::Snapshot>),
    /// The first row that refuses, counted from the worker's first.
    Loaded(Result<(), (usize, EnvironmentError)>),
    Seeded,
}

/// What passes between the entities and a worker, row after row.
#[derive(Default)]
struct RowsOfStep {
    action_width: usize,
    observation_width: usize,
    actions: Vec<f32>,
    observations: Vec<f32>,
    restart: Vec<bool>,
    outcomes: Vec<env::StepResult>,
}

/// Spawns the given environments, the first seeded with `seed`, the second with `seed + 1` and so on, and so many threads.
pub(super) fn spawn(
    app: &mut App,
    environments: Vec<Box<dyn Environment>>,
    seed: u64,
    threads: usize,
) {
    let rows_each = environments.len().div_ceil(threads.max(1)).max(1);
    let mut each = Vec::new();
    let mut environments = environments.into_iter().enumerate().peekable();
    while let Some((first, environment)) = environments.peek() {
        let first = *first;
        let (action_width, observation_width) = (
            environment.action_space().size(),
            environment.observation_space().size(),
        );
        let own: Vec<Owned> = environments
            .by_ref()
            .take(rows_each)
            .map(|(row, environment)| Owned {
                environment,
                seed: Some(seed.wrapping_add(row as u64)),
            })
            .collect();
        let rows = first..first + own.len();
        for row in rows.clone() {
            let observation = Observation(SmallVector::zeros(observation_width));
            app.world_mut().spawn((EnvironmentRow { row }, observation));
        }
        let rows_of_step = RowsOfStep {
            action_width,
            observation_width,
            actions: vec![0.0; own.len() * action_width],
            observations: vec![0.0; own.len() * observation_width],
            restart: vec![false; own.len()],
            outcomes: vec![NOTHING; own.len()],
        };
        let hands = if first == 0 {
            Hands::Here(Mutex::new((own, None)))
        } else {
            let (orders, taken) = unbounded();
            let (given, answers) = unbounded();
            Hands::There {
                orders: Some(orders),
                answers,
                thread: Some(thread::spawn(move || obey_all(own, &taken, &given))),
            }
        };
        each.push(Worker {
            rows,
            hands,
            rows_of_step,
        });
    }
    app.insert_resource(Workers { each, rows_each })
        .persist_with(KEY, save, load)
        .steps_environments(step, restart);
}

const NOTHING: env::StepResult = env::StepResult {
    reward: 0.0,
    terminated: false,
    truncated: false,
};

/// An environment, and the seed of its first reset until it had one.
struct Owned {
    environment: Box<dyn Environment>,
    seed: Option<u64>,
}

/// What a worker's thread does until nobody sends orders any more.
fn obey_all(mut own: Vec<Owned>, orders: &Receiver<Order>, answers: &Sender<Answer>) {
    FlushSubnormals::for_this_thread();
    while let Some(order) = receive(orders) {
        if answers.send(obey(&mut own, order)).is_err() {
            return;
        }
    }
}

/// How long a thread looks for the next message before it sleeps: longer than the gaps between the steps of environments, and
/// waking up takes as long as stepping a few of them.
const SPIN: Duration = Duration::from_micros(100);

/// The next message; `None` when there is nobody left to send one.
fn receive<T>(messages: &Receiver<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        match messages.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if started.elapsed() < SPIN => spin_loop(),
            Err(TryRecvError::Empty) => return messages.recv().ok(),
        }
    }
}

fn obey(own: &mut [Owned], order: Order) -> Answer {
    match order {
        Order::Step(mut rows) => {
            let stepped = step_rows(own, &mut rows);
            Answer::Moved(rows, stepped)
        }
        Order::Restart(mut rows) => {
            let restarted = restart_rows(own, &mut rows);
            Answer::Moved(rows, restarted)
        }
        Order::Save => {
            let saved = own.iter().map(|one| one.environment.snapshot());
            Answer::Saved(saved.collect())
        }
        Order::Load(saved) => Answer::Loaded(load_rows(own, &saved)),
        Order::Seed(first) => {
            for (one, seed) in own.iter_mut().zip(first..) {
                one.seed = Some(seed);
            }
            Answer::Seeded
        }
    }
}

fn step_rows(own: &mut [Owned], rows: &mut RowsOfStep) -> Result<(), EnvironmentError> {
    let actions = rows.actions.chunks_exact(rows.action_width);
    let seen = rows.observations.chunks_exact_mut(rows.observation_width);
    let answers = rows.outcomes.iter_mut().zip(&rows.restart);
    for (((one, action), seen), (outcome, restart)) in
        own.iter_mut().zip(actions).zip(seen).zip(answers)
    {
        if !restart {
            *outcome = one.environment.step(action, seen)?;
        }
    }
    Ok(())
}

fn restart_rows(own: &mut [Owned], rows: &mut RowsOfStep) -> Result<(), EnvironmentError> {
    let seen = rows.observations.chunks_exact_mut(rows.observation_width);
    for ((one, seen), restart) in own.iter_mut().zip(seen).zip(&rows.restart) {
        if *restart {
            one.environment.reset(one.seed.take(), seen)?;
        }
    }
    Ok(())
}

fn load_rows(own: &mut [Owned], saved: &[env::Snapshot]) -> Result<(), (usize, EnvironmentError)> {
    for (row, (one, saved)) in own.iter_mut().zip(saved).enumerate() {
        one.environment
            .restore(saved)
            .map_err(|error| (row, error))?;
        one.seed = None;
    }
    Ok(())
}

impl Worker {
    /// A worker that is gone answers nothing, which [`answer`](Self::answer) reports.
    fn order(&self, order: Order) {
        match &self.hands {
            Hands::Here(own) => lock(own).1 = Some(order),
            Hands::There {
                orders: Some(orders),
                ..
            } => {
                let _ = orders.send(order);
            }
            Hands::There { orders: None, .. } => {}
        }
    }

    fn answer(&self) -> Result<Answer, CollectError> {
        match &self.hands {
            Hands::Here(own) => {
                let (own, order) = &mut *lock(own);
                let order = order.take().ok_or_else(|| self.gone())?;
                Ok(obey(own, order))
            }
            Hands::There { answers, .. } => receive(answers).ok_or_else(|| self.gone()),
        }
    }

    fn gone(&self) -> CollectError {
        CollectError::WorkerEnded {
            first: self.rows.start,
            last: self.rows.end.saturating_sub(1),
        }
    }

    fn moved(&mut self) -> Result<(), CollectError> {
        if let Answer::Moved(rows, moved) = self.answer()? {
            self.rows_of_step = rows;
            moved?;
        }
        Ok(())
    }
}

impl Workers {
    /// A thread that panicked kept its buffers.
    fn all_there(&self) -> Result<(), RunError> {
        let mut each = self.each.iter();
        let gone = each.find(|worker| worker.rows_of_step.restart.len() != worker.rows.len());
        gone.map_or(Ok(()), |worker| Err(RunError::new(worker.gone())))
    }

    fn place(&self, row: usize) -> (usize, usize) {
        (row / self.rows_each, row % self.rows_each)
    }

    /// Sends an order to each worker that `wanted` picks, and waits for all of them; the first rows' error, if there is one.
    fn move_rows(
        &mut self,
        order: fn(RowsOfStep) -> Order,
        wanted: fn(&RowsOfStep) -> bool,
    ) -> Result<(), CollectError> {
        let mut asked = vec![false; self.each.len()];
        for (worker, asked) in self.each.iter_mut().zip(&mut asked) {
            *asked = wanted(&worker.rows_of_step);
            if *asked {
                let rows = std::mem::take(&mut worker.rows_of_step);
                worker.order(order(rows));
            }
        }
        // All of them are waited for, so that no answer is left to be taken for another one.
        let mut first = Ok(());
        for (worker, _) in self.each.iter_mut().zip(asked).filter(|(_, asked)| *asked) {
            let moved = worker.moved();
            if first.is_ok() {
                first = moved;
            }
        }
        first
    }

    /// The next episodes begin from these seeds.
    pub(super) fn seed(&self, first: u64) {
        for worker in &self.each {
            worker.order(Order::Seed(first.wrapping_add(worker.rows.start as u64)));
            let _ = worker.answer();
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        if let Hands::There { orders, thread, .. } = self {
            // Without orders to come the thread ends; a panic in it was reported when it happened.
            *orders = None;
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn step(
    mut workers: ResMut<Workers>,
    mut agents: Query<(
        &EnvironmentRow,
        &Action,
        &Restart,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) -> Result<(), BevyError> {
    workers.all_there()?;
    for (agent, action, restart, ..) in &agents {
        let (worker, row) = workers.place(agent.row);
        let rows = &mut workers.each[worker].rows_of_step;
        let width = rows.action_width;
        rows.actions[row * width..(row + 1) * width].copy_from_slice(&action.0);
        rows.restart[row] = restart.0;
    }
    workers
        .move_rows(Order::Step, |_| true)
        .map_err(RunError::new)?;
    for (agent, _, restart, mut observation, mut reward, mut ended) in &mut agents {
        if restart.0 {
            continue;
        }
        let (worker, row) = workers.place(agent.row);
        let rows = &workers.each[worker].rows_of_step;
        let width = rows.observation_width;
        observation
            .0
            .set(&rows.observations[row * width..(row + 1) * width]);
        let outcome = rows.outcomes[row];
        reward.0 = outcome.reward;
        ended.terminated = outcome.terminated;
        ended.truncated = outcome.truncated;
    }
    Ok(())
}

fn restart(
    mut workers: ResMut<Workers>,
    mut agents: Query<(&EnvironmentRow, &Restart, &mut Observation)>,
) -> Result<(), BevyError> {
    if !agents.iter().any(|(_, restart, _)| restart.0) {
        return Ok(());
    }
    workers.all_there()?;
    for (agent, restart, _) in &agents {
        let (worker, row) = workers.place(agent.row);
        workers.each[worker].rows_of_step.restart[row] = restart.0;
    }
    workers
        .move_rows(Order::Restart, |rows| rows.restart.contains(&true))
        .map_err(RunError::new)?;
    for (agent, restart, mut observation) in &mut agents {
        if restart.0 {
            let (worker, row) = workers.place(agent.row);
            let rows = &workers.each[worker].rows_of_step;
            let width = rows.observation_width;
            observation
                .0
                .set(&rows.observations[row * width..(row + 1) * width]);
        }
    }
    Ok(())
}

fn gone(error: CollectError) -> CheckpointError {
    CheckpointError::Refused {
        what: "the environments".to_owned(),
        source: Box::new(error),
    }
}

fn save(world: &World, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
    let Some(workers) = world.get_resource::<Workers>() else {
        return Ok(());
    };
    for worker in &workers.each {
        worker.order(Order::Save);
    }
    let mut states: Vec<env::Snapshot> = Vec::new();
    for worker in &workers.each {
        if let Answer::Saved(saved) = worker.answer().map_err(gone)? {
            states.extend(saved);
        }
    }
    snapshot.put_state(KEY, &states)
}

fn load(world: &mut World, snapshot: &Snapshot) -> Result<(), CheckpointError> {
    let Some(workers) = world.get_resource::<Workers>() else {
        return Ok(());
    };
    let mut saved: Vec<env::Snapshot> = snapshot.state(KEY)?;
    let expected = workers.each.last().map_or(0, |worker| worker.rows.end);
    if saved.len() != expected {
        return Err(wrong_count(saved.len(), expected));
    }
    for worker in workers.each.iter().rev() {
        worker.order(Order::Load(saved.split_off(worker.rows.start)));
    }
    let mut first = Ok(());
    for worker in &workers.each {
        if let Answer::Loaded(Err((row, error))) = worker.answer().map_err(gone)?
            && first.is_ok()
        {
            first = Err(refused_row(worker.rows.start + row, error));
        }
    }
    first
}
