//! The network of an actor.

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::head::{ActorHead, Deviation, GaussianSettings};
use super::sides::plain_device;
use super::trunk::Sizes;
use super::{
    ActionDistribution, Categorical, DiagonalGaussian, GaussianMixture, InitError, Layers,
    SquashedNormal, Trunk,
};
use crate::nn::{Network, Piece};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};
use crate::transfer::upload;

/// A policy: an encoder of the observation, and a head that makes a distribution over actions of what it finds.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let actor = ActorNetwork::new(&[256, 256], ActorHead::SquashedGaussian, 3, 1, &device, init)?;
/// let observation = Tensor::zeros([10, 3], &device);
/// assert_eq!(actor.act(observation.clone()).dims(), [10, 1]);
/// let drawn = actor.distribution(observation).draw(&mut Random::<Noise>::new(Seed(0)));
/// assert_eq!((drawn.action.dims(), drawn.log_probability.dims()), ([10, 1], [10]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct ActorNetwork {
    trunk: Trunk,
    log_std: Option<Param<Tensor<1>>>,
    #[module(skip)]
    head: ActorHead,
    #[module(skip)]
    action: usize,
}

/// The least and the greatest logarithm of a squashed Gaussian's deviation, as in SAC's code.
const LOG_STD: (f32, f32) = (-20.0, 2.0);

impl ActorNetwork {
    /// A policy for observations such as `input`, which may be a number of numbers, over actions of `action` elements, or over so many discrete actions where the
    /// head is categorical. `layers` is an encoder, a list of widths, or [`Layers`].
    ///
    /// # Errors
    /// When the encoder cannot be made for such observations.
    pub fn new(
        layers: impl Into<Layers>,
        head: ActorHead,
        input: impl Into<EncoderInput>,
        action: usize,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let sizes = Sizes {
            members: 1,
            input: &input.into(),
            beside: 0,
            outputs: head.outputs(action),
            output: head.activation(),
        };
        // Built where gradients are tracked, so that the parameters know that they are to be trained.
        let tracked = plain_device(device).autodiff();
        let trunk = Trunk::new(layers.into(), sizes, &tracked, init)?;
        let log_std = head.log_std();
        let actor = ActorNetwork {
            trunk,
            log_std: log_std.map(|log_std| {
                let log_std = vec![log_std; init.learners() * action];
                Param::from_tensor(upload(TensorData::from(&log_std[..]), &tracked))
            }),
            head,
            action,
        };
        Ok(if device.is_autodiff() {
            actor
        } else {
            actor.valid()
        })
    }

    /// The distributions over actions for observations `[batch, observation]`.
    pub fn distribution(&self, observation: Tensor<2>) -> ActionDistribution {
        self.distribution_of(self.outputs(observation))
    }

    /// The distributions over actions at each step of observations side by side, `[batch * steps]` of them, a row's steps one after the
    /// other: at a step the policy knows that step and those before it alone. `None` where the encoder has no memory.
    pub fn distribution_at_each_step(&self, observation: Tensor<2>) -> Option<ActionDistribution> {
        let out = self.trunk.forward_each(observation)?;
        Some(self.distribution_of(out))
    }

