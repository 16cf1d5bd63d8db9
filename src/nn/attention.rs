//! Attention to the steps that are not in the future, as one differentiable operation on the CPU.
//!
//! Its forward and backward are the kernels of [`cpu`](super::cpu). Other devices use Burn's operations.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Device, Tensor, TensorData, activation};

use super::cpu::Heads;
use super::dropout::Mask;
use super::fused::{contiguous, floats, register};
use super::matrix_product::matrix_product;
use super::sides::plain_device;
use super::threads::with_kernels;

/// What each step of a sequence is given, `[batch, steps, heads * each]`, of queries, keys and values
/// `[batch, steps, 3 * heads * each]`: the values of the steps up to it, each by its share, softmax(q kᵀ / √each).
///
/// `dropped` multiplies the shares `[batch, heads, steps, steps]`.
pub(super) fn attend(all: Tensor<3>, heads: usize, dropped: Option<Mask>) -> Tensor<3> {
    if plain_device(&all.device()) != Device::flex() {
        return reference(all, heads, dropped);
    }
    let out = <Dispatch as FusedAttention>::fused_attention(all.into_dispatch(), heads, dropped);
    Tensor::from_dispatch(out)
}

/// The same by Burn's operations.
fn reference(all: Tensor<3>, heads: usize, dropped: Option<Mask>) -> Tensor<3> {
    let [batch, steps, width] = all.dims();
    let each = width / (3 * heads);
    let all = all.reshape([batch, steps, 3 * heads, each]).swap_dims(1, 2);
    let [query, key, value] =
        [0, 1, 2].map(|part: usize| all.clone().narrow(1, part * heads, heads));
    let scores = matrix_product(query, key.transpose()) / (each as f64).sqrt();
    let future = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &scores.device());
    let future = future.unsqueeze::<4>().expand([batch, heads, steps, steps]);
    let shares = activation::softmax(scores.mask_fill(future, f32::NEG_INFINITY), 3);
    let shares = match dropped {
        Some(dropped) => shares * dropped.tensor([batch, heads, steps, steps], &all.device()),
        None => shares,
    };
    let seen = matrix_product(shares, value).swap_dims(1, 2);
    seen.reshape([batch, steps, heads * each])
}

/// Backends that have attention as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedAttention: Backend {
    /// `[batch, steps, width]` of `[batch, steps, 3 * width]`.
    fn fused_attention(
        all: FloatTensor<Self>,
        heads: usize,
        dropped: Option<Mask>,
    ) -> FloatTensor<Self>;
}

impl FusedAttention for Flex {
    fn fused_attention(all: FlexTensor, heads: usize, dropped: Option<Mask>) -> FlexTensor {
        pass(&contiguous(all), heads, dropped.as_ref()).0
    }
}

impl<C: CheckpointStrategy> FusedAttention for Autodiff<Flex, C> {
    fn fused_attention(
        all: FloatTensor<Self>,
        heads: usize,
        dropped: Option<Mask>,
    ) -> FloatTensor<Self> {
        let node = all.node.clone();
        let all = contiguous(all.primitive);
        let (out, shares) = pass(&all, heads, dropped.as_ref());
        let prepared = AttentionBackward.prepare::<C>([node]);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => {
                let tracked = Tracked {
                    all,
                    heads,
                    dropped,
                    shares,
                };
                prep.finish(tracked, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Tracked {
    all: FlexTensor,
    heads: usize,
    dropped: Option<Mask>,
    shares: Vec<f32>,
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 1> for AttentionBackward {
    type State = Tracked;

    fn backward(self, ops: Ops<Tracked, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let [Some(parent)] = ops.parents else {
            return;
        };
        let Tracked {
            all,
            heads,
            dropped,
            shares,
        } = ops.state;
        let dropped = dropped.as_ref().map(Mask::values);
        let gradient = with_kernels(|kernels| {
            let sizes = sizes(&all, heads);
            kernels.attend_back(sizes, floats(&all), &shares, dropped, floats(&d_out))
        });
        register(gradients, Some(parent.id), Some(gradient), &all);
    }
}

/// What is given, and the shares.
fn pass(all: &FlexTensor, heads: usize, dropped: Option<&Mask>) -> (FlexTensor, Vec<f32>) {
    let sizes = sizes(all, heads);
    let shape = [sizes.batch, sizes.steps, sizes.width()];
    let mut out = vec![0.0; shape.iter().product()];
    let dropped = dropped.map(Mask::values);
    let shares = with_kernels(|kernels| kernels.attend(sizes, floats(all), dropped, &mut out));
    (FlexTensor::from_data(TensorData::new(out, shape)), shares)
}

fn sizes(all: &FlexTensor, heads: usize) -> Heads {
    let shape = all.layout().shape();
    Heads {
        batch: shape[0],
        steps: shape[1],
        heads,
        each: shape[2] / (3 * heads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves<const D: usize>(shape: [usize; D], pace: f32) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|i: usize| 2.0 * (i as f32 * pace).sin());
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::from_data(data, &Device::flex().autodiff()).require_grad()
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn two_steps_of_one_number_are_those_of_the_paper_in_double_precision() {
        // Steps of (q, k, v).
        let given = [[0.5_f64, -1.0, 2.0], [1.5, 0.25, -3.0]];
        let all = given.as_flattened().iter().map(|value| *value as f32);
        let all = TensorData::new(all.collect::<Vec<f32>>(), [1, 2, 3]);
        let found = attend(Tensor::from_data(all, &Device::flex()), 1, None);
        let [first, second] = given;
        let scores = [second[0] * first[1], second[0] * second[1]].map(f64::exp);
        let mean = (scores[0] * first[2] + scores[1] * second[2]) / (scores[0] + scores[1]);
        for (found, expected) in numbers(found).into_iter().zip([first[2], mean]) {
            assert!(
                (f64::from(found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn outputs_and_gradients_are_those_of_burns_operations() {
        for (batch, steps, heads, each) in
            [(1, 1, 1, 1), (2, 3, 1, 5), (3, 10, 4, 8), (5, 17, 2, 33)]
        {
            let mask: Vec<f32> = (0..batch * heads * steps * steps)
                .map(|index| if index % 5 == 0 { 0.0 } else { 1.25 })
                .collect();
            for dropped in [None, Some(Mask::of_values(mask))] {
                let weights = waves([batch, steps, heads * each], 1.3);
                let [one, other] = [attend, reference].map(|by| {
                    let all = waves([batch, steps, 3 * heads * each], 0.7);
                    let out = by(all.clone(), heads, dropped.clone());
                    let gradients = (out.clone() * weights.clone().detach()).sum().backward();
                    [numbers(out.inner()), numbers(all.grad(&gradients).unwrap())]
                });
                for (one, other) in one.into_iter().flatten().zip(other.into_iter().flatten()) {
                    let close = (one - other).abs() < 1e-5 * other.abs().max(1.0);
                    assert!(close, "{batch} {steps} {heads} {each}: {one} {other}");
                }
            }
        }
    }
}
