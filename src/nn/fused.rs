//! The perceptron as one differentiable operation.
//!
//! An ensemble with all its layers, biases and activations is a single node of Burn's autodiff graph, registered as a
//! backend extension; its forward and backward are the kernels of [`cpu`](super::cpu), and on a card those of `card`, which know fewer
//! perceptrons. Of a stack of learners the processor's kernels run for one learner after the other, as they do where it learns alone: its
//! bits are those of its lone run.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "cuda")]
use burn::backend::Cuda;
#[cfg(feature = "vulkan")]
use burn::backend::Vulkan;

use super::cpu::{Gradients, Input, KernelError, MlpShape};
use super::dropout::Mask;
use super::threads::{Lease, take_buffer, with_kernels};
use crate::transfer::{fits_a_launch, is_far};

/// Backends that have the perceptron as one operation.
#[backend_extension(Autodiff, Flex, Vulkan: cfg(feature = "vulkan"), Cuda: cfg(feature = "cuda"))]
pub(crate) trait FusedMlp: Backend {
    /// Outputs `[members, batch, out]` for parameters `[learners * members, parameters]` and inputs `[batch, in]`, of which each learner
    /// of a stack has an equal part.
    fn fused_mlp(
        parameters: FloatTensor<Self>,
        input: FloatTensor<Self>,
        stack: Stacked,
        mask: Option<Mask>,
    ) -> FloatTensor<Self>;
}

/// The shape of one learner's members, and how many learners there are.
#[derive(Clone, Debug)]
pub(crate) struct Stacked {
    pub shape: Arc<MlpShape>,
    learners: usize,
}

/// Whether this device has such perceptrons as one operation.
pub(crate) fn is_there(
    device: &Device,
    shape: &MlpShape,
    (learners, rows): (usize, usize),
    mask: Option<&Mask>,
) -> bool {
    // The derivative of GELU needs what it was computed from, which a card's kernels do not keep.
    let keeps_outputs = ![shape.hidden, shape.output]
        .iter()
        .any(|it| it.keeps_input());
    let is_plain = shape.layer_norm.is_none() && mask.is_none() && learners == 1;
    let widest = shape
        .sizes
        .iter()
        .max()
        .map_or(0, |width| shape.members * width * rows);
    !is_far(device) || (is_plain && keeps_outputs && fits_a_launch(widest))
}

/// The fused perceptron on tensors where [`is_there`], both recorded or both plain.
pub(crate) fn forward(
    shape: &Arc<MlpShape>,
    learners: usize,
    parameters: Tensor<2>,
    input: Tensor<2>,
    mask: Option<Mask>,
) -> Tensor<3> {
    let out = <Dispatch as FusedMlp>::fused_mlp(
        parameters.into_dispatch(),
        input.into_dispatch(),
        Stacked {
            shape: shape.clone(),
            learners,
        },
        mask,
    );
    Tensor::from_dispatch(out)
}

impl FusedMlp for Flex {
    fn fused_mlp(
        parameters: FlexTensor,
        input: FlexTensor,
        stack: Stacked,
        mask: Option<Mask>,
    ) -> FlexTensor {
        let (parameters, input) = (contiguous(parameters), contiguous(input));
        pass(&parameters, &input, &stack, mask.as_ref(), None)
    }
}

