//! Roles: what a network is for.
//!
//! A role does not say what the network is made of: that is the scene's, an encoder and a head. So one algorithm's step works over
//! another's networks.

use burn::module::AutodiffModule;

use crate::nn::{ActorNetwork, CriticNetwork};

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

/// A module that can be a [`Role`]'s network. For one of your own, `impl Network for MyModule {}` is enough.
pub trait Network: AutodiffModule + Sync + 'static {
    /// How many independent members there are. Where it is more than one, every parameter's first dimension is the member, unless
    /// [`member_of`](Network::member_of) says otherwise, and each member's gradient is clipped and logged on its own.
    fn members(&self) -> usize {
        1
    }

    /// The member that a parameter belongs to alone, by the parameter's path in the module. `None`: every member has a part of it.
    fn member_of(&self, path: &str) -> Option<usize> {
        let _ = path;
        None
    }

    /// The named tensors that are saved for a parameter: pieces of its flat values, in order, without gaps. `path` is the
    /// parameter's path in the module. Empty: the parameter is saved whole.
    fn pieces(&self, path: &str) -> Vec<Piece> {
        let _ = path;
        Vec::new()
    }
}

/// A named piece of a parameter's flat values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The name in the file.
    pub name: String,
    /// The shape in the file.
    pub shape: Vec<usize>,
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
