//! One random stream per purpose, each a resource, so that two steps that draw do not conflict, and one step's draws never
//! shift another's. Counter-based (ChaCha8), so that a stream's place is one number that is saved with the run.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::marker::PhantomData;

use bevy_app::App;
use bevy_ecs::prelude::*;
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{AppPersistExt, CheckpointError, Persist, Snapshot, stack};
use crate::transfer::{Ahead, is_far, plain, upload};

/// The seed of a run. Every stream is derived from it and from the stream's own name.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

/// The seeds of the learners of a stack, whose networks are members of one network: a [`Random`] draws for each of them from its own
/// stream. It is there before any plugin is added; a run of one learner has none.
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack(pub Vec<Seed>);

impl Stack {
    /// How many learners a world has: 1 without a stack.
    pub fn learners_of(world: &World) -> usize {
        world
            .get_resource::<Stack>()
            .map_or(1, |stack| stack.0.len())
    }
}

/// What a random stream is for.
pub trait Purpose: Send + Sync + 'static {
    /// The stream's name: with the seed, it determines every number of the stream.
    const NAME: &'static str;
}

/// Which rows come into a minibatch.
pub struct Sampling;
impl Purpose for Sampling {
    const NAME: &'static str = "sample";
}

/// Noise on actions.
pub struct Noise;
impl Purpose for Noise {
    const NAME: &'static str = "noise";
}

/// Hidden values that training steps leave out.
pub struct Dropout;
impl Purpose for Dropout {
    const NAME: &'static str = "dropout";
}

/// Actions that explore.
pub struct Exploration;
impl Purpose for Exploration {
    const NAME: &'static str = "explore";
}

/// Networks' initial weights.
pub struct Init;
impl Purpose for Init {
    const NAME: &'static str = "init";
}

/// The random stream for purpose `P`.
///
/// ```
/// use yarak::prelude::*;
///
/// /// Which transitions are shown twice.
/// struct Replays;
/// impl Purpose for Replays {
///     const NAME: &'static str = "replays";
/// }
///
/// let mut random = Random::<Replays>::new(Seed(3));
/// let first = random.normals(4);
/// let place = random.state();
/// let second = random.normals(4);
/// let mut again = Random::<Replays>::new(Seed(3));
/// again.restore(place);
/// assert_eq!(again.normals(4), second);
/// assert_ne!(first, second);
/// ```
///
/// In a stack of learners it is a stream for each, and a draw of n numbers is made of equal parts, one from each learner's stream in
/// turn, so that each learner has what its lone run draws.
#[derive(Resource)]
pub struct Random<P: Purpose> {
    /// One for each learner of a stack; one, where one learns alone.
    streams: Vec<Stream>,
    /// Normal and uniform draws that are on a device already.
    ahead: [Ahead<f32, Tensor<1>>; 2],
    purpose: PhantomData<P>,
}

/// The stream of one learner.
#[derive(Clone)]
struct Stream {
    generator: ChaCha8Rng,
    /// Normal draws that were given and come before the generator's.
    given: VecDeque<f32>,
    /// The same of uniform draws, in [0, 1).
    given_uniforms: VecDeque<f32>,
}

impl Stream {
    fn new(seed: Seed, name: &str, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::from_seed(key(seed, name));
        generator.set_stream(stream);
        Stream {
            generator,
            given: VecDeque::new(),
            given_uniforms: VecDeque::new(),
        }
    }

    fn normal(&mut self) -> f32 {
        match self.given.pop_front() {
            Some(given) => given,
            None => StandardNormal.sample(&mut self.generator),
        }
    }

    fn uniform(&mut self, low: f32, high: f32) -> f32 {
        use rand::RngExt;
        let given = self.given_uniforms.pop_front();
        low + (high - low) * given.unwrap_or_else(|| self.generator.random::<f32>())
    }

    fn state(&self) -> RandomState {
        RandomState {
            seed: self.generator.get_seed(),
            stream: self.generator.get_stream(),
            word: self.generator.get_word_pos(),
            given: self.given.iter().copied().collect(),
            given_uniforms: self.given_uniforms.iter().copied().collect(),
        }
    }

    fn restore(&mut self, state: RandomState) {
        self.generator = ChaCha8Rng::from_seed(state.seed);
        self.generator.set_stream(state.stream);
        self.generator.set_word_pos(state.word);
        self.given = state.given.into();
        self.given_uniforms = state.given_uniforms.into();
    }
}

/// A stream's place: what is saved of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomState {
    seed: [u8; 32],
    stream: u64,
    word: u128,
    given: Vec<f32>,
    // Saved since streams can be given uniform draws.
    #[serde(default)]
    given_uniforms: Vec<f32>,
}

impl<P: Purpose> Random<P> {
    /// The stream from its beginning.
    pub fn new(seed: Seed) -> Self {
        Random::forked(seed, 0)
    }

