//! An encoder in a network.

use std::sync::{Mutex, PoisonError};

use burn::module::{AutodiffModule, Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng as _;

use super::erased::{Erased, ErasedModule};
use super::moved::moved;
use super::{EncoderSettings, InitError};
use crate::memory;
use crate::nn::Piece;
use crate::nn::dropout::with_stream;
use crate::nn::parameter_shapes;
use crate::nn::sides::plain_device;
use crate::observation::EncoderInput;
use crate::random::{Init, Random};

/// Burn's layers draw from one generator of the process. Whoever seeds it holds this until the draws are made, so that learners on
/// other threads do not come between.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Runs with the device's generator beginning at `seed`.
fn seeded<T>(device: &Device, seed: u64, run: impl FnOnce() -> T) -> T {
    let _held = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    run()
}

/// A module of Burn's layers with initial weights from the run's stream, on a tracked device. `make` is given the device on which it
/// makes them.
pub(crate) fn seeded_module<M: AutodiffModule>(
    device: &Device,
    init: &mut Random<Init>,
    make: impl FnOnce(&Device) -> M,
) -> M {
    let seed = init.generator().next_u64();
    // On the processor and tracked: so the weights are the same on every device, and the parameters know that they are trained.
    let tracked = Device::flex().autodiff();
    let made = seeded(&Device::flex(), seed, || {
        let made = make(&tracked);
        // Burn draws a parameter's values when they are first looked at.
        made.num_params();
        made
    });
    moved(made, device)
}

/// The module of settings that come from a file with so many numbers for it, before its weights are drawn. What is gigantic beside
/// them is refused before it is made, as far as the encoder says what it takes, and else before its weights are.
fn declared(
    settings: &EncoderSettings,
    input: &EncoderInput,
    most: usize,
) -> Result<ErasedModule, InitError> {
    let tracked = Device::flex().autodiff();
    // Encoders count the weights with their gradients and two moments.
    let bytes = 16 * most as u64;
    let made = memory::within(bytes, || settings.erased(input, &tracked))?;
    let made = ErasedModule(made);
    let parameters = parameters(&made);
    if parameters > most as u64 {
        let encoder = settings.name();
        return Err(InitError::TooLarge(format!(
            "the encoder `{encoder}` has {parameters} weights, and its file {most} numbers: what it declares is not in it"
        )));
    }
    Ok(made)
}

/// How many numbers all parameters have together, whether they are made or not.
fn parameters(module: &ErasedModule) -> u64 {
    let shapes = parameter_shapes(module).into_iter();
    let each = shapes.map(|(_, shape)| {
        let sizes = shape.into_iter().map(|size| size as u64);
        sizes.fold(1, u64::saturating_mul)
    });
    each.fold(0, u64::saturating_add)
}

/// The parameters' names in files, by their paths in an [`EncoderModule`], with their shapes.
fn pieces(module: &ErasedModule) -> Vec<(String, Piece)> {
    let shapes = parameter_shapes(module).into_iter();
    let named = shapes.map(|(path, shape)| {
        let name = format!("encoder.{path}");
        (format!("module.{path}"), Piece { name, shape })
    });
    named.collect()
}

/// The module of an encoder, whatever its type.
#[derive(Module, Debug)]
pub struct EncoderModule {
    module: ErasedModule,
    #[module(skip)]
    width: usize,
}

impl EncoderModule {
    /// A module with initial weights from the run's stream, on a tracked device.
    ///
    /// # Errors
    /// When it does not fit the observations, or is none that a network can have.
    pub(crate) fn new(
        settings: &EncoderSettings,
        input: &EncoderInput,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let seed = init.generator().next_u64();
        let made = |tracked: &Device| settings.erased(input, tracked);
        EncoderModule::seeded(settings.name(), made, input, device, seed)
    }

    /// `make` is given the device on which it makes the module.
    fn seeded(
        name: &'static str,
        make: impl FnOnce(&Device) -> Result<Box<dyn Erased>, InitError>,
        input: &EncoderInput,
        device: &Device,
        seed: u64,
    ) -> Result<Self, InitError> {
        // On the processor and tracked: so the weights are the same on every device, and the parameters know that they are trained.
        let tracked = Device::flex().autodiff();
        let made = seeded(&Device::flex(), seed, || {
            let made = ErasedModule(make(&tracked)?);
            let what = format!("the weights of the encoder `{name}`");
            let bytes = parameters(&made).saturating_mul(4);
            memory::check(&what, bytes, "lower its sizes")
                .map_err(|error| InitError::TooLarge(error.to_string()))?;
            // Burn draws a parameter's values when they are first looked at.
            made.num_params();
            Ok(made)
        })?;
        let probe = made
            .0
            .valid()
            .forward(Tensor::zeros([1, input.width()], &Device::flex()));
        let [rows, width] = probe.dims();
        if rows != 1 || width == 0 {
            return Err(InitError::BadOutput {
                encoder: name,
                found: [rows, width],
            });
        }
        let module = moved(made, device);
        Ok(EncoderModule { module, width })
    }

    /// A module for such an input with the given parameters, one after the other, on the processor and plain.
    ///
    /// # Errors
    /// When the encoder cannot be made, or takes more parameters.
    pub(crate) fn with_values(
        settings: &EncoderSettings,
        input: &EncoderInput,
        values: &[f32],
    ) -> Result<Self, InitError> {
        struct Fill<'a>(&'a [f32]);
        impl ModuleMapper for Fill<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (id, tensor, mapper) = param.consume();
                let n = tensor.shape().num_elements().min(self.0.len());
                let (own, rest) = self.0.split_at(n);
                self.0 = rest;
                let filled = match n == tensor.shape().num_elements() {
                    true => {
                        let data = TensorData::new(own.to_vec(), tensor.shape());
                        Tensor::from_data(data, &tensor.device())
                    }
                    false => tensor,
                };
                Param::from_mapped_value(id, filled, mapper)
            }
        }
        let device = Device::flex().autodiff();
        let make = |_: &Device| declared(settings, input, values.len()).map(|made| made.0);
        let made = EncoderModule::seeded(settings.name(), make, input, &device, 0)?;
        Ok(made.valid().map(&mut Fill(values)))
    }

    /// Its parameters' names in files, by their paths in the module, with their shapes.
    pub(crate) fn pieces(&self) -> Vec<(String, Piece)> {
        pieces(&self.module)
    }

    /// The same of a module for such an input that is not made: `most` is how many numbers there are for its parameters.
    ///
    /// # Errors
    /// When the encoder cannot be made, or takes more of them.
    pub(crate) fn declared_pieces(
        settings: &EncoderSettings,
        input: &EncoderInput,
        most: usize,
    ) -> Result<Vec<(String, Piece)>, InitError> {
        let made = seeded(&Device::flex(), 0, || declared(settings, input, most))?;
        Ok(pieces(&made))
    }

    /// How many numbers a pass keeps for each row, as far as is known.
    pub(crate) fn values_per_row(&self) -> usize {
        self.module.0.values_per_row()
    }

    /// The width of its features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features `[batch, width]` of observations `[batch, observation]`. A tracked module takes a plain observation as a constant;
    /// a plain one is a constant for a tracked observation.
    pub fn forward(&self, observation: Tensor<2>) -> Tensor<2> {
        self.pass(observation, |module, observation| {
            module.forward(observation)
        })
    }

    /// The features `[batch * steps, width]` at each step of the rows, where the encoder has memory.
    pub(crate) fn forward_each(&self, observation: Tensor<2>) -> Tensor<2> {
        self.pass(observation, |module, observation| {
            module.forward_each(observation)
        })
    }

    fn pass(
        &self,
        observation: Tensor<2>,
        forward: impl FnOnce(&dyn Erased, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let module = &*self.module.0;
        let given_tracked = observation.device().is_autodiff();
        if module.in_training() {
            let observation = if given_tracked {
                observation
            } else {
                Tensor::from_inner(observation)
            };
            let seed = with_stream(|stream| stream.generator().next_u64());
            return match seed {
                Some(seed) => {
                    let device = plain_device(&observation.device());
                    seeded(&device, seed, || forward(module, observation))
                }
                None => forward(module, observation),
            };
        }
        let is_plain = !self.devices().iter().any(Device::is_autodiff);
        if given_tracked {
            let module = if is_plain {
                ErasedModule(module.boxed_clone().from_inner()).no_grad()
            } else {
                self.module.clone()
            };
            return forward(&*module.0, observation);
        }
        // Plain, so that layers which look at that are as they are at inference.
        if is_plain {
            return forward(module, observation);
        }
        Tensor::from_inner(forward(&*module.valid(), observation))
    }
}

