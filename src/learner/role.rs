//! Roles: what a network is for.

use crate::nn::{
    DensityPolicy, DiscreteQ, Network, Policy, QEnsemble, SpacePolicy, SquashedGaussian,
    ValueFunction,
};

/// What a network is for, and which module plays it.
///
/// ```
/// use yarak::prelude::*;
///
/// /// The encoder of a state representation of one's own.
/// struct Encoder;
///
/// impl Role for Encoder {
///     type Network = Mlp;
///     const NAME: &'static str = "encoder";
/// }
/// ```
pub trait Role: Send + Sync + 'static {
    /// The module: ours from `nn/`, or any of one's own made of Burn's layers.
    type Network: Network;
    /// The name in metrics (`actor/loss`) and in checkpoints (`actor.safetensors`): lower case, no spaces.
    const NAME: &'static str;
}

/// The policy.
pub struct Actor;

impl Role for Actor {
    type Network = Policy;
    const NAME: &'static str = "actor";
}

/// A policy that draws its actions. A run has this one or [`Actor`], so they share a name.
pub struct StochasticActor;

impl Role for StochasticActor {
    type Network = SquashedGaussian;
    const NAME: &'static str = "actor";
}

/// The action values of a few choices. A run has these or [`Critic`], so they share a name.
pub struct DiscreteCritic;

impl Role for DiscreteCritic {
    type Network = DiscreteQ;
    const NAME: &'static str = "critic";
}

/// The action values, an ensemble.
pub struct Critic;

impl Role for Critic {
    type Network = QEnsemble;
    const NAME: &'static str = "critic";
}

/// A policy that learns the density of the data's actions. A run has this one or [`Actor`], so they share a name.
pub struct DensityActor;

impl Role for DensityActor {
    type Network = DensityPolicy;
    const NAME: &'static str = "actor";
}

/// The state values.
pub struct Value;

impl Role for Value {
    type Network = ValueFunction;
    const NAME: &'static str = "value";
}

/// A policy that learns from its own draws, over choices or numbers. A run has this one or [`Actor`], so they share a name.
pub struct SpaceActor;

impl Role for SpaceActor {
    type Network = SpacePolicy;
    const NAME: &'static str = "actor";
}

/// The state values that judge a [`SpaceActor`]. A run has these or [`Critic`], so they share a name.
pub struct StateCritic;

impl Role for StateCritic {
    type Network = ValueFunction;
    const NAME: &'static str = "critic";
}
