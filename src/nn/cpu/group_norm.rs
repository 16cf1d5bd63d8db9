//! Group normalization of pictures whose channels lie together (Wu & He 2018, <https://arxiv.org/abs/1803.08494>), with a rectifier
//! behind it where one is wanted.

use super::{
    Kernels,
    disjoint::Disjoint,
    kernels::share,
    lanes::{Kernel, Lanes, read, write},
    sums::SumMembers,
};

/// A normalization and what it is given.
#[derive(Clone, Copy)]
pub(crate) struct Groups<'a> {
    /// Channels next to each other that are normalized together, over all places.
    pub(crate) groups: usize,
    /// Added to the variance.
    pub(crate) epsilon: f32,
    pub(crate) rectified: bool,
    /// `[channels]` each.
    pub(crate) gain: &'a [f32],
    pub(crate) offset: &'a [f32],
    /// `[batch, places, channels]`, each row of the batch so long.
    pub(crate) rows: &'a [f32],
    pub(crate) row: usize,
}

/// What a row's groups are, for each channel.
#[derive(Debug)]
pub(crate) struct Moments {
    /// `[batch, channels]`.
    mean: Vec<f32>,
    /// One over the deviation, `[batch, channels]`.
    inverse: Vec<f32>,
}

impl Kernels {
    /// Writes the normalized rows.
    pub(crate) fn normalize_groups(&mut self, it: Groups<'_>, out: &mut [f32]) -> Moments {
        let (channels, batch) = (it.gain.len(), it.rows.len() / it.row);
        assert_eq!(out.len(), it.rows.len());
        let (mut mean, mut inverse) = (vec![0.0; batch * channels], vec![0.0; batch * channels]);
        let out = Disjoint::new(out);
        let [to_mean, to_inverse] = [&mut mean, &mut inverse].map(|all| Disjoint::new(all));
        let instructions = self.instructions;
        share(&mut self.workers, batch, it.rows.len(), |task, _| {
            let of = |width: usize| task * width..(task + 1) * width;
            // SAFETY: a row of the batch belongs to one task, in every buffer.
            let kernel = unsafe {
                NormalizeRow {
                    it,
                    row: &it.rows[of(it.row)],
                    mean: to_mean.part(of(channels)),
                    inverse: to_inverse.part(of(channels)),
                    out: out.part(of(it.row)),
                }
            };
            instructions.run(kernel);
        });
        Moments { mean, inverse }
    }

    /// Writes the gradients of the rows, the gains and the offsets, from `d_out`, that of what was written, `out`.
    pub(crate) fn normalize_groups_back(
        &mut self,
        it: Groups<'_>,
        moments: &Moments,
        (out, d_out): (&[f32], &[f32]),
        d_rows: &mut [f32],
        (d_gain, d_offset): (&mut [f32], &mut [f32]),
    ) {
        let (channels, batch) = (it.gain.len(), it.rows.len() / it.row);
        assert!([out.len(), d_out.len(), d_rows.len()] == [it.rows.len(); 3]);
        if batch == 0 {
            [d_gain, d_offset].into_iter().for_each(|all| all.fill(0.0));
            return;
        }
        let (mut gains, mut offsets) = (vec![0.0; batch * channels], vec![0.0; batch * channels]);
        let d_rows = Disjoint::new(d_rows);
        let [to_gains, to_offsets] = [&mut gains, &mut offsets].map(|all| Disjoint::new(all));
        let instructions = self.instructions;
        share(&mut self.workers, batch, 2 * it.rows.len(), |task, _| {
            let of = |width: usize| task * width..(task + 1) * width;
            // SAFETY: a row of the batch belongs to one task, in every buffer.
            let kernel = unsafe {
                NormalizeRowBack {
                    it,
                    row: &it.rows[of(it.row)],
                    mean: &moments.mean[of(channels)],
                    inverse: &moments.inverse[of(channels)],
                    out: &out[of(it.row)],
                    d_out: &d_out[of(it.row)],
                    d_row: d_rows.part(of(it.row)),
                    d_gain: to_gains.part(of(channels)),
                    d_offset: to_offsets.part(of(channels)),
                }
            };
            instructions.run(kernel);
        });
        for (parts, out) in [(&gains, d_gain), (&offsets, d_offset)] {
            instructions.run(SumMembers { parts, out });
        }
    }
}

/// The sums over each group of so many channels, written to each of its channels after `change`.
#[inline(always)]
fn of_groups(sums: &mut [f32], groups: usize, change: impl Fn(f32) -> f32) {
    for group in sums.chunks_exact_mut(sums.len() / groups) {
        let sum = group.iter().sum();
        group.fill(change(sum));
    }
}

