//! The fields of pixels that a convolution looks at.

use std::ops::Range;

/// Which fields of which pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// How many pictures lie side by side in a row.
    pub(crate) pictures: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Numbers of a pixel, which lie together.
    pub(crate) channels: usize,
    /// A field is so many pixels wide and high.
    pub(crate) kernel: usize,
    /// The next field is so many pixels on.
    pub(crate) stride: usize,
    /// Fields begin so many pixels outside of the picture, where all is 0.
    pub(crate) padding: usize,
}

impl Fields {
    /// How many fields lie below and beside each other, `[down, across]`. What is left at the lower and the right edge is in none.
    pub(crate) fn count(&self) -> [usize; 2] {
        [self.height, self.width].map(|size| {
            let rest = (size + 2 * self.padding).checked_sub(self.kernel);
            rest.map_or(0, |rest| rest / self.stride + 1)
        })
    }

    /// Fields of a row of pictures.
    pub(crate) fn places(&self) -> usize {
        self.count().iter().product()
    }

    /// Numbers of a field: of each picture its rows, each pixel by pixel.
    pub(crate) fn size(&self) -> usize {
        self.runs() * self.run()
    }

    /// Numbers in a row of pictures.
    pub(crate) fn row(&self) -> usize {
        self.pictures * self.height * self.width * self.channels
    }

    /// Numbers of a field that lie together in its picture.
    pub(crate) fn run(&self) -> usize {
        self.kernel * self.channels
    }

    /// Runs of a field.
    pub(crate) fn runs(&self) -> usize {
        self.pictures * self.kernel
    }

    /// Copies some runs of some fields, those of the row of pictures that comes first numbered first: a field's runs back to back, and the
    /// fields `stride` numbers apart.
    pub(crate) fn gather(
        &self,
        pictures: &[f32],
        fields: Range<usize>,
        runs: Range<usize>,
        to: &mut [f32],
        stride: usize,
    ) {
        by_run!(self, gather_runs(pictures, fields, runs, to, stride));
    }

    /// Adds fields, back to back, to where they are from, numbered as in [`gather`](Self::gather).
    pub(crate) fn scatter(&self, fields: Range<usize>, from: &[f32], pictures: &mut [f32]) {
        by_run!(self, scatter_runs(fields, from, pictures));
    }

    /// `RUN` is the length of a run where it is known to the compiler, else 0: a copy of a few numbers costs less than the call that
    /// copies any number of them.
    fn gather_runs<const RUN: usize>(
        &self,
        pictures: &[f32],
        fields: Range<usize>,
        runs: Range<usize>,
        to: &mut [f32],
        stride: usize,
    ) {
        let run = if RUN == 0 { self.run() } else { RUN };
        let places = self.places();
        for (field, to) in fields.zip(to.chunks_mut(stride)) {
            let start = field / places * self.row();
            let corner = self.corner(field % places);
            for (at, to) in runs.clone().zip(to.chunks_exact_mut(run)) {
                let (from, part) = self.seen(corner, at);
                let from = start + from;
                if part.len() == run {
                    to.copy_from_slice(&pictures[from..from + run]);
                } else {
                    to.fill(0.0);
                    to[part.clone()].copy_from_slice(&pictures[from..from + part.len()]);
                }
            }
        }
    }

    fn scatter_runs<const RUN: usize>(
        &self,
        fields: Range<usize>,
        from: &[f32],
        pictures: &mut [f32],
    ) {
        let run = if RUN == 0 { self.run() } else { RUN };
        let places = self.places();
        for (field, from) in fields.zip(from.chunks_exact(self.size())) {
            let start = field / places * self.row();
            let corner = self.corner(field % places);
            for (at, from) in from.chunks_exact(run).enumerate() {
                let (to, part) = self.seen(corner, at);
                let to = start + to;
                if part.len() == run {
                    let sums = pictures[to..to + run].iter_mut();
                    sums.zip(from).for_each(|(sum, it)| *sum += it);
                } else {
                    let sums = pictures[to..to + part.len()].iter_mut();
                    sums.zip(&from[part]).for_each(|(sum, it)| *sum += it);
                }
            }
        }
    }

    /// Where a field begins, in pixels behind the padding's corner, `[down, across]`.
    pub(crate) fn corner(&self, field: usize) -> [usize; 2] {
        let [_, across] = self.count();
        [field / across, field % across].map(|it| it * self.stride)
    }

    /// What is in the picture of a run of a field: where it begins in its row of pictures, and which of the run's numbers it is.
    pub(crate) fn seen(&self, [top, left]: [usize; 2], run: usize) -> (usize, Range<usize>) {
        let (picture, below) = (run / self.kernel, run % self.kernel);
        let line = (top + below).checked_sub(self.padding);
        let Some(line) = line.filter(|line| *line < self.height) else {
            return (0, 0..0);
        };
        let first = self.padding.saturating_sub(left).min(self.kernel);
        let behind = (self.width + self.padding).saturating_sub(left);
        let end = behind.min(self.kernel).max(first);
        let column = left + first - self.padding;
        let from = (picture * self.height + line) * self.width + column;
        (
            from * self.channels,
            first * self.channels..end * self.channels,
        )
    }
}

/// Runs `$fields.$method::<RUN>($arguments)` with the length of a run, where it is one of the usual ones.
macro_rules! by_run {
    ($fields:expr, $method:ident($($argument:expr),*)) => {
        match $fields.run() {
            3 => $fields.$method::<3>($($argument),*),
            4 => $fields.$method::<4>($($argument),*),
            8 => $fields.$method::<8>($($argument),*),
            12 => $fields.$method::<12>($($argument),*),
            16 => $fields.$method::<16>($($argument),*),
            24 => $fields.$method::<24>($($argument),*),
            32 => $fields.$method::<32>($($argument),*),
            64 => $fields.$method::<64>($($argument),*),
            128 => $fields.$method::<128>($($argument),*),
            192 => $fields.$method::<192>($($argument),*),
            _ => $fields.$method::<0>($($argument),*),
        }
    };
}
use by_run;
