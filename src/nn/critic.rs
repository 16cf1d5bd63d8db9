//! The network of a critic.

use bevy_reflect::Reflect;
use burn::module::{AutodiffModule, Module};
use burn::tensor::{Device, Tensor, TensorData};

use super::sides::{plain_device, same_side};
use super::trunk::Sizes;
use super::{Activation, InitError, Layers, Trunk};
use crate::nn::{Network, Piece};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};
use crate::transfer::upload;

/// The range that action values are squashed into: `(ub+lb)/2 + (ub-lb)/2 * tanh(x)`.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct ValueBounds {
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
}

/// The head of a critic: what it values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CriticHead {
    /// V(s), of states.
    State,
    /// Q(s, a), of states and actions side by side.
    Continuous {
        /// Elements of an action.
        action: usize,
        /// The range that values are squashed into. `None`: unbounded.
        bounds: Option<ValueBounds>,
    },
    /// Q(s, ·), of a state and each of the discrete actions.
    Discrete {
        /// How many actions.
        n: usize,
        /// Whether one more output is V(s), and the others are advantages: Q(s, a) = V(s) + A(s, a) − mean A(s, ·) (Wang et al.
        /// 2016, equation 9, <https://arxiv.org/abs/1511.06581>).
        dueling: bool,
    },
}

impl CriticHead {
    /// Q(s, a) over continuous actions, unbounded.
    pub fn continuous(action: usize) -> Self {
        let bounds = None;
        CriticHead::Continuous { action, bounds }
    }
}

/// Values of states or of actions: an encoder of the observation and a head, for each member of an ensemble.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let observation = Tensor::<2>::zeros([10, 4], &device);
///
/// let two = CriticNetwork::new(&[64, 64], CriticHead::continuous(1), 2, 4, &device, init)?;
/// let action = Tensor::zeros([10, 1], &device);
/// assert_eq!(two.q(observation.clone(), action).dims(), [2, 10]);
///
/// let head = CriticHead::Discrete { n: 3, dueling: true };
/// let discrete = CriticNetwork::new(&[64, 64], head, 1, 4, &device, init)?;
/// assert_eq!(discrete.q_values(observation.clone()).dims(), [10, 3]);
/// assert_eq!(discrete.greedy(observation.clone()).dims(), [10, 1]);
///
/// let value = CriticNetwork::new(&[64, 64], CriticHead::State, 1, 4, &device, init)?;
/// assert_eq!(value.v(observation).dims(), [10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct CriticNetwork {
    trunk: Trunk,
    #[module(skip)]
    head: CriticHead,
}

impl CriticNetwork {
    /// `members` critics for observations such as `input`, which may be a number of numbers. `layers` is an encoder, a list of widths, or [`Layers`].
    ///
    /// # Errors
    /// When the encoder cannot be made for such observations.
    pub fn new(
        layers: impl Into<Layers>,
        head: CriticHead,
        members: usize,
        input: impl Into<EncoderInput>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let (beside, outputs) = match head {
            CriticHead::State => (0, 1),
            CriticHead::Continuous { action, .. } => (action, 1),
            // In a dueling network the state's value comes first.
            CriticHead::Discrete { n, dueling } => (0, n + usize::from(dueling)),
        };
        let sizes = Sizes {
            members,
            input: &input.into(),
            beside,
            outputs,
            output: Activation::Identity,
        };
        let tracked = plain_device(device).autodiff();
        let trunk = Trunk::new(layers.into(), sizes, &tracked, init)?;
        let critic = CriticNetwork { trunk, head };
        Ok(if device.is_autodiff() {
            critic
        } else {
            critic.valid()
        })
    }

