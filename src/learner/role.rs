//! Roles: what a network is for.
//!
//! A role does not say what the network is made of: that is the scene's, an encoder and a head. So one algorithm's step works over
//! another's networks.

use crate::nn::{ActorNetwork, CriticNetwork, Network};

/// What a network is for, and the type of the module that plays it.
///
/// Most algorithms need no role but [`Actor`], [`Critic`] and [`Value`].
///
/// ```
/// use yarak::prelude::*;
///
/// /// A model of what an action leads to.
/// struct Dynamics;
///
/// impl Role for Dynamics {
///     type Network = Mlp;
///     const NAME: &'static str = "dynamics";
/// }
/// ```
pub trait Role: Send + Sync + 'static {
    /// The module: ours from `nn/`, or any made of Burn's layers.
    type Network: Network;
    /// The name in metrics (`actor/loss`) and in checkpoints (`actor.safetensors`): lower case, no spaces.
    const NAME: &'static str;
}

/// What acts: a policy.
pub struct Actor;

impl Role for Actor {
    type Network = ActorNetwork;
    const NAME: &'static str = "actor";
}

/// What judges the actor: values of actions or of states, an ensemble.
pub struct Critic;

impl Role for Critic {
    type Network = CriticNetwork;
    const NAME: &'static str = "critic";
}

/// State values that are next to a [`Critic`] of actions.
pub struct Value;

impl Role for Value {
    type Network = CriticNetwork;
    const NAME: &'static str = "value";
}
