//! Recurrent layers over the steps of an episode, forwards and backwards through time.
//!
//! A task takes some rows of the batch through all steps. What does not depend on the step before is computed for all steps at once:
//! the product of the inputs, and the gradients of the weights.

use super::{
    InstructionSet, Kernels,
    activation::{sigmoid, tanh},
    disjoint::{Disjoint, Strip},
    gemm::{Epilogue, Product},
    kernels::share,
    lanes::{Kernel, Lanes, read, write},
    sums::ColumnSums,
    transpose::Transpose,
};
use std::ops::Range;

/// What carries the state from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Gates i, f, g, o: c = f c₋₁ + i g, h = o tanh c.
    Lstm,
    /// Gates r, z and n = tanh(x W + b + r (h₋₁ U + d)): h = (1 − z) n + z h₋₁.
    Gru,
}

impl Cell {
    /// Gates, each as wide as the state.
    pub(crate) fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Biases, each as wide as the state: an LSTM's, one a gate; a GRU's three, and d.
    pub(crate) const BIASES: usize = 4;
}

/// The sizes of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequences {
    pub(crate) cell: Cell,
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
}

/// A layer's parameters.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// W, `[inputs, gates * hidden]`.
    pub(crate) input: &'a [f32],
    /// U, `[hidden, gates * hidden]`.
    pub(crate) hidden: &'a [f32],
    /// `[4 * hidden]`.
    pub(crate) bias: &'a [f32],
}

/// What a forward pass keeps for its backward pass, each `[batch, steps, ..]`.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The gates, behind their activations.
    gates: Vec<f32>,
    /// The state before the step.
    before: Vec<f32>,
    /// An LSTM's c; a GRU's h₋₁ U + d.
    inner: Vec<f32>,
    /// An LSTM's tanh c, and nothing of a GRU.
    squashed: Vec<f32>,
}

/// Where gradients are written; `None` where nobody asks.
#[derive(Default)]
pub(crate) struct SequenceGradients<'a> {
    pub(crate) x: Option<&'a mut [f32]>,
    pub(crate) input: Option<&'a mut [f32]>,
    pub(crate) hidden: Option<&'a mut [f32]>,
    pub(crate) bias: Option<&'a mut [f32]>,
}

/// The most rows of the batch in a task: part of the shape of the work, never of the number of threads.
const ROWS: usize = 64;

/// Rows of a weight whose gradient is a task's.
const WEIGHT_ROWS: usize = 128;

