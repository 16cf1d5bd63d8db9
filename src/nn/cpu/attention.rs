//! Causal attention within short sequences, forwards and backwards.
//!
//! A task is a row of the batch with all its heads: the steps of an episode are few, so that a head's products are no matrices worth a
//! kernel of their own, and keys and values are read where the perceptron wrote them.

use super::{
    Kernels,
    activation::exp_minus_one,
    disjoint::Disjoint,
    kernels::share,
    lanes::{Kernel, Lanes, read, write},
};

/// The sizes of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) heads: usize,
    /// Numbers of a query, a key and a value of a head.
    pub(crate) each: usize,
}

impl Heads {
    /// Numbers of a step: of all heads together.
    pub(crate) fn width(&self) -> usize {
        self.heads * self.each
    }

    /// What a step attends to, of all heads and steps of a row.
    pub(crate) fn shares(&self) -> usize {
        self.heads * self.steps * self.steps
    }

    /// Multiplications of a pass.
    fn work(&self) -> usize {
        2 * self.batch * self.shares() * self.each
    }

    /// Where query (0), key (1) or value (2) of a head at a step begins.
    #[inline(always)]
    fn at(&self, part: usize, head: usize, step: usize) -> usize {
        (3 * step + part) * self.width() + head * self.each
    }
}

impl Kernels {
    /// Writes what each step is given, `[batch, steps, heads * each]`, and returns the shares `[batch, heads, steps, steps]`: a step's
    /// softmax over itself and those before it, and 0 of those behind it.
    ///
    /// `all` is `[batch, steps, 3, heads, each]`: queries, keys and values. Shares are multiplied by `dropout` where there is one.
    pub(crate) fn attend(
        &mut self,
        sizes: Heads,
        all: &[f32],
        dropout: Option<&[f32]>,
        out: &mut [f32],
    ) -> Vec<f32> {
        let Heads { batch, steps, .. } = sizes;
        let (row, count) = (steps * sizes.width(), sizes.shares());
        let mut shares = vec![0.0; batch * count];
        let (to_out, to_shares) = (Disjoint::new(out), Disjoint::new(&mut shares));
        let instructions = self.instructions;
        let task = |index: usize, _worker: usize| {
            let of = |width: usize| index * width..(index + 1) * width;
            // SAFETY: a row of the batch belongs to one task, in both buffers.
            let (shares, out) = unsafe { (to_shares.part(of(count)), to_out.part(of(row))) };
            instructions.run(Attend {
                sizes,
                all: &all[of(3 * row)],
                dropout: dropout.map(|dropout| &dropout[of(count)]),
                shares,
                out,
            });
        };
        share(&mut self.workers, batch, sizes.work(), task);
        shares
    }

    /// The gradient of `all`, from that of what [`attend`](Kernels::attend) wrote.
    pub(crate) fn attend_back(
        &mut self,
        sizes: Heads,
        all: &[f32],
        shares: &[f32],
        dropout: Option<&[f32]>,
        d_out: &[f32],
    ) -> Vec<f32> {
        let Heads { batch, steps, .. } = sizes;
        let (row, count) = (steps * sizes.width(), sizes.shares());
        let mut gradient = vec![0.0; all.len()];
        let to_gradient = Disjoint::new(&mut gradient);
        let instructions = self.instructions;
        let task = |index: usize, _worker: usize| {
            let of = |width: usize| index * width..(index + 1) * width;
            // SAFETY: a row of the batch belongs to one task.
            let d_all = unsafe { to_gradient.part(of(3 * row)) };
            instructions.run(AttendBack {
                sizes,
                all: &all[of(3 * row)],
                shares: &shares[of(count)],
                dropout: dropout.map(|dropout| &dropout[of(count)]),
                d_out: &d_out[of(row)],
                d_all,
            });
        };
        share(&mut self.workers, batch, 3 * sizes.work(), task);
        gradient
    }
}

/// The sum of the products of two rows, in a fixed order.
#[inline(always)]
fn dot<L: Lanes>(lanes: L, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = lanes.splat(0.0);
    for at in (0..a.len()).step_by(L::WIDTH) {
        sum = lanes.mul_add(read(lanes, a, at), read(lanes, b, at), sum);
    }
    lanes.sum(sum)
}

