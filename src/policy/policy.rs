//! The policy that acts.

use std::borrow::Cow;
use std::path::Path;

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::{ActionRule, KEY, Saved};
use super::values::{ValueParts, Values};
use super::{Architecture, PolicyError, sampled};
use crate::checkpoint::{CheckpointError, Snapshot, load_some, resolve};
use crate::data::{ActionChunk, ActionChunks, ActionScale, FrameStack, Normalizer, Preprocessing};
use crate::nn::cpu::Single;
use crate::nn::denoising::Denoiser;
use crate::nn::{EncoderModule, Mlp};
use crate::observation::ObservationParts;
use crate::subnormals::FlushSubnormals;

/// A trained policy that acts, and does nothing else.
///
/// [The module](super) shows it at work. Acting changes no weight; `&mut` is for the memory that a call computes in, so that it
/// allocates nothing where the network is a perceptron. Any other encoder, `Cnn` and those of your own among them, is given a tensor of
/// one row: each of its operations allocates its result, so that a call costs that next to the arithmetic, as the calls of a policy that
/// predicts chunks do. A clone shares the weights and has memory of its own: give each thread one.
#[derive(Resource, Clone, Debug)]
pub struct Policy {
    network: Network,
    rule: ActionRule,
    /// Subtracted from observations, `[observation]`.
    mean: Vec<f32>,
    /// What they are then divided by, `[observation]`.
    divisor: Vec<f32>,
    scale: ActionScale,
    /// A preprocessed observation.
    input: Vec<f32>,
    /// What the network says: an action, or a chunk of them.
    predicted: Vec<f32>,
    action: Vec<f32>,
    /// The chunk that is being executed, where it predicts chunks.
    chunks: Option<ActionChunks>,
    /// What one observation consists of.
    parts: ObservationParts,
    /// How many observations it sees side by side, which divides the observation's length.
    frames: usize,
    /// Whether a goal comes behind them.
    takes_goal: bool,
    /// What was seen in the episode that [`next_action`](Self::next_action) plays.
    stack: FrameStack,
    /// The same with the goal behind it.
    joined: Vec<f32>,
    /// The networks next to it.
    values: Values,
    step: u64,
}

