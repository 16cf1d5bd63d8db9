//! Dropout: which hidden values a training step leaves out.
//!
//! A network drops where it is in training, and that is a property of its parameters: [`Learning`](crate::learner::Learning) hands
//! out parameters that gradients are wanted for, and nothing else does. The draws come from the stream of the learner that runs on
//! this thread, as its kernels do.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};

use super::cpu::MlpShape;
use crate::random::{Dropout, Random};
use crate::transfer::upload;

/// The stream that all networks of a run draw from while they are in training.
pub(crate) type DropoutStream = Arc<Mutex<Random<Dropout>>>;

thread_local! {
    static STREAM: RefCell<Option<DropoutStream>> = const { RefCell::new(None) };
}

/// Lets the networks in training of this thread draw from the stream, or from none: then nothing is dropped.
pub(crate) fn draw_from(stream: Option<&DropoutStream>) {
    STREAM.with_borrow_mut(|current| match (&current, stream) {
        (Some(current), Some(stream)) if Arc::ptr_eq(current, stream) => {}
        _ => *current = stream.cloned(),
    });
}

/// Runs with this thread's stream; `None` outside of training.
pub(super) fn with_stream<T>(run: impl FnOnce(&mut Random<Dropout>) -> T) -> Option<T> {
    STREAM.with_borrow(|stream| {
        let stream = stream.as_ref()?;
        // A step that panicked ends its run; a place in the stream is never half moved.
        Some(run(&mut stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    })
}

/// What each value is multiplied by: 0 where it is dropped, 1 / (1 − rate) where it is not (Srivastava et al. 2014).
///
/// A perceptron's are its hidden values, in front of normalization and activation, layer after layer `[members, batch, width]`: each
/// member and each row has a mask of its own.
#[derive(Clone, Debug)]
pub(crate) struct Mask(Arc<Vec<f32>>);

impl Mask {
    /// A mask for a batch, drawn from the run's stream; `None` where nothing is dropped, and then nothing is drawn.
    pub fn draw(
        shape: &MlpShape,
        rate: f32,
        batch: usize,
        random: &mut Random<Dropout>,
    ) -> Option<Self> {
        if rate == 0.0 {
            return None;
        }
        Some(Mask::of_len(shape.dropout_len(batch), rate, random))
    }

    fn of_len(len: usize, rate: f32, random: &mut Random<Dropout>) -> Self {
        let kept = 1.0 / (1.0 - rate);
        let mut values = random.uniforms(len, 0.0, 1.0);
        for value in &mut values {
            *value = if *value < rate { 0.0 } else { kept };
        }
        Mask(Arc::new(values))
    }

    /// What of a tensor of this shape, and of a network with these parameters, a step drops; `None` where it drops nothing, since the
    /// network is not in training. In training a value is drawn for each of the tensor's.
    pub fn of_training<const D: usize, const P: usize>(
        shape: [usize; D],
        rate: f32,
        parameters: &Tensor<P>,
    ) -> Option<Self> {
        if rate == 0.0 || !parameters.is_require_grad() {
            return None;
        }
        with_stream(|stream| Mask::of_len(shape.iter().product(), rate, stream))
    }

    /// All values, as a tensor of the shape that they were drawn for.
    pub fn tensor<const D: usize>(&self, shape: [usize; D], device: &Device) -> Tensor<D> {
        upload(TensorData::new(self.0.to_vec(), shape), device)
    }

    #[cfg(test)]
    pub fn of_values(values: Vec<f32>) -> Self {
        Mask(Arc::new(values))
    }

    /// The values, as the kernels read them.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// A hidden layer's part `[members, batch, width]`.
    pub fn layer(&self, shape: &MlpShape, layer: usize, device: &Device) -> Tensor<3> {
        let rows = self.0.len() / shape.sizes[1..shape.sizes.len() - 1].iter().sum::<usize>();
        let before: usize = shape.sizes[1..=layer].iter().sum();
        let width = shape.sizes[layer + 1];
        let values = self.0[rows * before..][..rows * width].to_vec();
        let shape = [shape.members, rows / shape.members, width];
        upload(TensorData::new(values, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    #[test]
    fn a_mask_keeps_the_mean_and_drops_its_share() {
        let shape = MlpShape {
            members: 2,
            sizes: vec![3, 100, 50, 1],
            ..MlpShape::default()
        };
        let mut random = Random::<Dropout>::new(Seed(0));
        let mask = Mask::draw(&shape, 0.25, 40, &mut random).unwrap();
        assert_eq!(mask.values().len(), 2 * 40 * 150);
        let dropped = mask.values().iter().filter(|value| **value == 0.0).count();
        let share = dropped as f32 / mask.values().len() as f32;
        assert!((share - 0.25).abs() < 0.02, "{share}");
        let mean = mask.values().iter().sum::<f32>() / mask.values().len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn without_dropout_nothing_is_drawn() {
        let mut random = Random::<Dropout>::new(Seed(0));
        let before = random.state();
        assert!(Mask::draw(&MlpShape::default(), 0.0, 4, &mut random).is_none());
        assert_eq!(random.state(), before);
    }
}
