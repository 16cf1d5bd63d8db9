//! Pictures among observations.

use burn::tensor::Tensor;

use super::{ObservationPart, PartKind};

/// A picture in an encoder's input, or several of the same camera side by side.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::observation::{EncoderInput, ObservationParts};
///
/// let part = ObservationParts::of_space(&Space::picture([20, 24, 3]));
/// let picture = EncoderInput::new(part, 1).picture().unwrap();
/// let rows = Tensor::ones([5, 20 * 24 * 3], &ComputeDevice::cpu().plain()) * 255.0;
/// let seen = picture.planes(rows);
/// assert_eq!(seen.dims(), [5, 3, 20, 24]);
/// assert_eq!(seen.max().into_scalar::<f32>(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Numbers of a pixel: 1 where it is gray, 3 where it has a color.
    pub channels: usize,
    /// Whether the channels lie one after the other, each a whole picture, instead of pixel by pixel.
    pub channels_first: bool,
    /// How many pictures lie side by side, oldest first.
    pub frames: usize,
}

/// The least height and width of a picture: a smaller field of bytes is a grid of codes, as MiniGrid's 7x7x3 is.
const LEAST: usize = 20;

impl Picture {
    /// The greatest value of a byte: what pictures are divided by.
    pub const WHITE: f32 = 255.0;

    /// The picture that a part is; `None` where it is none: a picture is of bytes, `[height, width]`, `[height, width, channels]` or
    /// `[channels, height, width]`, and at least 20 pixels high and wide.
    pub fn of_part(part: &ObservationPart, frames: usize) -> Option<Self> {
        let (height, width, channels, channels_first) = match part.shape[..] {
            [height, width] => (height, width, 1, false),
            // The least of the three sizes is that of a pixel.
            [channels, height, width] if channels < height.min(width) && channels < LEAST => {
                (height, width, channels, true)
            }
            [height, width, channels] => (height, width, channels, false),
            _ => return None,
        };
        let is_picture = part.kind == PartKind::Byte && height.min(width) >= LEAST && channels > 0;
        is_picture.then_some(Picture {
            height,
            width,
            channels,
            channels_first,
            frames,
        })
    }

    /// Pictures side by side in a row whose pixels' numbers lie together: planes that lie one after the other are pictures of their own.
    pub(crate) fn pictures(&self) -> usize {
        match self.channels_first {
            true => self.frames * self.channels,
            false => self.frames,
        }
    }

    /// Numbers of a pixel that lie together.
    pub(crate) fn together(&self) -> usize {
        match self.channels_first {
            true => 1,
            false => self.channels,
        }
    }

    /// The pictures of rows `[batch, frames * height * width * channels]` as planes `[batch, frames * channels, height, width]`, from
    /// 0 to 1, as Burn's convolutions take them.
    pub fn planes(&self, rows: Tensor<2>) -> Tensor<4> {
        let [batch, _] = rows.dims();
        let (height, width) = (self.height, self.width);
        let planes = if self.channels_first {
            rows.reshape([batch, self.frames * self.channels, height, width])
        } else {
            let frames = rows.reshape([batch, self.frames, height, width, self.channels]);
            let planes = frames.permute([0, 1, 4, 2, 3]);
            planes.reshape([batch, self.frames * self.channels, height, width])
        };
        planes / Self::WHITE
    }
}
