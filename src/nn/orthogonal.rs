//! Orthogonal initial weights, as on-policy algorithms are usually begun with.

use burn::tensor::Device;

use super::cpu::MlpShape;
use super::mlp::Mlp;
use crate::random::{Init, Random};

impl Mlp {
    /// A perceptron with orthogonal weights and biases of 0 (Saxe, McClelland & Ganguli 2014,
    /// <https://arxiv.org/abs/1312.6120>): hidden layers with gain √2, the last one with `gain`. A small last gain lets a
    /// policy begin without a preference (Andrychowicz et al. 2021, <https://arxiv.org/abs/2006.05990>).
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::nn::MlpShape;
    ///
    /// let device = ComputeDevice::cpu().plain();
    /// let shape = MlpShape { sizes: vec![4, 64, 2], ..default() };
    /// let mlp = Mlp::orthogonal(shape, 0.01, &device, &mut Random::<Init>::new(Seed(0)));
    /// let out: Vec<f32> = mlp.forward(Tensor::ones([1, 4], &device)).into_data().to_vec().unwrap();
    /// assert!(out.iter().all(|out| out.abs() < 0.05));
    /// ```
    pub fn orthogonal(
        shape: MlpShape,
        gain: f32,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let mut values = Vec::with_capacity(shape.members * shape.parameters());
        for _ in 0..shape.members {
            for (layer, pair) in shape.sizes.windows(2).enumerate() {
                let last = layer + 2 == shape.sizes.len();
                let gain = if last {
                    f64::from(gain)
                } else {
                    2.0_f64.sqrt()
                };
                values.extend(orthogonal(pair[0], pair[1], gain, init));
                values.extend(vec![0.0; pair[1]]);
                if shape.gain(layer).is_some() {
                    values.extend(vec![1.0; pair[1]]);
                    values.extend(vec![0.0; pair[1]]);
                }
            }
        }
        Mlp::from_values(shape, values, device)
    }
}

/// A matrix `[rows, columns]` of which the shorter side's vectors are orthogonal, of length `gain`: standard normal vectors,
/// each without its parts along those before it.
fn orthogonal(rows: usize, columns: usize, gain: f64, init: &mut Random<Init>) -> Vec<f32> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let draws = init.normals(length).into_iter().map(f64::from);
        let mut vector: Vec<f64> = draws.collect();
        // Twice: the first pass leaves what rounding has left.
        for _ in 0..2 {
            for other in &vectors {
                let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector
                    .iter_mut()
                    .zip(other)
                    .for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        if norm > 1e-6 {
            vector.iter_mut().for_each(|a| *a /= norm);
            vectors.push(vector);
        }
    }
    let at = |row: usize, column: usize| match rows >= columns {
        true => vectors[column][row],
        false => vectors[row][column],
    };
    (0..rows * columns)
        .map(|index| (gain * at(index / columns, index % columns)) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    #[test]
    fn the_shorter_sides_vectors_are_orthogonal_and_as_long_as_the_gain() {
        for (rows, columns) in [(64, 64), (4, 64), (64, 2)] {
            let init = &mut Random::<Init>::new(Seed(3));
            let matrix = orthogonal(rows, columns, 2.0, init);
            let count = rows.min(columns);
            let element = |vector: usize, i: usize| match rows >= columns {
                true => f64::from(matrix[i * columns + vector]),
                false => f64::from(matrix[vector * columns + i]),
            };
            for a in 0..count {
                for b in 0..count {
                    let product: f64 = (0..rows.max(columns))
                        .map(|i| element(a, i) * element(b, i))
                        .sum();
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!(
                        (product - expected).abs() < 1e-5,
                        "{rows} {columns} {a} {b}"
                    );
                }
            }
        }
    }
}