    /// The values `[members, batch]` of actions `[batch, action]`, or of discrete ones `[batch, 1]` by their indices, for observations
    /// `[batch, observation]`.
    ///
    /// # Panics
    /// Where the head values states.
    pub fn q(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        match self.head {
            CriticHead::Continuous { bounds, .. } => {
                let q = self.trunk.forward(observation, Some(action));
                bounded(q.squeeze_dim::<2>(2), bounds)
            }
            CriticHead::Discrete { n, .. } => {
                let q = self.values_of(self.trunk.forward(observation, None), n);
                let [batch, _] = action.dims();
                let (q, chosen) = same_side(q, one_of(action.no_grad(), n));
                (q * chosen.reshape([1, batch, n]))
                    .sum_dim(2)
                    .squeeze_dim::<2>(2)
            }
            CriticHead::State => panic!("{NO_ACTIONS}"),
        }
    }

    /// The values `[members.len(), batch]` of the members with these indices, of which each is asked alone. The others cost nothing.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let device = ComputeDevice::cpu().plain();
    /// let init = &mut Random::<Init>::new(Seed(0));
    /// let ten = CriticNetwork::new(&[8], CriticHead::continuous(1), 10, 4, &device, init)?;
    /// let (s, a) = (Tensor::ones([5, 4], &device), Tensor::zeros([5, 1], &device));
    /// assert_eq!(ten.q_of(&[7, 2], s, a).dims(), [2, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// Where the head does not value continuous actions, or there is no member of an index.
    pub fn q_of(&self, members: &[usize], observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        let CriticHead::Continuous { bounds, .. } = self.head else {
            panic!("{NOT_CONTINUOUS}");
        };
        let each = members.iter().map(|member| {
            let beside = Some(action.clone());
            let q = self
                .trunk
                .forward_member(*member, observation.clone(), beside);
            q.swap_dims(0, 1)
        });
        bounded(Tensor::cat(each.collect(), 0), bounds)
    }

    /// The values `[batch]` of the first member. The others cost nothing.
    ///
    /// # Panics
    /// Where the head values states.
    pub fn q1(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<1> {
        match self.head {
            CriticHead::Continuous { bounds, .. } => {
                let q = self.trunk.forward_member(0, observation, Some(action));
                bounded(q.squeeze_dim::<1>(1), bounds)
            }
            CriticHead::Discrete { n, .. } => {
                let (q, chosen) =
                    same_side(self.q_values(observation), one_of(action.no_grad(), n));
                (q * chosen).sum_dim(1).squeeze_dim::<1>(1)
            }
            CriticHead::State => panic!("{NO_ACTIONS}"),
        }
    }

    /// The first member's values `[batch, n]` of all discrete actions.
    ///
    /// # Panics
    /// Where the head is not over discrete actions.
    pub fn q_values(&self, observation: Tensor<2>) -> Tensor<2> {
        let n = self.discrete_actions();
        let out = self.trunk.forward_member(0, observation, None);
        self.values_of(out.unsqueeze::<3>(), n).squeeze_dim::<2>(0)
    }

    /// The discrete actions of the greatest values, as indices `[batch, 1]`.
    ///
    /// # Panics
    /// Where the head is not over discrete actions.
    pub fn greedy(&self, observation: Tensor<2>) -> Tensor<2> {
        self.q_values(observation).argmax(1).float()
    }

    /// The first member's values `[batch]` of states.
    ///
    /// # Panics
    /// Where the head values actions.
    pub fn v(&self, observation: Tensor<2>) -> Tensor<1> {
        if self.head != CriticHead::State {
            panic!(
                "this critic values actions and not states: give it the head `CriticHead::State`, or ask for `q`"
            );
        }
        let v = self.trunk.forward_member(0, observation, None);
        v.squeeze_dim::<1>(1)
    }

    /// The values of a discrete head's outputs `[members, batch, outputs]`.
    fn values_of(&self, out: Tensor<3>, n: usize) -> Tensor<3> {
        if out.dims()[2] == n {
            return out;
        }
        let value = out.clone().narrow(2, 0, 1);
        let advantage = out.narrow(2, 1, n);
        let mean = advantage.clone().mean_dim(2);
        value + advantage - mean
    }

    /// How many discrete actions there are.
    ///
    /// # Panics
    /// Where the head is not over discrete actions.
    pub fn discrete_actions(&self) -> usize {
        match self.head {
            CriticHead::Discrete { n, .. } => n,
            _ => panic!(
                "this critic does not value discrete actions: give it the head `CriticHead::Discrete`"
            ),
        }
    }

    /// The head.
    pub fn head(&self) -> &CriticHead {
        &self.head
    }

    /// The encoder and the layers behind it.
    pub fn trunk(&self) -> &Trunk {
        &self.trunk
    }
}

const NO_ACTIONS: &str = "this critic values states and not actions: give it the head `CriticHead::Continuous` or `CriticHead::Discrete`, or ask for `v`";

const NOT_CONTINUOUS: &str = "`q_of` asks for the values of continuous actions: give the critic the head `CriticHead::Continuous`, or ask for `q`";

fn bounded<const D: usize>(q: Tensor<D>, bounds: Option<ValueBounds>) -> Tensor<D> {
    match bounds {
        None => q,
        Some(ValueBounds { low, high }) => q.tanh() * ((high - low) / 2.0) + (high + low) / 2.0,
    }
}

/// 1 at the index of each row's action and 0 elsewhere, `[batch, n]`, for plain indices `[batch, 1]`.
fn one_of(action: Tensor<2>, n: usize) -> Tensor<2> {
    let all: Vec<f32> = (0..n).map(|index| index as f32).collect();
    let all = upload::<2>(TensorData::new(all, [1, n]), &action.device());
    let shape = [action.dims()[0], n];
    action.expand(shape).equal(all.expand(shape)).float()
}

impl Network for CriticNetwork {
    fn members(&self) -> usize {
        self.trunk.members()
    }

