//! Metrics: recorded as device scalars in a step, read back once a report.

use bevy_ecs::prelude::*;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::running_sum::RunningSum;
use crate::checkpoint::{CheckpointError, Persist, Snapshot, stack};
use crate::nn::ComputeDevice;
use crate::transfer::{download, upload};

/// What the steps record: running means, and the latest of what [`record_latest`](Metrics::record_latest) is given. Reading resets them.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut metrics = Metrics::default();
/// metrics.record("critic/loss", Tensor::from_floats([1.0], &device));
/// metrics.record("critic/loss", Tensor::from_floats([3.0], &device));
/// metrics.record_weighted("accuracy", Tensor::from_floats([1.0], &device), 32.0);
/// metrics.record_weighted("accuracy", Tensor::from_floats([0.0], &device), 8.0);
/// let means = metrics.read();
/// assert!((means[0].1 - 0.8).abs() < 1e-6);
/// assert_eq!(means[1], ("critic/loss".to_owned(), 2.0));
/// assert!(metrics.read().is_empty());
/// ```
///
/// In a stack of learners whatever is recorded on a device is a number for each of them, `[learners]` in the place of `[1]`, and
/// `[learners * members]` for the members of an ensemble; each learner's own run reports its own.
#[derive(Resource, Debug)]
pub struct Metrics {
    entries: Vec<Entry>,
    /// How many learners of a stack record here.
    learners: usize,
    /// How many rows what is recorded under `validate/` stands for; `None` for one.
    validated_rows: Option<f64>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    sum: Sum,
    weight: f64,
}

#[derive(Debug)]
enum Sum {
    Device(Box<RunningSum>),
    Host(f64),
    /// No sum: the last number alone.
    Latest(f64),
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::of_learners(1)
    }
}

impl Metrics {
    /// Those of so many learners, before anything is recorded.
    pub(crate) fn of_learners(learners: usize) -> Self {
        Metrics {
            entries: Vec::new(),
            learners,
            validated_rows: None,
        }
    }

    /// Forgets what was recorded.
    pub(crate) fn clear(&mut self) {
        *self = Metrics::of_learners(self.learners);
    }

    /// Records a device scalar `[1]` with weight 1. Nothing is read back now.
    pub fn record(&mut self, name: &str, value: Tensor<1>) {
        self.add(name, device_sum(value), 1.0);
    }

    /// Adds a term `[1]` to a sum that another step has recorded or will record once: the loss of a step whose terms belong to
    /// several networks. A name that has nothing but such terms has no mean.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let device = ComputeDevice::cpu().plain();
    /// let mut metrics = Metrics::default();
    /// for actor in [1.0, 3.0] {
    ///     metrics.record_term("loss", Tensor::from_floats([0.5], &device));
    ///     metrics.record("loss", Tensor::from_floats([actor], &device));
    /// }
    /// assert_eq!(metrics.read(), [("loss".to_owned(), 2.5)]);
    /// ```
    pub fn record_term(&mut self, name: &str, term: Tensor<1>) {
        self.add(name, device_sum(term), 0.0);
    }

    /// Records a number for each member of an ensemble, `[members]`: `critic` and `loss` make `critic/0/loss`, `critic/1/loss`, ...
    pub fn record_each(&mut self, role: &str, what: &str, values: Tensor<1>) {
        let same = |entry: &&mut Entry| {
            let rest = entry.name.strip_prefix(role);
            rest.and_then(|rest| rest.strip_prefix("/*/")) == Some(what)
        };
        let found = values.dims()[0];
        self.of_each_learner(what, found, found / self.learners);
        let sum = device_sum(values);
        let (sum, weight) = self.weigh(role, sum, 1.0);
        match self.entries.iter_mut().find(same) {
            Some(entry) => entry.add(sum, weight),
            None => self.entries.push(Entry {
                name: format!("{role}/*/{what}"),
                sum,
                weight,
            }),
        }
    }

    /// Records a mean `[1]` over `weight` samples.
    pub fn record_weighted(&mut self, name: &str, mean: Tensor<1>, weight: f64) {
        self.add(name, device_sum(mean.no_grad() * weight), weight);
    }

    /// Records a number that is on the host anyway: a score.
    pub fn record_number(&mut self, name: &str, value: f64) {
        self.add(name, Sum::Host(value), 1.0);
    }

