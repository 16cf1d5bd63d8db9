//! Action values of a few choices.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Activation, Mlp, MlpSettings, StopGradient};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// Q(s, ·) for each of n choices, as one perceptron over the observation (Mnih et al. 2015).
///
/// A dueling network has one more output, V(s), and its other outputs are advantages: Q(s, a) = V(s) + A(s, a) − mean A(s, ·)
/// (Wang et al. 2016, equation 9, <https://arxiv.org/abs/1511.06581>). The two streams share all hidden layers.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut init = Random::<Init>::new(Seed(0));
/// let q = DiscreteQ::new(4, 2, &[64, 64], true, &device, &mut init);
/// let observation = Tensor::<2>::zeros([10, 4], &device);
/// assert_eq!(q.q(observation.clone()).dims(), [10, 2]);
/// assert_eq!(q.greedy(observation).dims(), [10, 1]);
/// ```
#[derive(Module, Debug)]
pub struct DiscreteQ {
    trunk: Mlp,
    #[module(skip)]
    choices: usize,
}

impl DiscreteQ {
    /// A network for observations of width `observation` and so many choices, with the given hidden layers: their widths, or
    /// [`MlpSettings`].
    pub fn new(
        observation: usize,
        choices: usize,
        hidden: impl Into<MlpSettings>,
        dueling: bool,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        // In a dueling network the state's value comes first.
        let outputs = choices + usize::from(dueling);
        let shape = hidden.shape(1, observation, outputs, Activation::Identity);
        DiscreteQ {
            trunk: Mlp::new(shape, device, init).with_dropout(hidden.dropout),
            choices,
        }
    }

    /// The values `[batch, choices]` for observations `[batch, observation]`.
    pub fn q(&self, observation: Tensor<2>) -> Tensor<2> {
        self.values_of(self.trunk.forward(observation))
    }

    /// The values of the perceptron's outputs `[1, batch, outputs]`.
    fn values_of(&self, out: Tensor<3>) -> Tensor<2> {
        let out = out.squeeze_dim::<2>(0);
        if self.trunk.shape().outputs() == self.choices {
            return out;
        }
        let value = out.clone().narrow(1, 0, 1);
        let advantage = out.narrow(1, 1, self.choices);
        let mean = advantage.clone().mean_dim(1);
        value + advantage - mean
    }

    /// The values `[batch]` of the given choices `[batch, 1]`, which are indices from 0 as numbers.
    pub fn q_of(&self, observation: Tensor<2>, choice: Tensor<2>) -> Tensor<1> {
        self.chosen(self.q(observation), choice)
    }

    /// The same values in a training step: where the network has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn q_of_dropping(
        &self,
        observation: Tensor<2>,
        choice: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> Tensor<1> {
        let q = self.values_of(self.trunk.forward_dropping(observation, dropout));
        self.chosen(q, choice)
    }

    /// Of the values `[batch, choices]` those of the given choices.
    fn chosen(&self, q: Tensor<2>, choice: Tensor<2>) -> Tensor<1> {
        let choices: Vec<f32> = (0..self.choices).map(|index| index as f32).collect();
        let choices = TensorData::new(choices, [1, self.choices]);
        let choice = choice.no_grad();
        let choices = Tensor::<2>::from_data(choices, &choice.device());
        let [batch, _] = choice.dims();
        let shape = [batch, self.choices];
        let chosen = choice.expand(shape).equal(choices.expand(shape)).float();
        let chosen = if q.device().is_autodiff() {
            chosen.stop_gradient()
        } else {
            chosen
        };
        (q * chosen).sum_dim(1).squeeze_dim::<1>(1)
    }

    /// The choices of the greatest values, as indices `[batch, 1]`.
    pub fn greedy(&self, observation: Tensor<2>) -> Tensor<2> {
        self.q(observation).argmax(1).float()
    }

    /// How many choices there are.
    pub fn choices(&self) -> usize {
        self.choices
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

impl Network for DiscreteQ {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn network(dueling: bool) -> (DiscreteQ, Tensor<2>) {
        let device = ComputeDevice::cpu().plain();
        let mut init = Random::<Init>::new(Seed(3));
        let q = DiscreteQ::new(4, 3, &[8], dueling, &device, &mut init);
        let rows = TensorData::new(init.normals(5 * 4), [5, 4]);
        (q, Tensor::from_data(rows, &device))
    }

    #[test]
    fn the_value_of_a_choice_is_its_column_and_the_greedy_choice_the_greatest() {
        for dueling in [false, true] {
            let (network, rows) = network(dueling);
            let q = numbers(network.q(rows.clone()));
            let greedy = numbers(network.greedy(rows.clone()));
            for (row, values) in q.chunks(3).enumerate() {
                let best = (0..3).max_by(|a, b| values[*a].total_cmp(&values[*b]));
                assert_eq!(greedy[row], best.unwrap() as f32);
            }
            let choices = [2.0, 0.0, 1.0, 1.0, 2.0];
            let choice = TensorData::new(choices.to_vec(), [5, 1]);
            let choice = Tensor::from_data(choice, &rows.device());
            let of = numbers(network.q_of(rows, choice));
            for row in 0..5 {
                assert_eq!(of[row], q[row * 3 + choices[row] as usize]);
            }
        }
    }

    #[test]
    fn a_dueling_network_gives_the_value_as_the_mean_over_the_choices() {
        let (network, rows) = network(true);
        let out = numbers(network.trunk().forward(rows.clone()));
        for (q, out) in numbers(network.q(rows)).chunks(3).zip(out.chunks(4)) {
            assert!((q.iter().sum::<f32>() / 3.0 - out[0]).abs() < 1e-6);
            assert!((q[1] - q[0] - (out[2] - out[1])).abs() < 1e-6);
        }
    }
}