    /// Stream number `stream` of the same purpose: independent of the others.
    pub fn forked(seed: Seed, stream: u64) -> Self {
        Random::of_streams(vec![Stream::new(seed, P::NAME, stream)])
    }

    /// The streams of all learners of a stack, from their beginning.
    pub(crate) fn of_stack(stack: &Stack) -> Self {
        let seeds = stack.0.iter();
        Random::of_streams(seeds.map(|seed| Stream::new(*seed, P::NAME, 0)).collect())
    }

    fn of_streams(streams: Vec<Stream>) -> Self {
        Random {
            streams,
            ahead: [Ahead::default(), Ahead::default()],
            purpose: PhantomData,
        }
    }

    /// The stream of the world's learner, or the streams of its learners, from their beginning.
    pub(crate) fn of_world(world: &mut World) -> Self {
        match world.get_resource::<Stack>() {
            Some(stack) => Random::of_stack(stack),
            None => Random::new(*world.get_resource_or_init::<Seed>()),
        }
    }

    /// How many learners it draws for: 1, or those of a stack.
    pub fn learners(&self) -> usize {
        self.streams.len()
    }

    /// The place in the stream.
    ///
    /// # Panics
    /// In a stack of learners, which has a stream for each.
    pub fn state(&self) -> RandomState {
        self.only().state()
    }

    /// Goes on from a saved place.
    ///
    /// # Panics
    /// In a stack of learners, which has a stream for each.
    pub fn restore(&mut self, state: RandomState) {
        self.only_mut().restore(state);
    }

    /// Gives the next normal draws: they come in this order, then the stream goes on where it is. So a run repeats the
    /// noise of another implementation draw by draw, or two variants of an algorithm are compared under the same noise.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut random = Random::<Noise>::new(Seed(0));
    /// random.give_normals([0.5, -1.0]);
    /// assert_eq!(random.normals(2), [0.5, -1.0]);
    /// assert_eq!(random.normals(3), Random::<Noise>::new(Seed(0)).normals(3));
    /// ```
    ///
    /// # Panics
    /// In a stack of learners, which has a stream for each.
    pub fn give_normals(&mut self, draws: impl IntoIterator<Item = f32>) {
        self.only_mut().given.extend(draws);
    }

    /// Gives the next uniform draws, each in [0, 1), as [`give_normals`](Random::give_normals) gives normal ones.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut random = Random::<Noise>::new(Seed(0));
    /// random.give_uniforms([0.5, 0.25]);
    /// assert_eq!(random.uniforms(2, -1.0, 1.0), [0.0, -0.5]);
    /// ```
    ///
    /// # Panics
    /// In a stack of learners, which has a stream for each.
    pub fn give_uniforms(&mut self, draws: impl IntoIterator<Item = f32>) {
        self.only_mut().given_uniforms.extend(draws);
    }

    /// The generator itself, for `rand`'s distributions. It knows nothing of draws that were given.
    ///
    /// # Panics
    /// In a stack of learners, which has one for each: an algorithm that says `app.stacks()` draws by the other methods.
    pub fn generator(&mut self) -> &mut ChaCha8Rng {
        &mut self.only_mut().generator
    }

    /// The only stream, of one learner.
    fn only(&self) -> &Stream {
        self.is_of_one();
        &self.streams[0]
    }

    fn only_mut(&mut self) -> &mut Stream {
        self.is_of_one();
        &mut self.streams[0]
    }

    fn is_of_one(&self) {
        assert!(
            self.streams.len() == 1,
            "a stack of {} learners has as many generators: draw by `normals`, `uniforms` and the like, or leave `app.stacks()` out",
            self.streams.len()
        );
    }

    /// The generator of each learner.
    pub(crate) fn generators(&mut self) -> impl Iterator<Item = &mut ChaCha8Rng> {
        self.streams.iter_mut().map(|stream| &mut stream.generator)
    }

    /// `n` draws, in equal parts from each learner's stream.
    fn draws<T>(&mut self, n: usize, draw: impl Fn(&mut Stream) -> T) -> Vec<T> {
        draws_of(&mut self.streams, n, draw)
    }