impl Policy {
    /// Loads the policy of a run's folder, of a checkpoint in it such as `runs/hopper/checkpoints/step_000300000`, or of a file that
    /// [`export`](Self::export) wrote. Of a run it is the best checkpoint if one is named so, else the latest; one that is damaged is
    /// an error, never silently another one.
    ///
    /// Only the files of the policy and of its values are read, and their sums checked: a checkpoint on a robot may leave the others
    /// behind, and those of the values if nobody asks for them.
    ///
    /// # Errors
    /// [`PolicyError`] for what is missing, damaged, of a later format, diverged, or needs its algorithm to act.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        Parts::load(path.as_ref())?.build()
    }

    /// The policy of a snapshot, such as one that [`gather`](crate::checkpoint::gather) took of an app that trains.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of(snapshot: &Snapshot) -> Result<Self, PolicyError> {
        Parts::of(snapshot)?.build()
    }

    /// The policy of an exported file's bytes, such as those that `include_bytes!` puts into a program.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyError> {
        let parts = Parts::from_bytes(bytes).map_err(|what| PolicyError::NotAPolicy {
            place: "bytes".to_owned(),
            what,
        })?;
        parts.build()
    }

    /// Writes the policy of a run or a checkpoint as one file, in the safetensors format, and loads it. What is at `to` stays
    /// unless `force` is given.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`PolicyError::Exists`] and [`PolicyError::Io`].
    pub fn export(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        force: bool,
    ) -> Result<Self, PolicyError> {
        let parts = Parts::load(from.as_ref())?;
        let policy = parts.clone().build()?;
        parts.write(to.as_ref(), force)?;
        Ok(policy)
    }

    /// The action for a raw observation `[observation]`, or for as many of them side by side as it sees [frames](Self::frames), oldest
    /// first (a [`FrameStack`](crate::data::FrameStack) keeps them; if it [resets](Self::resets), those since its last reset), and behind them the goal if it [takes one](Self::takes_goal): `[action]` in the environment's own unit, or the index of the choice as
    /// one number.
    ///
    /// A policy that [predicts chunks](Self::chunk) is asked once a step of one environment: it executes a chunk before it looks again,
    /// and [`begin`](Self::begin) says where an episode begins.
    ///
    /// # Errors
    /// An observation of another length, or one that is not finite; then nothing has changed.
    pub fn act(&mut self, observation: &[f32]) -> Result<&[f32], PolicyError> {
        self.check_to_act(observation)?;
        let Some(mut chunks) = self.chunks.take() else {
            self.predict(observation)?;
            return Ok(self.first());
        };
        let acted = chunks.act(|| {
            self.predict(observation)?;
            Ok::<_, PolicyError>(self.predicted.clone())
        });
        self.chunks = Some(chunks);
        self.predicted[..self.action.len()].copy_from_slice(&acted?);
        Ok(self.first())
    }

    /// An episode begins: what was seen in the last one is forgotten, and what is left of its chunk is not executed.
    pub fn begin(&mut self) {
        self.stack = FrameStack::new(self.frames).resetting(self.stack.resets());
        if let Some(chunks) = &mut self.chunks {
            chunks.begin(0);
        }
    }

    /// The action after one more observation of the episode, raw, `[observation]`, and behind it the goal if the policy
    /// [takes one](Self::takes_goal): it keeps the [frames](Self::frames) itself, which is what a policy with memory remembers. An
    /// episode begins with [`begin`](Self::begin). Each of several episodes at once has a clone of its own, which shares the weights.
    ///
    /// ```
    /// use yarak::checkpoint::gather;
    /// use yarak::nn::Gru;
    /// use yarak::policy::Policy;
    /// use yarak::prelude::*;
    ///
    /// let mut bc = Bc { minibatch: MinibatchSettings::of(8), ..default() };
    /// bc.actor.encoder = Gru { hidden_size: 8, layers: 1, ..default() }.into();
    /// let mut app = App::new();
    /// app.add_plugins((
    ///     YarakPlugins
    ///         .set(RunPlugin { steps: 2, ..default() })
    ///         .disable::<ScheduleRunnerPlugin>(),
    ///     Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), frame_stack: 3, ..default() },
    ///     bc,
    /// ));
    /// app.finish();
    /// app.cleanup();
    /// while app.should_exit().is_none() {
    ///     app.update();
    /// }
    /// let mut policy = Policy::of(&gather(app.world(), 2)?)?;
    /// let still = [-1.0, 0.0, 0.0];
    /// let first = policy.next_action(&still)?.to_vec();
    /// policy.next_action(&[-0.9, 0.4, 2.0])?;
    /// // It remembers, until it is told that another episode begins.
    /// assert_ne!(policy.next_action(&still)?, first);
    /// policy.begin();
    /// assert_eq!(policy.next_action(&still)?, first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An observation of another length, or one that is not finite; then nothing has changed.
    pub fn next_action(&mut self, observation: &[f32]) -> Result<&[f32], PolicyError> {
        let width = self.parts.width();
        let expected = width * (1 + usize::from(self.takes_goal));
        if observation.len() != expected {
            let found = observation.len();
            return Err(PolicyError::ObservationLength { expected, found });
        }
        finite(observation)?;
        let (seen, goal) = observation.split_at(width);
        self.stack.push(seen);
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.extend_from_slice(self.stack.values());
        joined.extend_from_slice(goal);
        let acted = self.act(&joined).map(|_| ());
        self.joined = joined;
        acted.map(|()| &self.action[..])
    }

    /// The first of the actions that were predicted, in the environment's own unit.
    fn first(&mut self) -> &[f32] {
        let action = &mut self.action;
        let width = action.len();
        action.copy_from_slice(&self.predicted[..width]);
        if !matches!(self.rule, ActionRule::Greatest { .. }) {
            // The widths are equal, as was checked when it was built.
            let _ = self.scale.from_unit(action);
        }
        action
    }

    /// What the network says of a raw observation that was checked, into `predicted`: in [-1, 1], or the index of a choice.
    fn predict(&mut self, observation: &[f32]) -> Result<(), PolicyError> {
        // As it was trained.
        let _flushed = FlushSubnormals::enter();
        self.preprocess(observation);
        // The lengths were checked when it was built.
        let Some(outputs) = self.network.forward(&self.input) else {
            return Err(self.wrong_length(observation.len()));
        };
        let action = &mut self.predicted;
        match self.rule {
            ActionRule::Outputs => action.copy_from_slice(outputs),
            ActionRule::Clipped => {
                let clipped = outputs.iter().map(|output| output.clamp(-1.0, 1.0));
                action.iter_mut().zip(clipped).for_each(|(to, it)| *to = it);
            }
            ActionRule::TanhOfMean { .. } => tanh_of(outputs, action),
            ActionRule::TanhOfBestMode {
                modes,
                action: width,
            } => {
                let weights = &outputs[2 * modes * width..];
                let best = place_of_greatest(weights.iter().copied());
                tanh_of(&outputs[best * width..], action);
            }
            ActionRule::Greatest { discrete_actions } => {
                let best = match outputs {
                    [value, advantages @ ..] if advantages.len() == discrete_actions => {
                        let mean = advantages.iter().sum::<f32>() / discrete_actions as f32;
                        place_of_greatest(advantages.iter().map(|it| value + it - mean))
                    }
                    values => place_of_greatest(values.iter().copied()),
                };
                action[0] = best as f32;
            }
        }
        Ok(())
    }

    fn wrong_length(&self, found: usize) -> PolicyError {
        let expected = self.mean.len();
        PolicyError::ObservationLength { expected, found }
    }

    /// Whether a raw observation is all that it sees.
    fn check(&self, observation: &[f32]) -> Result<(), PolicyError> {
        if observation.len() != self.mean.len() {
            return Err(self.wrong_length(observation.len()));
        }
        finite(observation)
    }

    /// The same, or a part of it where it acts on what came since its memory began anew.
    fn check_to_act(&self, observation: &[f32]) -> Result<(), PolicyError> {
        if !self.resets() {
            return self.check(observation);
        }
        let (one, found) = (self.parts.width(), observation.len());
        let goal = if self.takes_goal { one } else { 0 };
        if !(one + goal..=self.mean.len()).contains(&found) || !found.is_multiple_of(one) {
            return Err(PolicyError::ObservationsSinceReset {
                most: self.frames,
                one,
                takes_goal: self.takes_goal,
                found,
            });
        }
        finite(observation)
    }

    /// Puts a raw observation into `input` as networks see it.
    fn preprocess(&mut self, observation: &[f32]) {
        // Statistics are the same for all observations side by side, and a goal's are an observation's, too.
        let statistics = self.mean.iter().zip(&self.divisor);
        let scaled = observation.iter().zip(statistics);
        self.input.clear();
        self.input
            .extend(scaled.map(|(raw, (mean, divisor))| (raw - mean) / divisor));
    }

    /// What each of the run's critics says of an action: Q(s, a), `[critics]`, for a raw observation as [`act`](Self::act) takes it and an
    /// action `[action]` in the environment's own unit, or the index of a discrete one. Values are in the unit of the rewards that
    /// the run learned from.
    ///
    /// They are there where the run has a network of the role [`Critic`](crate::learner::Critic) that values actions, which a checkpoint
    /// holds and an exported file does not.
    ///
    /// ```
    /// use yarak::checkpoint::gather;
    /// use yarak::policy::{Policy, PolicyError};
    /// use yarak::prelude::*;
    ///
    /// let mut app = App::new();
    /// app.add_plugins((
    ///     YarakPlugins
    ///         .set(RunPlugin { steps: 2, ..default() })
    ///         .disable::<ScheduleRunnerPlugin>(),
    ///     Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), ..default() },
    ///     Td3Bc { minibatch: MinibatchSettings::of(8), ..default() },
    /// ));
    /// app.finish();
    /// app.cleanup();
    /// while app.should_exit().is_none() {
    ///     app.update();
    /// }
    /// let mut policy = Policy::of(&gather(app.world(), 2)?)?;
    /// // Hanging down, and torque one way or the other: what both critics think.
    /// let q = policy.q(&[-1.0, 0.0, 0.0], &[1.5])?.to_vec();
    /// assert_eq!(q.len(), 2);
    /// assert_ne!(policy.q(&[-1.0, 0.0, 0.0], &[-1.5])?, q);
    /// // TD3+BC values no states.
    /// assert!(matches!(policy.v(&[-1.0, 0.0, 0.0]), Err(PolicyError::NoStateValues { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::NoActionValues`], with the reason; an observation or an action of another length, or not finite; an index that no
    /// action has.
    pub fn q(&mut self, observation: &[f32], action: &[f32]) -> Result<&[f32], PolicyError> {
        let discrete_actions = self.values.values_actions()?;
        self.check(observation)?;
        let expected = self.action.len();
        if action.len() != expected {
            let found = action.len();
            return Err(PolicyError::ActionOfLength { expected, found });
        }
        if let Some(index) = action.iter().position(|value| !value.is_finite()) {
            let value = action[index];
            return Err(PolicyError::ActionNotFinite { index, value });
        }
        if let (Some(n), [value]) = (discrete_actions, action)
            && !(0..n).any(|index| *value == index as f32)
        {
            let (value, last) = (*value, n.saturating_sub(1));
            return Err(PolicyError::NoSuchAction { value, last });
        }
        let _flushed = FlushSubnormals::enter();
        self.preprocess(observation);
        self.action.copy_from_slice(action);
        if discrete_actions.is_none() {
            // The widths are equal, as was checked when it was built.
            let _ = self.scale.to_unit(&mut self.action);
        }
        Ok(self.values.q(&self.input, &self.action))
    }

    /// What the run's network of state values says: V(s), for a raw observation as [`act`](Self::act) takes it. IQL has one, and so have the
    /// algorithms on policy.
    ///
    /// # Errors
    /// [`PolicyError::NoStateValues`], with the reason; an observation of another length, or one that is not finite.
    pub fn v(&mut self, observation: &[f32]) -> Result<f32, PolicyError> {
        self.values.values_states()?;
        self.check(observation)?;
        let _flushed = FlushSubnormals::enter();
        self.preprocess(observation);
        Ok(self.values.v(&self.input))
    }

    /// The index of the choice for a raw observation `[observation]`.
    ///
    /// # Errors
    /// As [`act`](Self::act), and [`PolicyError::NotAChoice`] where actions are real numbers.
    pub fn choose(&mut self, observation: &[f32]) -> Result<usize, PolicyError> {
        if self.discrete_actions().is_none() {
            return Err(PolicyError::NotAChoice {
                action: self.action.len(),
            });
        }
        Ok(self.act(observation)?[0] as usize)
    }

    /// The actions `[rows, action]` for raw observations `[rows, observation]`, all [frames](Self::frames) of them, a row after the other.
    /// The rows have nothing to do with each other: of a chunk each has the first action.
    ///
    /// # Errors
    /// As [`act`](Self::act), and [`PolicyError::ActionLength`]; rows before the one at fault are written.
    pub fn act_each(
        &mut self,
        observations: &[f32],
        actions: &mut [f32],
    ) -> Result<(), PolicyError> {
        let (width, out) = (self.mean.len(), self.action.len());
        let rows = observations.len() / width;
        if !observations.len().is_multiple_of(width) {
            return Err(PolicyError::ObservationLength {
                expected: width,
                found: observations.len() % width,
            });
        }
        if actions.len() != rows * out {
            return Err(PolicyError::ActionLength {
                rows,
                expected: rows * out,
                found: actions.len(),
            });
        }
        let rows = observations.chunks_exact(width);
        for (observation, action) in rows.zip(actions.chunks_exact_mut(out)) {
            self.check(observation)?;
            self.predict(observation)?;
            action.copy_from_slice(self.first());
        }
        Ok(())
    }

    /// How many observations of its episode it sees side by side: 1, or what [`Dataset::frame_stack`](crate::data::Dataset::frame_stack) was.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether its memory begins anew every [`frames`](Self::frames) steps of an episode, as
    /// [`Horizon::Resetting`](crate::nn::Horizon::Resetting) says.
    pub fn resets(&self) -> bool {
        self.stack.resets()
    }

    /// How many actions it predicts at once, and how they are executed; `None` where it predicts one.
    pub fn chunk(&self) -> Option<ActionChunk> {
        self.chunks.as_ref().map(ActionChunks::chunk)
    }

    /// Whether it acts towards a goal, which is as wide as one observation and comes behind the last of them.
    pub fn takes_goal(&self) -> bool {
        self.takes_goal
    }

    /// What one observation consists of, part after part: the names, shapes and types of the data or of the environment that it was
    /// trained with.
    pub fn observation_parts(&self) -> &ObservationParts {
        &self.parts
    }

    /// Numbers in what it acts on: one observation, or all frames of it, and the goal.
    pub fn observation_size(&self) -> usize {
        self.mean.len()
    }

    /// Numbers in an action; 1 for a choice.
    pub fn action_size(&self) -> usize {
        self.action.len()
    }

    /// How many discrete actions it has; `None` where actions are real numbers.
    pub fn discrete_actions(&self) -> Option<usize> {
        match self.rule {
            ActionRule::Greatest { discrete_actions } => Some(discrete_actions),
            _ => None,
        }
    }

    /// The least and the greatest value of each element of an action, `[action]` each; `None` for discrete actions.
    pub fn action_bounds(&self) -> Option<(&[f32], &[f32])> {
        let is_box = self.discrete_actions().is_none();
        is_box.then(|| (self.scale.low(), self.scale.high()))
    }

    /// The step of training at which it was saved.
    pub fn step(&self) -> u64 {
        self.step
    }
}