    fn learners(&self) -> usize {
        self.trunk.learners()
    }

    fn member_of(&self, path: &str) -> Option<usize> {
        self.trunk.member_of(path.strip_prefix("trunk.")?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn network(dueling: bool) -> (CriticNetwork, Tensor<2>) {
        let device = ComputeDevice::cpu().plain();
        let mut init = Random::<Init>::new(Seed(3));
        let head = CriticHead::Discrete { n: 3, dueling };
        let q = CriticNetwork::new(&[8], head, 1, 4, &device, &mut init).unwrap();
        let rows = TensorData::new(init.normals(5 * 4), [5, 4]);
        (q, Tensor::from_data(rows, &device))
    }

    #[test]
    fn the_value_of_a_discrete_action_is_its_column_and_the_greedy_one_the_greatest() {
        for dueling in [false, true] {
            let (network, rows) = network(dueling);
            let q = numbers(network.q_values(rows.clone()));
            let greedy = numbers(network.greedy(rows.clone()));
            for (row, values) in q.chunks(3).enumerate() {
                let best = (0..3).max_by(|a, b| values[*a].total_cmp(&values[*b]));
                assert_eq!(greedy[row], best.unwrap() as f32);
            }
            let discrete_actions = [2.0, 0.0, 1.0, 1.0, 2.0];
            let choice = TensorData::new(discrete_actions.to_vec(), [5, 1]);
            let choice = Tensor::from_data(choice, &rows.device());
            let all = numbers(network.q(rows.clone(), choice.clone()));
            let first = numbers(network.q1(rows, choice));
            for row in 0..5 {
                assert_eq!(all[row], q[row * 3 + discrete_actions[row] as usize]);
                assert_eq!(first[row], all[row]);
            }
        }
    }

    #[test]
    fn a_dueling_network_gives_the_value_as_the_mean_over_the_actions() {
        let (network, rows) = network(true);
        let out = numbers(network.trunk().layers().forward(rows.clone()));
        for (q, out) in numbers(network.q_values(rows)).chunks(3).zip(out.chunks(4)) {
            assert!((q.iter().sum::<f32>() / 3.0 - out[0]).abs() < 1e-6);
            assert!((q[1] - q[0] - (out[2] - out[1])).abs() < 1e-6);
        }
    }
}
