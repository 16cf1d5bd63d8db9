//! A convolution with its activation, as one differentiable operation on the CPU.
//!
//! Its forward and backward are the kernels of [`cpu`](super::cpu). Other devices use Burn's operations.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::module::{Initializer, Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::cpu::{Convolve, Fields, Gradients};
use super::fused::{contiguous, floats, register};
use super::sides::{plain_device, same_side};
use super::threads::{take_buffer, with_kernels};
use super::{Activation, Mlp, MlpShape};

/// A convolution with a bias and a rectifier behind it, on pictures whose pixels' numbers lie together.
///
/// On the CPU it is one operation; elsewhere it is Burn's convolution.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    /// The weights, `[size of a field, filters]`, and the bias `[filters]`.
    filters: Mlp,
    #[module(skip)]
    fields: Fields,
}

impl Convolution {
    /// Filters with PyTorch's initial weights, uniform in ±1/√in, from Burn's generator.
    pub fn new(fields: Fields, filters: usize, device: &Device) -> Self {
        Convolution {
            filters: rectified(fields.size(), filters, device),
            fields,
        }
    }

    /// How many numbers a pass keeps for each row: what it makes.
    pub fn values_per_row(&self) -> usize {
        self.fields.places() * self.filters.shape().outputs()
    }

    /// The features `[batch, down * across * filters]` of rows of pictures, again pixel by pixel.
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        if plain_device(&rows.device()) != Device::flex() {
            return self.reference(rows);
        }
        fused(self.filters.parameters(), rows, self.fields, true)
    }

    /// The same features by Burn's convolution.
    fn reference(&self, rows: Tensor<2>) -> Tensor<2> {
        let shape = self.filters.shape();
        let (parameters, rows) = same_side(self.filters.parameters(), rows);
        let weight = parameters.clone().slice([0..1, shape.weight(0)]);
        let weight = weight.reshape([self.fields.size(), shape.outputs()]);
        let bias = parameters.slice([0..1, shape.bias(0)]);
        let bias = bias.reshape([shape.outputs()]);
        activation::relu(by_burn(weight, Some(bias), rows, self.fields))
    }
}

/// A convolution without bias and with nothing behind it, on pictures whose pixels' numbers lie together.
///
/// On the CPU it is one operation; elsewhere it is Burn's convolution.
#[derive(Module, Debug)]
pub(crate) struct PlainConvolution {
    /// `[size of a field, filters]`.
    pub(super) weight: Param<Tensor<2>>,
    #[module(skip)]
    fields: Fields,
}

impl PlainConvolution {
    /// Filters with torchvision's initial weights: normal, with the variance 2 / (filters · size of the kernel), from Burn's generator.
    pub fn new(fields: Fields, filters: usize, device: &Device) -> Self {
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: (2.0 / (filters * fields.kernel * fields.kernel) as f64).sqrt(),
        };
        PlainConvolution {
            weight: initializer.init([fields.size(), filters], device),
            fields,
        }
    }

    /// The features `[batch, down * across * filters]` of rows of pictures, again pixel by pixel.
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        if plain_device(&rows.device()) != Device::flex() {
            return self.reference(rows);
        }
        fused(self.weight.val(), rows, self.fields, false)
    }

    /// The same features by Burn's convolution.
    fn reference(&self, rows: Tensor<2>) -> Tensor<2> {
        let (weight, rows) = same_side(self.weight.val(), rows);
        by_burn(weight, None, rows, self.fields)
    }
}

/// Features by Burn's convolution, for weights `[size of a field, filters]`.
fn by_burn(
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    rows: Tensor<2>,
    fields: Fields,
) -> Tensor<2> {
    let Fields {
        pictures,
        height,
        width,
        channels,
        kernel,
        stride,
        padding,
    } = fields;
    let ([batch, _], [_, filters]) = (rows.dims(), weight.dims());
    let weight = weight.reshape([pictures, kernel, kernel, channels, filters]);
    let weight = weight.permute([4, 0, 3, 1, 2]);
    let weight = weight.reshape([filters, pictures * channels, kernel, kernel]);
    let planes = rows.reshape([batch, pictures, height, width, channels]);
    let planes = planes.permute([0, 1, 4, 2, 3]);
    let planes = planes.reshape([batch, pictures * channels, height, width]);
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    let out = conv2d(planes, weight, bias, options);
    let [_, _, down, across] = out.dims();
    let pixels = out.permute([0, 2, 3, 1]);
    pixels.reshape([batch, down * across * filters])
}

/// Features by the kernels of the CPU, for weights and, before a rectifier, a bias.
fn fused(parameters: Tensor<2>, rows: Tensor<2>, fields: Fields, rectified: bool) -> Tensor<2> {
    let (parameters, rows) = same_side(parameters, rows);
    let (parameters, rows) = (parameters.into_dispatch(), rows.into_dispatch());
    let out =
        <Dispatch as FusedConvolution>::fused_convolution(parameters, rows, fields, rectified);
    Tensor::from_dispatch(out)
}

