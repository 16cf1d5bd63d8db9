//! A role's network, and its slowly moving copy.

use std::ops::Deref;
use std::sync::OnceLock;

use bevy_ecs::prelude::Resource;
use burn::module::{AutodiffModule, Module};
use burn::tensor::Device;

use super::{Role, parameters};

/// The network that plays role `R`. It is for inference: what it computes from a batch is not tracked.
///
/// Steps that train it ask for [`Learning<R>`](super::Learning).
#[derive(Resource)]
pub struct Net<R: Role> {
    /// Always `Some`, except while an update moves the module through the optimizer.
    network: Option<R::Network>,
    /// Which parameters are trained: Burn forgets it when a plain parameter changes.
    trained: Vec<bool>,
    /// The same parameters, recording; made when a loss asks for them, dropped when they change.
    recording: OnceLock<R::Network>,
}

const MOVED: &str = "a network is put back before an update ends";

impl<R: Role> Net<R> {
    /// Takes a network, built on a plain or a recording device. One built on a recording device keeps what is frozen in it.
    pub fn new(network: R::Network) -> Self {
        let records = network.devices().iter().any(Device::is_autodiff);
        let (trained, network) = if records {
            (parameters::trained(&network), network.valid())
        } else {
            (Vec::new(), network)
        };
        Net {
            network: Some(network),
            trained,
            recording: OnceLock::new(),
        }
    }

    /// A module of your own inside another network's loss: gradients flow through it to its inputs and never into its parameters. The
    /// networks of `nn/` do that by themselves where they are given something tracked.
    pub fn frozen(&self) -> R::Network {
        R::Network::from_inner((**self).clone()).no_grad()
    }

    /// The network with its parameters recorded.
    pub(super) fn recording(&self) -> &R::Network {
        self.recording
            .get_or_init(|| parameters::recording((**self).clone(), &self.trained))
    }

    /// Changes the network by moving it, so that its buffers can be changed in place.
    pub(super) fn change(&mut self, change: impl FnOnce(R::Network) -> R::Network) {
        self.recording.take();
        let network = self.network.take().expect(MOVED);
        self.network = Some(change(network));
    }

    /// Puts another network into the role.
    pub fn set(&mut self, network: R::Network) {
        *self = Net::new(network);
    }
}

impl<R: Role> Deref for Net<R> {
    type Target = R::Network;

    fn deref(&self) -> &R::Network {
        self.network.as_ref().expect(MOVED)
    }
}

/// The target network of role `R`: what bootstrapped values are computed with. It never records.
#[derive(Resource)]
pub struct Target<R: Role> {
    network: Option<R::Network>,
}

impl<R: Role> Target<R> {
    /// A hard copy of the network.
    pub fn copy_of(net: &Net<R>) -> Self {
        Target {
            network: Some((**net).clone()),
        }
    }

    pub(super) fn change(&mut self, change: impl FnOnce(R::Network) -> R::Network) {
        let network = self.network.take().expect(MOVED);
        self.network = Some(change(network));
    }
}

impl<R: Role> Deref for Target<R> {
    type Target = R::Network;

    fn deref(&self) -> &R::Network {
        self.network.as_ref().expect(MOVED)
    }
}
