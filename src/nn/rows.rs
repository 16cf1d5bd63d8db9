//! Rows of a batch, repeated.

use burn::tensor::Tensor;

/// Each row `n` times, one copy after the other: `[batch, width]` to `[batch · n, width]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let rows = Tensor::from_floats([[1.0], [2.0]], &ComputeDevice::cpu().plain());
/// let copies: Vec<f32> = repeat_rows(rows, 3).into_data().into_vec().unwrap();
/// assert_eq!(copies, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
/// ```
pub fn repeat_rows(rows: Tensor<2>, n: usize) -> Tensor<2> {
    let [batch, width] = rows.dims();
    let copies = rows.unsqueeze_dim::<3>(1).repeat_dim(1, n);
    copies.reshape([batch * n, width])
}