impl<C: CheckpointStrategy> FusedMlp for Autodiff<Flex, C> {
    fn fused_mlp(
        parameters: FloatTensor<Self>,
        input: FloatTensor<Self>,
        stack: Stacked,
        mask: Option<Mask>,
    ) -> FloatTensor<Self> {
        let nodes = [parameters.node.clone(), input.node.clone()];
        let parameters = contiguous(parameters.primitive);
        let input = contiguous(input.primitive);
        match MlpBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prep) => {
                prep.finish(pass(&parameters, &input, &stack, mask.as_ref(), None))
            }
            OpsKind::Tracked(prep) => {
                let mut leases: Vec<Lease> = (0..stack.learners).map(|_| Lease::take()).collect();
                let kept = Some(&mut leases[..]);
                let out = pass(&parameters, &input, &stack, mask.as_ref(), kept);
                let state = Recorded {
                    parameters,
                    input,
                    stack,
                    mask,
                    leases: Arc::new(leases),
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
    stack: Stacked,
    mask: Option<Mask>,
    /// One for each learner.
    leases: Arc<Vec<Lease>>,
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
            stack,
            mask,
            leases,
        } = ops.state;
        // A parent that nobody trains has no node, and costs nothing.
        let mut d_parameters = parameters_node
            .as_ref()
            .map(|_| take_buffer(floats(&parameters).len()));
        let mut d_input = input_node
            .as_ref()
            .map(|_| take_buffer(floats(&input).len()));
        let shape = &stack.shape;
        for (learner, lease) in leases.iter().enumerate() {
            let own = |all: usize| stack.part(all, learner);
            let d_out = stack.of_learner(floats(&d_out), learner);
            let wanted = Gradients {
                params: d_parameters.as_deref_mut().map(|all| {
                    let own = own(all.len());
                    &mut all[own]
                }),
                x: d_input.as_deref_mut().map(|all| {
                    let own = own(all.len());
                    &mut all[own]
                }),
            };
            let done = with_kernels(|kernels| {
                let all = floats(&parameters);
                let rows = stack.rows_of(&input, learner, mask.as_ref());
                kernels.backward(
                    shape,
                    &all[own(all.len())],
                    rows,
                    lease.saved(),
                    &d_out,
                    wanted,
                )
            });
            sizes_agree(done);
        }
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
    stack: &Stacked,
    mask: Option<&Mask>,
    mut leases: Option<&mut [Lease]>,
) -> FlexTensor {
    let (shape, learners) = (&stack.shape, stack.learners);
    let (members, width) = (shape.members, shape.outputs());
    let batch = floats(input).len() / shape.inputs();
    let mut out = vec![0.0; members * batch * width];
    // Each learner's members have their rows of all members' outputs.
    let mut apart = match stack.is_apart() {
        true => vec![0.0; out.len() / learners],
        false => Vec::new(),
    };
    for learner in 0..learners {
        let rows = stack.rows_of(input, learner, mask);
        if rows.batch == 0 {
            continue;
        }
        let all = floats(parameters);
        let own = &all[stack.part(all.len(), learner)];
        let part = stack.part(out.len(), learner);
        let to = match stack.is_apart() {
            true => &mut apart[..],
            false => &mut out[part],
        };
        let done = with_kernels(|kernels| match leases.as_deref_mut() {
            Some(leases) => kernels.forward(shape, own, rows, leases[learner].saved_mut(), to),
            None => kernels.infer(shape, own, rows, to),
        });
        sizes_agree(done);
        if stack.is_apart() {
            stack.put(&apart, learner, &mut out);
        }
    }
    FlexTensor::from_data(TensorData::new(out, [members, batch, width]))
}

impl Stacked {
    /// Whether a learner's outputs lie apart from each other: those of its members, among other learners'.
    fn is_apart(&self) -> bool {
        self.learners > 1 && self.shape.members > 1
    }

    /// A learner's part of so many numbers, which lie one learner's behind the other's.
    fn part(&self, all: usize, learner: usize) -> Range<usize> {
        let each = all / self.learners;
        each * learner..each * (learner + 1)
    }

    /// A learner's rows, and what is dropped of them: dropout knows no stack.
    fn rows_of<'a>(
        &self,
        input: &'a FlexTensor,
        learner: usize,
        mask: Option<&'a Mask>,
    ) -> Input<'a> {
        let all = floats(input);
        let rows = &all[self.part(all.len(), learner)];
        Input {
            rows,
            batch: rows.len() / self.shape.inputs(),
            dropout: mask.map(Mask::values),
        }
    }

    /// A learner's part `[members, its batch, out]` of outputs `[members, batch, out]`.
    fn of_learner<'a>(&self, out: &'a [f32], learner: usize) -> Cow<'a, [f32]> {
        if !self.is_apart() {
            return Cow::Borrowed(&out[self.part(out.len(), learner)]);
        }
        let members = out.chunks((out.len() / self.shape.members).max(1));
        let own = members.flat_map(|member| &member[self.part(member.len(), learner)]);
        Cow::Owned(own.copied().collect())
    }

    /// Puts a learner's part into the outputs of all.
    fn put(&self, own: &[f32], learner: usize, out: &mut [f32]) {
        let of_member = own.len() / self.shape.members;
        let members = out.chunks_mut(of_member.max(1) * self.learners);
        for (member, own) in members.zip(own.chunks(of_member.max(1))) {
            let part = self.part(member.len(), learner);
            member[part].copy_from_slice(own);
        }
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
