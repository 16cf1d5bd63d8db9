//! The entrance: checks what it is given, then cuts it into tasks.

use super::{
    InstructionSet, KernelError, MlpShape, Saved, Workers, backward::Backward, disjoint::Disjoint,
    error::check_len, forward::Forward, saved::Scratch, sums::SumMembers,
};
use std::ops::Range;

/// Multiplications below which waking another thread costs more than it saves: some microseconds of work. Tests share
/// everything, to see that it makes no difference.
const WORTH_SHARING: usize = if cfg!(test) { 1 } else { 1 << 18 };

/// What a network reads.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[batch, inputs]`, read by all members, or `[members, batch, inputs]`. The length says which.
    pub rows: &'a [f32],
    /// Rows in the batch, at least 1.
    pub batch: usize,
    /// What each hidden value is multiplied by, in front of the normalization and the activation: 0 where it is
    /// dropped, `1 / (1 - rate)` where it is not. Layer after layer `[members, batch, sizes[layer + 1]]`, hidden
    /// layers only; [`MlpShape::dropout_len`] values.
    pub dropout: Option<&'a [f32]>,
}

impl<'a> Input<'a> {
    /// Some rows as a member reads them.
    pub(crate) fn of(&self, shape: &MlpShape, member: usize, rows: &Range<usize>) -> &'a [f32] {
        let inputs = shape.inputs();
        let start = if self.is_shared(shape) {
            0
        } else {
            member * self.batch
        };
        &self.rows[(start + rows.start) * inputs..(start + rows.end) * inputs]
    }

    /// Whether all members read the same rows.
    fn is_shared(&self, shape: &MlpShape) -> bool {
        self.rows.len() == self.batch * shape.inputs()
    }

    fn check(&self, shape: &MlpShape) -> Result<(), KernelError> {
        if self.batch == 0 {
            return Err(KernelError::EmptyBatch);
        }
        if !self.is_shared(shape) {
            let want = shape.members * self.batch * shape.inputs();
            check_len(
                "input.rows",
                self.rows.len(),
                want,
                "[batch, inputs] or [members, batch, inputs]",
            )?;
        }
        let Some(mask) = self.dropout else {
            return Ok(());
        };
        check_len(
            "input.dropout",
            mask.len(),
            shape.dropout_len(self.batch),
            "[members, batch, size] a hidden layer",
        )
    }
}

/// Which gradients a backward pass shall compute. They are written, not added.
#[derive(Debug, Default)]
pub struct Gradients<'a> {
    /// `[members, parameters]`; `None` for a frozen network, whose weight gradients are not computed at all.
    pub params: Option<&'a mut [f32]>,
    /// As long as the input's rows: the sum over the members, in their order, where they share it.
    pub x: Option<&'a mut [f32]>,
}

/// The kernels of one learner: its threads, its instructions and its scratch memory.
///
/// Several learners own one each; nothing is shared between them.
#[derive(Debug)]
pub struct Kernels {
    pub(crate) instructions: InstructionSet,
    pub(crate) workers: Workers,
    pub(crate) scratch: Scratch,
}

impl Kernels {
    /// Kernels on as many threads, the calling one included, with the processor's best instructions.
    pub fn new(threads: usize) -> Self {
        Self::with_instructions(threads, InstructionSet::best())
    }

    /// Kernels with certain instructions, to compare them.
    pub fn with_instructions(threads: usize, instructions: InstructionSet) -> Self {
        Self {
            instructions,
            workers: Workers::new(threads),
            scratch: Scratch::default(),
        }
    }

    /// The instructions in use.
    pub fn instructions(&self) -> InstructionSet {
        self.instructions
    }

    /// The number of threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }

    /// Computes an ensemble's outputs `[members, batch, outputs]` and keeps what [`Kernels::backward`] needs.
    ///
    /// `params` is `[members, parameters]`; the first `n` members of a larger ensemble are its first
    /// `n * parameters` values with a shape of `n` members.
    ///
    /// # Errors
    /// If the shape is impossible, the batch is empty, or a buffer has another length than documented.
    pub fn forward(
        &mut self,
        shape: &MlpShape,
        params: &[f32],
        input: Input<'_>,
        saved: &mut Saved,
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        self.pass(shape, params, input, Some(saved), out)
    }

    /// Computes an ensemble's outputs as [`Kernels::forward`] does, to the bit, and keeps nothing.
    ///
    /// # Errors
    /// As [`Kernels::forward`].
    pub fn infer(
        &mut self,
        shape: &MlpShape,
        params: &[f32],
        input: Input<'_>,
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        self.pass(shape, params, input, None, out)
    }

    fn pass(
        &mut self,
        shape: &MlpShape,
        parameters: &[f32],
        input: Input<'_>,
        saved: Option<&mut Saved>,
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        check_network(shape, parameters, &input)?;
        check_len(
            "out",
            out.len(),
            shape.members * input.batch * shape.outputs(),
            "[members, batch, outputs]",
        )?;
        let work = self
            .scratch
            .rows
            .at_least(self.workers.threads() * Forward::work_len(shape));
        let pass = Forward {
            instructions: self.instructions,
            shape,
            parameters,
            input,
            keep: saved.map(|saved| saved.prepare(shape, input.batch)),
            out: Disjoint::new(out),
            work: Disjoint::new(work),
        };
        let work = shape.members * input.batch * shape.work();
        share(
            &mut self.workers,
            Forward::tasks(shape, input.batch),
            work,
            |index, worker| {
                // SAFETY: `share` runs each index once and gives tasks that run at once different workers.
                unsafe { pass.task(index, worker) }
            },
        );
        Ok(())
    }

