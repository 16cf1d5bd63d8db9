//! An encoder of your own, in any network of any algorithm: the observation is shown as angles of many frequencies before a layer
//! sees it (Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions", <https://arxiv.org/abs/2006.10739>).
//!
//! `cargo run --release --example custom_encoder -- train examples/custom_encoder.ron`

use std::f32::consts::PI;

use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use yarak::prelude::*;

/// Sines and cosines of the observation, and a layer on them.
#[derive(Clone, Debug, Reflect)]
pub struct Fourier {
    /// How many frequencies: π, 2π, 4π and so on.
    #[reflect(@Bounds::within(1.0, 16.0))]
    pub frequencies: usize,
    /// Features.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub width: usize,
    /// The share of features that is dropped in training.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub dropout: f32,
}

impl Default for Fourier {
    fn default() -> Self {
        Fourier {
            frequencies: 3,
            width: 128,
            dropout: 0.0,
        }
    }
}

/// The module: any of Burn's layers, or made of them.
#[derive(Module, Debug)]
pub struct FourierModule {
    layer: Linear,
    dropout: Dropout,
    frequencies: usize,
}

impl Encoder for Fourier {
    type Module = FourierModule;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<FourierModule> {
        let waves = 2 * self.frequencies * input.width();
        Ok(FourierModule {
            layer: LinearConfig::new(waves, self.width).init(device),
            dropout: DropoutConfig::new(f64::from(self.dropout)).init(),
            frequencies: self.frequencies,
        })
    }

    fn forward(module: &FourierModule, observation: Tensor<2>) -> Tensor<2> {
        let waves = (0..module.frequencies).flat_map(|k| {
            let angle = observation.clone() * (PI * f32::powi(2.0, k as i32));
            [angle.clone().sin(), angle.cos()]
        });
        let features = module.layer.forward(Tensor::cat(waves.collect(), 1));
        module
            .dropout
            .forward(burn::tensor::activation::relu(features))
    }
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_encoder::<Fourier>();
    })
}
