//! Group normalization of pictures, as one differentiable operation on the CPU.
//!
//! Its forward and backward are the kernels of [`cpu`](super::cpu). Other devices use Burn's operations.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::GroupNorm;
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::cpu::{Groups, Moments};
use super::fused::{contiguous, floats, register};
use super::sides::plain_device;
use super::threads::{take_buffer, with_kernels};

/// Rows of pictures `[batch, places * channels]` whose channels lie together, normalized in groups of channels (Wu & He 2018,
/// <https://arxiv.org/abs/1803.08494>), with a rectifier behind it where one is wanted.
pub(super) fn normalize_groups(norm: &GroupNorm, rows: Tensor<2>, rectified: bool) -> Tensor<2> {
    let (Some(gain), Some(offset)) = (&norm.gamma, &norm.beta) else {
        return reference(norm, rows, rectified);
    };
    if plain_device(&rows.device()) != Device::flex() {
        return reference(norm, rows, rectified);
    }
    let settings = Settings {
        groups: norm.num_groups,
        epsilon: norm.epsilon as f32,
        rectified,
    };
    let out = <Dispatch as FusedGroupNorm>::fused_group_norm(
        rows.into_dispatch(),
        gain.val().into_dispatch(),
        offset.val().into_dispatch(),
        settings,
    );
    Tensor::from_dispatch(out)
}

/// The same by Burn's operations.
fn reference(norm: &GroupNorm, rows: Tensor<2>, rectified: bool) -> Tensor<2> {
    let [batch, row] = rows.dims();
    let channels = norm.num_channels;
    let planes = rows.reshape([batch, row / channels, channels]);
    let planes = norm.forward(planes.swap_dims(1, 2));
    let out = planes.swap_dims(1, 2).reshape([batch, row]);
    match rectified {
        true => activation::relu(out),
        false => out,
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    groups: usize,
    epsilon: f32,
    rectified: bool,
}

/// Backends that have the normalization as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedGroupNorm: Backend {
    /// Rows `[batch, places * channels]`, gains and offsets `[channels]`.
    fn fused_group_norm(
        rows: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
}

impl FusedGroupNorm for Flex {
    fn fused_group_norm(
        rows: FlexTensor,
        gain: FlexTensor,
        offset: FlexTensor,
        settings: Settings,
    ) -> FlexTensor {
        let given = [rows, gain, offset].map(contiguous);
        pass(&given, settings).0
    }
}

impl<C: CheckpointStrategy> FusedGroupNorm for Autodiff<Flex, C> {
    fn fused_group_norm(
        rows: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let given = [rows, gain, offset];
        let nodes = given.each_ref().map(|tensor| tensor.node.clone());
        let given = given.map(|tensor| contiguous(tensor.primitive));
        let (out, moments) = pass(&given, settings);
        let prepared = GroupNormBackward.prepare::<C>(nodes);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => {
                let tracked = Tracked {
                    given,
                    settings,
                    moments: Arc::new(moments),
                    out: out.clone(),
                };
                prep.finish(tracked, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Tracked {
    /// Rows, gains and offsets.
    given: [FlexTensor; 3],
    settings: Settings,
    moments: Arc<Moments>,
    out: FlexTensor,
}

#[derive(Debug)]
struct GroupNormBackward;

impl Backward<Flex, 3> for GroupNormBackward {
    type State = Tracked;

    fn backward(self, ops: Ops<Tracked, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Tracked {
            given,
            settings,
            moments,
            out,
        } = ops.state;
        let mut found = given
            .each_ref()
            .map(|tensor| take_buffer(floats(tensor).len()));
        let [d_rows, d_gain, d_offset] = &mut found;
        with_kernels(|kernels| {
            kernels.normalize_groups_back(
                groups(&given, settings),
                &moments,
                (floats(&out), floats(&d_out)),
                d_rows,
                (d_gain, d_offset),
            );
        });
        for ((node, gradient), like) in ops.parents.into_iter().zip(found).zip(&given) {
            register(gradients, node.map(|node| node.id), Some(gradient), like);
        }
    }
}

fn pass(given: &[FlexTensor; 3], settings: Settings) -> (FlexTensor, Moments) {
    let groups = groups(given, settings);
    let mut out = vec![0.0; groups.rows.len()];
    let moments = with_kernels(|kernels| kernels.normalize_groups(groups, &mut out));
    let shape = given[0].layout().shape().clone();
    (FlexTensor::from_data(TensorData::new(out, shape)), moments)
}

fn groups(given: &[FlexTensor; 3], settings: Settings) -> Groups<'_> {
    let [rows, gain, offset] = given;
    Groups {
        groups: settings.groups,
        epsilon: settings.epsilon,
        rectified: settings.rectified,
        gain: floats(gain),
        offset: floats(offset),
        rows: floats(rows),
        row: rows.layout().shape()[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::nn::GroupNormConfig;

    fn waves<const D: usize>(shape: [usize; D], pace: f32) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|i: usize| 2.0 * (i as f32 * pace).sin());
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::from_data(data, &Device::flex().autodiff())
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn it_agrees_with_burns_and_so_do_its_gradients() {
        let device = Device::flex().autodiff();
        for (batch, places, groups, channels) in
            [(3, 5, 4, 64), (2, 1, 1, 16), (4, 7, 3, 15), (1, 9, 2, 48)]
        {
            let mut norm = GroupNormConfig::new(groups, channels).init(&device);
            norm.gamma = Some(Param::from_tensor(waves([channels], 0.9)));
            norm.beta = Some(Param::from_tensor(waves([channels], 0.5)));
            for rectified in [false, true] {
                let results = |by: fn(&GroupNorm, Tensor<2>, bool) -> Tensor<2>| {
                    let rows = waves([batch, places * channels], 0.37).require_grad();
                    let out = by(&norm, rows.clone(), rectified);
                    let weights = waves([batch, places * channels], 0.11);
                    let gradients = (out.clone() * weights).sum().backward();
                    let of = |param: &Option<Param<Tensor<1>>>| {
                        numbers(param.as_ref().unwrap().val().grad(&gradients).unwrap())
                    };
                    [
                        numbers(out),
                        numbers(rows.grad(&gradients).unwrap()),
                        of(&norm.gamma),
                        of(&norm.beta),
                    ]
                };
                let (ours, burns) = (results(normalize_groups), results(reference));
                for (ours, burns) in ours.iter().zip(&burns) {
                    assert_eq!(ours.len(), burns.len());
                    for (a, b) in ours.iter().zip(burns) {
                        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn two_groups_of_known_numbers() {
        // Means 2 and 20, deviations 1 and 10 (each a value more or less, with equal shares).
        let device = Device::flex();
        let norm = GroupNormConfig::new(2, 4).with_epsilon(1e-12).init(&device);
        let rows = TensorData::new(vec![1.0, 3.0, 10.0, 30.0, 3.0, 1.0, 30.0, 10.0], [1, 8]);
        let out = normalize_groups(&norm, Tensor::from_data(rows, &device), false);
        assert_eq!(numbers(out), [-1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0]);
    }
}