    /// Computes gradients from `d_out`, the loss's gradient `[members, batch, outputs]` of the outputs of the forward
    /// pass that filled `saved`, with the same parameters and input.
    ///
    /// # Errors
    /// As [`Kernels::forward`], and if `saved` holds a pass of another shape or batch.
    pub fn backward(
        &mut self,
        shape: &MlpShape,
        params: &[f32],
        input: Input<'_>,
        saved: &Saved,
        d_out: &[f32],
        wanted: Gradients<'_>,
    ) -> Result<(), KernelError> {
        check_network(shape, params, &input)?;
        saved.check(shape, input.batch)?;
        let outputs = shape.members * input.batch * shape.outputs();
        check_len("d_out", d_out.len(), outputs, "[members, batch, outputs]")?;
        let Gradients {
            params: d_params,
            x: d_x,
        } = wanted;
        if let Some(d_params) = &d_params {
            check_len(
                "gradients.params",
                d_params.len(),
                params.len(),
                "[members, parameters]",
            )?;
        }
        if let Some(d_x) = &d_x {
            check_len(
                "gradients.x",
                d_x.len(),
                input.rows.len(),
                "as long as the input's rows",
            )?;
        }
        if d_params.is_none() && d_x.is_none() {
            return Ok(());
        }

        let Scratch {
            transposed,
            linear,
            normalized,
            shared,
            ..
        } = &mut self.scratch;
        let of_parameters = d_params.is_some();
        let len = Backward::linear_len(shape, input.batch, of_parameters, self.workers.threads());
        let summed = shape.members > 1 && input.is_shared(shape);
        let mut d_x = d_x;
        let each_d_x = match &mut d_x {
            Some(_) if summed => Some(Disjoint::new(
                shared.at_least(shape.members * input.rows.len()),
            )),
            Some(d_x) => Some(Disjoint::new(d_x)),
            None => None,
        };
        let normalized_len = if of_parameters && shape.layer_norm.is_some() {
            len
        } else {
            0
        };
        let pass = Backward {
            instructions: self.instructions,
            shape,
            parameters: params,
            input,
            saved,
            d_out,
            d_params: d_params.map(Disjoint::new),
            d_x: each_d_x,
            transposed: Disjoint::new(transposed.at_least(params.len())),
            linear: Disjoint::new(linear.at_least(len)),
            normalized: Disjoint::new(normalized.at_least(normalized_len)),
        };
        let (workers, work) = (
            &mut self.workers,
            shape.members * input.batch * shape.work(),
        );
        // SAFETY: `share` runs each index once and gives tasks that run at once different workers; a round is over
        // when it returns.
        share(workers, pass.turn_tasks(), work, |index, _| unsafe {
            pass.turn(index)
        });
        // SAFETY: as above.
        share(workers, pass.row_tasks(), work, |index, worker| unsafe {
            pass.rows(index, worker)
        });
        if of_parameters {
            // SAFETY: as above.
            share(workers, pass.weight_tasks(), work, |index, _| unsafe {
                pass.weights(index)
            });
        }
        if let (Some(d_x), true) = (d_x, summed) {
            let parts = &shared[..shape.members * d_x.len()];
            self.instructions.run(SumMembers { parts, out: d_x });
        }
        Ok(())
    }

    /// All scratch memory set to NaN, so that a read of something unwritten shows.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        self.scratch.poison();
    }
}

/// Runs each index below `tasks` once: on all threads where the work is worth it, else on this one.
pub(crate) fn share(
    workers: &mut Workers,
    tasks: usize,
    work: usize,
    task: impl Fn(usize, usize) + Sync,
) {
    if work < WORTH_SHARING {
        (0..tasks).for_each(|index| task(index, 0));
    } else {
        workers.run(tasks, task);
    }
}

fn check_network(shape: &MlpShape, params: &[f32], input: &Input<'_>) -> Result<(), KernelError> {
    shape.check()?;
    check_len(
        "params",
        params.len(),
        shape.members * shape.parameters(),
        "[members, parameters]",
    )?;
    input.check(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_are_refused_by_name_before_anything_is_written() {
        let shape = MlpShape {
            members: 2,
            sizes: vec![3, 4, 1],
            ..MlpShape::default()
        };
        let (params, x) = (vec![0.1; 2 * shape.parameters()], vec![0.1; 15]);
        let (mut kernels, mut saved, mut out) = (Kernels::new(1), Saved::default(), vec![7.0; 10]);
        let mut refuse = |params: &[f32], input, out: &mut [f32]| {
            let error = kernels
                .forward(&shape, params, input, &mut saved, out)
                .unwrap_err();
            assert!(out.iter().all(|out| *out == 7.0));
            error.to_string()
        };
        let input = Input {
            rows: &x,
            batch: 5,
            dropout: None,
        };
        assert!(
            refuse(&params[1..], input, &mut out).contains("`params` has 41 values and needs 42")
        );
        assert!(refuse(&params, input, &mut out[1..]).contains("`out` has 9"));
        assert!(refuse(&params, Input { batch: 0, ..input }, &mut out).contains("no rows"));
        assert!(
            refuse(&params, Input { batch: 4, ..input }, &mut out).contains("`input.rows` has 15")
        );
        let mask = vec![1.0; 3];
        assert!(
            refuse(
                &params,
                Input {
                    dropout: Some(&mask),
                    ..input
                },
                &mut out
            )
            .contains("`input.dropout`")
        );
        let wanted = Gradients {
            params: None,
            x: Some(&mut [0.0; 15]),
        };
        let error = kernels.backward(&shape, &params, input, &Saved::default(), &out, wanted);
        assert_eq!(error, Err(KernelError::NotSaved));
    }
}
