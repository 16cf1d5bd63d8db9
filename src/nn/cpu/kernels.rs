//! The entrance: checks what it is given, then cuts it into tasks.

use super::{
    Adam, AdamState, InstructionSet, KernelError, MlpShape, Saved, Workers, adam,
    adam::{AdamStep, Squares},
    backward::Backward,
    disjoint::Disjoint,
    error::check_len,
    forward::Forward,
    saved::{Scratch, at_least},
    sums::SumMembers,
    track::Track,
};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Multiplications below which waking another thread costs more than it saves: some microseconds of work.
const WORTH_SHARING: usize = 1 << 18;

/// What a network reads.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[batch, inputs]`, read by all members, or `[members, batch, inputs]`. The length tells which.
    pub rows: &'a [f32],
    /// Rows in the batch, at least 1.
    pub batch: usize,
    /// What each hidden value is multiplied by, in front of the normalisation and the activation: 0 where it is
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
    instructions: InstructionSet,
    workers: Workers,
    scratch: Scratch,
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
        let work = at_least(
            &mut self.scratch.rows,
            self.workers.threads() * Forward::work_len(shape),
        );
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
            normalised,
            shared,
            ..
        } = &mut self.scratch;
        let of_parameters = d_params.is_some();
        let len = Backward::linear_len(shape, input.batch, of_parameters, self.workers.threads());
        let summed = shape.members > 1 && input.is_shared(shape);
        let mut d_x = d_x;
        let each_d_x = match &mut d_x {
            Some(_) if summed => Some(Disjoint::new(at_least(
                shared,
                shape.members * input.rows.len(),
            ))),
            Some(d_x) => Some(Disjoint::new(d_x)),
            None => None,
        };
        let normalised_len = if of_parameters && shape.layer_norm.is_some() {
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
            transposed: Disjoint::new(at_least(transposed, params.len())),
            linear: Disjoint::new(at_least(linear, len)),
            normalised: Disjoint::new(at_least(normalised, normalised_len)),
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

    /// One step of Adam, the `step`-th from 1 on.
    ///
    /// `scale`, if given, has one factor for the gradient of each member, `[members]`: what clipping by norm makes of it
    /// (see [`Kernels::squared_norms`]).
    ///
    /// # Errors
    /// If buffers differ in length, the parameters cannot be split among the members, the step is 0 or a setting is out
    /// of its range.
    pub fn adam(
        &mut self,
        settings: &Adam,
        step: u64,
        gradient: &[f32],
        scale: Option<&[f32]>,
        state: AdamState<'_>,
    ) -> Result<(), KernelError> {
        settings.check()?;
        if step == 0 {
            return Err(KernelError::Setting {
                setting: "step",
                value: "0".into(),
                range: "counted from 1",
            });
        }
        let len = state.params.len();
        check_len("gradient", gradient.len(), len, "as many as parameters")?;
        check_len(
            "state.first",
            state.first.len(),
            len,
            "as many as parameters",
        )?;
        check_len(
            "state.second",
            state.second.len(),
            len,
            "as many as parameters",
        )?;
        let cut = Cut::new("scale", len, scale.map_or(1, <[f32]>::len))?;
        let constants = settings.constants(step);
        let instructions = self.instructions;
        let (params, first, second) = (
            Disjoint::new(state.params),
            Disjoint::new(state.first),
            Disjoint::new(state.second),
        );
        // Each value costs as much as some multiplications: a root and a quotient.
        share(&mut self.workers, cut.tasks(), 16 * len, |index, _| {
            let (member, range) = cut.task(index);
            // SAFETY: `share` runs each index once, and their ranges do not overlap.
            let state = unsafe {
                AdamState {
                    params: params.part(range.clone()),
                    first: first.part(range.clone()),
                    second: second.part(range.clone()),
                }
            };
            let scale = scale.map_or(1.0, |scale| scale[member]);
            instructions.run(AdamStep {
                constants,
                scale,
                gradient: &gradient[range],
                state,
            });
        });
        Ok(())
    }

    /// The squared Euclidean norm of each member's part of `gradient`, `[members, parameters]`, written to `norms`,
    /// `[members]`. Clipping by the norm scales a member by `min(1, limit / norm.sqrt())`.
    ///
    /// Values above 1e19 make the norm infinite.
    ///
    /// # Errors
    /// If the gradient cannot be split among the members.
    pub fn squared_norms(
        &mut self,
        gradient: &[f32],
        norms: &mut [f64],
    ) -> Result<(), KernelError> {
        let cut = Cut::new("norms", gradient.len(), norms.len())?;
        let squares = &mut self.scratch.squares;
        if squares.len() < cut.tasks() {
            squares.resize_with(cut.tasks(), AtomicU64::default);
        }
        let (squares, instructions) = (&self.scratch.squares, self.instructions);
        share(
            &mut self.workers,
            cut.tasks(),
            gradient.len(),
            |index, _| {
                let sum = instructions.run(Squares(&gradient[cut.task(index).1]));
                squares[index].store(sum.to_bits(), Ordering::Relaxed);
            },
        );
        for (member, norm) in norms.iter_mut().enumerate() {
            let blocks = &squares[member * cut.blocks..(member + 1) * cut.blocks];
            *norm = blocks
                .iter()
                .map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)))
                .sum();
        }
        Ok(())
    }

    /// Moves a target towards its source: `target += tau (source - target)`; a `tau` of 1 copies exactly.
    ///
    /// # Errors
    /// If the two differ in length or `tau` is not in 0..=1.
    pub fn track(
        &mut self,
        target: &mut [f32],
        source: &[f32],
        tau: f32,
    ) -> Result<(), KernelError> {
        check_len(
            "source",
            source.len(),
            target.len(),
            "as long as the target",
        )?;
        if !(0.0..=1.0).contains(&tau) {
            return Err(KernelError::Setting {
                setting: "tau",
                value: tau.to_string(),
                range: "in 0..=1",
            });
        }
        if tau == 1.0 {
            target.copy_from_slice(source);
            return Ok(());
        }
        let cut = Cut::new("target", target.len(), 1)?;
        let (target, instructions) = (Disjoint::new(target), self.instructions);
        share(
            &mut self.workers,
            cut.tasks(),
            2 * source.len(),
            |index, _| {
                let range = cut.task(index).1;
                // SAFETY: `share` runs each index once, and their ranges do not overlap.
                let target = unsafe { target.part(range.clone()) };
                instructions.run(Track {
                    tau,
                    source: &source[range],
                    target,
                });
            },
        );
        Ok(())
    }

    /// All scratch memory set to NaN, so that a read of something unwritten shows.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        self.scratch.poison();
    }
}