fn finite(observation: &[f32]) -> Result<(), PolicyError> {
    match observation.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(PolicyError::ObservationNotFinite {
            index,
            value: observation[index],
        }),
        None => Ok(()),
    }
}

/// What computes outputs from an observation.
#[derive(Clone, Debug)]
pub(super) enum Network {
    /// One perceptron, on one core and without allocating.
    Fused(Single),
    /// Another encoder and the layers behind it, in Burn's operations.
    Encoded {
        encoder: EncoderModule,
        layers: Mlp,
        outputs: Vec<f32>,
    },
    /// What makes actions out of noise, in Burn's operations.
    Sampled {
        denoiser: Box<Denoiser>,
        outputs: Vec<f32>,
    },
}

/// In words, what of a network does not fit.
pub(super) enum Broken {
    /// Its encoder is not known, or cannot be made.
    Encoder(String),
    /// Its layers and their parameters.
    Layers(String),
}

impl Network {
    /// A network with these parameters, that sees so many numbers next to an observation, or next to the encoder's features.
    ///
    /// # Errors
    /// When they do not fit, or the encoder cannot be made.
    pub(super) fn of(
        architecture: &Architecture,
        parameters: &[f32],
        beside: usize,
    ) -> Result<Self, Broken> {
        if let Some(form) = &architecture.denoiser {
            return Ok(Network::Sampled {
                denoiser: Box::new(architecture.denoiser(form, parameters)?),
                outputs: Vec::new(),
            });
        }
        let shape = architecture.shape();
        let Some(encoder) = &architecture.encoder else {
            let single = Single::new(&shape, parameters);
            return single.map(Network::Fused).map_err(|error| {
                Broken::Layers(format!("its policy's network is broken: {error}"))
            });
        };
        let behind = shape.parameters().min(parameters.len());
        let (encoder_values, values) = parameters.split_at(parameters.len() - behind);
        let encoder = encoder.module(encoder_values).map_err(Broken::Encoder)?;
        if encoder.width() + beside != shape.inputs() || values.len() != shape.parameters() {
            return Err(Broken::Layers(
                "its encoder's features are not what the layers behind it take".to_owned(),
            ));
        }
        Ok(Network::Encoded {
            encoder,
            layers: Mlp::from_values(shape, values.to_vec(), &Device::flex()),
            outputs: Vec::new(),
        })
    }