    /// Records where something is now, such as a learning rate: the report has the last such number, bit for bit, and no mean. A mean
    /// of equal numbers is not always that number, because sums are rounded.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut metrics = Metrics::default();
    /// for rate in [3e-4, 2e-4, 1e-4] {
    ///     metrics.record_latest("learning_rate/actor", rate);
    /// }
    /// assert_eq!(metrics.read(), [("learning_rate/actor".to_owned(), 1e-4)]);
    /// ```
    pub fn record_latest(&mut self, name: &str, value: f64) {
        self.add(name, Sum::Latest(value), 1.0);
    }

    /// Records several numbers at once: their sum, and how many they are.
    pub fn record_sum(&mut self, name: &str, sum: f64, count: usize) {
        if count > 0 {
            self.add(name, Sum::Host(sum), count as f64);
        }
    }

    /// What is recorded under `validate/` from now on is a mean over so many rows, until the next call or report: held-out rows are
    /// validated on in parts, of which the last may have fewer, and the report has the mean over all rows.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut metrics = Metrics::default();
    /// for (rows, mean) in [(3, 1.0), (1, 5.0)] {
    ///     metrics.weigh_validation(rows);
    ///     metrics.record_number("validate/actor/loss", mean);
    /// }
    /// assert_eq!(metrics.read(), [("validate/actor/loss".to_owned(), 2.0)]);
    /// ```
    pub fn weigh_validation(&mut self, rows: usize) {
        self.validated_rows = Some(rows as f64);
    }

    /// In a stack a number is recorded for each learner, or nobody would know whose it is.
    fn of_each_learner(&self, name: &str, found: usize, members: usize) {
        assert!(
            self.learners == 1 || found == members * self.learners,
            "`{name}` was recorded as {found} number(s), and the stack has {} learners: take `batch.mean(..)` over its rows, or leave `app.stacks()` out",
            self.learners
        );
    }

    fn add(&mut self, name: &str, value: Sum, weight: f64) {
        if let Sum::Device(values) = &value {
            self.of_each_learner(name, values.len(), 1);
        }
        let (value, weight) = self.weigh(name, value, weight);
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.add(value, weight),
            None => self.entries.push(Entry {
                name: name.to_owned(),
                sum: value,
                weight,
            }),
        }
    }

    /// A value and its weight, as the rows behind them count.
    fn weigh(&self, name: &str, value: Sum, weight: f64) -> (Sum, f64) {
        let rows = self.validated_rows;
        let Some(rows) = rows.filter(|_| name.starts_with("validate/")) else {
            return (value, weight);
        };
        match value {
            Sum::Device(sum) => (Sum::Device(Box::new(sum.times(rows))), weight * rows),
            Sum::Host(sum) => (Sum::Host(sum * rows), weight * rows),
            Sum::Latest(_) => (value, weight),
        }
    }

    /// The means since the last call, sorted by name: those without a sample are left out. This is where device scalars
    /// become numbers, in one transfer.
    pub fn read(&mut self) -> Vec<(String, f64)> {
        self.validated_rows = None;
        let entries = std::mem::take(&mut self.entries);
        let sums = sums_of(entries.iter());
        let mut means = Vec::new();
        for (entry, sums) in entries.into_iter().zip(sums) {
            // Terms of a sum that nobody began.
            if entry.weight == 0.0 {
                continue;
            }
            match entry.name.split_once("/*/") {
                None => means.extend(sums.first().map(|sum| (entry.name, sum / entry.weight))),
                Some((role, what)) => {
                    let member = |(member, sum): (usize, &f64)| {
                        (format!("{role}/{member}/{what}"), sum / entry.weight)
                    };
                    means.extend(sums.iter().enumerate().map(member));
                }
            }
        }
        means.sort_by(|a, b| a.0.cmp(&b.0));
        means
    }
}

impl Entry {
    fn add(&mut self, value: Sum, weight: f64) {
        if let Sum::Latest(_) = value {
            (self.sum, self.weight) = (value, weight);
            return;
        }
        self.weight += weight;
        self.sum = match (std::mem::replace(&mut self.sum, Sum::Host(0.0)), value) {
            (Sum::Device(sum), Sum::Device(value)) => Sum::Device(Box::new(sum.add(value.total()))),
            (Sum::Device(tensor), Sum::Host(number) | Sum::Latest(number))
            | (Sum::Host(number) | Sum::Latest(number), Sum::Device(tensor)) => {
                device_sum(tensor.total() + number)
            }
            // A name that is recorded in both ways has one value and is a mean from there on.
            (Sum::Host(sum) | Sum::Latest(sum), Sum::Host(value) | Sum::Latest(value)) => {
                Sum::Host(sum + value)
            }
        };
    }
}

