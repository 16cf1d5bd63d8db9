//! Changes to pictures in training, so that a policy does not learn a picture by heart.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::tensor::{Distribution, Int, Tensor, TensorData};

use crate::observation::Picture;
use crate::scene::Bounds;
use crate::transfer::{upload, upload_integers};

/// A change to a picture. Its random numbers are drawn anew for each row of a batch in training, and are the same for all frames that an
/// encoder sees at once; one with memory sees each step by itself. Where a network acts, and in all that is computed without its own
/// gradient, a crop is the middle, and nothing else is changed.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub enum Transform {
    /// A part of the picture: at a random place in training, where each place is as likely, and the middle elsewhere, as robomimic's
    /// `CropRandomizer` cuts with `num_crops: 1`.
    Crop {
        /// Rows of pixels that stay.
        #[reflect(@Bounds::within(1.0, 65_536.0))]
        height: usize,
        /// Pixels that stay in a row.
        #[reflect(@Bounds::within(1.0, 65_536.0))]
        width: usize,
    },
    /// Brightness, contrast and saturation, in this order, each times a random number from 1 − x to 1 + x, as torchvision's `ColorJitter`
    /// changes them.
    ColorJitter {
        /// x of the brightness.
        #[reflect(@Bounds::within(0.0, 1.0))]
        brightness: f32,
        /// x of the contrast: of the difference from the picture's mean gray.
        #[reflect(@Bounds::within(0.0, 1.0))]
        contrast: f32,
        /// x of the saturation: of the difference from each pixel's own gray.
        #[reflect(@Bounds::within(0.0, 1.0))]
        saturation: f32,
    },
    /// Normal noise on every number.
    Noise {
        /// Its standard deviation, where black is 0 and white is 1.
        #[reflect(@Bounds::within(0.0, 1.0))]
        std: f32,
    },
}

impl Default for Transform {
    fn default() -> Self {
        Transform::Crop {
            height: 76,
            width: 76,
        }
    }
}

/// Why a picture cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransformError {
    #[error(
        "`Crop(height: {height}, width: {width})` does not fit into a picture of {0}x{1} pixels: lower it",
        picture.height,
        picture.width
    )]
    Crop {
        height: usize,
        width: usize,
        picture: Picture,
    },
    #[error(
        "`ColorJitter` changes pictures of 1 or 3 numbers a pixel, and this one has {0}: leave it out"
    )]
    Colors(usize),
}

/// What a pixel's red, green and blue weigh in its gray (ITU-R BT.601).
const GRAY: [f32; 3] = [0.2989, 0.587, 0.114];

/// Transforms one after the other, each with the picture that it is given.
#[derive(Clone, Debug)]
pub(super) struct Transforms {
    steps: Vec<(Transform, Picture)>,
    last: Picture,
}

impl Transforms {
    /// # Errors
    /// When one of them does not fit the picture that it is given.
    pub fn new(transforms: &[Transform], picture: Picture) -> Result<Self, TransformError> {
        let mut last = picture;
        let mut steps = Vec::new();
        for transform in transforms {
            steps.push((*transform, last));
            match *transform {
                Transform::Crop { height, width } => {
                    if height > last.height || width > last.width {
                        return Err(TransformError::Crop {
                            height,
                            width,
                            picture: last,
                        });
                    }
                    (last.height, last.width) = (height, width);
                }
                Transform::ColorJitter { .. } if ![1, 3].contains(&last.channels) => {
                    return Err(TransformError::Colors(last.channels));
                }
                Transform::ColorJitter { .. } | Transform::Noise { .. } => {}
            }
        }
        Ok(Transforms { steps, last })
    }

    /// What is left of the picture.
    pub fn picture(&self) -> Picture {
        self.last
    }

    /// Changes rows of pictures `[batch, numbers]` from 0 to 255. In training it draws from the device's generator.
    pub fn apply(&self, rows: Tensor<2>, in_training: bool) -> Tensor<2> {
        let steps = self.steps.iter();
        steps.fold(rows, |rows, (transform, picture)| match *transform {
            Transform::Crop { height, width } => {
                let size = [height, width];
                match in_training {
                    true => random_crop(rows, picture, size),
                    false => center_crop(rows, picture, size),
                }
            }
            Transform::ColorJitter {
                brightness,
                contrast,
                saturation,
            } if in_training => jitter(rows, picture, [brightness, contrast, saturation]),
            Transform::Noise { std } if in_training => {
                let std = f64::from(std * Picture::WHITE);
                let noise =
                    Tensor::random(rows.dims(), Distribution::Normal(0.0, std), &rows.device());
                rows + noise
            }
            Transform::ColorJitter { .. } | Transform::Noise { .. } => rows,
        })
    }
}

/// Numbers from a pixel to the next one.
fn step(picture: &Picture) -> usize {
    match picture.channels_first {
        true => 1,
        false => picture.channels,
    }
}

