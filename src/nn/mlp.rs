//! The multi-layer perceptron.

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::{Activation, MlpShape};
use crate::learner::{Init, Network, Piece, Random};

/// An ensemble of equal multi-layer perceptrons whose parameters are one flat buffer `[members, parameters]`: for each member
/// and layer the weight `[in, out]` row by row (y = x W + b), then the bias `[out]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let shape = MlpShape { members: 2, sizes: vec![14, 256, 256, 1], hidden: Activation::Relu, output: Activation::Identity };
/// let mlp = Mlp::new(shape, &device, &mut Random::<Init>::new(Seed(0)));
/// assert_eq!(mlp.forward(Tensor::zeros([32, 14], &device)).dims(), [2, 32, 1]);
/// ```
#[derive(Module, Debug)]
pub struct Mlp {
    parameters: Param<Tensor<2>>,
    #[module(skip)]
    shape: MlpShape,
}

impl Mlp {
    /// A perceptron with PyTorch's initial weights: weights and biases uniform in ±1/√in.
    pub fn new(shape: MlpShape, device: &Device, init: &mut Random<Init>) -> Self {
        let mut values = Vec::with_capacity(shape.members * shape.parameters());
        for _ in 0..shape.members {
            for pair in shape.sizes.windows(2) {
                let bound = 1.0 / (pair[0].max(1) as f32).sqrt();
                values.extend(init.uniforms((pair[0] + 1) * pair[1], -bound, bound));
            }
        }
        Mlp::from_values(shape, values, device)
    }

    /// A perceptron with the given parameters, laid out as the type says.
    ///
    /// # Panics
    /// When there are not `members * parameters` values.
    pub fn from_values(shape: MlpShape, values: Vec<f32>, device: &Device) -> Self {
        let data = TensorData::new(values, [shape.members, shape.parameters()]);
        // Built where gradients are recorded and taken back: so the parameter knows that it is to be trained.
        let recorded = plain(device).autodiff();
        let parameters = Param::from_tensor(Tensor::from_data(data, &recorded));
        let mlp = Mlp { parameters, shape };
        if device.is_autodiff() {
            mlp
        } else {
            mlp.valid()
        }
    }

    /// The outputs `[members, batch, out]` for inputs `[batch, in]` that all members share.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<3> {
        let (parameters, input) = same_side(self.parameters.val(), input);
        reference_forward(&self.shape, parameters, input)
    }

    /// The shape.
    pub fn shape(&self) -> &MlpShape {
        &self.shape
    }
}

impl Network for Mlp {
    fn members(&self) -> usize {
        self.shape.members
    }

    /// `0/0.weight` is `[in, out]`: the first number is the member (left out where there is one), the second the layer.
    fn pieces(&self, path: &str) -> Vec<Piece> {
        let prefix = path.strip_suffix("parameters").unwrap_or(path);
        let prefix = prefix.strip_prefix("trunk.").unwrap_or(prefix);
        let mut pieces = Vec::new();
        for member in 0..self.shape.members {
            let member = match self.shape.members {
                1 => String::new(),
                _ => format!("{member}."),
            };
            for (layer, pair) in self.shape.sizes.windows(2).enumerate() {
                pieces.push(Piece {
                    name: format!("{prefix}{member}{layer}.weight"),
                    shape: vec![pair[0], pair[1]],
                });
                pieces.push(Piece {
                    name: format!("{prefix}{member}{layer}.bias"),
                    shape: vec![pair[1]],
                });
            }
        }
        pieces
    }
}

/// Brings parameters and input to the same side of recording: a recorded network takes a plain input as a constant, and a
/// plain network is a constant for a recorded input.
fn same_side(parameters: Tensor<2>, input: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    match (
        parameters.device().is_autodiff(),
        input.device().is_autodiff(),
    ) {
        (true, false) => (parameters, Tensor::from_inner(input)),
        (false, true) => (Tensor::from_inner(parameters), input),
        _ => (parameters, input),
    }
}

/// The perceptron in Burn's operations: what every device can do, and what the fused operation is tested against.
fn reference_forward(shape: &MlpShape, parameters: Tensor<2>, input: Tensor<2>) -> Tensor<3> {
    let layers = shape.sizes.len() - 1;
    let mut x = input.unsqueeze::<3>();
    let mut at = 0;
    for (layer, pair) in shape.sizes.windows(2).enumerate() {
        let (fan_in, fan_out) = (pair[0], pair[1]);
        let weight = parameters
            .clone()
            .slice([0..shape.members, at..at + fan_in * fan_out])
            .reshape([shape.members, fan_in, fan_out]);
        at += fan_in * fan_out;
        let bias = parameters
            .clone()
            .slice([0..shape.members, at..at + fan_out])
            .reshape([shape.members, 1, fan_out]);
        at += fan_out;
        if layer == 0 && shape.members > 1 {
            x = x.repeat_dim(0, shape.members);
        }
        x = x.matmul(weight) + bias;
        let activation = match layer + 1 == layers {
            true => shape.output,
            false => shape.hidden,
        };
        x = match activation {
            Activation::Identity => x,
            Activation::Relu => activation::relu(x),
            Activation::Tanh => x.tanh(),
        };
    }
    x
}

/// The device without recording.
fn plain(device: &Device) -> Device {
    if device.is_autodiff() {
        device.clone().inner()
    } else {
        device.clone()
    }
}
