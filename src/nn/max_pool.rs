//! The greatest number of each field of a picture, as one differentiable operation on the CPU.
//!
//! Other devices use Burn's operation.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::module::max_pool2d;
use burn::tensor::{Device, Tensor, TensorData};

use super::cpu::Fields;
use super::fused::{contiguous, floats};
use super::sides::plain_device;

/// The greatest number of each channel in each field, `[batch, places * channels]`, of rows of single pictures whose channels lie
/// together.
pub(super) fn max_pool(rows: Tensor<2>, fields: Fields) -> Tensor<2> {
    if plain_device(&rows.device()) != Device::flex() {
        return reference(rows, fields);
    }
    let out = <Dispatch as FusedMaxPool>::fused_max_pool(rows.into_dispatch(), fields);
    Tensor::from_dispatch(out)
}

/// The same by Burn's operation.
fn reference(rows: Tensor<2>, fields: Fields) -> Tensor<2> {
    let [batch, _] = rows.dims();
    let planes = rows.reshape([batch, fields.height, fields.width, fields.channels]);
    let [size, step, padding] = [fields.kernel, fields.stride, fields.padding].map(|it| [it; 2]);
    let planes = planes.permute([0, 3, 1, 2]);
    let out = max_pool2d(planes, size, step, padding, [1; 2], false);
    let [_, channels, down, across] = out.dims();
    let pixels = out.permute([0, 2, 3, 1]);
    pixels.reshape([batch, down * across * channels])
}

/// Backends that have the pooling as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedMaxPool: Backend {
    /// `[batch, places * channels]` of rows of pictures `[batch, row]`.
    fn fused_max_pool(rows: FloatTensor<Self>, fields: Fields) -> FloatTensor<Self>;
}

impl FusedMaxPool for Flex {
    fn fused_max_pool(rows: FlexTensor, fields: Fields) -> FlexTensor {
        pass(&contiguous(rows), fields).0
    }
}

impl<C: CheckpointStrategy> FusedMaxPool for Autodiff<Flex, C> {
    fn fused_max_pool(rows: FloatTensor<Self>, fields: Fields) -> FloatTensor<Self> {
        let node = rows.node.clone();
        let (out, sources) = pass(&contiguous(rows.primitive), fields);
        let prepared = MaxPoolBackward.prepare::<C>([node]);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => prep.finish((fields, Arc::new(sources)), out),
        }
    }
}

#[derive(Debug)]
struct MaxPoolBackward;

impl Backward<Flex, 1> for MaxPoolBackward {
    type State = (Fields, Arc<Vec<u32>>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let [Some(node)] = ops.parents else {
            return;
        };
        let (fields, sources) = ops.state;
        let (row, each) = (fields.row(), fields.places() * fields.channels);
        let batch = sources.len() / each.max(1);
        let mut d_rows = vec![0.0; batch * row];
        let d_out = floats(&d_out).chunks_exact(each.max(1));
        let of_a_row = d_out.zip(sources.chunks_exact(each.max(1)));
        for ((d_out, sources), d_row) in of_a_row.zip(d_rows.chunks_exact_mut(row)) {
            for (gradient, source) in d_out.iter().zip(sources) {
                d_row[*source as usize] += gradient;
            }
        }
        let d_rows = FlexTensor::from_data(TensorData::new(d_rows, [batch, row]));
        gradients.register::<Flex>(node.id, d_rows);
    }
}

/// The greatest numbers, and where in its row each is from. Of equal ones the first counts; one that is no number is greatest.
fn pass(rows: &FlexTensor, fields: Fields) -> (FlexTensor, Vec<u32>) {
    let ([down, across], channels) = (fields.count(), fields.channels);
    let (row, each) = (fields.row(), down * across * channels);
    let values = floats(rows);
    let batch = values.len() / row;
    let mut out = vec![f32::NEG_INFINITY; batch * each];
    let mut sources = vec![0; batch * each];
    let per_row = out
        .chunks_exact_mut(each)
        .zip(sources.chunks_exact_mut(each));
    for (row, (out, sources)) in values.chunks_exact(row).zip(per_row) {
        let places = out
            .chunks_exact_mut(channels)
            .zip(sources.chunks_exact_mut(channels));
        for (place, (out, sources)) in places.enumerate() {
            for run in 0..fields.runs() {
                let (from, part) = fields.seen(fields.corner(place), run);
                let pixels = row[from..from + part.len()].chunks_exact(channels);
                for (pixel, numbers) in pixels.enumerate() {
                    let first = (from + pixel * channels) as u32;
                    let greatest = out.iter_mut().zip(sources.iter_mut());
                    for (at, (number, (greatest, source))) in
                        (first..).zip(numbers.iter().zip(greatest))
                    {
                        if *number > *greatest || number.is_nan() {
                            (*greatest, *source) = (*number, at);
                        }
                    }
                }
            }
        }
    }
    let out = FlexTensor::from_data(TensorData::new(out, [batch, each]));
    (out, sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn it_agrees_with_burns_and_so_do_its_gradients() {
        for (batch, [height, width], channels) in [(2, [7, 6], 3), (1, [1, 2], 16), (3, [4, 9], 1)]
        {
            let fields = Fields {
                pictures: 1,
                height,
                width,
                channels,
                kernel: 3,
                stride: 2,
                padding: 1,
            };
            let shape = [batch, fields.row()];
            let values = (0..batch * fields.row()).map(|i| ((i * i) as f32 * 0.37).sin());
            let values = TensorData::new(values.collect::<Vec<f32>>(), shape);
            let results = |by: fn(Tensor<2>, Fields) -> Tensor<2>| {
                let rows = Tensor::from_data(values.clone(), &Device::flex().autodiff());
                let rows = Tensor::require_grad(rows);
                let out = by(rows.clone(), fields);
                let gradients = (out.clone() * out.clone().detach().exp()).sum().backward();
                [numbers(out), numbers(rows.grad(&gradients).unwrap())]
            };
            assert_eq!(results(max_pool), results(reference));
        }
    }

    #[test]
    fn a_known_picture_gives_its_greatest_numbers() {
        let fields = Fields {
            pictures: 1,
            height: 3,
            width: 3,
            channels: 1,
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let picture = vec![-9.0, -2.0, -3.0, -4.0, -5.0, -1.0, -7.0, -8.0, f32::NAN];
        let rows = Tensor::from_data(TensorData::new(picture, [1, 9]), &Device::flex());
        let out = numbers(max_pool(rows, fields));
        assert_eq!(out[..3], [-2.0, -1.0, -4.0]);
        assert!(out[3].is_nan());
    }
}
