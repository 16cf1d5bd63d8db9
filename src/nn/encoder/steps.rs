//! The steps of an episode that an encoder with memory reads one after the other.

use bevy_ecs::prelude::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::EncoderSettings;
use super::erased::ErasedModule;
use crate::nn::MlpSettings;
use crate::observation::EncoderInput;
use crate::scene::FieldProblems;

/// Takes the observations apart that lie side by side, and encodes each of them by itself: in training dropout and transforms draw for
/// every step anew.
///
/// A goal, which lies behind them, is seen at every step.
#[derive(Module, Debug)]
pub(super) struct Steps {
    each: ErasedModule,
    /// The most that there are.
    #[module(skip)]
    count: usize,
    /// Numbers in one observation.
    #[module(skip)]
    width: usize,
    /// Numbers in the goal behind them.
    #[module(skip)]
    goal: usize,
}

/// Why an encoder cannot remember.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepsError {
    #[error(
        "it reads the last steps of an episode, and is shown one: give `Dataset(frame_stack: 10)`, `Environments(frame_stack: 10)` or both the steps that it is to look back"
    )]
    One,
    #[error(
        "`each` encodes one step alone, and `{0}` remembers: give `each` an encoder without memory, such as `Mlp` or `Cnn`"
    )]
    Remembers(&'static str),
    #[error(
        "its `horizon` begins anew every `frame_stack` steps where it acts, and that takes a policy whose every step is trained: take `Bc(supervise_all_steps: true)`, or leave `horizon: Sliding`"
    )]
    Resets,
}

/// The encoder of a step that leaves its numbers as they are.
pub(super) fn as_it_is() -> EncoderSettings {
    EncoderSettings::new(MlpSettings::from(&[]))
}

/// Refuses an encoder of single steps that remembers, for an [`Encoder::check`](super::Encoder::check).
pub(super) fn check_each(each: &EncoderSettings, field: &str, problems: &mut FieldProblems) {
    let field = format!("{field}.each");
    match each.has_memory() {
        true => problems.refuse(field, StepsError::Remembers(each.name()).to_string()),
        false => each.check(&field, problems),
    }
}

impl Steps {
    /// The steps of such an input, each encoded by `each`, and how many features a step then has.
    pub fn new(
        each: &EncoderSettings,
        input: &EncoderInput,
        device: &Device,
    ) -> Result<(Self, usize)> {
        if each.has_memory() {
            return Err(StepsError::Remembers(each.name()).into());
        }
        if input.steps() < 2 {
            return Err(StepsError::One.into());
        }
        let of_one = input.of_one_step();
        let module = ErasedModule(each.erased(&of_one, device)?);
        let one = Tensor::zeros([1, of_one.width()], &Device::flex());
        let [_, features] = module.0.valid().forward(one).dims();
        let steps = Steps {
            each: module,
            count: input.steps(),
            width: input.parts().width(),
            goal: input.width() - input.steps() * input.parts().width(),
        };
        Ok((steps, features))
    }

    /// The most that there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The features `[batch, steps, features]` of rows `[batch, input]`, which have from 1 to [`count`](Self::count) steps.
    pub fn features(&self, observation: Tensor<2>) -> Tensor<3> {
        let [batch, input] = observation.dims();
        let (width, seen) = (self.width, input - self.goal);
        let count = seen / width;
        let steps = observation.clone().narrow(1, 0, seen);
        let mut steps = steps.reshape([batch, count, width]);
        if self.goal > 0 {
            let goal = observation.narrow(1, seen, self.goal);
            let goal = goal.unsqueeze_dim::<3>(1).repeat_dim(1, count);
            steps = Tensor::cat(vec![steps, goal], 2);
        }
        let [_, _, each] = steps.dims();
        let features = self.each.0.forward(steps.reshape([batch * count, each]));
        let [_, width] = features.dims();
        features.reshape([batch, count, width])
    }

    /// The same rows with the first step in the place of all others.
    pub fn first_alone(&self, observation: Tensor<2>) -> Tensor<2> {
        let [_, input] = observation.dims();
        let seen = input - self.goal;
        let first = observation.clone().narrow(1, 0, self.width);
        let first = first.repeat_dim(1, seen / self.width);
        match self.goal {
            0 => first,
            goal => Tensor::cat(vec![first, observation.narrow(1, seen, goal)], 1),
        }
    }

    /// How many numbers a pass keeps for each row, as far as is known.
    pub fn values_per_row(&self) -> usize {
        self.count * self.each.0.values_per_row()
    }
}

/// What is known at the last step: `[batch, width]` of `[batch, steps, width]`.
pub(super) fn last(known: Tensor<3>) -> Tensor<2> {
    let [batch, steps, width] = known.dims();
    known.narrow(1, steps - 1, 1).reshape([batch, width])
}

/// What is known at each step, `[batch * steps, width]`.
pub(super) fn each(known: Tensor<3>) -> Tensor<2> {
    let [batch, steps, width] = known.dims();
    known.reshape([batch * steps, width])
}