/// A sum that has this one tensor.
fn device_sum(value: Tensor<1>) -> Sum {
    Sum::Device(Box::new(RunningSum::of(value.no_grad())))
}

/// All elements of the given tensors, on the host, in one transfer.
fn to_host(scalars: Vec<Tensor<1>>) -> Vec<f32> {
    if scalars.is_empty() {
        return Vec::new();
    }
    download(Tensor::cat(scalars, 0))
}

const KEY: &str = "metrics";

#[derive(Clone, Serialize, Deserialize)]
struct SavedEntry {
    name: String,
    /// Whether the sums live on the device.
    device: bool,
    /// Whether it is the last number alone.
    #[serde(default)]
    latest: bool,
    sums: Vec<f64>,
    weight: f64,
}

/// The sums of each entry: of those on a device in one transfer.
fn sums_of<'e>(entries: impl Iterator<Item = &'e Entry> + Clone) -> Vec<Vec<f64>> {
    let tensors = entries.clone().filter_map(|entry| match &entry.sum {
        Sum::Device(sum) => Some(sum.total()),
        Sum::Host(_) | Sum::Latest(_) => None,
    });
    let tensors: Vec<Tensor<1>> = tensors.collect();
    let lengths: Vec<usize> = tensors.iter().map(|sum| sum.dims()[0]).collect();
    let mut lengths = lengths.into_iter();
    let mut of_devices = to_host(tensors).into_iter().map(f64::from);
    let sums = entries.map(|entry| match &entry.sum {
        Sum::Host(number) | Sum::Latest(number) => vec![*number],
        Sum::Device(_) => {
            let length = lengths.next().unwrap_or_default();
            of_devices.by_ref().take(length).collect()
        }
    });
    sums.collect()
}