impl Sequences {
    /// Numbers in the gates of a row.
    fn gates(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Numbers in an LSTM's tanh c.
    fn squashed(&self) -> usize {
        match self.cell {
            Cell::Lstm => self.hidden,
            Cell::Gru => 0,
        }
    }

    /// Rows of all steps.
    fn rows(&self) -> usize {
        self.batch * self.steps
    }

    /// Multiplications of a pass.
    fn work(&self) -> usize {
        self.rows() * (self.inputs + self.hidden) * self.gates()
    }

    fn tasks(&self) -> usize {
        self.batch.div_ceil(ROWS)
    }

    /// The rows of a task, of all steps, and what it is to the task.
    fn part(&self, task: usize) -> (Range<usize>, Self) {
        let each = self.batch.div_ceil(self.tasks());
        let rows = (task * each).min(self.batch)..((task + 1) * each).min(self.batch);
        let part = Sequences {
            batch: rows.len(),
            ..*self
        };
        (rows.start * self.steps..rows.end * self.steps, part)
    }
}

fn of(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

impl Kernels {
    /// The states `[batch, steps, hidden]` of a layer for inputs `[batch, steps, inputs]`, from a state of zeros on.
    pub(crate) fn recur(
        &mut self,
        sequences: Sequences,
        weights: Weights<'_>,
        x: &[f32],
        out: &mut [f32],
    ) -> Kept {
        let (gates, hidden, squashed) = (sequences.gates(), sequences.hidden, sequences.squashed());
        let zeros = |width: usize| vec![0.0; sequences.rows() * width];
        let mut kept = Kept {
            gates: zeros(gates),
            before: zeros(hidden),
            inner: zeros(hidden),
            squashed: zeros(squashed),
        };
        let instructions = self.instructions;
        let out = Disjoint::new(out);
        let Kept {
            gates: to_gates,
            before: to_before,
            inner: to_inner,
            squashed: to_squashed,
        } = &mut kept;
        let to_gates = Disjoint::new(to_gates);
        let to_before = Disjoint::new(to_before);
        let to_inner = Disjoint::new(to_inner);
        let to_squashed = Disjoint::new(to_squashed);
        let task = |task: usize, _worker: usize| {
            let (rows, part) = sequences.part(task);
            // SAFETY: rows of the batch belong to one task, in every buffer.
            let pass = unsafe {
                Forward {
                    instructions,
                    sequences: part,
                    weights,
                    x: &x[of(&rows, sequences.inputs)],
                    gates: to_gates.part(of(&rows, gates)),
                    before: to_before.part(of(&rows, hidden)),
                    inner: to_inner.part(of(&rows, hidden)),
                    squashed: to_squashed.part(of(&rows, squashed)),
                    out: out.part(of(&rows, hidden)),
                }
            };
            pass.run();
        };
        let (tasks, work) = (sequences.tasks(), sequences.work());
        share(&mut self.workers, tasks, work, task);
        kept
    }

    /// Gradients from the states' `[batch, steps, hidden]`, of the pass that gave `kept`.
    pub(crate) fn recur_back(
        &mut self,
        sequences: Sequences,
        weights: Weights<'_>,
        x: &[f32],
        kept: &Kept,
        d_out: &[f32],
        wanted: SequenceGradients<'_>,
    ) {
        let (inputs, hidden, gates) = (sequences.inputs, sequences.hidden, sequences.gates());
        let instructions = self.instructions;
        let turned = |from: &[f32], columns: usize| {
            let (mut turned, rows) = (vec![0.0; from.len()], from.len() / columns);
            instructions.run(Transpose {
                from,
                rows,
                columns,
                to: Strip::of(&mut turned, rows),
            });
            turned
        };
        let hidden_turned = turned(weights.hidden, gates);
        let input_turned = wanted.x.is_some().then(|| turned(weights.input, gates));
        let mut of_inputs = vec![0.0; sequences.rows() * gates];
        // An LSTM's inputs and states meet in one sum, so that the gradients are the same.
        let own = sequences.cell == Cell::Gru;
        let mut of_states = vec![0.0; if own { of_inputs.len() } else { 0 }];
        let to_inputs = Disjoint::new(&mut of_inputs);
        let to_states = Disjoint::new(&mut of_states);
        let d_x = wanted.x.map(Disjoint::new);
        let task = |task: usize, _worker: usize| {
            let (rows, part) = sequences.part(task);
            // SAFETY: rows of the batch belong to one task, in every buffer.
            let (of_inputs, of_states, d_x) = unsafe {
                (
                    to_inputs.part(of(&rows, gates)),
                    to_states.part(of(&rows, if own { gates } else { 0 })),
                    d_x.map(|d_x| d_x.part(of(&rows, inputs))),
                )
            };
            let mut pass = Backward {
                instructions,
                sequences: part,
                hidden_turned: &hidden_turned,
                gates: &kept.gates[of(&rows, gates)],
                before: &kept.before[of(&rows, hidden)],
                inner: &kept.inner[of(&rows, hidden)],
                squashed: &kept.squashed[of(&rows, sequences.squashed())],
                d_out: &d_out[of(&rows, hidden)],
                of_inputs,
                of_states,
            };
            pass.run();
            if let (Some(d_x), Some(weight)) = (d_x, &input_turned) {
                instructions.run(Product {
                    a: pass.of_inputs,
                    a_row: gates,
                    a_step: 1,
                    inner: gates,
                    b: weight,
                    b_stride: inputs,
                    out: Strip::of(d_x, inputs),
                    epilogue: Epilogue::Write,
                });
            }
        };
        let (tasks, work) = (sequences.tasks(), sequences.work());
        share(&mut self.workers, tasks, work, task);
        let of_states = if own { &of_states } else { &of_inputs };
        let rows = sequences.rows();
        for (wanted, left, width, right) in [
            (wanted.input, x, inputs, &of_inputs),
            (wanted.hidden, &kept.before, hidden, of_states),
        ] {
            let Some(wanted) = wanted else { continue };
            let to = Disjoint::new(wanted);
            // Where it lies, a step of the sums would touch another page each time.
            let left = turned(left, width);
            let task = |task: usize, _worker: usize| {
                let first = task * WEIGHT_ROWS;
                let count = WEIGHT_ROWS.min(width - first);
                // SAFETY: rows of the weight belong to one task.
                let out = unsafe { to.strip(first * gates, count, gates, gates) };
                instructions.run(Product {
                    a: &left[first * rows..],
                    a_row: rows,
                    a_step: 1,
                    inner: rows,
                    b: right,
                    b_stride: gates,
                    out,
                    epilogue: Epilogue::Write,
                });
            };
            share(&mut self.workers, width.div_ceil(WEIGHT_ROWS), work, task);
        }
        if let Some(bias) = wanted.bias {
            let (of_gates, of_d) = bias.split_at_mut(gates);
            for (values, first, out) in
                [(&of_inputs, 0, of_gates), (of_states, gates - hidden, of_d)]
            {
                if !out.is_empty() {
                    instructions.run(ColumnSums {
                        values,
                        factors: None,
                        stride: gates,
                        first,
                        out,
                    });
                }
            }
        }
    }
}

/// Some rows of the batch on their way through the steps.
struct Forward<'a> {
    instructions: InstructionSet,
    sequences: Sequences,
    weights: Weights<'a>,
    x: &'a [f32],
    gates: &'a mut [f32],
    before: &'a mut [f32],
    inner: &'a mut [f32],
    squashed: &'a mut [f32],
    out: &'a mut [f32],
}

impl Forward<'_> {
    fn run(self) {
        let Sequences {
            cell,
            batch,
            steps,
            inputs,
            hidden,
        } = self.sequences;
        let width = self.sequences.gates();
        let (gates_bias, d) = self.weights.bias.split_at(width);
        self.instructions.run(Product {
            a: self.x,
            a_row: inputs,
            a_step: 1,
            inner: inputs,
            b: self.weights.input,
            b_stride: width,
            out: Strip::of(self.gates, width),
            epilogue: Epilogue::Bias(gates_bias),
        });
        // Of a GRU: what the states add to the gates.
        let mut of_states = vec![0.0; if cell == Cell::Gru { batch * width } else { 0 }];
        for step in 0..steps {
            if step > 0 {
                for row in 0..batch {
                    let place = (row * steps + step) * hidden;
                    let (done, to) = (&self.out[place - hidden..place], place..place + hidden);
                    self.before[to].copy_from_slice(done);
                }
                let (to, stride, start, epilogue) = match cell {
                    Cell::Lstm => (&mut *self.gates, steps * width, step * width, Epilogue::Add),
                    Cell::Gru => (&mut of_states[..], width, 0, Epilogue::Write),
                };
                // SAFETY: the rows are this task's, which uses them for nothing else meanwhile.
                let out = unsafe { Disjoint::new(to).strip(start, batch, width, stride) };
                self.instructions.run(Product {
                    a: &self.before[step * hidden..],
                    a_row: steps * hidden,
                    a_step: 1,
                    inner: hidden,
                    b: self.weights.hidden,
                    b_stride: width,
                    out,
                    epilogue,
                });
            }
            for row in 0..batch {
                let at = row * steps + step;
                let place = at * hidden..(at + 1) * hidden;
                let gates = &mut self.gates[at * width..(at + 1) * width];
                match cell {
                    Cell::Lstm => {
                        let (before, now) = self.inner.split_at_mut(place.start);
                        self.instructions.run(LstmStep {
                            gates,
                            before: (step > 0).then(|| &before[place.start - hidden..]),
                            cell: &mut now[..hidden],
                            squashed: &mut self.squashed[place.clone()],
                            out: &mut self.out[place],
                        });
                    }
                    Cell::Gru => self.instructions.run(GruStep {
                        gates,
                        of_states: &of_states[row * width..(row + 1) * width],
                        d,
                        before: &self.before[place.clone()],
                        inner: &mut self.inner[place.clone()],
                        out: &mut self.out[place],
                    }),
                }
            }
        }
    }
}