/// The shape of a layer with a rectifier.
pub(crate) fn of_one_layer(inputs: usize, outputs: usize) -> MlpShape {
    MlpShape {
        members: 1,
        sizes: vec![inputs, outputs],
        output: Activation::Relu,
        ..MlpShape::default()
    }
}

/// A layer with a rectifier. Weights and biases are uniform in ±1/√in, from Burn's generator.
pub(crate) fn rectified(inputs: usize, outputs: usize, device: &Device) -> Mlp {
    uniform_layer(of_one_layer(inputs, outputs), device)
}

/// A layer without an activation, with the same initial weights.
pub(crate) fn linear(inputs: usize, outputs: usize, device: &Device) -> Mlp {
    let shape = MlpShape {
        output: Activation::Identity,
        ..of_one_layer(inputs, outputs)
    };
    uniform_layer(shape, device)
}

fn uniform_layer(shape: MlpShape, device: &Device) -> Mlp {
    let inputs = shape.sizes[0];
    let bound = 1.0 / (inputs.max(1) as f64).sqrt();
    let uniform = burn::tensor::Distribution::Uniform(-bound, bound);
    let parameters = [1, shape.parameters()];
    let parameters = Tensor::random(parameters, uniform, &plain_device(device));
    Mlp::from_parameters(shape, parameters, device)
}

/// Backends that have the convolution as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedConvolution: Backend {
    /// Features `[batch, places * filters]` of rows of pictures `[batch, row]`, for the weights `[size, filters]` of fields and, with
    /// a rectifier, the bias `[filters]` behind them.
    fn fused_convolution(
        parameters: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        fields: Fields,
        rectified: bool,
    ) -> FloatTensor<Self>;
}

impl FusedConvolution for Flex {
    fn fused_convolution(
        parameters: FlexTensor,
        rows: FlexTensor,
        fields: Fields,
        rectified: bool,
    ) -> FlexTensor {
        pass(
            &contiguous(parameters),
            &contiguous(rows),
            fields,
            rectified,
        )
    }
}