/// The places in a row of the numbers of a crop at the upper left corner.
fn places(
    picture: &Picture,
    [height, width]: [usize; 2],
    device: &burn::tensor::Device,
) -> Tensor<1, Int> {
    let (planes, pixel) = match picture.channels_first {
        true => (picture.frames * picture.channels, 1),
        false => (picture.frames, picture.channels),
    };
    let line = picture.width * pixel;
    let lines = (0..planes).flat_map(|plane| (0..height).map(move |y| plane * picture.height + y));
    let places = lines.flat_map(|at| (at * line..at * line + width * pixel).map(|it| it as i64));
    let places: Vec<i64> = places.collect();
    let count = places.len();
    upload_integers(TensorData::new(places, [count]), device)
}

fn center_crop(rows: Tensor<2>, picture: &Picture, size: [usize; 2]) -> Tensor<2> {
    let [height, width] = size;
    let top = (picture.height - height) / 2;
    let left = (picture.width - width) / 2;
    let start = (top * picture.width + left) * step(picture);
    let places = places(picture, size, &rows.device()) + start as i64;
    rows.select(1, places)
}

fn random_crop(rows: Tensor<2>, picture: &Picture, size: [usize; 2]) -> Tensor<2> {
    let [batch, _] = rows.dims();
    let device = rows.device();
    let [height, width] = size;
    // From 0 to `most`, each as likely; a draw rounded up to the bound itself counts as the last.
    let draw = |most: usize| {
        let uniform = Distribution::Uniform(0.0, (most + 1) as f64);
        let drawn = Tensor::<2>::random([batch, 1], uniform, &device);
        drawn.int().clamp_max(most as i64)
    };
    let (top, left) = (draw(picture.height - height), draw(picture.width - width));
    let start = (top * picture.width as i64 + left) * step(picture) as i64;
    let places = places(picture, size, &device);
    let [count] = places.dims();
    rows.gather(1, places.reshape([1, count]) + start)
}

