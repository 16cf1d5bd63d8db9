//! The one-dimensional U-Net of Diffusion Policy.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig1d};
use burn::tensor::{Device, Tensor, activation};

use crate::memory;
use crate::nn::Encoder;
use crate::nn::matrix_product::linear;
use crate::observation::EncoderInput;

/// A U-Net along the steps of a chunk (Chi et al. 2023, <https://arxiv.org/abs/2303.04137>, after Janner et al. 2022,
/// <https://arxiv.org/abs/2205.09991>): convolutions with group normalization and Mish, each pair of which is modulated by the
/// observation's features and the time (FiLM, Perez et al. 2018, <https://arxiv.org/abs/1709.07871>).
///
/// To the network that holds it, it is an encoder of rows `[condition + time_features + horizon * action]`. So it is initialized, trained
/// and saved as encoders are.
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Default)]
pub(super) struct Unet {
    pub channels: Vec<usize>,
    pub kernel_size: usize,
    pub groups: usize,
    pub condition: usize,
    pub time_features: usize,
    pub horizon: usize,
    pub action: usize,
}

/// Why a U-Net cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnetError {
    #[error("it has no channels: give at least one number, such as `channels: [64, 128]`")]
    NoChannels,
    #[error(
        "a chunk of {horizon} actions cannot be halved {times} time(s): give a `prediction_horizon` that is a multiple of {multiple}, or fewer `channels`"
    )]
    Horizon {
        horizon: usize,
        times: usize,
        multiple: usize,
    },
    #[error(
        "{channels} channels cannot be cut into {groups} groups: give `groups` that divide each of `channels`"
    )]
    Groups { channels: usize, groups: usize },
    #[error("a convolution of {0} steps has no middle: give an odd `kernel_size`")]
    EvenKernel(usize),
    #[error("{0} depths are too many: give at most 8 `channels`")]
    TooDeep(usize),
}

/// A convolution, group normalization and Mish.
#[derive(Module, Debug)]
struct Block {
    convolution: Conv1d,
    norm: GroupNorm,
}

impl Block {
    fn new(unet: &Unet, inputs: usize, outputs: usize, device: &Device) -> Self {
        let padding = unet.kernel_size / 2;
        let convolution = Conv1dConfig::new(inputs, outputs, unet.kernel_size)
            .with_padding(PaddingConfig1d::Explicit(padding, padding));
        Block {
            convolution: convolution.init(device),
            norm: GroupNormConfig::new(unet.groups, outputs).init(device),
        }
    }

    /// `[batch, outputs, steps]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        activation::mish(self.norm.forward(self.convolution.forward(x)))
    }
}

/// Two blocks with a shortcut around them; between them each channel is scaled and shifted as the condition says.
#[derive(Module, Debug)]
struct Residual {
    first: Block,
    modulation: Linear,
    second: Block,
    shortcut: Option<Conv1d>,
}

impl Residual {
    fn new(unet: &Unet, inputs: usize, outputs: usize, device: &Device) -> Self {
        let condition = unet.condition + unet.time_features;
        let shortcut = (inputs != outputs).then(|| Conv1dConfig::new(inputs, outputs, 1));
        Residual {
            first: Block::new(unet, inputs, outputs, device),
            modulation: LinearConfig::new(condition, 2 * outputs).init(device),
            second: Block::new(unet, outputs, outputs, device),
            shortcut: shortcut.map(|shortcut| shortcut.init(device)),
        }
    }

    fn forward(&self, x: Tensor<3>, condition: &Tensor<2>) -> Tensor<3> {
        let out = self.first.forward(x.clone());
        let channels = out.dims()[1];
        let modulation = linear(&self.modulation, condition.clone());
        let part = |from| {
            modulation
                .clone()
                .narrow(1, from, channels)
                .unsqueeze_dim::<3>(2)
        };
        let out = self.second.forward(out * part(0) + part(channels));
        out + match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        }
    }
}

/// What is done at one depth.
#[derive(Module, Debug)]
struct Depth {
    first: Residual,
    second: Residual,
}

impl Depth {
    fn new(unet: &Unet, inputs: usize, outputs: usize, device: &Device) -> Self {
        Depth {
            first: Residual::new(unet, inputs, outputs, device),
            second: Residual::new(unet, outputs, outputs, device),
        }
    }