    /// The outputs for one preprocessed observation and what is next to it; `None` where a length is another.
    pub(super) fn forward_beside(&mut self, input: &[f32], beside: &[f32]) -> Option<&[f32]> {
        if beside.is_empty() {
            return self.forward(input);
        }
        match self {
            Network::Fused(single) => single.forward(&[input, beside].concat()).ok(),
            Network::Encoded {
                encoder,
                layers,
                outputs,
            } => {
                let features = encoder.forward(row_of(input));
                let joined = Tensor::cat(vec![features, row_of(beside)], 1);
                *outputs = layers.forward(joined).into_data().into_vec().ok()?;
                Some(outputs)
            }
            Network::Sampled { .. } => None,
        }
    }

    /// The outputs for one preprocessed observation; `None` where its length is another.
    fn forward(&mut self, input: &[f32]) -> Option<&[f32]> {
        match self {
            Network::Fused(single) => single.forward(input).ok(),
            Network::Encoded {
                encoder,
                layers,
                outputs,
            } => {
                let features = encoder.forward(row_of(input));
                *outputs = layers.forward(features).into_data().into_vec().ok()?;
                Some(outputs)
            }
            Network::Sampled { denoiser, outputs } => {
                let chunk = sampled(denoiser, row_of(input));
                *outputs = chunk.into_data().into_vec().ok()?;
                Some(outputs)
            }
        }
    }
}

