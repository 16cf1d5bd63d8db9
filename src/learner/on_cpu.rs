//! Optimizer and tracking in one pass over flat buffers, where the tensors lie in the processor's memory.
//!
//! The same rules in Burn's operations are in `update` and `tracking`: other devices run those, and tests compare.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Tensor, TensorData};

use super::Optimizer;
use super::optimizer::{AdamNumbers, EPSILON, Memories, SMOOTHING, setting, weight_decay};
use super::parameters::Members;
use crate::nn::cpu::{Adam, AdamState, KernelError, RmsProp, Sgd};
use crate::nn::{contiguous, floats, give_buffer, with_kernels};

/// Whether a plain tensor lies in the processor's memory.
pub(super) fn is_here(tensor: &Tensor<2>) -> bool {
    tensor.device() == Device::flex()
}

/// A tensor's memory, from its beginning. Copied only where the tensor is a view or shared.
fn buffer(tensor: Tensor<2>) -> FlexTensor {
    let tensor = tensor
        .try_into_primitive::<Flex>()
        .expect("the caller has asked `is_here`");
    let tensor = contiguous(tensor);
    let whole = tensor.bytes().len() == size_of_val(floats(&tensor));
    if whole {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

fn tensor(buffer: FlexTensor) -> Tensor<2> {
    Tensor::from_primitive::<Flex>(buffer)
}

/// The norm of each member's gradient over all parameters.
pub(super) fn norms(gradients: &[Option<Tensor<2>>], members: &Members) -> Vec<f32> {
    let mut squares = vec![0.0; members.count()];
    let mut part = vec![0.0; members.count()];
    for (index, gradient) in gradients.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let gradient = buffer(gradient.clone());
        // Those members that the parameter is of.
        let of = match members.owner(index) {
            Some(member) => member..member + 1,
            None => 0..squares.len(),
        };
        let part = &mut part[of.clone()];
        agreed(with_kernels(|kernels| {
            kernels.squared_norms(floats(&gradient), part)
        }));
        let squares = squares[of].iter_mut();
        squares.zip(part).for_each(|(sum, part)| *sum += *part);
    }
    squares
        .into_iter()
        .map(|square| square.sqrt() as f32)
        .collect()
}

/// One step of one parameter, in place. The gradient's memory is kept for the next step's.
pub(super) fn step(
    (rule, decay, rate): (Optimizer, f64, f64),
    values: Tensor<2>,
    gradient: Tensor<2>,
    scale: Option<&[f32]>,
    memories: &mut Memories,
) -> Tensor<2> {
    memories.steps += 1;
    let gradient = buffer(gradient);
    let mut values = buffer(values);
    let mut remembered: Vec<FlexTensor> = memories.values.iter_mut().map(take).collect();
    let done = with_kernels(|kernels| {
        let g = floats(&gradient);
        let params = values.storage_mut();
        let [first, second] = two(&mut remembered);
        match rule {
            Optimizer::Adam { betas, epsilon } | Optimizer::AdamW { betas, epsilon } => {
                let numbers = AdamNumbers::new(betas, epsilon);
                let settings = Adam {
                    rate,
                    beta_1: numbers.beta_1,
                    beta_2: numbers.beta_2,
                    epsilon: numbers.epsilon,
                    weight_decay: weight_decay(rule, decay),
                };
                let state = AdamState {
                    params,
                    first: first.unwrap_or_default(),
                    second: second.unwrap_or_default(),
                };
                kernels.adam(&settings, memories.steps, g, scale, state)
            }
            Optimizer::Sgd { momentum } => {
                let settings = Sgd {
                    rate,
                    momentum: setting(momentum, 0.0),
                    weight_decay: decay,
                };
                kernels.sgd(&settings, g, scale, params, first)
            }
            Optimizer::RmsProp {
                smoothing,
                epsilon,
                momentum,
            } => {
                let settings = RmsProp {
                    rate,
                    smoothing: setting(smoothing, SMOOTHING),
                    epsilon: setting(epsilon, EPSILON),
                    momentum: setting(momentum, 0.0),
                    weight_decay: decay,
                };
                let squares = first.unwrap_or_default();
                kernels.rms_prop(&settings, g, scale, params, squares, second)
            }
        }
    });
    agreed(done);
    memories.values = remembered.into_iter().map(tensor).collect();
    if gradient.is_unique()
        && let Ok(memory) = gradient.into_data().into_vec()
    {
        give_buffer(memory);
    }
    tensor(values)
}

/// The memory of at most two tensors.
fn two(tensors: &mut [FlexTensor]) -> [Option<&mut [f32]>; 2] {
    let mut tensors = tensors.iter_mut().map(FlexTensor::storage_mut);
    [tensors.next(), tensors.next()]
}

/// Takes a tensor's memory out of its place, so that it is nobody else's.
fn take(place: &mut Tensor<2>) -> FlexTensor {
    let device = place.device();
    buffer(std::mem::replace(place, Tensor::empty([0, 0], &device)))
}

/// θ' ← θ' + τ (θ − θ'), in place.
pub(super) fn track(target: Tensor<2>, source: Tensor<2>, tau: f32) -> Tensor<2> {
    let source = buffer(source);
    let mut target = buffer(target);
    agreed(with_kernels(|kernels| {
        kernels.track(target.storage_mut(), floats(&source), tau)
    }));
    tensor(target)
}

/// A row of numbers as a tensor.
pub(super) fn vector(values: Vec<f32>) -> Tensor<1> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), &Device::flex())
}

/// Sizes come from one network, and settings were checked when the scene was read.
fn agreed(done: Result<(), KernelError>) {
    if let Err(error) = done {
        panic!("a gradient step was given what no kernel takes: {error}");
    }
}
