//! The mean cost of each member's errors, and its gradient, each in one launch.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime, cubecl};

use super::sum::{UNITS, summed};
use super::{contiguous, room};
use crate::nn::regression::{Cost, Regression};

/// Predictions `[members, n]`, targets and weights `[n]`, one after the other in memory.
#[derive(Clone, Debug)]
struct Errors<R: CubeRuntime> {
    prediction: CubeTensor<R>,
    target: CubeTensor<R>,
    weight: CubeTensor<R>,
    is_weighted: bool,
    cost: Cost,
}

impl<R: CubeRuntime> Regression for CubeBackend<R> {
    fn mean_costs(
        prediction: CubeTensor<R>,
        target: CubeTensor<R>,
        weight: CubeTensor<R>,
        is_weighted: bool,
        cost: Cost,
    ) -> CubeTensor<R> {
        let [prediction, target, weight] = [prediction, target, weight].map(contiguous);
        means(&Errors {
            prediction,
            target,
            weight,
            is_weighted,
            cost,
        })
    }
}

impl<R: CubeRuntime, C: CheckpointStrategy> Regression for Autodiff<CubeBackend<R>, C> {
    fn mean_costs(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        is_weighted: bool,
        cost: Cost,
    ) -> FloatTensor<Self> {
        let errors = Errors {
            prediction: contiguous(prediction.primitive),
            target: contiguous(target.primitive),
            weight: contiguous(weight.primitive),
            is_weighted,
            cost,
        };
        let means = means(&errors);
        let prepared = RegressionBackward.prepare::<C>([prediction.node]);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(means),
            OpsKind::Tracked(prep) => prep.finish(errors, means),
        }
    }
}

#[derive(Debug)]
struct RegressionBackward;

impl<R: CubeRuntime> Backward<CubeBackend<R>, 1> for RegressionBackward {
    type State = Errors<R>;

    fn backward(self, ops: Ops<Errors<R>, 1>, gradients: &mut BurnGradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let d_means = contiguous(gradients.consume::<CubeBackend<R>>(&ops.node));
        if let Some(node) = node {
            gradients.register::<CubeBackend<R>>(node.id, slopes(&ops.state, d_means));
        }
    }
}

impl<R: CubeRuntime> Errors<R> {
    /// `[members, n]`
    fn extent(&self) -> [usize; 2] {
        let shape = self.prediction.meta.shape();
        [shape[0], shape[1]]
    }

    fn is_huber(&self) -> bool {
        matches!(self.cost, Cost::Huber(_))
    }

    /// Of the squared error nobody asks for it.
    fn delta(&self) -> f32 {
        match self.cost {
            Cost::Squared => 0.0,
            Cost::Huber(delta) => delta,
        }
    }
}

/// `[members]`
fn means<R: CubeRuntime>(errors: &Errors<R>) -> CubeTensor<R> {
    let [members, n] = errors.extent();
    let means = room(&errors.prediction, [members]);
    means_kernel::launch(
        &means.client.clone(),
        CubeCount::Static(members as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        errors.prediction.clone().into_buffer_arg(),
        errors.target.clone().into_buffer_arg(),
        errors.weight.clone().into_buffer_arg(),
        means.clone().into_buffer_arg(),
        n,
        errors.delta(),
        errors.is_huber(),
        errors.is_weighted,
    );
    means
}

/// The gradient of the predictions, of that of the means.
fn slopes<R: CubeRuntime>(errors: &Errors<R>, d_means: CubeTensor<R>) -> CubeTensor<R> {
    let [members, n] = errors.extent();
    let slopes = room(&errors.prediction, [members, n]);
    slopes_kernel::launch(
        &slopes.client.clone(),
        CubeCount::Static(n.div_ceil(UNITS) as u32, members as u32, 1),
        CubeDim::new_1d(UNITS as u32),
        errors.prediction.clone().into_buffer_arg(),
        errors.target.clone().into_buffer_arg(),
        errors.weight.clone().into_buffer_arg(),
        d_means.into_buffer_arg(),
        slopes.clone().into_buffer_arg(),
        n,
        errors.delta(),
        errors.is_huber(),
        errors.is_weighted,
    );
    slopes
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn means_kernel(
    prediction: &[f32],
    target: &[f32],
    weight: &[f32],
    means: &mut [f32],
    n: usize,
    delta: f32,
    #[comptime] huber: bool,
    #[comptime] weighted: bool,
) {
    let unit = UNIT_POS as usize;
    let member = CUBE_POS_X as usize;
    let mut sum = 0.0f32;
    let steps = n.div_ceil(UNITS);
    for step in 0..steps {
        let at = step * UNITS + unit;
        if at < n {
            let error = prediction[member * n + at] - target[at];
            let mut cost = error * error;
            if comptime!(huber) {
                let size = max(error, -error);
                let clipped = min(size, delta);
                cost = clipped * (size - clipped * 0.5f32);
            }
            if comptime!(weighted) {
                cost *= weight[at];
            }
            sum += cost;
        }
    }
    let sum = summed(sum);
    if unit == 0 {
        means[member] = sum / f32::cast_from(n);
    }
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn slopes_kernel(
    prediction: &[f32],
    target: &[f32],
    weight: &[f32],
    d_means: &[f32],
    slopes: &mut [f32],
    n: usize,
    delta: f32,
    #[comptime] huber: bool,
    #[comptime] weighted: bool,
) {
    let at = CUBE_POS_X as usize * UNITS + UNIT_POS as usize;
    let member = CUBE_POS_Y as usize;
    if at < n {
        let error = prediction[member * n + at] - target[at];
        let mut slope = error * 2.0f32;
        if comptime!(huber) {
            slope = max(min(error, delta), -delta);
        }
        if comptime!(weighted) {
            slope *= weight[at];
        }
        slopes[member * n + at] = d_means[member] / f32::cast_from(n) * slope;
    }
}