fn row_of(values: &[f32]) -> Tensor<2> {
    let row = TensorData::new(values.to_vec(), [1, values.len()]);
    Tensor::from_data(row, &Device::flex())
}

/// All that a policy is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub architecture: Architecture,
    /// As they lie in a perceptron, `[parameters]`.
    pub parameters: Vec<f32>,
    pub preprocessing: Preprocessing,
    /// The networks next to it.
    pub values: ValueParts,
    pub step: u64,
    /// Where they came from, for messages.
    pub place: String,
}

impl Parts {
    fn load(path: &Path) -> Result<Self, PolicyError> {
        if !path.exists() {
            return Err(PolicyError::NotThere {
                path: path.to_path_buf(),
            });
        }
        let folder = match resolve(path) {
            Ok(folder) => folder,
            // Neither a folder nor a file that names one.
            Err(CheckpointError::NotACheckpoint { .. }) if path.is_file() => {
                return super::file::read(path);
            }
            Err(error) => return Err(error.into()),
        };
        // The state says which tensors the policy consists of.
        let state = load_some(&folder, |_| false)?;
        match saved(&state)? {
            Saved::Network { file, .. } => {
                let policy = load_some(&folder, |it| it == file)?;
                let values = |file: &str| load_some(&folder, |it| it == file).map(Cow::Owned);
                Self::with_values(&policy, ValueParts::of(&state, values))
            }
            Saved::Own { .. } => Self::of(&state),
        }
    }

