//! A recurrent layer, as one differentiable operation on the CPU.
//!
//! All steps are a single node of Burn's autodiff graph; its forward and backward are the kernels of [`cpu`](super::cpu). Other
//! devices use Burn's operations.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::cpu::{Kept, RecurrentWeights, SequenceGradients, Sequences};
use super::fused::{contiguous, floats, register};
use super::matrix_product::matrix_product;
use super::sides::plain_device;
use super::threads::with_kernels;

pub(super) use super::cpu::Cell;

/// A layer that carries a state from step to step.
///
/// An LSTM's gates are in the order i, f, g, o and a GRU's r, z, n, as in PyTorch. An LSTM has one bias where PyTorch adds two.
#[derive(Module, Debug)]
pub(super) struct Recurrence {
    /// W, `[inputs, gates * hidden]`.
    input: Param<Tensor<2>>,
    /// U, `[hidden, gates * hidden]`.
    hidden: Param<Tensor<2>>,
    /// One for each gate, and of a GRU what is added to n's product of the state, `[4 * hidden]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    cell: Cell,
}

impl Cell {
    /// The parameters of a layer.
    pub(super) fn parameters(self, inputs: usize, hidden: usize) -> u64 {
        let weights = (inputs as u64 + hidden as u64).saturating_mul(self.gates() as u64);
        let each = weights.saturating_add(Cell::BIASES as u64);
        each.saturating_mul(hidden as u64)
    }
}

impl Recurrence {
    /// A layer with PyTorch's initial weights, uniform in ±1/√hidden, from Burn's generator.
    pub fn new(cell: Cell, inputs: usize, hidden: usize, device: &Device) -> Self {
        let bound = 1.0 / (hidden.max(1) as f64).sqrt();
        let uniform = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        let gates = cell.gates() * hidden;
        Recurrence {
            input: uniform.init([inputs, gates], device),
            hidden: uniform.init([hidden, gates], device),
            bias: uniform.init([Cell::BIASES * hidden], device),
            cell,
        }
    }

    /// How many numbers a pass keeps of a step: gates, the state before it and after it, and what is inside.
    pub fn values_per_step(&self) -> usize {
        let [hidden, gates] = self.hidden.dims();
        gates + 4 * hidden
    }

    /// The states `[batch, steps, hidden]` for inputs `[batch, steps, inputs]`, from a state of zeros on. Both sides are tracked or both
    /// plain.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        if plain_device(&x.device()) != Device::flex() {
            return self.reference(x);
        }
        let out = <Dispatch as FusedRecurrence>::fused_recurrence(
            x.into_dispatch(),
            self.input.val().into_dispatch(),
            self.hidden.val().into_dispatch(),
            self.bias.val().into_dispatch(),
            self.cell,
        );
        Tensor::from_dispatch(out)
    }

    /// The same states by Burn's operations.
    fn reference(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, inputs] = x.dims();
        let (weight, bias) = (self.hidden.val(), self.bias.val());
        let [hidden, gates] = weight.dims();
        let row = |from: usize, len: usize| bias.clone().narrow(0, from, len).unsqueeze::<2>();
        let inputs = x.reshape([batch * steps, inputs]);
        let of_inputs = matrix_product(inputs, self.input.val());
        let of_inputs = (of_inputs + row(0, gates)).reshape([batch, steps, gates]);
        let mut state = Tensor::<2>::zeros([batch, hidden], &of_inputs.device());
        let mut cell = state.clone();
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let of_input = of_inputs.clone().narrow(1, step, 1).squeeze_dim::<2>(1);
            let of_state = matrix_product(state.clone(), weight.clone());
            let gate =
                |from: &Tensor<2>, index: usize| from.clone().narrow(1, index * hidden, hidden);
            state = match self.cell {
                Cell::Lstm => {
                    let sum = of_input + of_state;
                    let [i, f, o] = [0, 1, 3].map(|index| activation::sigmoid(gate(&sum, index)));
                    cell = f * cell + i * gate(&sum, 2).tanh();
                    o * cell.clone().tanh()
                }
                Cell::Gru => {
                    let both = |index| gate(&of_input, index) + gate(&of_state, index);
                    let [r, z] = [0, 1].map(|index| activation::sigmoid(both(index)));
                    let inner = gate(&of_state, 2) + row(gates, hidden);
                    let n = (gate(&of_input, 2) + r * inner).tanh();
                    n.clone() - z.clone() * n + z * state
                }
            };
            states.push(state.clone().unsqueeze_dim::<3>(1));
        }
        Tensor::cat(states, 1)
    }
}