/// The same rows on their way back.
struct Backward<'a> {
    instructions: InstructionSet,
    sequences: Sequences,
    /// `[gates * hidden, hidden]`.
    hidden_turned: &'a [f32],
    gates: &'a [f32],
    before: &'a [f32],
    inner: &'a [f32],
    squashed: &'a [f32],
    d_out: &'a [f32],
    /// The gradients of what the inputs add to the gates, in front of the activations.
    of_inputs: &'a mut [f32],
    /// Of a GRU, the gradients of what the states add.
    of_states: &'a mut [f32],
}

impl Backward<'_> {
    fn run(&mut self) {
        let Sequences {
            cell,
            batch,
            steps,
            hidden,
            ..
        } = self.sequences;
        let width = self.sequences.gates();
        let mut d_state = vec![0.0; batch * hidden];
        let mut d_cell = vec![0.0; batch * hidden];
        for step in (0..steps).rev() {
            for row in 0..batch {
                let at = row * steps + step;
                let place = at * hidden..(at + 1) * hidden;
                let of_gates = at * width..(at + 1) * width;
                let own = row * hidden..(row + 1) * hidden;
                match cell {
                    Cell::Lstm => self.instructions.run(LstmStepBack {
                        gates: &self.gates[of_gates.clone()],
                        before: (step > 0).then(|| &self.inner[place.start - hidden..place.start]),
                        squashed: &self.squashed[place.clone()],
                        d_out: &self.d_out[place],
                        d_state: &d_state[own.clone()],
                        d_cell: &mut d_cell[own],
                        d_gates: &mut self.of_inputs[of_gates],
                    }),
                    Cell::Gru => self.instructions.run(GruStepBack {
                        gates: &self.gates[of_gates.clone()],
                        before: &self.before[place.clone()],
                        inner: &self.inner[place.clone()],
                        d_out: &self.d_out[place],
                        d_state: &mut d_state[own],
                        of_inputs: &mut self.of_inputs[of_gates.clone()],
                        of_states: &mut self.of_states[of_gates],
                    }),
                }
            }
            if step > 0 {
                let (from, epilogue) = match cell {
                    Cell::Lstm => (&*self.of_inputs, Epilogue::Write),
                    // The state itself passes a share on.
                    Cell::Gru => (&*self.of_states, Epilogue::Add),
                };
                self.instructions.run(Product {
                    a: &from[step * width..],
                    a_row: steps * width,
                    a_step: 1,
                    inner: width,
                    b: self.hidden_turned,
                    b_stride: hidden,
                    out: Strip::of(&mut d_state, hidden),
                    epilogue,
                });
            }
        }
    }
}

