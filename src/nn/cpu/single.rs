//! One network's forward pass of one row at a time: what a policy does that acts and no longer learns.
//!
//! A row's product with a weight reads the whole weight for two operations a value, so memory is all that it waits for.
//! Hence the layout, made once: rows of the weight padded to whole cache lines, each a run of loads that starts at a line; a
//! row's sums, or as many of them as there are registers, stay in registers throughout; and the rows that a rectifier's zeros
//! would multiply are not read at all. For more than a few rows at once use [`Kernels`](super::Kernels).
//!
//! The sums are the running sums of [`gemm`](super::gemm) and of [`dots`](super::dots), in the same order: the bits are those
//! of [`Kernels::infer`](super::Kernels::infer), but for the sign of a zero.

use std::sync::Arc;

use super::{
    InstructionSet, KernelError, MlpShape,
    activation::Activate,
    disjoint::Strip,
    dots::{Dots, FEW},
    error::check_len,
    lanes::{Kernel, Lanes},
    norm::Normalize,
};

/// Values in a cache line, which whole registers of every instruction set fill.
const LINE: usize = 16;

/// Values that start at a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// `[rows, columns]`, each row in whole cache lines, what is left of its last one zero.
#[derive(Debug)]
struct Padded {
    lines: Vec<Line>,
    /// Lines in a row.
    stride: usize,
}

impl Padded {
    fn of(values: &[f32], columns: usize) -> Self {
        let mut lines = Vec::with_capacity(values.len() / columns * columns.div_ceil(LINE));
        for row in values.chunks_exact(columns) {
            for part in row.chunks(LINE) {
                let mut line = [0.0; LINE];
                line[..part.len()].copy_from_slice(part);
                lines.push(Line(line));
            }
        }
        Self {
            lines,
            stride: columns.div_ceil(LINE),
        }
    }

    fn values(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen values and nothing else.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }
}

/// A layer as it is read.
#[derive(Debug)]
struct Layer {
    /// `[in, out]`, or `[out, in]` where there are only a few outputs. Rows are padded in the first case alone.
    weight: Padded,
    turned: Option<Vec<f32>>,
    bias: Vec<f32>,
    /// Gain and offset.
    norm: Option<(Vec<f32>, Vec<f32>)>,
}

/// The network of one member, laid out for one row. Clones share the weights.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    instructions: InstructionSet,
    shape: MlpShape,
    layers: Arc<[Layer]>,
    values: Vec<f32>,
    next: Vec<f32>,
    nonzero: Vec<u32>,
}

impl Single {
    /// The first member of a network with these parameters, `[parameters]`.
    ///
    /// # Errors
    /// An impossible shape, or another number of parameters.
    pub(crate) fn new(shape: &MlpShape, parameters: &[f32]) -> Result<Self, KernelError> {
        Self::with_instructions(shape, parameters, InstructionSet::best())
    }

    pub(crate) fn with_instructions(
        shape: &MlpShape,
        parameters: &[f32],
        instructions: InstructionSet,
    ) -> Result<Self, KernelError> {
        let shape = MlpShape {
            members: 1,
            ..shape.clone()
        };
        shape.check()?;
        let expected = shape.parameters();
        check_len("parameters", parameters.len(), expected, "[parameters]")?;
        let layers = (0..shape.layers()).map(|layer| {
            let (inputs, outputs) = (shape.sizes[layer], shape.sizes[layer + 1]);
            let weight = &parameters[shape.weight(layer)];
            let norm = shape.gain(layer).zip(shape.offset(layer));
            let few = outputs <= FEW;
            let turn = || -> Vec<f32> {
                let at = |place| weight[place % inputs * outputs + place / inputs];
                (0..weight.len()).map(at).collect()
            };
            Layer {
                weight: Padded::of(if few { &[] } else { weight }, outputs),
                turned: few.then(turn),
                bias: parameters[shape.bias(layer)].to_vec(),
                norm: norm
                    .map(|(gain, offset)| (parameters[gain].to_vec(), parameters[offset].to_vec())),
            }
        });
        let widest = shape.widest().next_multiple_of(LINE);
        Ok(Self {
            instructions,
            layers: layers.collect(),
            values: vec![0.0; widest],
            next: vec![0.0; widest],
            nonzero: vec![0; shape.widest().max(shape.inputs())],
            shape,
        })
    }

    /// The outputs for one row of inputs. Nothing is allocated.
    ///
    /// # Errors
    /// Another number of inputs.
    pub(crate) fn forward(&mut self, input: &[f32]) -> Result<&[f32], KernelError> {
        check_len("input", input.len(), self.shape.inputs(), "[inputs]")?;
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            let outputs = layer.bias.len();
            let source = match index {
                0 => input,
                _ => &self.values[..self.shape.sizes[index]],
            };
            match &layer.turned {
                Some(turned) => self.instructions.run(Dots {
                    a: source,
                    b: turned,
                    inner: source.len(),
                    bias: Some(&layer.bias),
                    out: Strip::of(&mut self.next[..outputs], outputs),
                }),
                None => self.instructions.run(RowProduct {
                    row: source,
                    weight: &layer.weight,
                    bias: &layer.bias,
                    nonzero: &mut self.nonzero,
                    out: &mut self.next[..layer.weight.stride * LINE],
                }),
            }
            std::mem::swap(&mut self.values, &mut self.next);
            if let (Some((gain, offset)), Some(epsilon)) = (&layer.norm, self.shape.layer_norm) {
                self.instructions.run(Normalize {
                    rows: &mut self.values[..outputs],
                    gain,
                    offset,
                    epsilon,
                    inverse: &mut [0.0],
                    out: &mut self.next[..outputs],
                });
                std::mem::swap(&mut self.values, &mut self.next);
            }
            let activation = if index == last {
                self.shape.output
            } else {
                self.shape.hidden
            };
            self.instructions.run(Activate {
                activation,
                values: &mut self.values[..outputs],
            });
        }
        Ok(&self.values[..self.shape.outputs()])
    }
}