/// Runs each index below `tasks` once: on all threads where the work is worth it, else on this one.
fn share(workers: &mut Workers, tasks: usize, work: usize, task: impl Fn(usize, usize) + Sync) {
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

/// A flat buffer `[members, parameters]` in blocks, none of which spans two members.
#[derive(Clone, Copy)]
struct Cut {
    parameters: usize,
    blocks: usize,
    members: usize,
}

impl Cut {
    fn new(buffer: &'static str, len: usize, members: usize) -> Result<Self, KernelError> {
        if members == 0 || !len.is_multiple_of(members) {
            let layout = "one for each member, which share the parameters evenly";
            return Err(KernelError::Length {
                buffer,
                got: members,
                want: members.max(1),
                layout,
            });
        }
        let parameters = len / members;
        Ok(Self {
            parameters,
            blocks: parameters.div_ceil(adam::BLOCK),
            members,
        })
    }

    fn tasks(&self) -> usize {
        self.members * self.blocks
    }

    fn task(&self, index: usize) -> (usize, Range<usize>) {
        let (member, block) = (index / self.blocks, index % self.blocks);
        let start = member * self.parameters;
        let end = (block + 1) * adam::BLOCK;
        (
            member,
            start + block * adam::BLOCK..start + end.min(self.parameters),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{
        Activation,
        reference::{Reference, Values},
    };

    const ALL: [Activation; 5] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Tanh,
        Activation::Elu,
        Activation::Gelu,
    ];

    /// What a network and its gradients are computed from.
    struct Case {
        shape: MlpShape,
        batch: usize,
        params: Vec<f32>,
        x: Vec<f32>,
        mask: Option<Vec<f32>>,
        d_out: Vec<f32>,
    }

    /// What comes out: outputs, features, gradients.
    #[derive(Debug, PartialEq)]
    struct Results {
        out: Vec<f32>,
        features: Vec<Vec<f32>>,
        d_params: Vec<f32>,
        d_x: Vec<f32>,
    }

    impl Case {
        fn new(shape: MlpShape, batch: usize, shared: bool, masked: bool) -> Self {
            let mut values = Values::new(batch as u64 + shape.members as u64);
            let mut params = values.normal(shape.members * shape.parameters());
            // Weights in the size that they have in training, so that no value explodes on its way.
            for member in params.chunks_mut(shape.parameters()) {
                for layer in 0..shape.layers() {
                    let scale = 1.0 / (shape.sizes[layer] as f32).sqrt();
                    member[shape.weight(layer)]
                        .iter_mut()
                        .for_each(|weight| *weight *= scale);
                }
            }
            let x = values.normal(if shared { 1 } else { shape.members } * batch * shape.inputs());
            let mask = masked.then(|| values.mask(shape.dropout_len(batch)));
            let d_out = values.normal(shape.members * batch * shape.outputs());
            Self {
                shape,
                batch,
                params,
                x,
                mask,
                d_out,
            }
        }

        fn input(&self) -> Input<'_> {
            Input {
                rows: &self.x,
                batch: self.batch,
                dropout: self.mask.as_deref(),
            }
        }

        /// Everything by these kernels, out of memory that was full of NaN.
        fn run(&self, kernels: &mut Kernels) -> Results {
            let (shape, mut saved) = (&self.shape, Saved::default());
            let nan = |len| vec![f32::NAN; len];
            let (mut out, mut inferred) = (nan(self.d_out.len()), nan(self.d_out.len()));
            for _ in 0..2 {
                // The second round finds buffers of the right size, and only NaN in them.
                saved.poison();
                kernels.poison();
                kernels
                    .forward(shape, &self.params, self.input(), &mut saved, &mut out)
                    .unwrap();
            }
            kernels.poison();
            kernels
                .infer(shape, &self.params, self.input(), &mut inferred)
                .unwrap();
            assert_eq!(out, inferred, "inference differs");
            let (mut d_params, mut d_x, mut frozen) =
                (nan(self.params.len()), nan(self.x.len()), nan(self.x.len()));
            for _ in 0..2 {
                kernels.poison();
                let wanted = Gradients {
                    params: Some(&mut d_params),
                    x: Some(&mut d_x),
                };
                kernels
                    .backward(
                        shape,
                        &self.params,
                        self.input(),
                        &saved,
                        &self.d_out,
                        wanted,
                    )
                    .unwrap();
                kernels.poison();
                let wanted = Gradients {
                    params: None,
                    x: Some(&mut frozen),
                };
                kernels
                    .backward(
                        shape,
                        &self.params,
                        self.input(),
                        &saved,
                        &self.d_out,
                        wanted,
                    )
                    .unwrap();
            }
            assert_eq!(d_x, frozen, "a frozen network's gradient differs");
            let mut alone = nan(self.params.len());
            let wanted = Gradients {
                params: Some(&mut alone),
                x: None,
            };
            kernels
                .backward(
                    shape,
                    &self.params,
                    self.input(),
                    &saved,
                    &self.d_out,
                    wanted,
                )
                .unwrap();
            assert_eq!(
                d_params, alone,
                "the parameters' gradient depends on whether the input's is wanted"
            );
            let features = (0..shape.layers() - 1)
                .map(|layer| saved.features(layer).unwrap().to_vec())
                .collect();
            assert!(saved.features(shape.layers() - 1).is_none());
            Results {
                out,
                features,
                d_params,
                d_x,
            }
        }

        /// Compares with double precision, and threads with each other.
        fn check(&self) {
            let reference = Reference::new(&self.shape, &self.params, self.input());
            let wanted = reference.backward(&self.d_out);
            for instructions in InstructionSet::available() {
                let name = format!(
                    "{} {:?} batch {}",
                    instructions.name(),
                    self.shape,
                    self.batch
                );
                let got = self.run(&mut Kernels::with_instructions(1, *instructions));
                close(&got.out, &reference.forward(), &name, "out");
                for (layer, features) in got.features.iter().enumerate() {
                    close(features, &reference.features(layer), &name, "features");
                }
                close(&got.d_params, &wanted.params, &name, "d_params");
                close(&got.d_x, &wanted.x, &name, "d_x");
                for threads in [2, 3] {
                    let other = self.run(&mut Kernels::with_instructions(threads, *instructions));
                    assert!(got == other, "{name}: {threads} threads give other bits");
                }
            }
        }
    }

    /// Within single precision of each other, on the scale of the largest.
    fn close(got: &[f32], want: &[f64], name: &str, what: &str) {
        assert_eq!(got.len(), want.len(), "{name}: {what}");
        let scale = want
            .iter()
            .fold(1.0_f64, |scale, want| scale.max(want.abs()));
        for (at, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                (*got as f64 - want).abs() < 1e-5 * scale,
                "{name}: {what}[{at}] is {got}, not {want}"
            );
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn every_odd_size_in_every_dimension_matches_double_precision() {
        for sizes in [
            vec![1, 1],
            vec![3, 7, 1],
            vec![7, 3, 255, 3],
            vec![1, 257, 1, 7],
            vec![255, 3, 257],
            vec![14, 64, 65, 2],
            vec![9, 8, 31, 12],
        ] {
            for (members, batch) in [(1, 1), (2, 3), (5, 65), (2, 257)] {
                let shape = MlpShape {
                    members,
                    sizes: sizes.clone(),
                    ..MlpShape::default()
                };
                Case::new(shape, batch, true, false).check();
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn the_critic_and_the_actor_of_the_papers_match_double_precision() {
        let critic = MlpShape {
            members: 2,
            sizes: vec![14, 256, 256, 1],
            ..MlpShape::default()
        };
        Case::new(critic, 256, true, false).check();
        let actor = MlpShape {
            sizes: vec![11, 256, 256, 3],
            output: Activation::Tanh,
            ..MlpShape::default()
        };
        Case::new(actor, 256, true, false).check();
    }

    #[test]
    fn every_activation_with_and_without_norm_and_dropout_matches_double_precision() {
        for (index, hidden) in ALL.into_iter().enumerate() {
            for layer_norm in [None, Some(1e-5)] {
                for masked in [false, true] {
                    for shared in [false, true] {
                        let output = ALL[(index + 3) % 5];
                        let sizes = if cfg!(miri) {
                            vec![3, 9, 5, 2]
                        } else {
                            vec![3, 33, 65, 2]
                        };
                        let shape = MlpShape {
                            members: 2,
                            sizes,
                            hidden,
                            output,
                            layer_norm,
                        };
                        Case::new(shape, if cfg!(miri) { 3 } else { 67 }, shared, masked).check();
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn batches_beyond_one_product_are_summed_whole() {
        let shape = MlpShape {
            members: 2,
            sizes: vec![5, 33, 2],
            ..MlpShape::default()
        };
        Case::new(shape, 1100, true, false).check();
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_row_has_the_same_output_in_any_batch_and_a_member_in_any_ensemble() {
        let shape = MlpShape {
            members: 5,
            sizes: vec![11, 256, 256, 3],
            ..MlpShape::default()
        };
        let case = Case::new(shape.clone(), 257, true, false);
        for instructions in InstructionSet::available() {
            let mut kernels = Kernels::with_instructions(2, *instructions);
            let mut all = vec![f32::NAN; 5 * 257 * 3];
            kernels
                .infer(&shape, &case.params, case.input(), &mut all)
                .unwrap();
            let alone = MlpShape {
                members: 1,
                ..shape.clone()
            };
            let params = &case.params[3 * shape.parameters()..][..shape.parameters()];
            let mut one = [f32::NAN; 3];
            let row = Input {
                rows: &case.x[200 * 11..201 * 11],
                batch: 1,
                dropout: None,
            };
            kernels.infer(&alone, params, row, &mut one).unwrap();
            assert_eq!(
                one,
                all[(3 * 257 + 200) * 3..][..3],
                "{}",
                instructions.name()
            );
        }
    }

    #[test]
    fn a_nan_in_the_input_reaches_the_output() {
        for hidden in ALL {
            let shape = MlpShape {
                sizes: vec![2, 20, 20, 1],
                hidden,
                ..MlpShape::default()
            };
            let mut case = Case::new(shape, 2, true, false);
            case.x[0] = f32::NAN;
            for instructions in InstructionSet::available() {
                let mut out = [0.0; 2];
                let mut kernels = Kernels::with_instructions(1, *instructions);
                kernels
                    .infer(&case.shape, &case.params, case.input(), &mut out)
                    .unwrap();
                assert!(
                    out[0].is_nan() && out[1].is_finite(),
                    "{hidden:?} {}",
                    instructions.name()
                );
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused_by_name_before_anything_is_written() {
        let shape = MlpShape {
            members: 2,
            sizes: vec![3, 4, 1],
            ..MlpShape::default()
        };
        let case = Case::new(shape.clone(), 5, true, false);
        let (mut kernels, mut saved, mut out) = (Kernels::new(1), Saved::default(), vec![7.0; 10]);
        let mut refuse = |params: &[f32], input, out: &mut [f32]| {
            let error = kernels
                .forward(&shape, params, input, &mut saved, out)
                .unwrap_err();
            assert!(out.iter().all(|out| *out == 7.0));
            error.to_string()
        };
        let input = case.input();
        assert!(
            refuse(&case.params[1..], input, &mut out)
                .contains("`params` has 41 values and needs 42")
        );
        assert!(refuse(&case.params, input, &mut out[1..]).contains("`out` has 9"));
        assert!(refuse(&case.params, Input { batch: 0, ..input }, &mut out).contains("no rows"));
        assert!(
            refuse(&case.params, Input { batch: 4, ..input }, &mut out)
                .contains("`input.rows` has 15")
        );
        let mask = vec![1.0; 3];
        assert!(
            refuse(
                &case.params,
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
        let error = kernels.backward(&shape, &case.params, input, &Saved::default(), &out, wanted);
        assert_eq!(error, Err(KernelError::NotSaved));
    }
}
