//! The deep encoder of pictures: a residual network.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor, activation};

use super::Encoder;
use super::cnn::the_picture;
use super::pooling::{Pool, Pooling};
use super::transforms::{Transform, Transforms};
use crate::nn::Mlp;
use crate::nn::convolution::{PlainConvolution, linear, of_one_layer};
use crate::nn::cpu::Fields;
use crate::nn::group_norm::normalize_groups;
use crate::nn::max_pool::max_pool;
use crate::observation::{EncoderInput, Picture};
use crate::scene::Bounds;

/// A residual network of 18 layers for an observation that is a picture (He et al. 2016, "Deep Residual Learning for Image Recognition",
/// <https://arxiv.org/abs/1512.03385>), with initial weights of its own, then a pooling and one linear layer.
///
/// It is what robomimic's image policies see with, with group normalization in place of batch normalization, whose running statistics a
/// run would neither train nor save (Chi et al. 2023, "Diffusion Policy", <https://arxiv.org/abs/2303.04137>, make the same change: a group
/// is of 16 channels). Bytes from 0 to 255 are divided by 255 first. Frames side by side are channels more. Where there is more than the
/// picture, take [`Combined`](super::Combined).
///
/// ```
/// use yarak::prelude::*;
/// use yarak::nn::{InitError, ResNet18, Transform};
/// use yarak::observation::{EncoderInput, ObservationParts};
///
/// let picture = EncoderInput::new(ObservationParts::of_space(&Space::picture([40, 40, 3])), 1);
/// let encoder = ResNet18 {
///     transforms: vec![Transform::Crop { height: 36, width: 36 }],
///     ..ResNet18::default()
/// };
/// let init = &mut Random::<Init>::new(Seed(0));
/// let device = ComputeDevice::cpu().plain();
/// let actor = ActorNetwork::new(encoder, ActorHead::Deterministic, picture, 2, &device, init)?;
/// assert_eq!(actor.act(Tensor::zeros([3, 40 * 40 * 3], &device)).dims(), [3, 2]);
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct ResNet18 {
    /// What becomes of the features of all places: robomimic's spatial softmax with 32 keypoints if nothing is said.
    pub pooling: Pooling,
    /// Features, which the last layer makes.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub features: usize,
    /// What is done to pictures in training, in this order.
    pub transforms: Vec<Transform>,
}

impl Default for ResNet18 {
    fn default() -> Self {
        ResNet18 {
            pooling: Pooling::SpatialSoftmax { keypoints: 32 },
            features: 64,
            transforms: Vec::new(),
        }
    }
}

/// Channels of the four stages, of two blocks each.
const STAGES: [usize; 4] = [64, 128, 256, 512];
/// Channels that are normalized together.
const GROUP: usize = 16;

/// The module of a [`ResNet18`].
#[derive(Module, Debug)]
pub struct ResNetModule {
    stem: PlainConvolution,
    norm: GroupNorm,
    #[module(skip)]
    halve: Fields,
    blocks: Vec<Block>,
    pool: Pool,
    last: Mlp,
    #[module(skip)]
    transforms: Transforms,
    #[module(skip)]
    values_per_row: usize,
}

/// Two convolutions and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    first: PlainConvolution,
    first_norm: GroupNorm,
    second: PlainConvolution,
    second_norm: GroupNorm,
    /// Where the block changes the size.
    shortcut: Option<Shortcut>,
}

#[derive(Module, Debug)]
struct Shortcut {
    convolution: PlainConvolution,
    norm: GroupNorm,
}

impl Block {
    fn new(seen: [usize; 2], channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let [from, out] = channels;
        let convolution = |seen, from, kernel, stride| {
            PlainConvolution::new(fields((1, seen), from, kernel, stride), out, device)
        };
        let shortcut = || Shortcut {
            convolution: convolution(seen, from, 1, stride),
            norm: group_norm(out, device),
        };
        let made = fields((1, seen), from, 3, stride).count();
        Block {
            first: convolution(seen, from, 3, stride),
            first_norm: group_norm(out, device),
            second: convolution(made, out, 3, 1),
            second_norm: group_norm(out, device),
            shortcut: (stride > 1).then(shortcut),
        }
    }

