//! The roof: dense products of float32.

use std::time::{Duration, Instant};

use crate::learner::{Noise, Random, Seed};
use crate::nn::cpu::{Activation, Input, Kernels, MlpShape};

/// Rows, inner length and columns of a product.
pub(super) type Shape = [usize; 3];

/// GFLOP a second of a product with a bias on this thread, in each window. No value is zero, so none is left out.
pub(super) fn gemm([rows, inner, columns]: Shape, window: Duration, windows: u64) -> Vec<f64> {
    let shape = MlpShape {
        sizes: vec![inner, columns],
        output: Activation::Identity,
        ..MlpShape::default()
    };
    let mut kernels = Kernels::new(1);
    let mut random = Random::<Noise>::new(Seed(0));
    let parameters = random.normals(shape.parameters());
    let values = random.normals(rows * inner);
    let mut out = vec![0.0; rows * columns];
    let measure = |_| {
        let (started, mut products) = (Instant::now(), 0_u32);
        while started.elapsed() < window {
            for _ in 0..20 {
                let input = Input {
                    rows: &values,
                    batch: rows,
                    dropout: None,
                };
                kernels
                    .infer(&shape, &parameters, input, &mut out)
                    .expect("the sizes above agree");
            }
            products += 20;
        }
        let flops = f64::from(products) * 2.0 * (rows * inner * columns) as f64;
        flops / started.elapsed().as_secs_f64() / 1e9
    };
    (0..windows).map(measure).collect()
}