    /// `n` draws of the standard normal distribution.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        self.draws(n, Stream::normal)
    }

    /// As many draws of the standard normal distribution as the tensor has elements, in its shape and on its device.
    pub fn normal_like<const D: usize>(&mut self, tensor: &Tensor<D>) -> Tensor<D> {
        let draws = self.normals(tensor.shape().num_elements());
        on_device(
            &mut self.ahead[0],
            draws,
            &self.streams,
            Stream::normal,
            tensor,
        )
    }

    /// As many draws, uniform in [low, high), as the tensor has elements, in its shape and on its device.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let action = Tensor::<2>::zeros([4, 2], &ComputeDevice::cpu().plain());
    /// let drawn = Random::<Noise>::new(Seed(0)).uniform_like(&action, -1.0, 1.0);
    /// let same = Random::<Noise>::new(Seed(0)).uniforms(8, -1.0, 1.0);
    /// assert_eq!(drawn.into_data().into_vec::<f32>().unwrap(), same);
    /// ```
    pub fn uniform_like<const D: usize>(
        &mut self,
        tensor: &Tensor<D>,
        low: f32,
        high: f32,
    ) -> Tensor<D> {
        let draws = self.uniforms(tensor.shape().num_elements(), low, high);
        let next = |stream: &mut Stream| stream.uniform(low, high);
        on_device(&mut self.ahead[1], draws, &self.streams, next, tensor)
    }

    /// `n` draws, uniform in 0..below: rows of a table, with replacement.
    ///
    /// # Panics
    /// When `below` is 0: there is nothing to draw from.
    pub fn indices(&mut self, n: usize, below: usize) -> Vec<usize> {
        use rand::RngExt;
        let below = below as u64;
        self.draws(n, |stream| stream.generator.random_range(0..below) as usize)
    }

    /// `n` different indices in 0..below, every choice of them as likely as any other: without replacement, in any order.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let two = Random::<Noise>::new(Seed(0)).different_indices(2, 10);
    /// assert!(two.len() == 2 && two[0] != two[1] && two.iter().all(|index| *index < 10));
    /// ```
    ///
    /// # Panics
    /// When `n` is more than `below`: there are not so many. In a stack of learners, as [`generator`](Random::generator).
    pub fn different_indices(&mut self, n: usize, below: usize) -> Vec<usize> {
        rand::seq::index::sample(self.generator(), below, n).into_vec()
    }

    /// `n` draws, uniform in [low, high).
    pub fn uniforms(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        self.draws(n, |stream| stream.uniform(low, high))
    }
}

/// `n` draws, in equal parts from each stream in turn.
///
/// # Panics
/// When they cannot be: what a stack of learners draws is for all of them.
fn draws_of<T>(streams: &mut [Stream], n: usize, draw: impl Fn(&mut Stream) -> T) -> Vec<T> {
    let learners = streams.len();
    assert!(
        n.is_multiple_of(learners),
        "{n} draws cannot be shared out among the {learners} learners of a stack: draw as many for each"
    );
    let each = n / learners;
    let mut draws = Vec::with_capacity(n);
    for stream in streams {
        draws.extend((0..each).map(|_| draw(stream)));
    }
    draws
}

/// Draws in a tensor's shape and on its device; `next` is how the streams would go on.
fn on_device<const D: usize>(
    ahead: &mut Ahead<f32, Tensor<1>>,
    draws: Vec<f32>,
    streams: &[Stream],
    next: impl Fn(&mut Stream) -> f32,
    like: &Tensor<D>,
) -> Tensor<D> {
    let (shape, device) = (like.shape(), like.device());
    if !is_far(&device) {
        return upload(TensorData::new(draws, shape), &device);
    }
    // As many calls like this one as have so many draws, each in equal parts.
    let call = draws.len();
    let more = |n: usize| {
        let mut streams = streams.to_vec();
        let calls = 0..n.div_ceil(call.max(1));
        let drawn = calls.flat_map(|_| draws_of(&mut streams, call, &next));
        drawn.take(n).collect()
    };
    let make = |all: &[f32]| {
        let data = TensorData::new(all.to_vec(), [all.len()]);
        Ok::<_, Infallible>(upload(data, &plain(&device)))
    };
    let Ok((block, place)) = ahead.take(&draws, more, make);
    let taken: Tensor<D> = block.clone().slice([place]).reshape(shape);
    match device.is_autodiff() {
        true => Tensor::from_inner(taken),
        false => taken,
    }
}

/// A key from the seed and the name: FNV-1a over both, four times with different beginnings. It only has to tell names
/// apart; ChaCha does the mixing.
fn key(seed: Seed, name: &str) -> [u8; 32] {
    let mut key = [0; 32];
    for (lane, out) in key.chunks_exact_mut(8).enumerate() {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64 + 1);
        for byte in seed.0.to_le_bytes().into_iter().chain(name.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        out.copy_from_slice(&hash.to_le_bytes());
    }
    key
}

/// Adds random streams to an [`App`].
pub trait AppRandomExt {
    /// The stream for purpose `P`, from the run's [`Seed`]; saved and restored with the run.
    fn add_random<P: Purpose>(&mut self) -> &mut Self;
}

impl AppRandomExt for App {
    fn add_random<P: Purpose>(&mut self) -> &mut Self {
        if self.world().contains_resource::<Random<P>>() {
            return self;
        }
        let random = Random::<P>::of_world(self.world_mut());
        self.insert_resource(random).persist::<Random<P>>()
    }
}

