//! Fused kernels for small networks on the CPU.
//!
//! An ensemble of multilayer perceptrons forwards and backwards, recurrent layers, attention, convolutions with group normalization, Adam, clipping's norm and target tracking, over flat
//! buffers of `f32`. This is what runs under `Mlp` on the CPU; nothing here knows tensors, gradients' graphs or
//! algorithms. For anything but chains of linear layers, use Burn's own layers.
//!
//! # What it promises
//! - **The same bits for any number of threads.** Work is cut by its shape into tasks (128 rows of a member, 128 rows
//!   of a weight, 16384 parameters), every sum lies within one task or is formed in the order of the tasks, and a row's
//!   result does not depend on the other rows of its batch. Different [instruction sets](InstructionSet) differ in
//!   the last bits.
//! - **Subnormal numbers are zero**, as operands and as results, on x86-64 and AArch64, whatever mode the calling thread has
//!   ([`subnormals`](crate::subnormals)).
//! - **No allocation in a step** once buffers have grown to its size.
//! - **No copies of the operands** but transposed weights in the backward pass.
//! - A NaN in parameters or inputs reaches the output.
//!
//! # How it is built
//! `lanes` is a register of some instruction set; `avx512`, `avx2` and `portable` are the three that exist, chosen when
//! the program runs. A kernel is written once over `Lanes`: `gemm`, `zeros` and `dots` multiply, `activation`, `norm`, `sums` and
//! `transpose` do the rest of a layer, `adam`, `descent` and `track` the optimizer's part. `forward`, `backward` and `flat` cut the
//! work into tasks, `workers` run these on several threads, `disjoint` lets them write one buffer, and [`Kernels`] is the
//! entrance to all of it. `unsafe` stays within this folder.
//!
//! # How fast it is
//! A whole TD3+BC step (batch 256, two critics every step, the actor every second, layers of 256 and 256; 0.403 GFLOP)
//! runs 340 times a second on one core of a Zen 4 processor, where 290 would be its peak of 117 GFLOP/s with nothing but
//! multiplications: products leave the zeros of rectifiers out (`zeros`). Four fifths of the time is in the products.
//!
//! ```
//! use yarak::nn::cpu::{Activation, Adam, AdamState, Gradients, Input, Kernels, MlpShape, Saved};
//!
//! // Fit y = 2 x with a little network.
//! let shape = MlpShape { sizes: vec![1, 16, 1], hidden: Activation::Tanh, ..MlpShape::default() };
//! let mut params: Vec<f32> = (0..shape.parameters()).map(|i| (i as f32).sin() * 0.5).collect();
//! let (mut first, mut second) = (vec![0.0; params.len()], vec![0.0; params.len()]);
//! let x: Vec<f32> = (0..32).map(|i| i as f32 / 16.0 - 1.0).collect();
//! let input = Input { rows: &x, batch: 32, dropout: None };
//!
//! let (mut kernels, mut saved) = (Kernels::new(1), Saved::default());
//! let (mut y, mut gradient) = (vec![0.0; 32], vec![0.0; params.len()]);
//! for step in 1..=500 {
//!     kernels.forward(&shape, &params, input, &mut saved, &mut y)?;
//!     let d_y: Vec<f32> = y.iter().zip(&x).map(|(y, x)| (y - 2.0 * x) / 16.0).collect();
//!     let wanted = Gradients { params: Some(&mut gradient), x: None };
//!     kernels.backward(&shape, &params, input, &saved, &d_y, wanted)?;
//!     let state = AdamState { params: &mut params, first: &mut first, second: &mut second };
//!     kernels.adam(&Adam { rate: 1e-2, ..Adam::default() }, step, &gradient, None, state)?;
//! }
//! kernels.infer(&shape, &params, Input { rows: &[0.5], batch: 1, dropout: None }, &mut y[..1])?;
//! assert!((y[0] - 1.0).abs() < 0.05);
//! # Ok::<(), yarak::nn::cpu::KernelError>(())
//! ```

mod activation;
mod adam;
#[cfg(test)]
#[path = "agreement_tests.rs"]
mod agreement;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward;
mod buffer;
mod convolution;
mod descent;
mod disjoint;
mod dots;
mod error;
mod fields;
mod flat;
mod forward;
mod gemm;
mod group_norm;
mod kernels;
mod lanes;
mod norm;
mod portable;
mod recurrent;
#[cfg(test)]
#[path = "reference_tests.rs"]
mod reference;
mod saved;
mod shape;
mod single;
mod sums;
mod track;
mod transpose;
mod tuning;
mod widest;
mod workers;
mod zeros;

pub use activation::Activation;
pub use adam::{Adam, AdamState, WeightDecay};
pub(crate) use attention::Heads;
pub(crate) use convolution::Convolve;
pub use descent::{RmsProp, Sgd};
pub use error::KernelError;
pub(crate) use fields::Fields;
pub(crate) use group_norm::{Groups, Moments};
pub use kernels::{Gradients, Input, Kernels};
pub use lanes::InstructionSet;
pub(crate) use recurrent::{Cell, Kept, SequenceGradients, Sequences, Weights as RecurrentWeights};
pub use saved::Saved;
pub use shape::MlpShape;
pub(crate) use single::Single;
pub(crate) use widest::{Wide, widest};
pub use workers::Workers;
