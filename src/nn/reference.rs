//! The perceptron in Burn's operations: what every device can do, and what the fused operation is tested against.

use std::f32::consts::FRAC_1_SQRT_2;

use burn::tensor::{Tensor, activation};

use super::cpu::{Activation, MlpShape};
use super::dropout::Mask;
use super::matrix_product::matrix_product;
use crate::transfer::is_far;

/// Outputs `[members, batch, out]` for parameters `[learners * members, parameters]` and inputs `[batch, in]`, of which each learner of a
/// stack has an equal part.
pub(crate) fn forward(
    shape: &MlpShape,
    learners: usize,
    parameters: Tensor<2>,
    input: Tensor<2>,
    mask: Option<&Mask>,
) -> Tensor<3> {
    let last = layers(shape, learners, parameters, input, mask).pop();
    learners_side_by_side(last.expect("a perceptron has at least one layer"), learners)
}

/// The output of every layer, after its activation, `[learners * members, batch / learners, width]`.
pub(crate) fn layers(
    shape: &MlpShape,
    learners: usize,
    parameters: Tensor<2>,
    input: Tensor<2>,
    mask: Option<&Mask>,
) -> Vec<Tensor<3>> {
    let members = learners * shape.members;
    let mut x = each_member_its_rows(input, learners, shape.members);
    let mut outputs = Vec::new();
    for (layer, pair) in shape.sizes.windows(2).enumerate() {
        let (fan_in, fan_out) = (pair[0], pair[1]);
        let piece = |range: std::ops::Range<usize>, rows| {
            let piece = parameters.clone().slice([0..members, range]);
            piece.reshape([members, rows, fan_out])
        };
        let product = matrix_product(x, piece(shape.weight(layer), fan_in));
        x = product + piece(shape.bias(layer), 1);
        let last = layer + 2 == shape.sizes.len();
        if let (Some(mask), false) = (mask, last) {
            let device = x.device();
            x = x * mask.layer(shape, layer, &device);
        }
        if let (Some(gain), Some(offset), Some(epsilon)) =
            (shape.gain(layer), shape.offset(layer), shape.layer_norm)
        {
            let centered = x.clone() - x.mean_dim(2);
            let variance = centered.clone().square().mean_dim(2);
            x = centered / (variance + epsilon).sqrt() * piece(gain, 1) + piece(offset, 1);
        }
        x = apply(if last { shape.output } else { shape.hidden }, x);
        outputs.push(x.clone());
    }
    outputs
}

/// The rows that each member sees, `[learners * members, batch / learners, in]`: those of its learner.
fn each_member_its_rows(input: Tensor<2>, learners: usize, members: usize) -> Tensor<3> {
    let [rows, width] = input.dims();
    if learners == 1 {
        let input = input.unsqueeze::<3>();
        return match members {
            1 => input,
            _ => input.repeat_dim(0, members),
        };
    }
    let each = rows / learners;
    let of_learners = input.reshape([learners, 1, each, width]);
    let of_members = match members {
        1 => of_learners,
        _ => of_learners.repeat_dim(1, members),
    };
    of_members.reshape([learners * members, each, width])
}

/// The same rows as `[members, batch, width]`, each learner's behind the other's.
pub(super) fn learners_side_by_side(x: Tensor<3>, learners: usize) -> Tensor<3> {
    if learners == 1 {
        return x;
    }
    let [all, each, width] = x.dims();
    let members = all / learners;
    let of_learners = x.reshape([learners, members, each, width]);
    let of_members = match members {
        1 => of_learners,
        _ => of_learners.swap_dims(0, 1),
    };
    of_members.reshape([members, learners * each, width])
}

pub(super) fn apply<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => activation::relu(x),
        Activation::Tanh => x.tanh(),
        Activation::Elu => activation::elu(x, 1.0),
        Activation::Gelu if is_far(&x.device()) => gelu(x),
        Activation::Gelu => activation::gelu(x),
    }
}

/// x Φ(x). Burn's own has the gradient of an approximation by tanh on cards, which is up to 9e-4 off.
fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice = (x.clone() * FRAC_1_SQRT_2).erf() + 1.0;
    x * twice * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_data::card;
    use burn::tensor::Device;

    #[test]
    fn the_gradient_of_gelu_on_a_card_is_that_of_the_processor() {
        let values_and_gradients = |device: &Device| {
            let x: Vec<f32> = (-60..=60).map(|x| 0.1 * x as f32).collect();
            let x = Tensor::<1>::from_floats(&x[..], &device.clone().autodiff()).require_grad();
            let y = apply(Activation::Gelu, x.clone());
            let gradient = x.grad(&y.clone().sum().backward()).unwrap();
            let numbers = |tensor: Tensor<1>| tensor.into_data().into_vec::<f32>().unwrap();
            [numbers(y), numbers(gradient)].concat()
        };
        if let Some(card) = card() {
            let expected = values_and_gradients(&Device::flex());
            for (found, expected) in values_and_gradients(&card).iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 2e-6 * expected.abs().max(1.0),
                    "{found} {expected}"
                );
            }
        }
    }
}