/// `out[c] = sum over i of row[i] * weight[i, c] + bias[c]`, over padded columns.
struct RowProduct<'a> {
    row: &'a [f32],
    weight: &'a Padded,
    bias: &'a [f32],
    /// Room for as many places as the row has.
    nonzero: &'a mut [u32],
    out: &'a mut [f32],
}

impl Kernel for RowProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let columns = self.weight.stride * LINE;
        let weight = self.weight.values();
        // What the loads below read.
        assert!(weight.len() == self.row.len() * columns && self.out.len() == columns);
        // No branch: whether a value is zero is anybody's guess.
        let mut count = 0;
        for (place, value) in self.row.iter().enumerate() {
            self.nonzero[count] = place as u32;
            count += usize::from(*value != 0.0);
        }
        let work = Columns {
            row: self.row,
            weight,
            columns,
            nonzero: &self.nonzero[..count],
        };
        let mut column = 0;
        while column < columns {
            let left = (columns - column) / L::WIDTH;
            // SAFETY: whole registers, as many as are left at least, of rows that are `columns` long.
            unsafe {
                column += match left {
                    // As many sums as registers allow: sixteen of thirty-two, or eight of sixteen.
                    16.. if L::WIDTH == 16 => sums::<L, 16>(lanes, &work, column, self.out),
                    8.. => sums::<L, 8>(lanes, &work, column, self.out),
                    4.. => sums::<L, 4>(lanes, &work, column, self.out),
                    2.. => sums::<L, 2>(lanes, &work, column, self.out),
                    _ => sums::<L, 1>(lanes, &work, column, self.out),
                };
            }
        }
        for (out, bias) in self.out.iter_mut().zip(self.bias) {
            *out += bias;
        }
    }
}

struct Columns<'a> {
    row: &'a [f32],
    weight: &'a [f32],
    columns: usize,
    nonzero: &'a [u32],
}

/// The sums of `V` registers of columns from `column` on; says how many columns those are.
///
/// # Safety
/// `V` registers of columns are left; the weight has `columns` values for each value of the row, `out` has `columns`, and
/// `nonzero` holds places of the row.
#[inline(always)]
unsafe fn sums<L: Lanes, const V: usize>(
    lanes: L,
    work: &Columns<'_>,
    column: usize,
    out: &mut [f32],
) -> usize {
    let mut sums = [lanes.splat(0.0); V];
    // SAFETY: the caller's promise.
    unsafe {
        let from = work.weight.as_ptr().add(column);
        for place in work.nonzero {
            let place = *place as usize;
            let value = lanes.splat(*work.row.get_unchecked(place));
            let from = from.add(place * work.columns);
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = lanes.mul_add(value, lanes.load(from.add(v * L::WIDTH)), *sum);
            }
        }
        let to = out.as_mut_ptr().add(column);
        for (v, sum) in sums.into_iter().enumerate() {
            lanes.store(to.add(v * L::WIDTH), sum);
        }
    }
    V * L::WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{Activation, Input, Kernels, reference::Values};

    #[test]
    fn one_row_has_the_bits_that_it_has_in_a_batch() {
        let mut values = Values::new(7);
        for (sizes, layer_norm) in [
            (vec![3, 256, 256, 1], None),
            (vec![17, 256, 256, 6], None),
            (vec![1, 1], None),
            (vec![5, 33, 7, 9, 20], None),
            (vec![11, 300, 100, 12], Some(1e-5)),
            (vec![4, 8, 400, 2], Some(1e-5)),
        ] {
            for (hidden, output) in [
                (Activation::Relu, Activation::Tanh),
                (Activation::Elu, Activation::Identity),
                (Activation::Gelu, Activation::Tanh),
            ] {
                let shape = MlpShape {
                    members: 1,
                    sizes: sizes.clone(),
                    hidden,
                    output,
                    layer_norm,
                };
                let mut parameters = values.normal(shape.parameters());
                parameters.iter_mut().for_each(|value| *value *= 0.2);
                for instructions in InstructionSet::available() {
                    let mut kernels = Kernels::with_instructions(1, *instructions);
                    let single = Single::with_instructions(&shape, &parameters, *instructions);
                    let mut single = single.unwrap();
                    for _ in 0..3 {
                        let rows = values.normal(shape.inputs());
                        let input = Input {
                            rows: &rows,
                            batch: 1,
                            dropout: None,
                        };
                        let mut expected = vec![0.0; shape.outputs()];
                        kernels
                            .infer(&shape, &parameters, input, &mut expected)
                            .unwrap();
                        let found = single.forward(&rows).unwrap();
                        assert_eq!(found, expected, "{} {shape:?}", instructions.name());
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let shape = MlpShape {
            sizes: vec![3, 4, 2],
            ..MlpShape::default()
        };
        assert!(Single::new(&shape, &vec![0.0; shape.parameters() - 1]).is_err());
        let mut single = Single::new(&shape, &vec![0.0; shape.parameters()]).unwrap();
        assert!(single.forward(&[0.0; 2]).is_err());
        assert_eq!(single.forward(&[0.0; 3]).unwrap(), [0.0, 0.0]);
    }
}
