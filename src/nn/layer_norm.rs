//! Layer normalization, as one differentiable operation on the CPU.
//!
//! Its forward and backward are the kernels of [`cpu`](super::cpu). Other devices use Burn's operations.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor, TensorData};

use super::fused::{contiguous, floats, register};
use super::sides::plain_device;
use super::threads::with_kernels;

/// Added to the variance, as PyTorch does.
const EPSILON: f32 = 1e-5;

/// A normalization of rows of so many numbers, with a gain of 1 and an offset of 0.
pub(super) fn layer_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(f64::from(EPSILON))
        .init(device)
}

/// The rows, normalized (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>). `norm` is one of [`layer_norm`]'s.
pub(super) fn normalized<const D: usize>(norm: &LayerNorm, rows: Tensor<D>) -> Tensor<D> {
    let Some(offset) = &norm.beta else {
        return norm.forward(rows);
    };
    if plain_device(&rows.device()) != Device::flex() {
        return norm.forward(rows);
    }
    let shape = rows.dims();
    let width = shape[D - 1];
    let rows = rows.reshape([-1, width as i64]);
    let out = <Dispatch as FusedNorm>::fused_norm(
        rows.into_dispatch(),
        norm.gamma.val().into_dispatch(),
        offset.val().into_dispatch(),
    );
    Tensor::<2>::from_dispatch(out).reshape(shape)
}

/// Backends that have the normalization as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedNorm: Backend {
    /// Rows `[rows, width]`, gains and offsets `[width]`.
    fn fused_norm(
        rows: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedNorm for Flex {
    fn fused_norm(rows: FlexTensor, gain: FlexTensor, offset: FlexTensor) -> FlexTensor {
        let [rows, gain, offset] = [rows, gain, offset].map(contiguous);
        pass(&rows, &gain, &offset).0
    }
}

impl<C: CheckpointStrategy> FusedNorm for Autodiff<Flex, C> {
    fn fused_norm(
        rows: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let given = [rows, gain, offset];
        let nodes = given.each_ref().map(|tensor| tensor.node.clone());
        let [rows, gain, offset] = given.map(|tensor| contiguous(tensor.primitive));
        let (out, normal, inverse) = pass(&rows, &gain, &offset);
        let prepared = NormBackward.prepare::<C>(nodes);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => {
                let tracked = Tracked {
                    gain,
                    normal,
                    inverse,
                };
                prep.finish(tracked, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Tracked {
    gain: FlexTensor,
    /// The rows before gain and offset.
    normal: Vec<f32>,
    /// One over each row's deviation.
    inverse: Vec<f32>,
}

#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 3> for NormBackward {
    type State = Tracked;

    fn backward(self, ops: Ops<Tracked, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Tracked {
            gain,
            normal,
            inverse,
        } = ops.state;
        let width = floats(&gain).len();
        let (mut d_gain, mut d_offset) = (vec![0.0; width], vec![0.0; width]);
        let mut d_rows = floats(&d_out).to_vec();
        let [rows, of_gain, of_offset] = ops.parents;
        with_kernels(|kernels| {
            if of_gain.is_some() || of_offset.is_some() {
                kernels.normalize_back_parameters(&normal, &d_rows, &mut d_gain, &mut d_offset);
            }
            if rows.is_some() {
                kernels.normalize_back_rows(&normal, &inverse, floats(&gain), &mut d_rows);
            }
        });
        let shape = [inverse.len(), width];
        if let Some(node) = rows {
            let d_rows = FlexTensor::from_data(TensorData::new(d_rows, shape));
            gradients.register::<Flex>(node.id, d_rows);
        }
        for (node, gradient) in [(of_gain, d_gain), (of_offset, d_offset)] {
            register(gradients, node.map(|node| node.id), Some(gradient), &gain);
        }
    }
}

/// The result, the rows before gain and offset, and one over their deviations.
fn pass(
    rows: &FlexTensor,
    gain: &FlexTensor,
    offset: &FlexTensor,
) -> (FlexTensor, Vec<f32>, Vec<f32>) {
    let (gain, offset) = (floats(gain), floats(offset));
    let mut normal = floats(rows).to_vec();
    let count = normal.len() / gain.len();
    let (mut inverse, mut out) = (vec![0.0; count], vec![0.0; normal.len()]);
    with_kernels(|kernels| {
        kernels.normalize(&mut normal, (gain, offset), EPSILON, &mut inverse, &mut out);
    });
    let out = TensorData::new(out, [count, gain.len()]);
    (FlexTensor::from_data(out), normal, inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;

    fn waves<const D: usize>(shape: [usize; D], pace: f32) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|i: usize| 1.0 + (i as f32 * pace).sin());
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::from_data(data, &Device::flex().autodiff()).require_grad()
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn outputs_and_gradients_are_those_of_burns_operations() {
        for (rows, width) in [(1, 2), (3, 5), (40, 33), (300, 64)] {
            let mut norm = layer_norm(width, &Device::flex().autodiff());
            norm.gamma = Param::from_tensor(waves([width], 0.9));
            norm.beta = Some(Param::from_tensor(waves([width], 0.4)));
            let weights = waves([rows, width], 1.3).detach();
            let ways: [fn(&LayerNorm, Tensor<2>) -> Tensor<2>; 2] =
                [normalized, |norm, rows| norm.forward(rows)];
            let [one, other] = ways.map(|by| {
                let x = waves([rows, width], 0.7);
                let out = by(&norm, x.clone());
                let gradients = (out.clone() * weights.clone()).sum().backward();
                let of = |tensor: Tensor<1>| numbers(tensor.grad(&gradients).unwrap());
                [
                    numbers(out.inner()),
                    numbers(x.grad(&gradients).unwrap()),
                    of(norm.gamma.val()),
                    of(norm.beta.as_ref().unwrap().val()),
                ]
            });
            for (one, other) in one.into_iter().flatten().zip(other.into_iter().flatten()) {
                let close = (one - other).abs() < 2e-5 * other.abs().max(1.0);
                assert!(close, "{rows} {width}: {one} {other}");
            }
        }
    }
}
