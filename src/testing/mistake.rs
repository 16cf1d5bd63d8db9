//! What a check finds.

use std::fmt;

use crate::schedule::ScheduleError;

/// A mistake in a plugin, as a check names it. Its text says what was seen and what to do, and so does its `Debug`: that is what a
/// test that returns it prints.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The schedules cannot be built.
    #[error("the steps do not fit together: {0}")]
    Schedule(String),
    /// A system is in `Learn` without a slot, so nothing says when it runs.
    #[error(
        "`{0}` is in `Learn` in no slot, so nothing says when it runs: add it with `.in_set(LearnSystems::..)`"
    )]
    InNoSlot(String),
    /// `Startup` failed.
    #[error("`Startup` failed: {0}")]
    Startup(String),
    /// A step failed or panicked.
    #[error("step {step} failed: {message}")]
    Step {
        /// Which step, from 1.
        step: u64,
        /// What it said.
        message: String,
    },
    /// A role has a learner and no network.
    #[error(
        "`{0}` has a learner and no network: insert `Net::<..>::new(..)` with `Commands` in a system of `Startup`"
    )]
    NoNetwork(String),
    /// A role has a target by declaration and none in the world.
    #[error(
        "`{0}` has a target by `add_target` and none in the world: insert `Target::copy_of(&net)` in the system of `Startup` that builds the network"
    )]
    NoTarget(String),
    /// The declared roles are others than those that are expected.
    #[error(
        "the plugin declares the networks {declared:?}, and not {expected:?}: `add_learner` declares one"
    )]
    OtherNetworks {
        /// What it has.
        declared: Vec<String>,
        /// What it should have.
        expected: Vec<String>,
    },
    /// No loss was recorded.
    #[error(
        "no loss was recorded in {0} steps: `metrics.record(\"critic/loss\", loss.clone())` before the step that descends it"
    )]
    NoLoss(u64),
    /// A loss is no finite number.
    #[error("`{name}` is {value} at step {step}: look for a logarithm, a root or a quotient of 0")]
    LossNotFinite {
        /// The metric.
        name: String,
        /// NaN or an infinity.
        value: String,
        /// The step.
        step: u64,
    },
    /// A slot changed a network that it should leave alone.
    #[error(
        "slot `{slot}` changed `{network}`, which is not its to change: {systems} are there. Is a step in the wrong slot, or does it descend another network's loss?"
    )]
    ChangedAnother {
        /// The slot.
        slot: String,
        /// What it changed: a network, or `target_..` for a target.
        network: String,
        /// The systems in the slot.
        systems: String,
    },
    /// A slot left a network as it was that it should change.
    #[error(
        "slot `{slot}` never changed `{network}` in {steps} steps: {systems} are there. Does the step descend its loss, and is its run condition ever true?"
    )]
    NeverChanged {
        /// The slot.
        slot: String,
        /// What it should have changed.
        network: String,
        /// How many steps were taken.
        steps: u64,
        /// The systems in the slot.
        systems: String,
    },
    /// Two systems of one slot share something that one of them changes.
    #[error("{0}. Is one of them in the wrong slot?")]
    NoOrder(String),
    /// Several systems write one network.
    #[error(
        "{} write `{network}`: one step trains a network, and the second undoes the first or doubles its rate. Keep one, or `replace` it",
        systems.join(" and ")
    )]
    TwoWriters {
        /// The network's resource.
        network: String,
        /// The systems, with their slots.
        systems: Vec<String>,
    },
    /// A target moved otherwise than towards its network.
    #[error(
        "`target_{network}` moved in slot `{slot}`, and not by θ' ← θ' + τ (θ − θ') with τ = {tau}: targets follow by `Tracking`, and no gradient reaches them"
    )]
    TargetLeftItsRule {
        /// The network.
        network: String,
        /// Where it moved.
        slot: String,
        /// The rule's τ.
        tau: String,
    },
    /// A target stood still.
    #[error(
        "`target_{network}` never moved in {steps} steps: is there a step in `LearnSystems::Targets` that tracks it?"
    )]
    TargetNeverMoves {
        /// The network.
        network: String,
        /// How many steps were taken.
        steps: u64,
    },
    /// A target was copied, or was not, at a step at which its rule says otherwise.
    #[error(
        "`target_{network}` {did} at step {step}, and it is copied every {every} steps: `Tracking::follow` counts updates from 1, and so does `Tick::count`"
    )]
    TargetCopiedAtAnotherStep {
        /// The network.
        network: String,
        /// Whether it moved or stood still.
        did: String,
        /// At which step, from 1.
        step: u64,
        /// The rule's steps.
        every: u64,
    },
    /// Gradients flow through a bootstrapped target.
    #[error(
        "the gradient of `{network}` depends on the next observation otherwise than by the size of its error: the loss's target is not detached. Compute it with `Res<Target<..>>`, or take `.stop_gradient()` of it"
    )]
    NotDetached {
        /// The network.
        network: String,
    },
    /// The policy's loss reaches the state values.
    #[error(
        "the step of `{network}` depends on which actions were taken and how probable they were, though state values learn from returns alone: the policy's loss reaches it through an advantage that is not detached. Take `batch.advantage`, or `.stop_gradient()` of it"
    )]
    AdvantageNotDetached {
        /// The network of state values.
        network: String,
    },
    /// The policy's loss does not depend on the advantages.
    #[error(
        "the step of `{network}` is the same for advantages of 1 and of -1: the probability that its ratio is taken against is not detached, so that both gradients cancel, or the loss leaves the advantages out. Take `batch.log_probability`, or `.stop_gradient()` of the old one"
    )]
    OldProbabilityNotDetached {
        /// The policy.
        network: String,
    },
    /// What comes after a terminal step counts.
    #[error(
        "`{network}` learned from the observation after a terminal step: multiply the next value by `batch.bootstrap`, which is 0 there"
    )]
    BootstrapsPastTheEnd {
        /// The network.
        network: String,
    },
    /// Looking changed something.
    #[error(
        "`{schedule}` changed {changed}: what only looks takes `Res<..>`, and draws from a stream of its own, `Random::forked(Seed(0), 1)`"
    )]
    LookingChanged {
        /// The schedule.
        schedule: String,
        /// What differs.
        changed: String,
    },
    /// A policy acts otherwise the second time.
    #[error(
        "the policy acts otherwise on the same observations when it is asked again: `act_deterministically` draws nothing and drops nothing"
    )]
    ActsAtRandom,
    /// A policy's actions have the wrong shape or leave [-1, 1].
    #[error("the policy's actions are {0}: they are `[batch, action]` and lie in [-1, 1]")]
    BadActions(String),
    /// Nothing acts.
    #[error("nothing acts: `acts_with::<..>()` says which network does")]
    NothingActs,
    /// Two runs from one seed differ.
    #[error(
        "two runs from one seed differ in {0}: every random number comes from a `Random<..>` of the run, and no result from the order of a `HashMap`"
    )]
    NotDeterministic(String),
    /// A run that was cut and resumed differs.
    #[error(
        "a run that was saved and resumed differs in {0}: something that its steps need is not saved. Implement `Persist` for it and register it with `persist::<..>()`"
    )]
    NotResumed(String),
    /// A run that was cut and resumed differs, and there is a resource that a checkpoint should hold and does not.
    #[error(
        "{} by a step and nobody persists {}: a run that was saved and resumed differs in {differs}. Register it with `app.persist_serde::<{}>()`, or implement `Persist` for it and register it with `app.persist::<{}>()`",
        match resources.as_slice() {
            [one] => format!("resource `{one}` is changed"),
            all => format!("resources `{}` are changed", all.join("`, `")),
        },
        if resources.len() == 1 { "it" } else { "them" },
        resources[0], resources[0]
    )]
    ResourceNotSaved {
        /// The resources, at least one.
        resources: Vec<String>,
        /// What differs.
        differs: String,
    },
    /// Saving or restoring failed.
    #[error("the run cannot be saved or restored: {0}")]
    NotSaved(String),
    /// Two devices come to different networks.
    #[error(
        "{steps} steps on `{device}` and on `{other}` differ in {differs}: a sum that is large next to its terms, or draws that are made on the device? Draw from a `Random<..>` of the run"
    )]
    DevicesDisagree {
        /// How many steps were taken.
        steps: u64,
        /// The trial's device.
        device: String,
        /// The other one.
        other: String,
        /// What differs, and by how much.
        differs: String,
    },
    /// What was saved on one device is not the same where it was loaded on another.
    #[error(
        "what was saved on `{from}` is not the same when it is loaded on `{to}`: {differs}. Load tensors onto the world's `ComputeDevice`"
    )]
    LostOnTheWay {
        /// Where it was saved.
        from: String,
        /// Where it was loaded.
        to: String,
        /// What differs.
        differs: String,
    },
    /// The toy task was not learned.
    #[error(
        "after {steps} steps the toy task is not learned: {measured}. Is the loss's sign right, and does the step reach the network that acts?"
    )]
    NotLearned {
        /// How many steps were taken.
        steps: u64,
        /// How far it came.
        measured: String,
    },
}

impl Mistake {
    /// The first thing that is wrong with an app's schedules, or all of it where there is no word for it here.
    pub(super) fn of_schedules(errors: &[ScheduleError]) -> Self {
        for error in errors {
            match error {
                ScheduleError::InNoSlot { schedule, step } if schedule == "Learn" => {
                    return Mistake::InNoSlot(step.clone());
                }
                ScheduleError::NoOrder(pair) => {
                    let mut both = pair.both_write.iter();
                    let in_slot = |step: &String| format!("`{step}` in slot `{}`", pair.slot);
                    return match both.find(|name| name.starts_with("Net<")) {
                        Some(network) => Mistake::TwoWriters {
                            network: network.clone(),
                            systems: pair.steps.iter().map(in_slot).collect(),
                        },
                        None => Mistake::NoOrder(error.to_string()),
                    };
                }
                _ => {}
            }
        }
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Mistake::Schedule(lines.join("\n"))
    }
}

impl fmt::Debug for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
