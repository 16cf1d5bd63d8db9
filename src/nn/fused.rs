//! The perceptron as one differentiable operation on the CPU.
//!
//! An ensemble with all its layers, biases and activations is a single node of Burn's autodiff graph, registered as a
//! backend extension; its forward and backward are the kernels of [`cpu`](super::cpu). Other devices use Burn's operations.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};

use super::cpu::{Gradients, Input, KernelError, MlpShape};
use super::dropout::Mask;
use super::threads::{Lease, take_buffer, with_kernels};

/// Backends that have the perceptron as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedMlp: Backend {
    /// Outputs `[members, batch, out]` for parameters `[members, parameters]` and inputs `[batch, in]`.
    fn fused_mlp(
        parameters: FloatTensor<Self>,
        input: FloatTensor<Self>,
        shape: Arc<MlpShape>,
        mask: Option<Mask>,
    ) -> FloatTensor<Self>;
}

/// The fused perceptron on tensors of the CPU, both recorded or both plain.
pub(crate) fn forward(
    shape: &Arc<MlpShape>,
    parameters: Tensor<2>,
    input: Tensor<2>,
    mask: Option<Mask>,
) -> Tensor<3> {
    let out = <Dispatch as FusedMlp>::fused_mlp(
        parameters.into_dispatch(),
        input.into_dispatch(),
        shape.clone(),
        mask,
    );
    Tensor::from_dispatch(out)
}

impl FusedMlp for Flex {
    fn fused_mlp(
        parameters: FlexTensor,
        input: FlexTensor,
        shape: Arc<MlpShape>,
        mask: Option<Mask>,
    ) -> FlexTensor {
        let (parameters, input) = (contiguous(parameters), contiguous(input));
        pass(&parameters, &input, &shape, mask.as_ref(), None)
    }
}

impl<C: CheckpointStrategy> FusedMlp for Autodiff<Flex, C> {
    fn fused_mlp(
        parameters: FloatTensor<Self>,
        input: FloatTensor<Self>,
        shape: Arc<MlpShape>,
        mask: Option<Mask>,
    ) -> FloatTensor<Self> {
        let nodes = [parameters.node.clone(), input.node.clone()];
        let parameters = contiguous(parameters.primitive);
        let input = contiguous(input.primitive);
        match MlpBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prep) => {
                prep.finish(pass(&parameters, &input, &shape, mask.as_ref(), None))
            }
            OpsKind::Tracked(prep) => {
                let mut lease = Lease::take();
                let out = pass(&parameters, &input, &shape, mask.as_ref(), Some(&mut lease));
                let state = Recorded {
                    parameters,
                    input,
                    shape,
                    mask,
                    lease: Arc::new(lease),
                };
                prep.finish(state, out)
            }
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Recorded {
    parameters: FlexTensor,
    input: FlexTensor,
    shape: Arc<MlpShape>,
    mask: Option<Mask>,
    lease: Arc<Lease>,
}

#[derive(Debug)]
struct MlpBackward;

impl Backward<Flex, 2> for MlpBackward {
    type State = Recorded;

    fn backward(self, ops: Ops<Recorded, 2>, gradients: &mut BurnGradients, _: &mut Checkpointer) {
        let [parameters_node, input_node] = ops.parents;
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Recorded {
            parameters,
            input,
            shape,
            mask,
            lease,
        } = ops.state;
        // A parent that nobody trains has no node, and costs nothing.
        let mut d_parameters = parameters_node
            .as_ref()
            .map(|_| take_buffer(floats(&parameters).len()));
        let mut d_input = input_node
            .as_ref()
            .map(|_| take_buffer(floats(&input).len()));
        let wanted = Gradients {
            params: d_parameters.as_deref_mut(),
            x: d_input.as_deref_mut(),
        };
        let done = with_kernels(|kernels| {
            let rows = rows_of(&input, &shape, mask.as_ref());
            kernels.backward(
                &shape,
                floats(&parameters),
                rows,
                lease.saved(),
                floats(&d_out),
                wanted,
            )
        });
        sizes_agree(done);
        for (node, gradient, like) in [
            (parameters_node, d_parameters, &parameters),
            (input_node, d_input, &input),
        ] {
            register(gradients, node.map(|node| node.id), gradient, like);
        }
    }
}

fn pass(
    parameters: &FlexTensor,
    input: &FlexTensor,
    shape: &MlpShape,
    mask: Option<&Mask>,
    lease: Option<&mut Lease>,
) -> FlexTensor {
    let rows = rows_of(input, shape, mask);
    let batch = rows.batch;
    let mut out = vec![0.0; shape.members * batch * shape.outputs()];
    if batch > 0 {
        let done = with_kernels(|kernels| match lease {
            Some(lease) => {
                kernels.forward(shape, floats(parameters), rows, lease.saved_mut(), &mut out)
            }
            None => kernels.infer(shape, floats(parameters), rows, &mut out),
        });
        sizes_agree(done);
    }
    FlexTensor::from_data(TensorData::new(
        out,
        [shape.members, batch, shape.outputs()],
    ))
}

fn rows_of<'a>(input: &'a FlexTensor, shape: &MlpShape, mask: Option<&'a Mask>) -> Input<'a> {
    let rows = floats(input);
    Input {
        rows,
        batch: rows.len() / shape.inputs(),
        dropout: mask.map(Mask::values),
    }
}

/// Mistakes in sizes are an algorithm's, such as a network that is fed another observation: Burn panics on those, and so
/// does this.
fn sizes_agree(done: Result<(), KernelError>) {
    if let Err(error) = done {
        panic!("the network does not fit what it is given: {error}");
    }
}

/// Adds a gradient to those of a parent, in the shape of its tensor, where there are both: a parent that nobody trains has no node.
pub(crate) fn register(
    gradients: &mut BurnGradients,
    node: Option<NodeId>,
    gradient: Option<Vec<f32>>,
    like: &FlexTensor,
) {
    if let (Some(node), Some(gradient)) = (node, gradient) {
        let gradient = TensorData::new(gradient, like.layout().shape().clone());
        gradients.register::<Flex>(node, FlexTensor::from_data(gradient));
    }
}

/// A contiguous tensor from the beginning of its buffer.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// A contiguous tensor's values.
pub(crate) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice()
        .expect("yarak's tensors are of f32, and contiguous where this is called")
}