impl<P: Purpose> Persist for Random<P> {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        let learners = self.learners();
        let mut streams = self.streams.iter().enumerate();
        streams.try_for_each(|(learner, stream)| {
            let key = stack::own(&format!("random/{}", P::NAME), learner, learners);
            snapshot.put_state(&key, &stream.state())
        })
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let learners = self.learners();
        for (learner, stream) in self.streams.iter_mut().enumerate() {
            let key = stack::own(&format!("random/{}", P::NAME), learner, learners);
            stream.restore(snapshot.state(&key)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ComputeDevice;

    #[test]
    fn streams_of_other_names_seeds_and_numbers_differ() {
        let draws = [
            Random::<Sampling>::new(Seed(0)).normals(8),
            Random::<Noise>::new(Seed(0)).normals(8),
            Random::<Sampling>::new(Seed(1)).normals(8),
            Random::<Sampling>::forked(Seed(0), 1).normals(8),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let draws = Random::<Noise>::new(Seed(7)).normals(100_000);
        let mean = draws.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn a_stack_draws_for_each_learner_what_its_lone_run_draws_and_is_saved_for_each() {
        let stack = Stack(vec![Seed(3), Seed(5)]);
        let mut random = Random::<Noise>::of_stack(&stack);
        let lone = |seed| Random::<Noise>::new(Seed(seed));
        let (mut three, mut five) = (lone(3), lone(5));
        let like = Tensor::<2>::zeros([4, 2], &ComputeDevice::cpu().plain());
        let half = like.clone().narrow(0, 0, 2);
        for _ in 0..2 {
            let both = [three.normals(3), five.normals(3)].concat();
            assert_eq!(random.normals(6), both);
            let both = [three.indices(2, 100), five.indices(2, 100)].concat();
            assert_eq!(random.indices(4, 100), both);
            let both = Tensor::cat(vec![three.normal_like(&half), five.normal_like(&half)], 0);
            assert!(
                random
                    .normal_like(&like)
                    .equal(both)
                    .all()
                    .into_scalar::<bool>()
            );
        }
        let mut snapshot = Snapshot::new(0);
        random.save(&mut snapshot).unwrap();
        let mut again = Random::<Noise>::of_stack(&Stack(vec![Seed(0), Seed(1)]));
        again.load(&snapshot, &World::new()).unwrap();
        assert_eq!(
            again.normals(8),
            [three.normals(4), five.normals(4)].concat()
        );
    }

    #[test]
    #[should_panic(expected = "3 draws cannot be shared out among the 2 learners")]
    fn draws_that_are_not_for_all_learners_are_refused() {
        Random::<Noise>::of_stack(&Stack(vec![Seed(3), Seed(5)])).normals(3);
    }

    #[test]
    fn given_draws_are_saved_with_the_place_in_the_stream() {
        let mut random = Random::<Noise>::new(Seed(7));
        random.give_normals([1.0, 2.0, 3.0]);
        random.give_uniforms([0.5, 0.75]);
        random.normals(2);
        random.uniforms(1, 0.0, 1.0);
        let mut again = Random::<Noise>::new(Seed(8));
        again.restore(random.state());
        assert_eq!(again.uniforms(1, 0.0, 1.0), [0.75]);
        random.uniforms(1, 0.0, 1.0);
        let draws = again.normals(4);
        assert_eq!(draws[0], 3.0);
        assert_eq!(draws, random.normals(4));
    }

    #[test]
    fn a_place_that_was_saved_before_uniform_draws_could_be_given_is_read() {
        #[derive(Serialize)]
        struct Before {
            seed: [u8; 32],
            stream: u64,
            word: u128,
            given: Vec<f32>,
        }
        let mut random = Random::<Noise>::new(Seed(7));
        random.normals(3);
        let state = random.state();
        let mut snapshot = Snapshot::new(0);
        let before = Before {
            seed: state.seed,
            stream: state.stream,
            word: state.word,
            given: Vec::new(),
        };
        snapshot.put_state("random/noise", &before).unwrap();
        let mut again = Random::<Noise>::new(Seed(8));
        again.load(&snapshot, &World::new()).unwrap();
        assert_eq!(again.state(), state);
    }

    #[test]
    fn indices_reach_every_row_and_none_beyond() {
        let mut counts = [0; 5];
        for index in Random::<Sampling>::new(Seed(7)).indices(10_000, 5) {
            counts[index] += 1;
        }
        assert!(
            counts.iter().all(|count| (1_800..2_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn uniforms_stay_in_their_range() {
        let draws = Random::<Init>::new(Seed(7)).uniforms(10_000, -0.25, 0.75);
        assert!(draws.iter().all(|x| (-0.25..0.75).contains(x)));
        assert!(draws.iter().any(|x| *x < -0.24) && draws.iter().any(|x| *x > 0.74));
    }
}
