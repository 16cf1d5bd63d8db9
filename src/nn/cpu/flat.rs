//! Passes over flat buffers of parameters: Adam, norms, tracking.

use super::{
    Adam, AdamState, KernelError, Kernels,
    adam::{AdamStep, Squares},
    disjoint::Disjoint,
    error::check_len,
    kernels::share,
    track::Track,
};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Values of a task. Part of the shape of the work, never of the number of threads.
pub(crate) const BLOCK: usize = 16 * 1024;

impl Kernels {
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
}

/// A flat buffer `[members, parameters]` in blocks, none of which spans two members.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    parameters: usize,
    blocks: usize,
    members: usize,
}

impl Cut {
    pub(crate) fn new(
        buffer: &'static str,
        len: usize,
        members: usize,
    ) -> Result<Self, KernelError> {
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
            blocks: parameters.div_ceil(BLOCK),
            members,
        })
    }

    pub(crate) fn tasks(&self) -> usize {
        self.members * self.blocks
    }

    pub(crate) fn task(&self, index: usize) -> (usize, Range<usize>) {
        let (member, block) = (index / self.blocks, index % self.blocks);
        let start = member * self.parameters;
        let end = (block + 1) * BLOCK;
        (
            member,
            start + block * BLOCK..start + end.min(self.parameters),
        )
    }
}