/// Backends that have the layer as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedRecurrence: Backend {
    /// States `[batch, steps, hidden]` for inputs `[batch, steps, inputs]` and the layer's parameters.
    fn fused_recurrence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        cell: Cell,
    ) -> FloatTensor<Self>;
}

impl FusedRecurrence for Flex {
    fn fused_recurrence(
        x: FlexTensor,
        input: FlexTensor,
        hidden: FlexTensor,
        bias: FlexTensor,
        cell: Cell,
    ) -> FlexTensor {
        let given = [x, input, hidden, bias].map(contiguous);
        pass(&given, cell).0
    }
}

impl<C: CheckpointStrategy> FusedRecurrence for Autodiff<Flex, C> {
    fn fused_recurrence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        cell: Cell,
    ) -> FloatTensor<Self> {
        let given = [x, input, hidden, bias];
        let nodes = given.each_ref().map(|tensor| tensor.node.clone());
        let given = given.map(|tensor| contiguous(tensor.primitive));
        let (out, kept) = pass(&given, cell);
        let prepared = RecurrenceBackward.prepare::<C>(nodes);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => prep.finish(Tracked { given, cell, kept }, out),
        }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Tracked {
    given: [FlexTensor; 4],
    cell: Cell,
    kept: Kept,
}

#[derive(Debug)]
struct RecurrenceBackward;

impl Backward<Flex, 4> for RecurrenceBackward {
    type State = Tracked;

    fn backward(self, ops: Ops<Tracked, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(gradients.consume::<Flex>(&ops.node));
        let Tracked { given, cell, kept } = ops.state;
        // A parent that nobody trains has no node, and costs nothing.
        let mut found = [0, 1, 2, 3].map(|parent: usize| {
            let wanted = ops.parents[parent].is_some();
            wanted.then(|| vec![0.0; floats(&given[parent]).len()])
        });
        let [x, input, hidden, bias] = found.each_mut().map(Option::as_deref_mut);
        let wanted = SequenceGradients {
            x,
            input,
            hidden,
            bias,
        };
        let (sequences, weights) = sizes(&given, cell);
        if sequences.batch > 0 {
            with_kernels(|kernels| {
                let x = floats(&given[0]);
                kernels.recur_back(sequences, weights, x, &kept, floats(&d_out), wanted);
            });
        }
        for ((node, gradient), like) in ops.parents.into_iter().zip(found).zip(&given) {
            register(gradients, node.map(|node| node.id), gradient, like);
        }
    }
}

fn pass(given: &[FlexTensor; 4], cell: Cell) -> (FlexTensor, Kept) {
    let (sequences, weights) = sizes(given, cell);
    let Sequences {
        batch,
        steps,
        hidden,
        ..
    } = sequences;
    let mut out = vec![0.0; batch * steps * hidden];
    let kept =
        with_kernels(|kernels| kernels.recur(sequences, weights, floats(&given[0]), &mut out));
    let out = TensorData::new(out, [batch, steps, hidden]);
    (FlexTensor::from_data(out), kept)
}