/// The gradient in front of a sigmoid, of one behind it, whose value there is `gate`.
#[inline(always)]
fn in_front<L: Lanes>(lanes: L, d: L::Vector, gate: L::Vector) -> L::Vector {
    lanes.mul(d, lanes.mul(gate, lanes.sub(lanes.splat(1.0), gate)))
}

/// One row's step of an LSTM.
struct LstmStep<'a> {
    /// Sums, and then the gates, `[4 * hidden]`.
    gates: &'a mut [f32],
    /// c₋₁; `None`: zeros.
    before: Option<&'a [f32]>,
    cell: &'a mut [f32],
    squashed: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for LstmStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let hidden = self.out.len();
        let (i, rest) = self.gates.split_at_mut(hidden);
        let (f, rest) = rest.split_at_mut(hidden);
        let (g, o) = rest.split_at_mut(hidden);
        for at in (0..hidden).step_by(L::WIDTH) {
            let now = |gate: &[f32]| read(lanes, gate, at);
            let [i_, f_, o_] = [
                sigmoid(lanes, now(i)),
                sigmoid(lanes, now(f)),
                sigmoid(lanes, now(o)),
            ];
            let g_ = tanh(lanes, now(g));
            let mut c = lanes.mul(i_, g_);
            if let Some(before) = self.before {
                c = lanes.mul_add(f_, now(before), c);
            }
            let squashed = tanh(lanes, c);
            write(lanes, i, at, i_);
            write(lanes, f, at, f_);
            write(lanes, g, at, g_);
            write(lanes, o, at, o_);
            write(lanes, self.cell, at, c);
            write(lanes, self.squashed, at, squashed);
            write(lanes, self.out, at, lanes.mul(o_, squashed));
        }
    }
}

struct LstmStepBack<'a> {
    gates: &'a [f32],
    before: Option<&'a [f32]>,
    squashed: &'a [f32],
    /// The gradients of the state: the output's, and the one that came from the step after.
    d_out: &'a [f32],
    d_state: &'a [f32],
    /// The gradient of c from the step after, and then of c₋₁.
    d_cell: &'a mut [f32],
    d_gates: &'a mut [f32],
}

