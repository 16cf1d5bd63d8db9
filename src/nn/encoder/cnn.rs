//! The encoder of pictures.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Encoder;
use super::pooling::{Pool, Pooling};
use super::transforms::{Transform, Transforms};
use crate::nn::Mlp;
use crate::nn::convolution::{Convolution, of_one_layer, rectified};
use crate::nn::cpu::Fields;
use crate::observation::{EncoderInput, Picture};
use crate::scene::Bounds;

/// A convolutional network, for an observation that is a picture: convolutions with rectifiers, a pooling, then one layer.
///
/// Bytes from 0 to 255 are divided by 255 first. Frames side by side are channels more. Where there is more than the picture, take
/// [`Combined`](super::Combined).
///
/// ```
/// use yarak::prelude::*;
/// use yarak::nn::InitError;
/// use yarak::observation::{EncoderInput, ObservationParts};
///
/// let picture = EncoderInput::new(ObservationParts::of_space(&Space::picture([32, 32, 3])), 1);
/// let init = &mut Random::<Init>::new(Seed(0));
/// let device = ComputeDevice::cpu().plain();
/// let actor = ActorNetwork::new(Cnn::default(), ActorHead::Deterministic, picture, 2, &device, init)?;
/// assert_eq!(actor.act(Tensor::zeros([10, 32 * 32 * 3], &device)).dims(), [10, 2]);
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct Cnn {
    /// The convolutions.
    pub convolutions: Convolutions,
    /// What becomes of the features of all places.
    pub pooling: Pooling,
    /// Features, which the last layer makes.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub features: usize,
    /// What is done to pictures in training, in this order.
    pub transforms: Vec<Transform>,
}

/// The convolutions of a [`Cnn`], none of them padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum Convolutions {
    /// 16 filters of 8x8 pixels moving by 4, then 32 of 4x4 by 2: what DQN began with (Mnih et al. 2013, "Playing Atari with Deep
    /// Reinforcement Learning", <https://arxiv.org/abs/1312.5602>). From 20 pixels on.
    #[default]
    Small,
    /// 32 filters of 8x8 pixels moving by 4, 64 of 4x4 by 2, 64 of 3x3 by 1: what DQN played Atari's games with, at 84 pixels (Mnih et
    /// al. 2015, "Human-level control through deep reinforcement learning", <https://doi.org/10.1038/nature14236>). From 36 pixels on.
    Nature,
}

impl Convolutions {
    /// Filters, kernel and stride of each.
    fn layers(self) -> &'static [(usize, usize, usize)] {
        match self {
            Convolutions::Small => &[(16, 8, 4), (32, 4, 2)],
            Convolutions::Nature => &[(32, 8, 4), (64, 4, 2), (64, 3, 1)],
        }
    }

    /// The least height or width of a picture of which so many places are left.
    fn least(self, places: usize) -> usize {
        let layers = self.layers().iter().rev();
        layers.fold(places, |size, (_, kernel, stride)| {
            (size - 1) * stride + kernel
        })
    }
}

impl Default for Cnn {
    fn default() -> Self {
        Cnn {
            convolutions: Convolutions::Small,
            pooling: Pooling::Flatten,
            features: 256,
            transforms: Vec::new(),
        }
    }
}

/// Why an observation is not one picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error(
        "it sees one picture, and the observation is {0}: take `Combined()`, which has an encoder for each picture, or choose the picture among the observations"
    )]
    More(String),
    #[error(
        "it sees a picture, and the observation is {0}, which is none (they are of bytes, at least 20 pixels high and wide): take `Mlp()`"
    )]
    NoPicture(String),
}

/// The picture that an observation is.
pub(super) fn the_picture(input: &EncoderInput) -> Result<Picture, PictureError> {
    input
        .picture()
        .ok_or_else(|| match input.pictures().is_empty() {
            true => PictureError::NoPicture(input.to_string()),
            false => PictureError::More(input.to_string()),
        })
}

/// Why a `Cnn` cannot be made.
#[derive(Debug, thiserror::Error)]
enum CnnError {
    #[error(
        "a picture of {height}x{width} pixels is too small for the convolutions `{convolutions:?}`: they take {least}x{least} or more{}",
        match convolutions {
            Convolutions::Nature => "; take `Small`",
            Convolutions::Small => "",
        }
    )]
    TooSmall {
        height: usize,
        width: usize,
        least: usize,
        convolutions: Convolutions,
    },
}

/// The module of a [`Cnn`].
#[derive(Module, Debug)]
pub struct CnnModule {
    convolutions: Vec<Convolution>,
    pool: Pool,
    last: Mlp,
    #[module(skip)]
    transforms: Transforms,
}

impl Encoder for Cnn {
    type Module = CnnModule;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<CnnModule> {
        let transforms = Transforms::new(&self.transforms, the_picture(input)?)?;
        let picture = transforms.picture();
        let Picture { height, width, .. } = picture;
        let least = self.convolutions.least(1);
        if height.min(width) < least {
            return Err(CnnError::TooSmall {
                height,
                width,
                least,
                convolutions: self.convolutions,
            }
            .into());
        }
        let (mut pictures, mut channels) = (picture.pictures(), picture.together());
        let (mut height, mut width) = (height, width);
        let mut convolutions = Vec::new();
        for (filters, kernel, stride) in self.convolutions.layers() {
            let fields = Fields {
                pictures,
                height,
                width,
                channels,
                kernel: *kernel,
                stride: *stride,
                padding: 0,
            };
            of_one_layer(fields.size(), *filters).fits_the_machine()?;
            convolutions.push(Convolution::new(fields, *filters, device));
            [height, width] = fields.count();
            (pictures, channels) = (1, *filters);
        }
        let pool = Pool::new(
            self.pooling,
            ([height, width], self.convolutions.least(2)),
            channels,
            device,
        )?;
        let seen = pool.outputs();
        of_one_layer(seen, self.features).fits_the_machine()?;
        Ok(CnnModule {
            convolutions,
            pool,
            last: rectified(seen, self.features, device),
            transforms,
        })
    }

    fn forward(module: &CnnModule, observation: Tensor<2>) -> Tensor<2> {
        let in_training = module.last.parameters().is_require_grad();
        let pixels = module.transforms.apply(observation, in_training) / Picture::WHITE;
        let layers = module.convolutions.iter();
        let seen = layers.fold(pixels, |pixels, layer| layer.forward(pixels));
        module.last.forward_member(0, module.pool.forward(seen))
    }

    fn values_per_row(module: &CnnModule) -> usize {
        let convolutions = module.convolutions.iter();
        let of_convolutions: usize = convolutions.map(Convolution::values_per_row).sum();
        of_convolutions + module.pool.values_per_row() + module.last.shape().outputs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_pictures_leave_one_field() {
        assert_eq!(Convolutions::Small.least(1), 20);
        assert_eq!(Convolutions::Nature.least(1), 36);
    }
}
