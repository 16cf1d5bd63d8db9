//! The fields of pixels that a convolution looks at, as rows.
//!
//! A convolution is a perceptron's layer on every field of the picture. So with the fields as rows, the kernels for perceptrons do the
//! rest, with the bias, the activation and the threads.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};

use super::fused::{contiguous, floats};

/// Which fields of which pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// How many pictures lie side by side in a row.
    pub pictures: usize,
    pub height: usize,
    pub width: usize,
    /// Numbers of a pixel, which lie together.
    pub channels: usize,
    /// A field is so many pixels wide and high.
    pub kernel: usize,
    /// The next field is so many pixels on.
    pub stride: usize,
}

impl Fields {
    /// How many fields lie below and beside each other, `[down, across]`. What is left at the lower and the right edge is in none.
    pub fn count(&self) -> [usize; 2] {
        [self.height, self.width].map(|size| match size.checked_sub(self.kernel) {
            Some(rest) => rest / self.stride + 1,
            None => 0,
        })
    }

    /// Numbers of a field: of each picture its rows, each pixel by pixel.
    pub fn size(&self) -> usize {
        self.pictures * self.kernel * self.run()
    }

    /// Numbers in a row of pictures.
    pub fn row(&self) -> usize {
        self.pictures * self.height * self.width * self.channels
    }

    /// Numbers of a field that lie together.
    fn run(&self) -> usize {
        self.kernel * self.channels
    }

    /// Calls `copy` with the place in the row of pictures and the place in the row's fields of each run, in the order of the fields.
    fn each_run(&self, mut copy: impl FnMut(usize, usize)) {
        let [down, across] = self.count();
        let line = self.width * self.channels;
        let mut to = 0;
        for y in 0..down {
            for x in 0..across {
                for picture in 0..self.pictures {
                    for row in 0..self.kernel {
                        let line_at = (picture * self.height + y * self.stride + row) * line;
                        copy(line_at + x * self.stride * self.channels, to);
                        to += self.run();
                    }
                }
            }
        }
    }
}

/// Backends that have the fields as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Patches: Backend {
    /// The fields `[batch * down * across, size]` of rows of pictures `[batch, pictures * height * width * channels]`.
    fn patches(rows: FloatTensor<Self>, fields: Arc<Fields>) -> FloatTensor<Self>;
}

/// The fields of tensors of the CPU.
pub(crate) fn patches(rows: Tensor<2>, fields: Fields) -> Tensor<2> {
    let out = <Dispatch as Patches>::patches(rows.into_dispatch(), Arc::new(fields));
    Tensor::from_dispatch(out)
}

impl Patches for Flex {
    fn patches(rows: FlexTensor, fields: Arc<Fields>) -> FlexTensor {
        let rows = contiguous(rows);
        let values = floats(&rows);
        let batch = values.len() / fields.row().max(1);
        let [down, across] = fields.count();
        let (each, run) = (down * across * fields.size(), fields.run());
        let mut out = vec![0.0; batch * each];
        let pairs = values.chunks_exact(fields.row().max(1));
        for (from, to) in pairs.zip(out.chunks_exact_mut(each.max(1))) {
            fields.each_run(|at, place| to[place..place + run].copy_from_slice(&from[at..at + run]));
        }
        let shape = [batch * down * across, fields.size()];
        FlexTensor::from_data(TensorData::new(out, shape))
    }
}

impl<C: CheckpointStrategy> Patches for Autodiff<Flex, C> {
    fn patches(rows: FloatTensor<Self>, fields: Arc<Fields>) -> FloatTensor<Self> {
        let nodes = [rows.node.clone()];
        match PatchesBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(Flex::patches(rows.primitive, fields)),
            OpsKind::Tracked(prep) => {
                let out = Flex::patches(rows.primitive, fields.clone());
                prep.finish(fields, out)
            }
        }
    }
}

#[derive(Debug)]
struct PatchesBackward;

impl Backward<Flex, 1> for PatchesBackward {
    type State = Arc<Fields>;

    fn backward(self, ops: Ops<Arc<Fields>, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Some(node) = node else { return };
        let fields = ops.state;
        let [down, across] = fields.count();
        let (each, run, row) = (down * across * fields.size(), fields.run(), fields.row());
        let values = floats(&d_out);
        let batch = values.len() / each.max(1);
        let mut d_rows = vec![0.0; batch * row];
        let pairs = values.chunks_exact(each.max(1));
        for (from, to) in pairs.zip(d_rows.chunks_exact_mut(row.max(1))) {
            fields.each_run(|at, place| {
                let sums = to[at..at + run].iter_mut();
                sums.zip(&from[place..place + run]).for_each(|(sum, it)| *sum += it);
            });
        }
        let d_rows = FlexTensor::from_data(TensorData::new(d_rows, [batch, row]));
        gradients.register::<Flex>(node.id, d_rows);
    }
}