impl Kernel for LstmStepBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let hidden = self.d_out.len();
        let one = lanes.splat(1.0);
        let gate = |index: usize| &self.gates[index * hidden..(index + 1) * hidden];
        let (d_i, rest) = self.d_gates.split_at_mut(hidden);
        let (d_f, rest) = rest.split_at_mut(hidden);
        let (d_g, d_o) = rest.split_at_mut(hidden);
        for at in (0..hidden).step_by(L::WIDTH) {
            let now = |values: &[f32]| read(lanes, values, at);
            let [i, f, g, o] = [now(gate(0)), now(gate(1)), now(gate(2)), now(gate(3))];
            let squashed = now(self.squashed);
            let d_h = lanes.add(now(self.d_out), now(self.d_state));
            let slope = lanes.sub(one, lanes.mul(squashed, squashed));
            let through = lanes.mul(lanes.mul(d_h, o), slope);
            let d_c = lanes.add(now(self.d_cell), through);
            let before = self.before.map_or(lanes.splat(0.0), now);
            write(lanes, d_i, at, in_front(lanes, lanes.mul(d_c, g), i));
            write(lanes, d_f, at, in_front(lanes, lanes.mul(d_c, before), f));
            let d_g_ = lanes.mul(lanes.mul(d_c, i), lanes.sub(one, lanes.mul(g, g)));
            write(lanes, d_g, at, d_g_);
            write(lanes, d_o, at, in_front(lanes, lanes.mul(d_h, squashed), o));
            write(lanes, self.d_cell, at, lanes.mul(d_c, f));
        }
    }
}

/// One row's step of a GRU.
struct GruStep<'a> {
    /// What the inputs add, and then the gates, `[3 * hidden]`.
    gates: &'a mut [f32],
    /// What the states add, without d, `[3 * hidden]`.
    of_states: &'a [f32],
    d: &'a [f32],
    before: &'a [f32],
    /// h₋₁ U + d.
    inner: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for GruStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let hidden = self.out.len();
        let one = lanes.splat(1.0);
        let (r, rest) = self.gates.split_at_mut(hidden);
        let (z, n) = rest.split_at_mut(hidden);
        let state = |index: usize| &self.of_states[index * hidden..(index + 1) * hidden];
        for at in (0..hidden).step_by(L::WIDTH) {
            let now = |values: &[f32]| read(lanes, values, at);
            let r_ = sigmoid(lanes, lanes.add(now(r), now(state(0))));
            let z_ = sigmoid(lanes, lanes.add(now(z), now(state(1))));
            let inner = lanes.add(now(state(2)), now(self.d));
            let n_ = tanh(lanes, lanes.mul_add(r_, inner, now(n)));
            let fresh = lanes.mul(lanes.sub(one, z_), n_);
            let h = lanes.mul_add(z_, now(self.before), fresh);
            write(lanes, r, at, r_);
            write(lanes, z, at, z_);
            write(lanes, n, at, n_);
            write(lanes, self.inner, at, inner);
            write(lanes, self.out, at, h);
        }
    }
}

struct GruStepBack<'a> {
    gates: &'a [f32],
    before: &'a [f32],
    inner: &'a [f32],
    d_out: &'a [f32],
    /// The gradient that came from the step after, and then what the state before passes on by itself.
    d_state: &'a mut [f32],
    of_inputs: &'a mut [f32],
    of_states: &'a mut [f32],
}

impl Kernel for GruStepBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let hidden = self.d_out.len();
        let one = lanes.splat(1.0);
        let gate = |index: usize| &self.gates[index * hidden..(index + 1) * hidden];
        for at in (0..hidden).step_by(L::WIDTH) {
            let now = |values: &[f32]| read(lanes, values, at);
            let [r, z, n] = [now(gate(0)), now(gate(1)), now(gate(2))];
            let d_h = lanes.add(now(self.d_out), now(self.d_state));
            let fresh = lanes.mul(d_h, lanes.sub(one, z));
            let d_n = lanes.mul(fresh, lanes.sub(one, lanes.mul(n, n)));
            let of_z = lanes.mul(d_h, lanes.sub(now(self.before), n));
            let d_z = in_front(lanes, of_z, z);
            let d_r = in_front(lanes, lanes.mul(d_n, now(self.inner)), r);
            for (to, of_n) in [
                (&mut *self.of_inputs, d_n),
                (&mut *self.of_states, lanes.mul(d_n, r)),
            ] {
                let (to_r, rest) = to.split_at_mut(hidden);
                let (to_z, to_n) = rest.split_at_mut(hidden);
                write(lanes, to_r, at, d_r);
                write(lanes, to_z, at, d_z);
                write(lanes, to_n, at, of_n);
            }
            write(lanes, self.d_state, at, lanes.mul(d_h, z));
        }
    }
}