impl<C: CheckpointStrategy> FusedConvolution for Autodiff<Flex, C> {
    fn fused_convolution(
        parameters: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        fields: Fields,
        rectified: bool,
    ) -> FloatTensor<Self> {
        let nodes = [parameters.node.clone(), rows.node.clone()];
        let parameters = contiguous(parameters.primitive);
        let rows = contiguous(rows.primitive);
        let out = pass(&parameters, &rows, fields, rectified);
        let prepared = ConvolutionBackward.prepare::<C>(nodes);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => {
                let recorded = Recorded {
                    parameters,
                    rows,
                    out: out.clone(),
                    fields,
                    rectified,
                };
                prep.finish(recorded, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Recorded {
    parameters: FlexTensor,
    rows: FlexTensor,
    out: FlexTensor,
    fields: Fields,
    rectified: bool,
}

#[derive(Debug)]
struct ConvolutionBackward;

impl Backward<Flex, 2> for ConvolutionBackward {
    type State = Recorded;

    fn backward(self, ops: Ops<Recorded, 2>, gradients: &mut BurnGradients, _: &mut Checkpointer) {
        let [parameters_node, rows_node] = ops.parents;
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Recorded {
            parameters,
            rows,
            out,
            fields,
            rectified,
        } = ops.state;
        // A parent that nobody trains has no node, and costs nothing.
        let mut d_parameters = parameters_node
            .as_ref()
            .map(|_| take_buffer(floats(&parameters).len()));
        let mut d_rows = rows_node.as_ref().map(|_| take_buffer(floats(&rows).len()));
        let wanted = Gradients {
            params: d_parameters.as_deref_mut(),
            x: d_rows.as_deref_mut(),
        };
        with_kernels(|kernels| {
            let convolve = convolve(&parameters, &rows, fields, rectified);
            kernels.convolve_back(convolve, floats(&out), floats(&d_out), wanted);
        });
        for (node, gradient, like) in [
            (parameters_node, d_parameters, &parameters),
            (rows_node, d_rows, &rows),
        ] {
            register(gradients, node.map(|node| node.id), gradient, like);
        }
    }
}

fn pass(parameters: &FlexTensor, rows: &FlexTensor, fields: Fields, rectified: bool) -> FlexTensor {
    let convolve = convolve(parameters, rows, fields, rectified);
    let batch = convolve.batch();
    let mut out = vec![0.0; convolve.out_len()];
    let width = fields.places() * convolve.filters();
    with_kernels(|kernels| kernels.convolve(convolve, &mut out));
    FlexTensor::from_data(TensorData::new(out, [batch, width]))
}

fn convolve<'a>(
    parameters: &'a FlexTensor,
    rows: &'a FlexTensor,
    fields: Fields,
    rectified: bool,
) -> Convolve<'a> {
    Convolve {
        fields,
        rectified,
        parameters: floats(parameters),
        pictures: floats(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn rows(batch: usize, width: usize, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (0..batch * width)
            .map(|i| (i as f32 * 0.37).sin())
            .collect();
        Tensor::from_data(TensorData::new(values, [batch, width]), device)
    }

    fn fields(
        pictures: usize,
        [height, width]: [usize; 2],
        channels: usize,
        [kernel, stride]: [usize; 2],
    ) -> Fields {
        Fields {
            pictures,
            height,
            width,
            channels,
            kernel,
            stride,
            padding: 0,
        }
    }

    /// Holds the features of some rows, and their gradients by the rows and by the parameters, to those of the reference.
    fn agrees(
        fields: Fields,
        batch: usize,
        by: impl Fn(bool, Tensor<2>) -> Tensor<2>,
        parameters: impl Fn() -> Tensor<2>,
    ) {
        let device = Device::flex().autodiff();
        let results = |reference: bool| {
            let rows = rows(batch, fields.row(), &device).require_grad();
            let out = by(reference, rows.clone());
            let [_, wide] = out.dims();
            let weights = self::rows(batch, wide, &device);
            let gradients = (out.clone() * weights).sum().backward();
            [
                numbers(out),
                numbers(rows.grad(&gradients).unwrap()),
                numbers(parameters().grad(&gradients).unwrap()),
            ]
        };
        for (ours, burns) in results(false).iter().zip(&results(true)) {
            assert_eq!(ours.len(), burns.len());
            for (a, b) in ours.iter().zip(burns) {
                assert!((a - b).abs() < 1e-4, "{fields:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_known_picture_gives_known_features() {
        // A field of 2 x 2 pixels at a time; the one filter adds them, with weights 1, 2, 3, 4, and 0.5.
        let device = Device::flex();
        let fields = fields(1, [3, 5], 1, [2, 2]);
        let shape = MlpShape {
            sizes: vec![4, 1],
            output: Activation::Relu,
            ..MlpShape::default()
        };
        let values = vec![1.0, 2.0, 3.0, 4.0, 0.5];
        let convolution = Convolution {
            filters: Mlp::from_values(shape, values, &device),
            fields,
        };
        let picture: Vec<f32> = (0..15).map(|it| it as f32).collect();
        let picture = Tensor::from_data(TensorData::new(picture, [1, 15]), &device);
        // 0 + 2*1 + 3*5 + 4*6 and 2 + 2*3 + 3*7 + 4*8; the last column and row are in no field.
        assert_eq!(numbers(convolution.forward(picture)), [41.5, 61.5]);
    }

    #[test]
    fn it_agrees_with_burns_convolution_and_so_do_its_gradients() {
        let device = Device::flex().autodiff();
        for (pictures, height, width, channels, kernel, stride) in [
            (1, 9, 7, 3, 3, 2),
            (3, 8, 8, 1, 4, 2),
            (2, 6, 11, 2, 2, 3),
            (1, 5, 5, 4, 5, 1),
        ] {
            let fields = fields(pictures, [height, width], channels, [kernel, stride]);
            let convolution = Convolution::new(fields, 6, &device);
            let by = |reference: bool, rows| match reference {
                true => convolution.reference(rows),
                false => convolution.forward(rows),
            };
            agrees(fields, 5, by, || convolution.filters.parameters());
        }
    }

    #[test]
    fn a_plain_one_agrees_with_burns_convolution_and_so_do_its_gradients() {
        let device = Device::flex().autodiff();
        for (size, channels, kernel, stride, padding) in [
            ([9, 8], 3, 7, 2, 3),
            ([5, 6], 16, 3, 1, 1),
            ([7, 4], 8, 1, 2, 0),
        ] {
            let fields = Fields {
                padding,
                ..fields(1, size, channels, [kernel, stride])
            };
            let convolution = PlainConvolution::new(fields, 16, &device);
            let by = |reference: bool, rows| match reference {
                true => convolution.reference(rows),
                false => convolution.forward(rows),
            };
            agrees(fields, 3, by, || convolution.weight.val());
        }
    }

    #[test]
    fn a_rows_features_do_not_depend_on_the_other_rows() {
        let device = Device::flex();
        let fields = fields(2, [16, 16], 3, [4, 2]);
        let convolution = Convolution::new(fields, 16, &device);
        let all = rows(7, fields.row(), &device);
        let together = numbers(convolution.forward(all.clone()));
        let alone =
            (0..7).flat_map(|row| numbers(convolution.forward(all.clone().narrow(0, row, 1))));
        assert!(together.into_iter().eq(alone));
    }
}