    fn forward(&self, pixels: Tensor<2>) -> Tensor<2> {
        let hidden = self.first.forward(pixels.clone());
        let hidden = normalize_groups(&self.first_norm, hidden, true);
        let hidden = normalize_groups(&self.second_norm, self.second.forward(hidden), false);
        let around = match &self.shortcut {
            Some(Shortcut { convolution, norm }) => {
                normalize_groups(norm, convolution.forward(pixels), false)
            }
            None => pixels,
        };
        activation::relu(hidden + around)
    }
}

/// Fields of so many pictures side by side, padded so that a stride of 1 keeps their size.
fn fields(
    (pictures, [height, width]): (usize, [usize; 2]),
    channels: usize,
    kernel: usize,
    stride: usize,
) -> Fields {
    Fields {
        pictures,
        height,
        width,
        channels,
        kernel,
        stride,
        padding: kernel / 2,
    }
}

fn group_norm(channels: usize, device: &Device) -> GroupNorm {
    GroupNormConfig::new(channels / GROUP, channels).init(device)
}

/// Half of a size, rounded up: what a padded convolution or pooling that moves by 2 leaves.
fn halved(size: [usize; 2]) -> [usize; 2] {
    size.map(|it| it.div_ceil(2))
}

/// The least height or width that, halved five times and rounded up, leaves two places.
const TWO_PLACES: usize = 33;

impl Encoder for ResNet18 {
    type Module = ResNetModule;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<ResNetModule> {
        let transforms = Transforms::new(&self.transforms, the_picture(input)?)?;
        let picture = transforms.picture();
        let size = [picture.height, picture.width];
        let mut places = halved(size);
        let halve = fields((1, places), STAGES[0], 3, 2);
        // A pass keeps what each convolution makes, and what is made of it by its normalization.
        let kept = |[down, across]: [usize; 2], channels: usize| 2 * down * across * channels;
        let mut values_per_row = kept(places, STAGES[0]);
        places = halved(places);
        let mut from = STAGES[0];
        let mut blocks = Vec::new();
        for (stage, to) in STAGES.into_iter().enumerate() {
            for first in [true, false] {
                let stride = if first && stage > 0 { 2 } else { 1 };
                blocks.push(Block::new(places, [from, to], stride, device));
                if stride > 1 {
                    places = halved(places);
                }
                values_per_row += 2 * kept(places, to);
                from = to;
            }
        }
        let pool = Pool::new(self.pooling, (places, TWO_PLACES), from, device)?;
        of_one_layer(pool.outputs(), self.features).fits_the_machine()?;
        Ok(ResNetModule {
            stem: PlainConvolution::new(
                fields((picture.pictures(), size), picture.together(), 7, 2),
                STAGES[0],
                device,
            ),
            norm: group_norm(STAGES[0], device),
            halve,
            blocks,
            last: linear(pool.outputs(), self.features, device),
            values_per_row: values_per_row + pool.values_per_row() + self.features,
            pool,
            transforms,
        })
    }

    fn forward(module: &ResNetModule, observation: Tensor<2>) -> Tensor<2> {
        let in_training = module.last.parameters().is_require_grad();
        let pixels = module.transforms.apply(observation, in_training) / Picture::WHITE;
        let hidden = normalize_groups(&module.norm, module.stem.forward(pixels), true);
        let blocks = module.blocks.iter();
        let places = blocks.fold(max_pool(hidden, module.halve), |pixels, block| {
            block.forward(pixels)
        });
        module.last.forward_member(0, module.pool.forward(places))
    }

