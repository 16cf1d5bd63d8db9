//! What an encoder makes of the features that convolutions found at every place of a picture.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::nn::Mlp;
use crate::nn::convolution::{linear, of_one_layer};
use crate::scene::Bounds;
use crate::transfer::upload;

/// What becomes of the features of all places of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum Pooling {
    /// All of them, one place after the other.
    #[default]
    Flatten,
    /// The mean of each feature over all places.
    Average,
    /// Where something is: each of so many maps, which are linear in a place's features, becomes a distribution over places by a
    /// softmax, and gives its mean place, x and y from −1 to 1 (Finn et al. 2016, "Deep Spatial Autoencoders for Visuomotor Learning",
    /// <https://arxiv.org/abs/1509.06113>; robomimic's `SpatialSoftmax` with its defaults).
    SpatialSoftmax {
        /// How many maps, 32 in robomimic.
        #[reflect(@Bounds::within(1.0, 65_536.0))]
        keypoints: usize,
    },
}

/// The module of a [`Pooling`], for features of so many places.
#[derive(Module, Debug)]
pub(super) struct Pool {
    /// The maps of a spatial softmax.
    maps: Option<Mlp>,
    #[module(skip)]
    is_average: bool,
    /// Places down and across.
    #[module(skip)]
    places: [usize; 2],
    /// Features of a place.
    #[module(skip)]
    channels: usize,
}

/// A spatial softmax of a single place, which would always give this place.
#[derive(Debug, thiserror::Error)]
#[error(
    "`SpatialSoftmax` says where something is, and the convolutions leave one place of such a small picture: take `Average` or `Flatten`, or pictures with {0} pixels in height or width"
)]
pub(super) struct OnePlace(usize);

impl Pool {
    /// `least` is the least height or width of a picture of which two places are left.
    ///
    /// # Errors
    /// When a spatial softmax would have no two places to choose from, and where there is no memory for its maps.
    pub fn new(
        pooling: Pooling,
        (places, least): ([usize; 2], usize),
        channels: usize,
        device: &Device,
    ) -> Result<Self> {
        let is_softmax = matches!(pooling, Pooling::SpatialSoftmax { .. });
        if is_softmax && places == [1, 1] {
            return Err(OnePlace(least).into());
        }
        let maps = match pooling {
            Pooling::SpatialSoftmax { keypoints } => {
                of_one_layer(channels, keypoints).fits_the_machine()?;
                Some(linear(channels, keypoints, device))
            }
            Pooling::Flatten | Pooling::Average => None,
        };
        Ok(Pool {
            maps,
            is_average: pooling == Pooling::Average,
            places,
            channels,
        })
    }

    /// How many numbers it makes of a row.
    pub fn outputs(&self) -> usize {
        match &self.maps {
            Some(maps) => 2 * maps.shape().outputs(),
            None if self.is_average => self.channels,
            None => self.count() * self.channels,
        }
    }

    /// How many numbers a pass keeps for each row.
    pub fn values_per_row(&self) -> usize {
        let of_maps = |maps: &Mlp| self.count() * maps.shape().outputs();
        self.maps.as_ref().map_or(0, of_maps)
    }

    /// Places of a picture.
    fn count(&self) -> usize {
        let [down, across] = self.places;
        down * across
    }

    /// Makes `[batch, outputs]` of features `[batch, places * channels]`, place by place.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let [batch, _] = features.dims();
        let count = self.count();
        let Some(maps) = &self.maps else {
            return match self.is_average {
                true => {
                    let places = features.reshape([batch, count, self.channels]);
                    places.mean_dim(1).reshape([batch, self.channels])
                }
                false => features,
            };
        };
        let keypoints = maps.shape().outputs();
        let places = features.reshape([batch * count, self.channels]);
        let maps = maps.forward_member(0, places);
        let shares = activation::softmax(maps.reshape([batch, count, keypoints]), 1);
        let means = self.coordinates().map(|axis| {
            let axis = TensorData::new(axis, [1, count, 1]);
            let axis = upload::<3>(axis, &shares.device());
            let means = (shares.clone() * axis).sum_dim(1);
            means.reshape([batch, keypoints, 1])
        });
        Tensor::cat(means.to_vec(), 2).reshape([batch, 2 * keypoints])
    }

    /// x and y of each place, from −1 to 1.
    fn coordinates(&self) -> [Vec<f32>; 2] {
        let [down, across] = self.places;
        let at = |index: usize, count: usize| match count {
            0 | 1 => -1.0,
            count => 2.0 * index as f32 / (count - 1) as f32 - 1.0,
        };
        let each = (0..down).flat_map(|y| (0..across).map(move |x| [at(x, across), at(y, down)]));
        let (x, y) = each.map(|[x, y]| (x, y)).unzip();
        [x, y]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::MlpShape;

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn features(rows: usize, width: usize) -> Tensor<2> {
        let values = (0..rows * width).map(|it| (it as f32 * 0.37).sin() * 3.0);
        let values = TensorData::new(values.collect(), [rows, width]);
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn a_spatial_softmax_gives_the_places_of_robomimics_in_float64() {
        // `python tests/python/vision_reference.py` prints them.
        let shape = MlpShape {
            sizes: vec![2, 3],
            ..MlpShape::default()
        };
        let weights = (0..9).map(|it| (it as f32 * 0.7).cos()).collect();
        let pool = Pool {
            maps: Some(Mlp::from_values(shape, weights, &Device::flex())),
            is_average: false,
            places: [3, 4],
            channels: 2,
        };
        let found = numbers(pool.forward(features(2, 24)));
        assert_eq!((pool.outputs(), found.len()), (6, 12));
        for (found, expected) in found.iter().zip(SPATIAL_SOFTMAX) {
            assert!(
                (f64::from(*found) - expected).abs() < 2e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn an_average_is_the_mean_of_each_feature_and_flatten_changes_nothing() {
        let device = Device::flex();
        let rows = features(2, 12);
        let flat = Pool::new(Pooling::Flatten, ([2, 3], 28), 2, &device).unwrap();
        assert_eq!(flat.outputs(), 12);
        assert_eq!(numbers(flat.forward(rows.clone())), numbers(rows.clone()));
        let average = Pool::new(Pooling::Average, ([2, 3], 28), 2, &device).unwrap();
        let found = numbers(average.forward(rows.clone()));
        let rows = numbers(rows);
        for (row, pair) in rows.chunks(12).zip(found.chunks(2)) {
            for (channel, found) in pair.iter().enumerate() {
                let mean = row.iter().skip(channel).step_by(2).sum::<f32>() / 6.0;
                assert!((mean - found).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_rows_places_do_not_depend_on_the_other_rows() {
        let device = Device::flex();
        let softmax = Pooling::SpatialSoftmax { keypoints: 5 };
        let pool = Pool::new(softmax, ([4, 5], 28), 16, &device).unwrap();
        let all = features(7, 320);
        let together = numbers(pool.forward(all.clone()));
        let alone = (0..7).flat_map(|row| numbers(pool.forward(all.clone().narrow(0, row, 1))));
        assert!(together.into_iter().eq(alone));
        // One place is always the mean place.
        let refused = Pool::new(softmax, ([1, 1], 28), 16, &device)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("take `Average`") && refused.contains("28 pixels"),
            "{refused}"
        );
    }

    const SPATIAL_SOFTMAX: [f64; 12] = [
        0.342782111,
        -0.0796412557,
        -0.0258072608,
        -0.044941907,
        0.099794428,
        0.0132576505,
        -0.190473646,
        0.12272295,
        -0.0196063709,
        0.00372825891,
        0.408022507,
        -0.0586223809,
    ];
}
