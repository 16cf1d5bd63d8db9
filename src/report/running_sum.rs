//! A sum of what steps record on a device.

use burn::tensor::Tensor;

use crate::nn::{SUMMANDS, add_up};
use crate::transfer::is_far;

/// The sum of tensors `[n]`, in their order. On a card several are added up together, so that a step that records adds hardly a launch.
#[derive(Debug)]
pub(super) struct RunningSum {
    sum: Tensor<1>,
    /// What is not in it yet.
    more: Vec<Tensor<1>>,
}

impl RunningSum {
    pub fn of(value: Tensor<1>) -> Self {
        RunningSum {
            sum: value,
            more: Vec::new(),
        }
    }

    /// How many numbers are added up side by side.
    pub fn len(&self) -> usize {
        self.sum.dims()[0]
    }

    pub fn add(mut self, value: Tensor<1>) -> Self {
        if !is_far(&value.device()) {
            return RunningSum::of(self.sum + value);
        }
        self.more.push(value);
        match <[Tensor<1>; SUMMANDS]>::try_from(std::mem::take(&mut self.more)) {
            Ok(all) => RunningSum::of(add_up(self.sum, all)),
            Err(more) => RunningSum { more, ..self },
        }
    }

    /// All of it.
    pub fn total(&self) -> Tensor<1> {
        let more = self.more.iter().cloned();
        more.fold(self.sum.clone(), |sum, value| sum + value)
    }

    /// The same for another weight.
    pub fn times(self, weight: f64) -> Self {
        RunningSum::of(self.total() * weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_data::card;
    use burn::tensor::Device;

    #[test]
    fn values_are_added_up_in_their_order_on_every_device() {
        for device in [Some(Device::flex()), card()].into_iter().flatten() {
            let value = |step: u32| [(step as f32).sin(), 1e6 / (1.0 + step as f32)];
            let on_device = |step| Tensor::<1>::from_floats(value(step), &device);
            let mut sum = RunningSum::of(on_device(0));
            let mut expected = value(0);
            for step in 1..60 {
                sum = sum.add(on_device(step));
                let both = expected.iter_mut().zip(value(step));
                both.for_each(|(sum, value)| *sum += value);
                let total: Vec<f32> = sum.total().into_data().into_vec().unwrap();
                assert_eq!(total, expected, "{device:?} {step}");
            }
        }
    }
}