    fn forward(&self, x: Tensor<3>, condition: &Tensor<2>) -> Tensor<3> {
        let x = self.first.forward(x, condition);
        self.second.forward(x, condition)
    }
}

/// The U-Net's layers.
#[derive(Module, Debug)]
pub(super) struct UnetModule {
    time_in: Linear,
    time_out: Linear,
    down: Vec<Depth>,
    halve: Vec<Conv1d>,
    middle: Depth,
    up: Vec<Depth>,
    double: Vec<ConvTranspose1d>,
    last: Block,
    actions: Conv1d,
    #[module(skip)]
    condition: usize,
    #[module(skip)]
    time_features: usize,
    #[module(skip)]
    horizon: usize,
    #[module(skip)]
    action: usize,
}

impl Encoder for Unet {
    type Module = UnetModule;

    fn init(&self, _: &EncoderInput, device: &Device) -> Result<UnetModule> {
        self.check_shape()?;
        let what = format!("a U-Net of {:?} channels", self.channels);
        // The weights, their gradients and two moments.
        let bytes = self.parameters().saturating_mul(16);
        memory::check(&what, bytes, "lower `channels` or `kernel_size`")?;
        let inputs = std::iter::once(self.action).chain(self.channels.iter().copied());
        let pairs: Vec<(usize, usize)> = inputs.zip(self.channels.iter().copied()).collect();
        let down = pairs.iter();
        let down = down.map(|(inputs, outputs)| Depth::new(self, *inputs, *outputs, device));
        let deeper = &self.channels[..self.channels.len() - 1];
        let halve = deeper.iter().map(|channels| {
            let halve = Conv1dConfig::new(*channels, *channels, 3).with_stride(2);
            halve
                .with_padding(PaddingConfig1d::Explicit(1, 1))
                .init(device)
        });
        let (first, deepest) = (self.channels[0], self.channels[self.channels.len() - 1]);
        let back = pairs[1..].iter().rev();
        // What came by at this depth on the way down is next to what comes up.
        let up = back.clone();
        let up = up.map(|(outputs, inputs)| Depth::new(self, 2 * inputs, *outputs, device));
        let double = back.map(|(channels, _)| {
            let double = ConvTranspose1dConfig::new([*channels, *channels], 4);
            double.with_stride(2).with_padding(1).init(device)
        });
        let time = self.time_features;
        Ok(UnetModule {
            time_in: LinearConfig::new(time, 4 * time).init(device),
            time_out: LinearConfig::new(4 * time, time).init(device),
            down: down.collect(),
            halve: halve.collect(),
            middle: Depth::new(self, deepest, deepest, device),
            up: up.collect(),
            double: double.collect(),
            last: Block::new(self, first, first, device),
            actions: Conv1dConfig::new(first, self.action, 1).init(device),
            condition: self.condition,
            time_features: time,
            horizon: self.horizon,
            action: self.action,
        })
    }

    fn forward(module: &UnetModule, rows: Tensor<2>) -> Tensor<2> {
        let [batch, _] = rows.dims();
        let (seen, time) = (module.condition, module.time_features);
        let (horizon, action) = (module.horizon, module.action);
        let condition = {
            let features = linear(&module.time_in, rows.clone().narrow(1, seen, time));
            let time = linear(&module.time_out, activation::mish(features));
            let both = Tensor::cat(vec![time, rows.clone().narrow(1, 0, seen)], 1);
            activation::mish(both)
        };
        let chunk = rows.narrow(1, seen + time, horizon * action);
        let mut x = chunk.reshape([batch, horizon, action]).swap_dims(1, 2);
        let mut passed = Vec::new();
        for (index, depth) in module.down.iter().enumerate() {
            x = depth.forward(x, &condition);
            passed.push(x.clone());
            if let Some(halve) = module.halve.get(index) {
                x = halve.forward(x);
            }
        }
        x = module.middle.forward(x, &condition);
        for (depth, double) in module.up.iter().zip(&module.double) {
            if let Some(passed) = passed.pop() {
                x = Tensor::cat(vec![x, passed], 1);
            }
            x = double.forward(depth.forward(x, &condition));
        }
        let x = module.actions.forward(module.last.forward(x));
        x.swap_dims(1, 2).reshape([batch, horizon * action])
    }
}