/// Half-filled means are saved too, so that the first report of a resumed run is the same as without the cut; but for those of a
/// validation that was left before its report, which begins anew.
impl Persist for Metrics {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        let of_validation = |entry: &&Entry| entry.name.starts_with("validate/");
        let mut of_learners = vec![Vec::new(); self.learners];
        let entries = self.entries.iter().filter(|entry| !of_validation(entry));
        let sums = sums_of(entries.clone());
        for (entry, sums) in entries.zip(sums) {
            let sums = match entry.sum {
                // All learners have it.
                Sum::Host(_) | Sum::Latest(_) => sums.repeat(self.learners),
                Sum::Device(_) => sums,
            };
            let each = sums.len() / self.learners;
            for (learner, saved) in of_learners.iter_mut().enumerate() {
                saved.push(SavedEntry {
                    name: entry.name.clone(),
                    device: matches!(entry.sum, Sum::Device(_)),
                    latest: matches!(entry.sum, Sum::Latest(_)),
                    sums: sums[each * learner..each * (learner + 1)].to_vec(),
                    weight: entry.weight,
                });
            }
        }
        for (learner, saved) in of_learners.iter().enumerate() {
            snapshot.put_state(&stack::own(KEY, learner, self.learners), saved)?;
        }
        Ok(())
    }

    fn load(&mut self, snapshot: &Snapshot, world: &World) -> Result<(), CheckpointError> {
        let device = world.resource::<ComputeDevice>().plain();
        let mut learners = Vec::new();
        for learner in 0..self.learners {
            let key = stack::own(KEY, learner, self.learners);
            learners.push(snapshot.state::<Vec<SavedEntry>>(&key)?);
        }
        let mut learners = learners.into_iter();
        let mut saved = learners.next().unwrap_or_default();
        for other in learners {
            let names = |entries: &[SavedEntry]| -> Vec<String> {
                entries.iter().map(|entry| entry.name.clone()).collect()
            };
            if names(&saved) != names(&other) {
                let what = "they have recorded different ones since their last reports";
                return Err(CheckpointError::unusable("metrics of one stack", what));
            }
            for (entry, other) in saved.iter_mut().zip(other) {
                // What a host has is the same for all.
                if entry.device {
                    entry.sums.extend(other.sums);
                }
            }
        }
        self.entries = saved
            .into_iter()
            .map(|entry| Entry {
                name: entry.name,
                weight: entry.weight,
                sum: match (entry.device, entry.latest) {
                    (false, false) => Sum::Host(entry.sums.iter().sum()),
                    (false, true) => Sum::Latest(entry.sums.iter().sum()),
                    (true, _) => {
                        // They were f32 before.
                        let sums: Vec<f32> = entry.sums.iter().map(|sum| *sum as f32).collect();
                        let shape = [sums.len()];
                        device_sum(upload(TensorData::new(sums, shape), &device))
                    }
                },
            })
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a resumed run has of them.
    fn restored(metrics: &Metrics) -> Metrics {
        let mut snapshot = Snapshot::new(0);
        metrics.save(&mut snapshot).unwrap();
        let mut world = World::new();
        world.insert_resource(ComputeDevice::cpu());
        let mut restored = Metrics::default();
        restored.load(&snapshot, &world).unwrap();
        restored
    }

    #[test]
    fn a_latest_value_is_the_number_itself_and_equal_numbers_are_not_rounded() {
        let mut metrics = Metrics::default();
        for _ in 0..1000 {
            metrics.record_latest("rate", 3e-4);
            metrics.record_number("mean", 3e-4);
        }
        let read = metrics.read();
        assert_eq!(read[1], ("rate".to_owned(), 3e-4));
        assert_ne!(read[0].1, 3e-4, "why the rate is no mean");
    }

    #[test]
    fn what_a_validation_began_is_not_saved() {
        let mut metrics = Metrics::default();
        metrics.weigh_validation(3);
        metrics.record_number("validate/reward", 1.0);
        metrics.record_number("critic/loss", 2.0);
        let mut restored = restored(&metrics);
        assert_eq!(restored.read(), [("critic/loss".to_owned(), 2.0)]);
    }

    #[test]
    fn parts_of_a_validation_count_by_their_rows_in_every_kind_of_metric() {
        let device = ComputeDevice::cpu().plain();
        let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
        let mut metrics = Metrics::default();
        for (rows, value) in [(3, 1.0), (1, 5.0)] {
            metrics.weigh_validation(rows);
            metrics.record("validate/a", tensor(&[value]));
            metrics.record_each("validate/critic", "loss", tensor(&[value, 2.0 * value]));
            metrics.record_latest("validate/b", f64::from(value));
            metrics.record_number("critic/loss", f64::from(value));
        }
        let read: Vec<f64> = metrics.read().into_iter().map(|(_, value)| value).collect();
        // critic/loss, validate/a, validate/b, validate/critic/0/loss and 1/loss.
        assert_eq!(read, [3.0, 2.0, 5.0, 2.0, 4.0]);
    }

    #[test]
    fn a_stack_has_each_learners_own_metrics_and_takes_them_back() {
        let device = ComputeDevice::cpu().plain();
        let mut metrics = Metrics::of_learners(2);
        metrics.record("critic/loss", Tensor::from_floats([1.0, 5.0], &device));
        metrics.record("critic/loss", Tensor::from_floats([3.0, 7.0], &device));
        let losses = Tensor::from_floats([1.0, 2.0, 3.0, 4.0], &device);
        metrics.record_each("critic", "loss", losses);
        metrics.record_latest("rate", 0.5);
        let mut snapshot = Snapshot::new(0);
        metrics.save(&mut snapshot).unwrap();
        let mut world = World::new();
        world.insert_resource(ComputeDevice::cpu());
        let of_learner = |snapshot: &Snapshot, learner| {
            let mut own = Snapshot::new(0);
            stack::teach(&mut own, snapshot, learner);
            let mut metrics = Metrics::default();
            metrics.load(&own, &world).unwrap();
            metrics
                .read()
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        // critic/0/loss, critic/1/loss, critic/loss and the rate.
        assert_eq!(of_learner(&snapshot, 0), [1.0, 2.0, 2.0, 0.5]);
        assert_eq!(of_learner(&snapshot, 1), [3.0, 4.0, 6.0, 0.5]);
        let mut again = Metrics::of_learners(2);
        again.load(&snapshot, &world).unwrap();
        let mut saved_again = Snapshot::new(0);
        again.save(&mut saved_again).unwrap();
        assert_eq!(saved_again, snapshot);
    }

    #[test]
    #[should_panic(
        expected = "`actor/loss` was recorded as 1 number(s), and the stack has 2 learners"
    )]
    fn a_number_that_is_no_learners_own_is_refused() {
        let device = ComputeDevice::cpu().plain();
        Metrics::of_learners(2).record("actor/loss", Tensor::ones([1], &device));
    }

    #[test]
    fn a_latest_value_is_saved_as_one() {
        let mut metrics = Metrics::default();
        metrics.record_latest("rate", 1.0);
        metrics.record_number("mean", 1.0);
        let mut restored = restored(&metrics);
        restored.record_latest("rate", 0.5);
        restored.record_number("mean", 0.0);
        let expected = [("mean".to_owned(), 0.5), ("rate".to_owned(), 0.5)];
        assert_eq!(restored.read(), expected);
    }
}