    fn values_per_row(module: &ResNetModule) -> usize {
        module.values_per_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::ObservationParts;
    use crate::prelude::Space;
    use burn::module::Param;
    use burn::tensor::TensorData;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn filled<const D: usize>(shape: [usize; D], number: impl Fn(f32) -> f32) -> Tensor<D> {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|it| number(it as f32)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn a_residual_block_with_group_normalization_gives_float64s_numbers() {
        // `python tests/python/vision_reference.py` prints them, from the same formulas.
        let device = Device::flex();
        let mut block = Block::new([5, 4], [16, 32], 2, &device);
        // The reference has the weights of filters, of channels, of places; here the order is places, channels, filters.
        let weights = |shape: [usize; 4]| {
            let [filters, channels, down, across] = shape;
            let weights = filled(shape, |it| (it * 0.7).cos() * 0.1).permute([2, 3, 1, 0]);
            Param::from_tensor(weights.reshape([down * across * channels, filters]))
        };
        let gains = |norm: &mut GroupNorm| {
            norm.gamma = Some(Param::from_tensor(filled([32], |it| 1.0 + it * 0.01)));
            norm.beta = Some(Param::from_tensor(filled([32], |it| it * 0.02 - 0.3)));
        };
        block.first.weight = weights([32, 16, 3, 3]);
        block.second.weight = weights([32, 32, 3, 3]);
        gains(&mut block.first_norm);
        gains(&mut block.second_norm);
        let shortcut = block.shortcut.as_mut().unwrap();
        shortcut.convolution.weight = weights([32, 16, 1, 1]);
        gains(&mut shortcut.norm);
        let planes = filled([1, 16, 5, 4], |it| (it * 0.37).sin());
        let pixels = planes.permute([0, 2, 3, 1]).reshape([1, 5 * 4 * 16]);
        let out = block.forward(pixels).reshape([1, 3, 2, 32]);
        let found = numbers(out.permute([0, 3, 1, 2]));
        let picked = found.iter().step_by(17);
        assert_eq!(picked.len(), RESIDUAL_BLOCK.len());
        for (found, expected) in picked.zip(RESIDUAL_BLOCK) {
            assert!(
                (f64::from(*found) - expected).abs() < 2e-5,
                "{found} {expected}"
            );
        }
    }

    /// Small, and large enough that four places are left.
    const HEIGHT: usize = 36;
    const WIDTH: usize = 40;

    fn module(settings: &ResNet18, device: &Device) -> ResNetModule {
        let parts = ObservationParts::of_space(&Space::picture([HEIGHT, WIDTH, 3]));
        settings.init(&EncoderInput::new(parts, 1), device).unwrap()
    }

    #[test]
    fn a_rows_features_do_not_depend_on_the_other_rows() {
        let device = Device::flex();
        let module = module(&ResNet18::default(), &device);
        let all = filled([5, HEIGHT * WIDTH * 3], |it| {
            (it * 0.37).sin() * 120.0 + 128.0
        });
        let together = numbers(ResNet18::forward(&module, all.clone()));
        assert_eq!(together.len(), 5 * 64);
        let alone = (0..5)
            .flat_map(|row| numbers(ResNet18::forward(&module, all.clone().narrow(0, row, 1))));
        assert!(together.into_iter().eq(alone));
    }

    #[test]
    fn every_parameter_has_a_gradient_and_transforms_are_on_in_training_alone() {
        let device = Device::flex().autodiff();
        let settings = ResNet18 {
            transforms: vec![Transform::Crop {
                height: 35,
                width: 36,
            }],
            ..ResNet18::default()
        };
        let trained = module(&settings, &device);
        let rows = filled([2, HEIGHT * WIDTH * 3], |it| {
            (it * 0.37).sin() * 120.0 + 128.0
        });
        let tracked = Tensor::from_inner(rows.clone());
        Device::flex().seed(4);
        let features = ResNet18::forward(&trained, tracked);
        let gradients = features.clone().square().sum().backward();
        assert!(trained.stem.weight.val().grad(&gradients).is_some());
        for block in &trained.blocks {
            for convolution in [&block.first, &block.second] {
                let gradient = numbers(convolution.weight.val().grad(&gradients).unwrap());
                assert!(gradient.iter().any(|it| *it != 0.0));
            }
        }
        // The middle where it acts, which the draw above was not.
        let acting = burn::module::AutodiffModule::valid(&trained);
        let once = numbers(ResNet18::forward(&acting, rows.clone()));
        assert_eq!(once, numbers(ResNet18::forward(&acting, rows)));
        assert_ne!(once, numbers(features.inner()));
    }

    const RESIDUAL_BLOCK: [f64; 12] = [
        1.12377833, 0.0, 0.0, 1.4951207, 0.0, 3.65987382, 0.0, 2.6606274, 1.31767901, 0.73268877,
        0.9529817, 0.0,
    ];
}