impl Unet {
    /// How many parameters its module has, or the most that can be said where they are more.
    fn parameters(&self) -> u64 {
        let times = |factors: &[usize]| {
            let factors = factors.iter().map(|factor| *factor as u64);
            factors.fold(1, u64::saturating_mul)
        };
        let sum = |terms: &[u64]| terms.iter().copied().fold(0, u64::saturating_add);
        let convolution =
            |inputs, outputs, kernel| sum(&[times(&[inputs, outputs, kernel]), outputs as u64]);
        let block = |inputs, outputs| {
            let norm = times(&[2, outputs]);
            sum(&[convolution(inputs, outputs, self.kernel_size), norm])
        };
        let condition = self.condition + self.time_features;
        let residual = |inputs: usize, outputs: usize| {
            let modulation = convolution(condition, outputs.saturating_mul(2), 1);
            let shortcut = match inputs == outputs {
                true => 0,
                false => convolution(inputs, outputs, 1),
            };
            sum(&[
                block(inputs, outputs),
                modulation,
                block(outputs, outputs),
                shortcut,
            ])
        };
        let depth = |inputs, outputs| sum(&[residual(inputs, outputs), residual(outputs, outputs)]);
        let (first, deepest) = (self.channels[0], self.channels[self.channels.len() - 1]);
        let pairs = self.channels.windows(2).map(|pair| {
            let (above, below) = (pair[0], pair[1]);
            let up = depth(below.saturating_mul(2), above);
            let between = [convolution(above, above, 3), convolution(above, above, 4)];
            sum(&[depth(above, below), up, sum(&between)])
        });
        let time = self.time_features;
        sum(&[
            convolution(time, 4 * time, 1),
            convolution(4 * time, time, 1),
            depth(self.action, first),
            pairs.fold(0, u64::saturating_add),
            depth(deepest, deepest),
            block(first, first),
            convolution(first, self.action, 1),
        ])
    }

    /// What its own numbers refuse, whatever the actions are.
    pub fn check_shape(&self) -> Result<(), UnetError> {
        let depths = self.channels.len();
        if depths == 0 || self.channels.contains(&0) {
            return Err(UnetError::NoChannels);
        }
        if depths > 8 {
            return Err(UnetError::TooDeep(depths));
        }
        if self.kernel_size.is_multiple_of(2) {
            return Err(UnetError::EvenKernel(self.kernel_size));
        }
        let (times, multiple) = (depths - 1, 1 << (depths - 1));
        if !self.horizon.is_multiple_of(multiple) {
            return Err(UnetError::Horizon {
                horizon: self.horizon,
                times,
                multiple,
            });
        }
        let groups = self.groups;
        let uneven = self
            .channels
            .iter()
            .find(|it| !it.is_multiple_of(groups.max(1)));
        match (groups, uneven) {
            (0, _) => Err(UnetError::Groups {
                channels: self.channels[0],
                groups,
            }),
            (_, Some(channels)) => Err(UnetError::Groups {
                channels: *channels,
                groups,
            }),
            (_, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unet(channels: &[usize], kernel_size: usize) -> Unet {
        Unet {
            channels: channels.to_vec(),
            kernel_size,
            groups: 4,
            condition: 5,
            time_features: 6,
            horizon: 8,
            action: 3,
        }
    }

    #[test]
    fn it_is_held_against_memory_by_exactly_the_parameters_that_it_has() {
        let device = Device::flex();
        for unet in [unet(&[8], 1), unet(&[8, 8], 3), unet(&[8, 16, 12], 5)] {
            let module = unet.init(&EncoderInput::from(35), &device).unwrap();
            assert_eq!(unet.parameters(), module.num_params() as u64, "{unet:?}");
        }
        // Where nobody knows how much memory there is, nothing is refused.
        if memory::available().is_none() {
            return;
        }
        let most = usize::MAX - 3;
        for unet in [unet(&[65_536, 65_536], 99), unet(&[most, most], 99)] {
            let refused = unet.init(&EncoderInput::from(35), &device);
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("lower `channels`"), "{said}");
        }
    }
}