    fn of(snapshot: &Snapshot) -> Result<Self, PolicyError> {
        let values = ValueParts::of(snapshot, |_| Ok(Cow::Borrowed(snapshot)));
        Self::with_values(snapshot, values)
    }

    fn with_values(snapshot: &Snapshot, values: ValueParts) -> Result<Self, PolicyError> {
        let place = snapshot.origin().to_owned();
        let (file, architecture) = match saved(snapshot)? {
            Saved::Network { file, architecture } => (file, architecture),
            Saved::Own { why } => {
                return Err(PolicyError::NotPortable {
                    checkpoint: place,
                    why,
                });
            }
        };
        let mut parameters = Vec::new();
        let pieces = architecture.pieces(snapshot.numbers(&file)?);
        let pieces = pieces.map_err(|why| PolicyError::Encoder {
            checkpoint: place.clone(),
            why,
        })?;
        for (name, shape) in pieces {
            parameters.extend(&snapshot.tensor(&file, &name, &shape)?.values);
        }
        Ok(Parts {
            architecture,
            parameters,
            preprocessing: snapshot.state("preprocessing")?,
            values,
            step: snapshot.step,
            place,
        })
    }

    /// Whether the parts fit each other, and the policy if they do.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let Parts {
            architecture,
            parameters,
            preprocessing,
            values,
            step,
            place,
        } = self;
        if let Some(value) = parameters.iter().find(|value| !value.is_finite()) {
            return Err(PolicyError::NotFinite {
                checkpoint: place,
                value: *value,
            });
        }
        let misfit = |what: String| PolicyError::Inconsistent {
            checkpoint: place.clone(),
            what,
        };
        let network =
            Network::of(&architecture, &parameters, 0).map_err(|broken| match broken {
                Broken::Encoder(why) => PolicyError::Encoder {
                    checkpoint: place.clone(),
                    why,
                },
                Broken::Layers(what) => misfit(what),
            })?;
        let (inputs, outputs) = (architecture.observation(), architecture.outputs());
        let rule = architecture.rule;
        let action = rule.width(outputs);
        let cannot_be_read = || {
            misfit(format!(
                "{outputs} outputs of the policy's network cannot be read as {rule:?}"
            ))
        };
        let predicted = action.ok_or_else(cannot_be_read)?;
        let chunk = architecture.chunk;
        let horizon = chunk.map_or(1, |chunk| chunk.prediction_horizon);
        let is_whole = horizon > 0 && predicted.is_multiple_of(horizon);
        let action = is_whole.then(|| predicted / horizon);
        let action = action.ok_or_else(cannot_be_read)?;
        let [observation_known, action_known] = preprocessing.widths();
        for (what, network, known) in [
            ("observations", inputs, observation_known),
            ("actions", action, action_known),
        ] {
            if network != known {
                return Err(misfit(format!(
                    "the policy's {what} have {network} elements, and its preprocessing {known}"
                )));
            }
        }
        let (frames, resets) = (preprocessing.frames, architecture.resets_at_horizon());
        let Some(side_by_side) = preprocessing.side_by_side() else {
            return Err(misfit(preprocessing.misfit()));
        };
        let Normalizer { mean, std } = &preprocessing.observation;
        // Looks at the statistics, too.
        let probe = preprocessing
            .observation
            .apply_to_row(&mut vec![0.0; inputs]);
        probe.map_err(|source| PolicyError::Preprocessing {
            checkpoint: place.clone(),
            source,
        })?;
        Ok(Policy {
            network,
            rule,
            mean: mean.clone(),
            divisor: std.iter().map(|std| std + Normalizer::EPSILON).collect(),
            frames,
            takes_goal: side_by_side > frames,
            stack: FrameStack::new(frames).resetting(resets),
            joined: Vec::new(),
            parts: preprocessing.parts,
            scale: preprocessing.action,
            values: values.build(inputs, action),
            input: vec![0.0; inputs],
            predicted: vec![0.0; predicted],
            action: vec![0.0; action],
            chunks: chunk.map(|chunk| ActionChunks::new(chunk, 1)),
            step,
        })
    }
}

