//! Adam, targets and norms as single operations on cards: what `card` computes, for whoever has a tensor.
//!
//! On the processor the same is done in one pass by [`cpu`](super::cpu), elsewhere in Burn's operations.
#![allow(clippy::too_many_arguments)]
// Without a card's feature nobody has these kernels.
#![cfg_attr(
    not(any(feature = "cuda", feature = "vulkan")),
    allow(unused_variables, dead_code)
)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use burn::backend::Cuda;
#[cfg(feature = "vulkan")]
use burn::backend::Vulkan;

/// The numbers of one step of Adam.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    pub rate: f32,
    pub beta_1: f32,
    /// 1 − β₁
    pub rest_1: f32,
    pub beta_2: f32,
    /// 1 − β₂
    pub rest_2: f32,
    /// 1 − β₁ᵗ
    pub correction_1: f32,
    /// √(1 − β₂ᵗ)
    pub root_correction_2: f32,
    pub epsilon: f32,
    /// So much of the parameter is added to its gradient.
    pub coupled: f32,
    /// The parameter is multiplied by this.
    pub kept: f32,
    /// The norm that each member's gradient is clipped to.
    pub most: Option<f32>,
}

/// Backends that have these kernels.
#[backend_extension(Vulkan: cfg(feature = "vulkan"), Cuda: cfg(feature = "cuda"))]
pub(crate) trait FlatKernels: Backend {
    /// The squares of each member's numbers, summed up in parts: `[members, parts]`.
    fn squares(gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// A step: the parameters, both moments, and the norm of each member's gradient before clipping, `[members, 1]`. `squares` are those
    /// of all tensors of the network, side by side.
    fn adam(
        values: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        squares: FloatTensor<Self>,
        step: AdamStep,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    /// The sum of so many tensors `[n]`, in their order.
    fn add_up(
        sum: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// θ' + τ (θ − θ').
    fn track(target: FloatTensor<Self>, source: FloatTensor<Self>, tau: f32) -> FloatTensor<Self>;
}

/// How many tensors [`add_up`] adds to a sum.
pub(crate) const SUMMANDS: usize = 7;

/// The sum of tensors `[n]` on a card, in their order.
pub(crate) fn add_up(sum: Tensor<1>, more: [Tensor<1>; SUMMANDS]) -> Tensor<1> {
    let [a, b, c, d, e, f, g] = more.map(Tensor::into_dispatch);
    let sum = <Dispatch as FlatKernels>::add_up(sum.into_dispatch(), a, b, c, d, e, f, g);
    Tensor::from_dispatch(sum)
}