#[cfg(test)]
mod tests {
    use bevy_reflect::Reflect;
    use burn::nn::{Linear, LinearConfig};

    use super::*;
    use crate::nn::{ActorHead, ActorNetwork, Encoder};
    use crate::random::Seed;

    /// An encoder of somebody's, of one layer.
    #[derive(Clone, Debug, Default, Reflect)]
    struct Wide {
        width: usize,
    }

    impl Encoder for Wide {
        type Module = Linear;

        fn init(&self, _: &EncoderInput, device: &Device) -> bevy_ecs::prelude::Result<Linear> {
            Ok(LinearConfig::new(self.width, self.width).init(device))
        }

        fn forward(module: &Linear, observation: Tensor<2>) -> Tensor<2> {
            module.forward(observation)
        }
    }

    #[test]
    fn an_encoder_of_somebodys_without_room_for_its_weights_is_refused_before_they_are_drawn() {
        let actor = |width: usize| {
            let init = &mut Random::<Init>::new(Seed(0));
            let head = ActorHead::Deterministic;
            ActorNetwork::new(Wide { width }, head, width.min(3), 1, &Device::flex(), init)
        };
        assert!(actor(3).is_ok());
        let said = actor(1 << 22).unwrap_err().to_string();
        assert!(
            said.starts_with("the weights of the encoder `Wide` would take 70368.")
                && said.ends_with("lower its sizes"),
            "{said}"
        );
    }
}