struct NormalizeRow<'a> {
    it: Groups<'a>,
    row: &'a [f32],
    mean: &'a mut [f32],
    inverse: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for NormalizeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self {
            it,
            row,
            mean,
            inverse,
            out,
        } = self;
        let channels = it.gain.len();
        let count = (row.len() / it.groups) as f32;
        for place in row.chunks_exact(channels) {
            for at in (0..channels).step_by(L::WIDTH) {
                let sum = lanes.add(read(lanes, mean, at), read(lanes, place, at));
                write(lanes, mean, at, sum);
            }
        }
        of_groups(mean, it.groups, |sum| sum / count);
        for place in row.chunks_exact(channels) {
            for at in (0..channels).step_by(L::WIDTH) {
                let off = lanes.sub(read(lanes, place, at), read(lanes, mean, at));
                let sum = lanes.mul_add(off, off, read(lanes, inverse, at));
                write(lanes, inverse, at, sum);
            }
        }
        of_groups(inverse, it.groups, |sum| {
            1.0 / (sum / count + it.epsilon).sqrt()
        });
        for (place, out) in row
            .chunks_exact(channels)
            .zip(out.chunks_exact_mut(channels))
        {
            for at in (0..channels).step_by(L::WIDTH) {
                let off = lanes.sub(read(lanes, place, at), read(lanes, mean, at));
                let normal = lanes.mul(off, read(lanes, inverse, at));
                let (gain, offset) = (read(lanes, it.gain, at), read(lanes, it.offset, at));
                let moved = lanes.mul_add(normal, gain, offset);
                let moved = match it.rectified {
                    true => lanes.max(lanes.splat(0.0), moved),
                    false => moved,
                };
                write(lanes, out, at, moved);
            }
        }
    }
}

struct NormalizeRowBack<'a> {
    it: Groups<'a>,
    row: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    out: &'a [f32],
    d_out: &'a [f32],
    d_row: &'a mut [f32],
    /// Of this row alone, zero before.
    d_gain: &'a mut [f32],
    d_offset: &'a mut [f32],
}

impl NormalizeRowBack<'_> {
    /// The gradient in front of the rectifier, and the normalized value.
    #[inline(always)]
    fn at<L: Lanes>(&self, lanes: L, place: usize, at: usize) -> (L::Vector, L::Vector) {
        let channels = self.it.gain.len();
        let of = |all: &[f32]| read(lanes, &all[place..place + channels], at);
        let gradient = match self.it.rectified {
            true => lanes.where_positive(of(self.out), of(self.d_out), lanes.splat(0.0)),
            false => of(self.d_out),
        };
        let off = lanes.sub(of(self.row), read(lanes, self.mean, at));
        (gradient, lanes.mul(off, read(lanes, self.inverse, at)))
    }
}

impl Kernel for NormalizeRowBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let channels = self.it.gain.len();
        let count = (self.row.len() / self.it.groups) as f32;
        for place in (0..self.row.len()).step_by(channels) {
            for at in (0..channels).step_by(L::WIDTH) {
                let (gradient, normal) = self.at(lanes, place, at);
                let of_gain = lanes.mul_add(gradient, normal, read(lanes, self.d_gain, at));
                write(lanes, self.d_gain, at, of_gain);
                let of_offset = lanes.add(read(lanes, self.d_offset, at), gradient);
                write(lanes, self.d_offset, at, of_offset);
            }
        }
        // The means over each group of the gradient of the normalized values, and of its product with them.
        let mean_of = |sums: &[f32]| {
            let pairs = sums.iter().zip(self.it.gain);
            let mut means: Vec<f32> = pairs.map(|(sum, gain)| sum * gain).collect();
            of_groups(&mut means, self.it.groups, |sum| sum / count);
            means
        };
        let (along, across) = (mean_of(self.d_gain), mean_of(self.d_offset));
        for place in (0..self.row.len()).step_by(channels) {
            for at in (0..channels).step_by(L::WIDTH) {
                let (gradient, normal) = self.at(lanes, place, at);
                let gradient = lanes.mul(gradient, read(lanes, self.it.gain, at));
                let gradient = lanes.sub(gradient, read(lanes, &across, at));
                let gradient = lanes.sub(gradient, lanes.mul(normal, read(lanes, &along, at)));
                let gradient = lanes.mul(gradient, read(lanes, self.inverse, at));
                let to = &mut self.d_row[place..place + channels];
                write(lanes, to, at, gradient);
            }
        }
    }
}
