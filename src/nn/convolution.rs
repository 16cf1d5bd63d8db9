//! A convolution with its activation.

use burn::module::Module;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, activation};

use super::patches::{Fields, patches};
use super::sides::{plain_device, same_side};
use super::{Activation, Mlp, MlpShape};

/// A convolution without padding and a rectifier, on pictures whose pixels' numbers lie together.
///
/// On the CPU it is a perceptron's layer on the fields that it looks at; elsewhere it is Burn's convolution.
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

    /// How many numbers a pass keeps for each row: what it makes, and the fields that it looks at, which count half, because those of
    /// the picture itself have no gradient.
    pub fn values_per_row(&self) -> usize {
        let fields: usize = self.fields.count().iter().product();
        fields * (self.filters.shape().outputs() + self.fields.size() / 2)
    }

    /// The features `[batch, down * across * filters]` of rows of pictures, again pixel by pixel.
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        if plain_device(&rows.device()) != Device::flex() {
            return self.reference(rows);
        }
        let [batch, _] = rows.dims();
        let [down, across] = self.fields.count();
        let out = self.filters.forward_member(0, patches(rows, self.fields));
        out.reshape([batch, down * across * self.filters.shape().outputs()])
    }

    /// The same features by Burn's convolution.
    fn reference(&self, rows: Tensor<2>) -> Tensor<2> {
        let (parameters, rows) = same_side(self.filters.parameters(), rows);
        let Fields {
            pictures,
            height,
            width,
            channels,
            kernel,
            stride,
        } = self.fields;
        let [batch, _] = rows.dims();
        let shape = self.filters.shape();
        let (size, filters) = (self.fields.size(), shape.outputs());
        let weight = parameters.clone().slice([0..1, shape.weight(0)]);
        let weight = weight.reshape([pictures, kernel, kernel, channels, filters]);
        let weight = weight.permute([4, 0, 3, 1, 2]);
        let weight = weight.reshape([filters, pictures * channels, kernel, kernel]);
        let bias = parameters.slice([0..1, shape.bias(0)]).reshape([filters]);
        debug_assert_eq!(size * filters, shape.weight(0).len());
        let planes = rows.reshape([batch, pictures, height, width, channels]);
        let planes = planes.permute([0, 1, 4, 2, 3]);
        let planes = planes.reshape([batch, pictures * channels, height, width]);
        let options = ConvOptions::new([stride; 2], [0; 2], [1; 2], 1);
        let out = activation::relu(conv2d(planes, weight, Some(bias), options));
        let [_, _, down, across] = out.dims();
        let pixels = out.permute([0, 2, 3, 1]);
        pixels.reshape([batch, down * across * filters])
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

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
            let gradients = |reference: bool| {
                let rows = rows(5, fields.row(), &device).require_grad();
                let out = match reference {
                    true => convolution.reference(rows.clone()),
                    false => convolution.forward(rows.clone()),
                };
                let [_, wide] = out.dims();
                let weights = self::rows(5, wide, &device);
                let gradients = (out.clone() * weights).sum().backward();
                let parameters = convolution.filters.parameters().grad(&gradients);
                [
                    numbers(out),
                    numbers(rows.grad(&gradients).unwrap()),
                    numbers(parameters.unwrap()),
                ]
            };
            for (ours, burns) in gradients(false).iter().zip(&gradients(true)) {
                assert_eq!(ours.len(), burns.len());
                for (a, b) in ours.iter().zip(burns) {
                    assert!((a - b).abs() < 1e-4, "{fields:?}: {a} {b}");
                }
            }
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
