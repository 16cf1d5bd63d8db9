//! A module of Burn's layers on another device.

use burn::module::{AutodiffModule, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};

use crate::nn::sides::plain_device;

/// The same tracked module on another tracked device, with the same parameters to be trained.
///
/// Burn moves no tracked values from the processor to a card, so that plain ones are moved.
pub(super) fn moved<M: AutodiffModule>(module: M, device: &Device) -> M {
    if module.devices().iter().all(|from| from == device) {
        return module;
    }
    module.map(&mut Values(plain_device(device))).fork(device)
}

struct Values(Device);

impl ModuleMapper for Values {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, values, mapper) = param.consume();
        let is_trained = values.is_require_grad();
        let values = Tensor::from_inner(values.no_grad().to_device(&self.0));
        Param::from_mapped_value(id, values.set_require_grad(is_trained), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_data::card;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};

    #[derive(Module, Debug)]
    struct Two {
        trained: Linear,
        frozen: Linear,
    }

    #[test]
    fn a_module_keeps_its_values_and_what_is_frozen_in_it_on_another_device() {
        let tracked = Device::flex().autodiff();
        let layer = LinearConfig::new(3, 2).init(&tracked);
        let two = Two {
            frozen: layer.clone().no_grad(),
            trained: layer,
        };
        for device in [Some(Device::flex()), card()].into_iter().flatten() {
            let device = device.autodiff();
            let moved = moved(two.clone(), &device);
            assert_eq!(moved.devices(), std::slice::from_ref(&device));
            let weights = [&moved.trained, &moved.frozen].map(|layer| layer.weight.val());
            assert_eq!(
                [true, false],
                weights.each_ref().map(Tensor::is_require_grad)
            );
            for weight in weights {
                assert_eq!(weight.into_data(), two.trained.weight.val().into_data());
            }
        }
    }
}
