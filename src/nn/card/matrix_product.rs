//! A product of matrices on a card: a launch forward, and one for each gradient.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as BurnGradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};

use super::product::{Extent, Matrix, Then, product};
use super::{contiguous, room};
use crate::nn::matrix_product::MatrixProduct;

impl<R: CubeRuntime> MatrixProduct for CubeBackend<R> {
    fn matrix_product(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
        let [members, rows, inner] = dims(&a);
        let [_, _, columns] = dims(&b);
        let (a, b) = (Matrix::of(a), Matrix::of(b));
        multiplied(members, a, b, [rows, inner, columns])
    }
}

impl<R: CubeRuntime, C: CheckpointStrategy> MatrixProduct for Autodiff<CubeBackend<R>, C> {
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node.clone(), b.node.clone()];
        let [a, b] = [a, b].map(|it| contiguous(it.primitive));
        let out = CubeBackend::<R>::matrix_product(a.clone(), b.clone());
        let prepared = ProductBackward.prepare::<C>(nodes);
        match prepared.compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(out),
            OpsKind::Tracked(prep) => prep.finish([a, b], out),
        }
    }
}

#[derive(Debug)]
struct ProductBackward;

impl<R: CubeRuntime> Backward<CubeBackend<R>, 2> for ProductBackward {
    type State = [CubeTensor<R>; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut BurnGradients,
        _: &mut Checkpointer,
    ) {
        let [a_node, b_node] = ops.parents;
        let [a, b] = ops.state;
        let [members, rows, inner] = dims(&a);
        let [_, _, columns] = dims(&b);
        let d = contiguous(gradients.consume::<CubeBackend<R>>(&ops.node));
        if let Some(node) = a_node {
            let (d, b) = (Matrix::of(d.clone()), Matrix::of(b).turned());
            let d_a = multiplied(members, d, b, [rows, columns, inner]);
            gradients.register::<CubeBackend<R>>(node.id, d_a);
        }
        if let Some(node) = b_node {
            let (a, d) = (Matrix::of(a).turned(), Matrix::of(d));
            let d_b = multiplied(members, a, d, [inner, rows, columns]);
            gradients.register::<CubeBackend<R>>(node.id, d_b);
        }
    }
}

/// `[members, rows, columns]` of a tensor.
fn dims<R: CubeRuntime>(tensor: &CubeTensor<R>) -> [usize; 3] {
    let shape = tensor.meta.shape();
    [shape[0], shape[1], shape[2]]
}

/// The products of each two matrices `[rows, inner]` and `[inner, columns]`.
fn multiplied<R: CubeRuntime>(
    members: usize,
    a: Matrix<R>,
    b: Matrix<R>,
    [rows, inner, columns]: [usize; 3],
) -> CubeTensor<R> {
    let out = room(&a.buffer, [members, rows, columns]);
    if members * rows * columns > 0 {
        // Nothing is read of what is beside it.
        let beside = Matrix::of(a.buffer.clone());
        product(
            Then::Keep,
            a,
            b,
            beside,
            &out,
            (Matrix::of(out.clone()).places, 0),
            &Extent {
                rows,
                inner,
                columns,
                members,
                summed: 1,
            },
        );
    }
    out
}