    fn distribution_of(&self, out: Tensor<2>) -> ActionDistribution {
        match &self.head {
            ActorHead::Deterministic => ActionDistribution::Deterministic(out),
            ActorHead::Gaussian(settings) => {
                let mean = out.clone().narrow(1, 0, self.action).tanh();
                let std = self.deviation(settings, out, &mean);
                let std = std.clamp(settings.min_std, settings.max_std);
                ActionDistribution::Gaussian(DiagonalGaussian { mean, std })
            }
            ActorHead::Mixture(settings) => {
                let (modes, each) = (settings.modes, settings.modes * self.action);
                let [batch, _] = out.dims();
                let components = |out: Tensor<2>| out.reshape([batch, modes, self.action]);
                let std = components(out.clone().narrow(1, each, each));
                let std = if settings.exponential {
                    std.exp()
                } else {
                    activation::softplus(std, 1.0)
                };
                ActionDistribution::Mixture(GaussianMixture {
                    mean: components(out.clone().narrow(1, 0, each)).tanh(),
                    std: std + settings.min_std,
                    logits: out.narrow(1, 2 * each, modes),
                })
            }
            ActorHead::SquashedGaussian => {
                let log_std = out.clone().narrow(1, self.action, self.action);
                ActionDistribution::SquashedGaussian(SquashedNormal {
                    mean: out.narrow(1, 0, self.action),
                    log_std: log_std.clamp(LOG_STD.0, LOG_STD.1),
                })
            }
            ActorHead::UnboundedGaussian { .. } => {
                let std = self.each_row_of_std(&out);
                ActionDistribution::Gaussian(DiagonalGaussian { mean: out, std })
            }
            ActorHead::Categorical => ActionDistribution::Categorical(Categorical::of_logits(out)),
        }
    }

    /// The deviations before they are limited, `[batch, action]`.
    fn deviation(
        &self,
        settings: &GaussianSettings,
        out: Tensor<2>,
        mean: &Tensor<2>,
    ) -> Tensor<2> {
        match settings.deviation {
            Deviation::Learned => self.each_row_of_std(mean),
            Deviation::Softplus => {
                let out = out.narrow(1, self.action, self.action);
                // softplus(0) is ln 2.
                activation::softplus(out, 1.0) * (settings.initial_std / 2.0_f32.ln())
            }
            Deviation::Exp => out.narrow(1, self.action, self.action).exp(),
            Deviation::Fixed => mean.full_like(settings.initial_std),
        }
    }

    /// The learned deviation for each row of `like` `[batch, action]`.
    fn each_row_of_std(&self, like: &Tensor<2>) -> Tensor<2> {
        let Some(log_std) = self.log_std() else {
            return like.ones_like();
        };
        let (learners, [rows, action]) = (self.trunk.learners(), like.dims());
        if learners == 1 {
            return log_std.exp().unsqueeze::<2>().repeat_dim(0, rows);
        }
        let of_learners = log_std.exp().reshape([learners, 1, action]);
        let of_rows = of_learners.repeat_dim(1, rows / learners);
        of_rows.reshape([rows, action])
    }

    /// The actions without noise, `[batch, action]`: in [-1, 1], or indices of discrete actions.
    pub fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        match &self.head {
            ActorHead::Deterministic => self.outputs(observation),
            ActorHead::UnboundedGaussian { .. } => self.outputs(observation).clamp(-1.0, 1.0),
            ActorHead::Categorical => self.outputs(observation).argmax(1).float(),
            _ => self.distribution(observation).mode(),
        }
    }

    /// What the distributions are made of, `[batch, outputs]`: actions, means, logits, as the head has it.
    pub fn outputs(&self, observation: Tensor<2>) -> Tensor<2> {
        self.trunk.forward(observation, None).squeeze_dim::<2>(0)
    }

    /// The learned ln σ of each element of the action, `[action]`, where the head has one; of a stack `[learners * action]`.
    pub fn log_std(&self) -> Option<Tensor<1>> {
        self.log_std.as_ref().map(Param::val)
    }

    /// The head.
    pub fn head(&self) -> &ActorHead {
        &self.head
    }

    /// The encoder and the layers behind it.
    pub fn trunk(&self) -> &Trunk {
        &self.trunk
    }

    /// Elements of an action; how many discrete actions there are, where the head is categorical.
    pub fn action_size(&self) -> usize {
        self.action
    }
}

impl Network for ActorNetwork {
    fn members(&self) -> usize {
        self.trunk.members()
    }

    fn learners(&self) -> usize {
        self.trunk.learners()
    }

    fn values_per_row(&self) -> usize {
        self.trunk.values_per_row()
    }

    fn pieces(&self, path: &str) -> Vec<Piece> {
        match path.strip_prefix("trunk.") {
            Some(path) => self.trunk.pieces(path),
            None => Vec::new(),
        }
    }
}
