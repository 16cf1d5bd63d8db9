//! A single learned number.

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::nn::Network;
use crate::transfer::upload;

/// A number that is learned like a network's weight: SAC's temperature, a Lagrange multiplier.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// assert_eq!(Scalar::new(0.5, &device).value().dims(), [1]);
/// ```
#[derive(Module, Debug)]
pub struct Scalar {
    value: Param<Tensor<1>>,
}

impl Scalar {
    /// The number before its first step.
    pub fn new(initial: f32, device: &Device) -> Self {
        // Built where gradients are tracked and taken back: so the parameter knows that it is to be trained.
        let plain = if device.is_autodiff() {
            device.clone().inner()
        } else {
            device.clone()
        };
        let value = upload(TensorData::from([initial]), &plain.autodiff());
        let scalar = Scalar {
            value: Param::from_tensor(value),
        };
        if device.is_autodiff() {
            scalar
        } else {
            scalar.valid()
        }
    }

    /// The number, `[1]`.
    pub fn value(&self) -> Tensor<1> {
        self.value.val()
    }
}

impl Network for Scalar {}