fn jitter(
    rows: Tensor<2>,
    picture: &Picture,
    [brightness, contrast, saturation]: [f32; 3],
) -> Tensor<2> {
    let [batch, width] = rows.dims();
    let device = rows.device();
    let Picture {
        frames, channels, ..
    } = *picture;
    let pixels = picture.height * picture.width;
    let factor = |x: f32| {
        let uniform = Distribution::Uniform(f64::from(1.0 - x), f64::from(1.0 + x));
        Tensor::<4>::random([batch, 1, 1, 1], uniform, &device)
    };
    let in_range = |pixels: Tensor<4>| pixels.clamp(0.0, Picture::WHITE);
    // `[batch, frames, pixels, 1]`.
    let gray = |pixels: &Tensor<4>| match channels {
        3 => {
            let weights = TensorData::new(GRAY.to_vec(), [1, 1, 1, 3]);
            (pixels.clone() * upload(weights, &device)).sum_dim(3)
        }
        _ => pixels.clone(),
    };
    // The picture times `factor`, and `1 - factor` of what it is compared with.
    let mixed = |pixels: Tensor<4>, with: Tensor<4>, factor: Tensor<4>| {
        in_range((pixels - with.clone()) * factor + with)
    };
    let mut colors = match picture.channels_first {
        true => rows
            .reshape([batch, frames, channels, pixels])
            .permute([0, 1, 3, 2]),
        false => rows.reshape([batch, frames, pixels, channels]),
    };
    if brightness > 0.0 {
        colors = in_range(colors * factor(brightness));
    }
    if contrast > 0.0 {
        let mean = gray(&colors).mean_dim(2);
        colors = mixed(colors, mean, factor(contrast));
    }
    if saturation > 0.0 && channels == 3 {
        let gray = gray(&colors);
        colors = mixed(colors, gray, factor(saturation));
    }
    match picture.channels_first {
        true => colors.permute([0, 1, 3, 2]).reshape([batch, width]),
        false => colors.reshape([batch, width]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn picture(channels_first: bool, frames: usize) -> Picture {
        Picture {
            height: 5,
            width: 7,
            channels: 3,
            channels_first,
            frames,
        }
    }

    fn rows(batch: usize, width: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..batch * width)
            .map(|it| (it * 31 % 256) as f32)
            .collect();
        Tensor::from_data(TensorData::new(values, [batch, width]), &Device::flex())
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    /// The crop of a row, by hand.
    fn crop(
        row: &[f32],
        of: &Picture,
        [height, width]: [usize; 2],
        [top, left]: [usize; 2],
    ) -> Vec<f32> {
        let mut found = Vec::new();
        let (planes, pixel) = match of.channels_first {
            true => (of.frames * of.channels, 1),
            false => (of.frames, of.channels),
        };
        for plane in 0..planes {
            for y in top..top + height {
                for x in left..left + width {
                    for channel in 0..pixel {
                        found.push(row[((plane * of.height + y) * of.width + x) * pixel + channel]);
                    }
                }
            }
        }
        found
    }

    #[test]
    fn a_crop_is_the_middle_in_acting_and_any_place_in_training_the_same_for_all_frames() {
        let crop_to = Transform::Crop {
            height: 3,
            width: 4,
        };
        for (channels_first, frames) in [(false, 1), (true, 2), (false, 2)] {
            let picture = picture(channels_first, frames);
            let transforms = Transforms::new(&[crop_to], picture).unwrap();
            let left = transforms.picture();
            assert_eq!((left.height, left.width), (3, 4));
            let width = frames * 105;
            let batch = 200;
            let given = rows(batch, width);
            let cropped = frames * 36;
            let acted = numbers(transforms.apply(given.clone(), false));
            Device::flex().seed(3);
            let trained = numbers(transforms.apply(given.clone(), true));
            let given = numbers(given);
            let mut seen = std::collections::BTreeSet::new();
            for row in 0..batch {
                let own = &given[row * width..(row + 1) * width];
                let at = row * cropped..(row + 1) * cropped;
                assert_eq!(acted[at.clone()], crop(own, &picture, [3, 4], [1, 1]));
                let places = (0..=2).flat_map(|top| (0..=3).map(move |left| [top, left]));
                let place = places
                    .clone()
                    .find(|place| crop(own, &picture, [3, 4], *place) == trained[at.clone()]);
                seen.insert(place.unwrap_or_else(|| panic!("row {row} is no crop")));
            }
            // Each of the 12 places is found among 200 draws.
            assert_eq!(seen.len(), 12);
        }
    }

    #[test]
    fn colors_are_jittered_by_torchvisions_rules_and_only_in_training() {
        let given = || rows(4, 105);
        let (top, none) = (0.5, 0.0);
        let changed = |factors: [f32; 3]| {
            let [brightness, contrast, saturation] = factors;
            let jitter = Transform::ColorJitter {
                brightness,
                contrast,
                saturation,
            };
            let transforms = Transforms::new(&[jitter], picture(false, 1)).unwrap();
            assert_eq!(numbers(transforms.apply(given(), false)), numbers(given()));
            Device::flex().seed(1);
            numbers(transforms.apply(given(), true))
        };
        let original = numbers(given());
        let gray = |pixel: &[f32]| GRAY.iter().zip(pixel).map(|(w, it)| w * it).sum::<f32>();
        for (kind, factors) in [[top, none, none], [none, top, none], [none, none, top]]
            .into_iter()
            .enumerate()
        {
            let found = changed(factors);
            for (before, after) in original.chunks(105).zip(found.chunks(105)) {
                let mean = before.chunks(3).map(gray).sum::<f32>() / 35.0;
                let with = |pixel: &[f32]| match kind {
                    0 => 0.0,
                    1 => mean,
                    _ => gray(pixel),
                };
                // One factor explains all pixels that were not cut at black or white.
                let mut factor = None;
                for (before, after) in before.chunks(3).zip(after.chunks(3)) {
                    for (x, y) in before.iter().zip(after) {
                        let middle = with(before);
                        if (x - middle).abs() < 20.0 || *y <= 0.0 || *y >= 255.0 {
                            continue;
                        }
                        let own = (y - middle) / (x - middle);
                        let first = *factor.get_or_insert(own);
                        assert!((own - first).abs() < 1e-3, "{kind}: {own} {first}");
                        assert!((0.5..=1.5).contains(&own), "{kind}: {own}");
                    }
                }
                assert!(factor.is_some_and(|factor| factor != 1.0));
                assert!(after.iter().all(|it| (0.0..=255.0).contains(it)));
            }
        }
    }

    #[test]
    fn noise_has_its_deviation_and_transforms_come_in_their_order() {
        let noise = Transform::Noise { std: 0.1 };
        let crop_to = Transform::Crop {
            height: 2,
            width: 2,
        };
        let transforms = Transforms::new(&[noise], picture(false, 1)).unwrap();
        let given = rows(100, 105);
        assert_eq!(
            numbers(transforms.apply(given.clone(), false)),
            numbers(given.clone())
        );
        Device::flex().seed(2);
        let found = numbers(transforms.apply(given.clone(), true) - given.clone());
        let variance = found.iter().map(|it| it * it).sum::<f32>() / found.len() as f32;
        assert!((variance.sqrt() / Picture::WHITE - 0.1).abs() < 0.005);
        for order in [[noise, crop_to], [crop_to, noise]] {
            let transforms = Transforms::new(&order, picture(false, 1)).unwrap();
            assert_eq!(transforms.apply(given.clone(), true).dims(), [100, 12]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_remedy() {
        let crop_to = |height| Transform::Crop { height, width: 4 };
        let refused = |transforms: &[Transform], channels| {
            let picture = Picture {
                channels,
                ..picture(false, 1)
            };
            Transforms::new(transforms, picture)
                .unwrap_err()
                .to_string()
        };
        let said = refused(&[crop_to(6)], 3);
        assert!(said.contains("5x7 pixels: lower it"), "{said}");
        // A second crop sees what the first has left.
        let said = refused(&[crop_to(3), crop_to(4)], 3);
        assert!(said.contains("3x4 pixels"), "{said}");
        let jitter = Transform::ColorJitter {
            brightness: 0.1,
            contrast: 0.1,
            saturation: 0.1,
        };
        assert!(refused(&[jitter], 2).contains("leave it out"));
    }
}