fn sizes(given: &[FlexTensor; 4], cell: Cell) -> (Sequences, RecurrentWeights<'_>) {
    let [x, input, hidden, bias] = given;
    let x = x.layout().shape();
    let sequences = Sequences {
        cell,
        batch: x[0],
        steps: x[1],
        inputs: x[2],
        hidden: hidden.layout().shape()[0],
    };
    let weights = RecurrentWeights {
        input: floats(input),
        hidden: floats(hidden),
        bias: floats(bias),
    };
    (sequences, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn waves<const D: usize>(shape: [usize; D], pace: f32, device: &Device) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * pace).sin());
        Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), shape), device)
    }

    /// A layer of known weights.
    fn layer(cell: Cell, inputs: usize, hidden: usize, device: &Device) -> Recurrence {
        let gates = cell.gates() * hidden;
        Recurrence {
            input: Param::from_tensor(waves([inputs, gates], 0.7, device)),
            hidden: Param::from_tensor(waves([hidden, gates], 1.1, device)),
            bias: Param::from_tensor(waves([4 * hidden], 0.3, device)),
            cell,
        }
    }

    #[test]
    fn two_steps_of_one_unit_are_those_of_the_papers_in_double_precision() {
        let device = Device::flex();
        let x = [0.5_f64, -1.0];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let tensor = Tensor::<1>::from_floats([0.5, -1.0], &device).reshape([1, 2, 1]);
        let weights = |w: [f32; 4], u: [f32; 4], b: [f32; 4], cell: Cell| {
            let gates = cell.gates();
            let row = |values: &[f32]| {
                Param::from_tensor(Tensor::<1>::from_floats(values, &device).unsqueeze::<2>())
            };
            Recurrence {
                input: row(&w[..gates]),
                hidden: row(&u[..gates]),
                bias: Param::from_tensor(Tensor::from_floats(b, &device)),
                cell,
            }
        };
        let (w, u, b) = (
            [0.4, -0.3, 0.9, 0.2],
            [0.1, 0.6, -0.7, 0.8],
            [0.05, 1.0, -0.1, 0.3],
        );
        let of = |index: usize| {
            (
                f64::from(w[index]),
                f64::from(u[index]),
                f64::from(b[index]),
            )
        };
        let (mut h, mut c, mut lstm) = (0.0, 0.0, Vec::new());
        for x in x {
            let sum = |index| {
                let (w, u, b) = of(index);
                w * x + u * h + b
            };
            c = sigmoid(sum(1)) * c + sigmoid(sum(0)) * sum(2).tanh();
            h = sigmoid(sum(3)) * f64::tanh(c);
            lstm.push(h);
        }
        let (mut h, mut gru) = (0.0, Vec::new());
        for x in x {
            let gate = |index| {
                let (w, u, b) = of(index);
                sigmoid(w * x + u * h + b)
            };
            let ((w, u, b), d) = (of(2), f64::from(b[3]));
            let n = (w * x + b + gate(0) * (u * h + d)).tanh();
            h = (1.0 - gate(1)) * n + gate(1) * h;
            gru.push(h);
        }
        for (cell, expected) in [(Cell::Lstm, lstm), (Cell::Gru, gru)] {
            let layer = weights(w, u, b, cell);
            for found in [
                layer.forward(tensor.clone()),
                layer.reference(tensor.clone()),
            ] {
                for (found, expected) in numbers(found).into_iter().zip(&expected) {
                    assert!((f64::from(found) - expected).abs() < 1e-6, "{cell:?}");
                }
            }
        }
    }

    #[test]
    fn it_agrees_with_burns_operations_and_so_do_its_gradients() {
        let device = Device::flex().autodiff();
        for cell in [Cell::Lstm, Cell::Gru] {
            // One task and several; widths that fill no register; a single step.
            for [batch, steps, inputs, hidden] in
                [[1, 4, 3, 5], [70, 3, 2, 17], [33, 1, 4, 8], [40, 6, 35, 33]]
            {
                let passes = |reference: bool| {
                    let layer = layer(cell, inputs, hidden, &device);
                    let x = waves([batch, steps, inputs], 0.37, &device).require_grad();
                    let out = match reference {
                        true => layer.reference(x.clone()),
                        false => layer.forward(x.clone()),
                    };
                    let weights = waves([batch, steps, hidden], 0.9, &device);
                    let gradients = (out.clone() * weights).sum().backward();
                    let hidden = layer.hidden.val().grad(&gradients);
                    // A single step never multiplies a state.
                    let hidden = hidden.map_or(vec![0.0; 1], numbers);
                    [
                        numbers(out),
                        numbers(x.grad(&gradients).unwrap()),
                        numbers(layer.input.val().grad(&gradients).unwrap()),
                        numbers(layer.bias.val().grad(&gradients).unwrap()),
                        if steps > 1 { hidden } else { Vec::new() },
                    ]
                };
                for (ours, burns) in passes(false).iter().zip(&passes(true)) {
                    assert_eq!(ours.len(), burns.len());
                    let most = burns.iter().fold(1.0_f32, |most, it| most.max(it.abs()));
                    for (a, b) in ours.iter().zip(burns) {
                        assert!(
                            (a - b).abs() < 2e-5 * most,
                            "{cell:?} {batch} {steps}: {a} {b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_rows_states_depend_neither_on_the_other_rows_nor_on_what_comes_after() {
        let device = Device::flex();
        for cell in [Cell::Lstm, Cell::Gru] {
            let layer = layer(cell, 3, 20, &device);
            let all = waves([37, 5, 3], 0.37, &device);
            let together = layer.forward(all.clone());
            for row in [0, 31, 36] {
                let alone = layer.forward(all.clone().narrow(0, row, 1));
                assert_eq!(numbers(together.clone().narrow(0, row, 1)), numbers(alone));
            }
            let shorter = layer.forward(all.narrow(1, 0, 3));
            assert_eq!(numbers(together.narrow(1, 0, 3)), numbers(shorter));
        }
    }
}