/// `to += factor * from`.
#[inline(always)]
fn add<L: Lanes>(lanes: L, factor: f32, from: &[f32], to: &mut [f32]) {
    let factor = lanes.splat(factor);
    for at in (0..from.len()).step_by(L::WIDTH) {
        let sum = lanes.mul_add(factor, read(lanes, from, at), read(lanes, to, at));
        write(lanes, to, at, sum);
    }
}

/// Scores to shares: exp(score − greatest) over their sum.
#[inline(always)]
fn softmax<L: Lanes>(lanes: L, scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (greatest, one) = (lanes.splat(greatest), lanes.splat(1.0));
    for at in (0..scores.len()).step_by(L::WIDTH) {
        let below = lanes.sub(read(lanes, scores, at), greatest);
        let share = lanes.add(exp_minus_one(lanes, below), one);
        write(lanes, scores, at, share);
    }
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|share| *share /= sum);
}

struct Attend<'a> {
    sizes: Heads,
    all: &'a [f32],
    dropout: Option<&'a [f32]>,
    shares: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Heads {
            steps, heads, each, ..
        } = self.sizes;
        let row = |part: usize, head: usize, step: usize| {
            &self.all[self.sizes.at(part, head, step)..][..each]
        };
        let scale = 1.0 / (each as f32).sqrt();
        for head in 0..heads {
            for step in 0..steps {
                let first = (head * steps + step) * steps;
                let shares = &mut self.shares[first..=first + step];
                let query = row(0, head, step);
                for (seen, share) in shares.iter_mut().enumerate() {
                    *share = dot(lanes, query, row(1, head, seen)) * scale;
                }
                softmax(lanes, shares);
                let out = &mut self.out[step * self.sizes.width() + head * each..][..each];
                out.fill(0.0);
                for (seen, share) in shares.iter().enumerate() {
                    let kept = self.dropout.map_or(1.0, |dropout| dropout[first + seen]);
                    add(lanes, share * kept, row(2, head, seen), out);
                }
            }
        }
    }
}

struct AttendBack<'a> {
    sizes: Heads,
    all: &'a [f32],
    shares: &'a [f32],
    dropout: Option<&'a [f32]>,
    d_out: &'a [f32],
    /// Zeros at first.
    d_all: &'a mut [f32],
}

impl Kernel for AttendBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let sizes = self.sizes;
        let Heads {
            steps, heads, each, ..
        } = sizes;
        let scale = 1.0 / (each as f32).sqrt();
        // No closures: one that is not inlined is compiled without the vector instructions.
        let mut d_shares = vec![0.0; steps];
        for head in 0..heads {
            for step in 0..steps {
                let first = (head * steps + step) * steps;
                let shares = &self.shares[first..=first + step];
                let kept = self.dropout.map(|dropout| &dropout[first..=first + step]);
                let d_out = &self.d_out[step * sizes.width() + head * each..][..each];
                // The softmax is of all shares: its gradient has their mean taken off.
                let mut mean = 0.0;
                for (seen, (share, d_share)) in shares.iter().zip(&mut d_shares).enumerate() {
                    let value = &self.all[sizes.at(2, head, seen)..][..each];
                    let kept = kept.map_or(1.0, |kept| kept[seen]);
                    *d_share = dot(lanes, d_out, value) * kept;
                    mean += share * *d_share;
                }
                for (seen, (share, d_share)) in shares.iter().zip(&d_shares).enumerate() {
                    let kept = kept.map_or(1.0, |kept| kept[seen]);
                    let value = &mut self.d_all[sizes.at(2, head, seen)..][..each];
                    add(lanes, share * kept, d_out, value);
                    let d_score = share * (d_share - mean) * scale;
                    let key = &self.all[sizes.at(1, head, seen)..][..each];
                    let d_query = &mut self.d_all[sizes.at(0, head, step)..][..each];
                    add(lanes, d_score, key, d_query);
                    let query = &self.all[sizes.at(0, head, step)..][..each];
                    let d_key = &mut self.d_all[sizes.at(1, head, seen)..][..each];
                    add(lanes, d_score, query, d_key);
                }
            }
        }
    }
}