fn saved(snapshot: &Snapshot) -> Result<Saved, PolicyError> {
    if !snapshot.state.contains_key(KEY) {
        return Err(PolicyError::NotDescribed {
            checkpoint: snapshot.origin().to_owned(),
        });
    }
    Ok(snapshot.state(KEY)?)
}

fn tanh_of(outputs: &[f32], action: &mut [f32]) {
    for (action, output) in action.iter_mut().zip(outputs) {
        *action = output.tanh();
    }
}

/// The first place of the greatest value.
fn place_of_greatest(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (place, value) in values.enumerate() {
        if value > best.1 {
            best = (place, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation;

    fn architecture(sizes: &[usize], rule: ActionRule) -> Architecture {
        Architecture {
            encoder: None,
            sizes: sizes.to_vec(),
            hidden: Activation::Relu,
            output: Activation::Identity,
            layer_norm: None,
            rule,
            chunk: None,
            denoiser: None,
        }
    }

    fn preprocessing(observation: usize, action: usize) -> Preprocessing {
        Preprocessing::new(
            Normalizer {
                mean: vec![1.0; observation],
                std: vec![2.0 - Normalizer::EPSILON; observation],
            },
            ActionScale::from_bounds(vec![-2.0; action], vec![2.0; action]).unwrap(),
        )
    }

    fn parts(
        architecture: &Architecture,
        parameters: Vec<f32>,
        preprocessing: Preprocessing,
    ) -> Parts {
        Parts {
            architecture: architecture.clone(),
            parameters,
            preprocessing,
            values: ValueParts::none(Parts::EXPORTED),
            step: 5,
            place: "here".to_owned(),
        }
    }

    /// A network without hidden layers whose outputs are the biases plus the first input.
    fn policy(rule: ActionRule, biases: &[f32], action: usize) -> Policy {
        let architecture = architecture(&[2, biases.len()], rule);
        let mut parameters = vec![1.0; biases.len()];
        parameters.extend(vec![0.0; biases.len()]);
        parameters.extend(biases);
        parts(&architecture, parameters, preprocessing(2, action))
            .build()
            .unwrap()
    }

    #[test]
    fn observations_are_normalized_and_actions_scaled() {
        let mut policy = policy(ActionRule::Outputs, &[0.0], 1);
        // (1.5 - 1) / 2 = 0.25, twice of which is the action.
        assert_eq!(policy.act(&[1.5, 9.0]).unwrap(), [0.5]);
        let mut actions = [0.0; 2];
        policy
            .act_each(&[1.5, 9.0, 2.0, 9.0], &mut actions)
            .unwrap();
        assert_eq!(actions, [0.5, 1.0]);
        assert_eq!(policy.action_bounds(), Some((&[-2.0][..], &[2.0][..])));
        assert_eq!((policy.step(), policy.discrete_actions()), (5, None));
    }

    #[test]
    fn each_readout_takes_its_part_of_the_outputs() {
        let observation = [1.0, 1.0];
        for (bias, expected) in [(0.25, 0.5), (9.0, 2.0), (-9.0, -2.0)] {
            let mut clipped = policy(ActionRule::Clipped, &[bias], 1);
            assert_eq!(clipped.act(&observation).unwrap(), [expected]);
        }
        let mut mean = policy(ActionRule::TanhOfMean { action: 1 }, &[0.5, 9.0], 1);
        assert_eq!(mean.act(&observation).unwrap(), [2.0 * 0.5_f32.tanh()]);
        let mixture = ActionRule::TanhOfBestMode {
            modes: 2,
            action: 1,
        };
        let mut mixture = policy(mixture, &[0.5, -0.25, 9.0, 9.0, 1.0, 2.0], 1);
        assert_eq!(
            mixture.act(&observation).unwrap(),
            [2.0 * (-0.25_f32).tanh()]
        );
        let greatest = ActionRule::Greatest {
            discrete_actions: 3,
        };
        assert_eq!(
            policy(greatest, &[0.0, 7.0, 7.0], 1)
                .choose(&observation)
                .unwrap(),
            1
        );
        // In a dueling network the first output is the state's value.
        let mut dueling = policy(greatest, &[9.0, 0.0, 1.0, 3.0], 1);
        assert_eq!(dueling.choose(&observation).unwrap(), 2);
        assert_eq!(
            dueling.act(&observation).unwrap(),
            [2.0],
            "no scale for discrete actions"
        );
        assert_eq!(
            (dueling.discrete_actions(), dueling.action_bounds()),
            (Some(3), None)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut policy = policy(ActionRule::Outputs, &[0.0], 1);
        let said = |error: PolicyError| error.to_string();
        assert!(said(policy.act(&[0.0]).unwrap_err()).contains("of 2 number(s), this one has 1"));
        let error = said(policy.act(&[0.0, f32::NAN]).unwrap_err());
        assert!(error.contains("observation[1] is NaN"), "{error}");
        assert!(said(policy.choose(&[0.0; 2]).unwrap_err()).contains("1 real number(s)"));
        let error = said(policy.act_each(&[0.0; 4], &mut [0.0]).unwrap_err());
        assert!(error.contains("lead to 2 number(s)"), "{error}");
        assert!(policy.act_each(&[0.0; 3], &mut [0.0]).is_err());

        let architecture = architecture(&[2, 1], ActionRule::Outputs);
        for (architecture, parameters, preprocessing) in [
            (&architecture, 2, preprocessing(2, 1)),
            (&architecture, 3, preprocessing(3, 1)),
            (&architecture, 3, preprocessing(2, 2)),
        ] {
            let refused = parts(architecture, vec![0.0; parameters], preprocessing).build();
            assert!(matches!(refused, Err(PolicyError::Inconsistent { .. })));
        }
        let mut broken = preprocessing(2, 1);
        broken.observation.std[0] = -1.0;
        let refused = parts(&architecture, vec![0.0; 3], broken).build();
        assert!(matches!(refused, Err(PolicyError::Preprocessing { .. })));
    }
}
