//! Tracked tensors and plain ones: Burn refuses to mix them, so what networks and losses are given is brought to one side first.

use burn::tensor::Tensor;

pub(super) use crate::transfer::plain as plain_device;

/// Brings two tensors to the same side: a plain one that meets a tracked one becomes a constant.
pub(super) fn same_side<const A: usize, const B: usize>(
    a: Tensor<A>,
    b: Tensor<B>,
) -> (Tensor<A>, Tensor<B>) {
    match (a.device().is_autodiff(), b.device().is_autodiff()) {
        (true, false) => (a, Tensor::from_inner(b)),
        (false, true) => (Tensor::from_inner(a), b),
        _ => (a, b),
    }
}

/// What networks of an action read, `[batch, observation + action]`.
pub(super) fn side_by_side(observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
    let (observation, action) = same_side(observation, action);
    Tensor::cat(vec![observation, action], 1)
}
