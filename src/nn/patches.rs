//! The fields of pixels that a convolution looks at, as rows.
//!
//! A convolution is a perceptron's layer on every field of the picture. So with the fields as rows, the kernels for perceptrons do the
//! rest, with the bias, the activation and the threads.

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

    /// Calls `copy` with the place in the row of pictures of each run, in the order of the fields.
    fn each_run(&self, mut copy: impl FnMut(usize)) {
        let [down, across] = self.count();
        let line = self.width * self.channels;
        for y in 0..down {
            for x in 0..across {
                for picture in 0..self.pictures {
                    for row in 0..self.kernel {
                        let line_at = (picture * self.height + y * self.stride + row) * line;
                        copy(line_at + x * self.stride * self.channels);
                    }
                }
            }
        }
    }

    /// Appends the fields of a row of pictures. `RUN` is the length of a run where it is known to the compiler, else 0: a copy of a
    /// few numbers costs less than the call that copies any number of them.
    fn gather<const RUN: usize>(&self, from: &[f32], fields: &mut Vec<f32>) {
        let run = if RUN == 0 { self.run() } else { RUN };
        self.each_run(|at| fields.extend_from_slice(&from[at..at + run]));
    }

    /// Adds fields to the row of pictures where they are from.
    fn scatter<const RUN: usize>(&self, fields: &[f32], to: &mut [f32]) {
        let run = if RUN == 0 { self.run() } else { RUN };
        let mut fields = fields.chunks_exact(run);
        self.each_run(|at| {
            let sums = to[at..at + run].iter_mut();
            let added = fields.next().into_iter().flatten();
            sums.zip(added).for_each(|(sum, it)| *sum += it);
        });
    }
}

/// Runs `$self.$method::<RUN>($arguments)` with the length of a run, where it is one of the usual ones.
macro_rules! by_run {
    ($fields:expr, $method:ident($($argument:expr),*)) => {
        match $fields.run() {
            3 => $fields.$method::<3>($($argument),*),
            4 => $fields.$method::<4>($($argument),*),
            8 => $fields.$method::<8>($($argument),*),
            12 => $fields.$method::<12>($($argument),*),
            16 => $fields.$method::<16>($($argument),*),
            24 => $fields.$method::<24>($($argument),*),
            32 => $fields.$method::<32>($($argument),*),
            64 => $fields.$method::<64>($($argument),*),
            128 => $fields.$method::<128>($($argument),*),
            _ => $fields.$method::<0>($($argument),*),
        }
    };
}

/// Backends that have the fields as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Patches: Backend {
    /// The fields `[batch * down * across, size]` of rows of pictures `[batch, pictures * height * width * channels]`.
    fn patches(rows: FloatTensor<Self>, fields: Fields) -> FloatTensor<Self>;
}

/// The fields of tensors of the CPU.
pub(crate) fn patches(rows: Tensor<2>, fields: Fields) -> Tensor<2> {
    let out = <Dispatch as Patches>::patches(rows.into_dispatch(), fields);
    Tensor::from_dispatch(out)
}

impl Patches for Flex {
    fn patches(rows: FlexTensor, fields: Fields) -> FlexTensor {
        let rows = contiguous(rows);
        let values = floats(&rows);
        let batch = values.len() / fields.row().max(1);
        let [down, across] = fields.count();
        let mut out = Vec::with_capacity(batch * down * across * fields.size());
        for row in values.chunks_exact(fields.row().max(1)) {
            by_run!(fields, gather(row, &mut out));
        }
        let shape = [batch * down * across, fields.size()];
        FlexTensor::from_data(TensorData::new(out, shape))
    }
}

impl<C: CheckpointStrategy> Patches for Autodiff<Flex, C> {
    fn patches(rows: FloatTensor<Self>, fields: Fields) -> FloatTensor<Self> {
        let nodes = [rows.node.clone()];
        match PatchesBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::UnTracked(prep) => prep.finish(Flex::patches(rows.primitive, fields)),
            OpsKind::Tracked(prep) => {
                let out = Flex::patches(rows.primitive, fields);
                prep.finish(fields, out)
            }
        }
    }
}

#[derive(Debug)]
struct PatchesBackward;

impl Backward<Flex, 1> for PatchesBackward {
    type State = Fields;

    fn backward(self, ops: Ops<Fields, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Some(node) = node else { return };
        let fields = ops.state;
        let [down, across] = fields.count();
        let (each, row) = (down * across * fields.size(), fields.row());
        let values = floats(&d_out);
        let batch = values.len() / each.max(1);
        let mut d_rows = vec![0.0; batch * row];
        let pairs = values.chunks_exact(each.max(1));
        for (from, to) in pairs.zip(d_rows.chunks_exact_mut(row.max(1))) {
            by_run!(fields, scatter(from, to));
        }
        let d_rows = FlexTensor::from_data(TensorData::new(d_rows, [batch, row]));
        gradients.register::<Flex>(node.id, d_rows);
    }
}
