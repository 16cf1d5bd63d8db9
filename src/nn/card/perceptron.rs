//! An ensemble of perceptrons on a card: a launch for each layer, and two for each backward.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};

use super::product::{Extent, Matrix, Places, Then, product};
use super::{contiguous, room};
use crate::nn::cpu::{Activation, MlpShape};
use crate::nn::dropout::Mask;
use crate::nn::fused::{FusedMlp, Stacked};

impl<R: CubeRuntime> FusedMlp for CubeBackend<R> {
    fn fused_mlp(
        parameters: CubeTensor<R>,
        input: CubeTensor<R>,
        stack: Stacked,
        _: Option<Mask>,
    ) -> CubeTensor<R> {
        let mut outputs = forward(&contiguous(parameters), &contiguous(input), &stack.shape);
        outputs.pop().expect("a perceptron has at least one layer")
    }
}

impl<R: CubeRuntime, C: CheckpointStrategy> FusedMlp for Autodiff<CubeBackend<R>, C> {
    fn fused_mlp(
        parameters: FloatTensor<Self>,
        input: FloatTensor<Self>,
        Stacked { shape, .. }: Stacked,
        _: Option<Mask>,
    ) -> FloatTensor<Self> {
        let nodes = [parameters.node.clone(), input.node.clone()];
        let parameters = contiguous(parameters.primitive);
        let input = contiguous(input.primitive);
        let outputs = forward(&parameters, &input, &shape);
        let out = outputs[outputs.len() - 1].clone();
        match MlpBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => {
                let state = Recorded {
                    parameters,
                    input,
                    shape,
                    outputs,
                };
                prep.finish(state, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Recorded<R: CubeRuntime> {
    parameters: CubeTensor<R>,
    input: CubeTensor<R>,
    shape: Arc<MlpShape>,
    /// Of every layer, after its activation, `[members, batch, width]`.
    outputs: Vec<CubeTensor<R>>,
}

#[derive(Debug)]
struct MlpBackward;

impl<R: CubeRuntime> Backward<CubeBackend<R>, 2> for MlpBackward {
    type State = Recorded<R>;

    fn backward(
        self,
        ops: Ops<Recorded<R>, 2>,
        gradients: &mut BurnGradients,
        _: &mut Checkpointer,
    ) {
        let [parameters_node, input_node] = ops.parents;
        let d_out = contiguous(gradients.consume::<CubeBackend<R>>(&ops.node));
        let wanted = [parameters_node.is_some(), input_node.is_some()];
        let [d_parameters, d_input] = backward(&ops.state, d_out, wanted);
        for (node, gradient) in [(parameters_node, d_parameters), (input_node, d_input)] {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<CubeBackend<R>>(node.id, gradient);
            }
        }
    }
}

/// Where a layer's weight `[in, out]` lies in the parameters.
fn weight(shape: &MlpShape, layer: usize) -> Places {
    Places {
        start: shape.weight(layer).start,
        member: shape.parameters(),
        row: shape.sizes[layer + 1],
        column: 1,
    }
}

/// The output of every layer.
fn forward<R: CubeRuntime>(
    parameters: &CubeTensor<R>,
    input: &CubeTensor<R>,
    shape: &MlpShape,
) -> Vec<CubeTensor<R>> {
    let batch = input.meta.shape()[0];
    let mut outputs: Vec<CubeTensor<R>> = Vec::new();
    for (layer, pair) in shape.sizes.windows(2).enumerate() {
        let out = room(parameters, [shape.members, batch, pair[1]]);
        let is_last = layer + 1 == shape.layers();
        let activation = if is_last { shape.output } else { shape.hidden };
        let biases = Places {
            start: shape.bias(layer).start,
            ..weight(shape, layer)
        };
        let of_parameters = |places| Matrix {
            buffer: parameters.clone(),
            places,
        };
        if batch > 0 {
            product(
                Then::Activate(activation),
                Matrix::of(outputs.last().unwrap_or(input).clone()),
                of_parameters(weight(shape, layer)),
                of_parameters(biases),
                &out,
                (Matrix::of(out.clone()).places, 0),
                &Extent {
                    rows: batch,
                    inner: pair[0],
                    columns: pair[1],
                    members: shape.members,
                    summed: 1,
                },
            );
        }
        outputs.push(out);
    }
    outputs
}

/// The gradients of the parameters and of the input, as far as they are wanted.
fn backward<R: CubeRuntime>(
    recorded: &Recorded<R>,
    d_out: CubeTensor<R>,
    [of_parameters, of_input]: [bool; 2],
) -> [Option<CubeTensor<R>>; 2] {
    let Recorded {
        parameters,
        input,
        shape,
        outputs,
    } = recorded;
    let batch = input.meta.shape()[0];
    let d_parameters = of_parameters.then(|| {
        let [members, n] = [shape.members, shape.parameters()];
        room(parameters, [members, n])
    });
    let last = outputs.len() - 1;
    // The gradient in front of the activation of the layer at hand.
    let mut d = match shape.output {
        Activation::Identity => d_out,
        activation => super::flat::derive(d_out, &outputs[last], activation),
    };
    for layer in (0..=last).rev() {
        let [fan_in, fan_out] = [shape.sizes[layer], shape.sizes[layer + 1]];
        let shown = layer
            .checked_sub(1)
            .map_or(input, |before| &outputs[before]);
        if let Some(d_parameters) = &d_parameters {
            product(
                Then::SumColumns,
                Matrix::of(shown.clone()).turned(),
                Matrix::of(d.clone()),
                Matrix::of(shown.clone()),
                d_parameters,
                (weight(shape, layer), shape.bias(layer).start),
                &Extent {
                    rows: fan_in,
                    inner: batch,
                    columns: fan_out,
                    members: shape.members,
                    summed: 1,
                },
            );
        }
        if layer == 0 && !of_input {
            break;
        }
        let (members, activation, next) = match layer {
            // All members have the same input.
            0 => (1, Activation::Identity, room(parameters, [batch, fan_in])),
            _ => {
                let next = room(parameters, [shape.members, batch, fan_in]);
                (shape.members, shape.hidden, next)
            }
        };
        let weights = Matrix {
            buffer: parameters.clone(),
            places: weight(shape, layer),
        };
        product(
            Then::Derive(activation),
            Matrix::of(d),
            weights.turned(),
            Matrix::of(shown.clone()),
            &next,
            (Matrix::of(next.clone()).places, 0),
            &Extent {
                rows: batch,
                inner: fan_out,
                columns: fan_in,
                members,
                summed: shape.members / members,
            },
        );
        d = next;
    }
    [d_parameters, of_input.then_some(d)]
}
