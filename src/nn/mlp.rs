//! The multi-layer perceptron.

use std::sync::Arc;

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::cpu::MlpShape;
use super::dropout::{Mask, with_stream};
use super::sides::{plain_device, same_side};
use super::{fused, reference};
use crate::nn::{Network, Piece};
use crate::random::{Init, Random};
use crate::transfer::upload;

/// An ensemble of equal multi-layer perceptrons whose parameters are one flat buffer `[members, parameters]`: for each member
/// and layer the weight `[in, out]` row by row (y = x W + b), then the bias `[out]`, then, with layer normalization, the gain
/// and the offset `[out]` of a hidden layer.
///
/// In a stack of learners, which a [`Random<Init>`] of several makes, the members of one learner lie behind the other's, and so do the
/// rows of a batch: each learner's members see its rows alone. What comes out has the shape that it has for one learner.
///
/// On the CPU it is one differentiable operation with kernels of its own, and on a card too, unless it has layer normalization, GELU,
/// dropout or several learners, which Burn's operations compute there. Results on the CPU do not depend on the number of threads, bit for bit.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::nn::MlpShape;
///
/// let device = ComputeDevice::cpu().plain();
/// let shape = MlpShape { members: 2, sizes: vec![14, 256, 256, 1], ..default() };
/// let mlp = Mlp::new(shape, &device, &mut Random::<Init>::new(Seed(0)));
/// assert_eq!(mlp.forward(Tensor::zeros([32, 14], &device)).dims(), [2, 32, 1]);
/// ```
#[derive(Module, Debug)]
pub struct Mlp {
    parameters: Param<Tensor<2>>,
    /// The shape of one learner's members.
    #[module(skip)]
    shape: Arc<MlpShape>,
    /// The shape of one member.
    #[module(skip)]
    first: Arc<MlpShape>,
    /// How many learners of a stack it is of.
    #[module(skip)]
    learners: usize,
    /// The share of hidden values that a training step drops.
    #[module(skip)]
    dropout: f32,
}

impl Mlp {
    /// A perceptron with PyTorch's initial weights: weights and biases uniform in ±1/√in.
    pub fn new(shape: MlpShape, device: &Device, init: &mut Random<Init>) -> Self {
        let parameters = shape.parameters();
        let of_learner = shape.members * parameters;
        let mut values = vec![0.0; init.learners() * of_learner];
        for member in 0..shape.members {
            for (layer, pair) in shape.sizes.windows(2).enumerate() {
                let bound = 1.0 / (pair[0].max(1) as f32).sqrt();
                // Weights and, behind them, biases.
                let range = shape.weight(layer).start..shape.bias(layer).end;
                let drawn = init.uniforms(range.len() * init.learners(), -bound, bound);
                for learner in 0..init.learners() {
                    let own = &mut values[learner * of_learner + member * parameters..];
                    own[range.clone()]
                        .copy_from_slice(&drawn[learner * range.len()..][..range.len()]);
                    if let Some(gain) = shape.gain(layer) {
                        own[gain].fill(1.0);
                    }
                }
            }
        }
        Mlp::from_values(shape, values, device)
    }

    /// A perceptron with the given parameters, laid out as the type says: of a stack, where they are those of several learners.
    ///
    /// # Panics
    /// When there are not `members * parameters` values for each learner.
    pub fn from_values(shape: MlpShape, values: Vec<f32>, device: &Device) -> Self {
        let parameters = shape.parameters();
        let learners = values.len() / (shape.members * parameters).max(1);
        let data = TensorData::new(values, [learners * shape.members, parameters]);
        let parameters = upload(data, &plain_device(device));
        Mlp::from_parameters(shape, parameters, device)
    }

    /// The same of plain parameters `[members, parameters]`.
    pub(crate) fn from_parameters(shape: MlpShape, parameters: Tensor<2>, device: &Device) -> Self {
        let learners = parameters.dims()[0] / shape.members.max(1);
        // Built where gradients are tracked and taken back: so the parameter knows that it is to be trained.
        let parameters = Param::from_tensor(Tensor::from_inner(parameters));
        let mlp = Mlp {
            parameters,
            first: Arc::new(MlpShape {
                members: 1,
                ..shape.clone()
            }),
            shape: Arc::new(shape),
            learners,
            dropout: 0.0,
        };
        if device.is_autodiff() {
            mlp
        } else {
            mlp.valid()
        }
    }

    /// The same perceptron with dropout behind its hidden layers, in front of their normalization and activation: `rate` is the
    /// share of values that is left out in training, at least 0 and below 1. The others are enlarged so that their mean stays.
    #[must_use]
    pub fn with_dropout(self, rate: f32) -> Self {
        Mlp {
            dropout: rate,
            ..self
        }
    }

    /// The share of hidden values that a training step drops.
    pub fn dropout(&self) -> f32 {
        self.dropout
    }

    /// The outputs `[members, batch, out]` for inputs `[batch, in]` that all members share.
    ///
    /// In training, which is what [`Learning`](crate::learner::Learning) hands out, dropout drops another share for each member and
    /// row; anywhere else nothing is dropped, and nothing drawn. A tracked network takes a plain input as a constant, and a plain
    /// network is a constant for a tracked input.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<3> {
        let parameters = self.parameters.val();
        let mask = self.mask(&self.shape, &parameters, input.dims()[0]);
        self.run(&self.shape, parameters, input, mask)
    }

    /// The outputs `[batch, out]` of one member alone. The others cost nothing.
    pub fn forward_member(&self, member: usize, input: Tensor<2>) -> Tensor<2> {
        if self.shape.members == 1 {
            return self.forward(input).squeeze_dim::<2>(0);
        }
        let parameters = self.parameters.val();
        let mask = self.mask(&self.first, &parameters, input.dims()[0]);
        let parameters = match self.learners {
            1 => parameters.narrow(0, member, 1),
            learners => {
                let [all, each] = parameters.dims();
                let of_learners = parameters.reshape([learners, all / learners, each]);
                of_learners.narrow(1, member, 1).reshape([learners, each])
            }
        };
        self.run(&self.first, parameters, input, mask)
            .squeeze_dim::<2>(0)
    }

    /// One operation where there is one, else Burn's operations. `shape` is of those members of one learner that are asked.
    fn run(
        &self,
        shape: &Arc<MlpShape>,
        parameters: Tensor<2>,
        input: Tensor<2>,
        mask: Option<Mask>,
    ) -> Tensor<3> {
        let (parameters, input) = same_side(parameters, input);
        assert!(
            input.dims()[0].is_multiple_of(self.learners),
            "{} rows cannot be shared out among the {} learners of a stack",
            input.dims()[0],
            self.learners
        );
        let sizes = (self.learners, input.dims()[0]);
        let is_fused = fused::is_there(&input.device(), shape, sizes, mask.as_ref());
        if is_fused && !tests_want_the_reference() {
            fused::forward(shape, self.learners, parameters, input, mask)
        } else {
            reference::forward(shape, self.learners, parameters, input, mask.as_ref())
        }
    }

    /// What is dropped of a batch: something only where the parameters are in training.
    fn mask(&self, shape: &MlpShape, parameters: &Tensor<2>, batch: usize) -> Option<Mask> {
        if self.dropout == 0.0 || !parameters.is_require_grad() {
            return None;
        }
        with_stream(|stream| Mask::draw(shape, self.dropout, batch, stream)).flatten()
    }

    /// The output of every hidden layer, after its activation: `[members, batch, width]` each. Gradients flow through them.
    pub fn features(&self, input: Tensor<2>) -> Vec<Tensor<3>> {
        let (parameters, input) = same_side(self.parameters.val(), input);
        let mut layers = reference::layers(&self.shape, self.learners, parameters, input, None);
        layers.pop();
        let together = |layer| reference::learners_side_by_side(layer, self.learners);
        layers.into_iter().map(together).collect()
    }

    /// The same outputs as [`forward`](Mlp::forward), made of Burn's operations: what the fused operation is tested against.
    pub fn reference(&self, input: Tensor<2>) -> Tensor<3> {
        let (parameters, input) = same_side(self.parameters.val(), input);
        reference::forward(&self.shape, self.learners, parameters, input, None)
    }

    /// The parameters `[members, parameters]`, of all learners.
    pub(super) fn parameters(&self) -> Tensor<2> {
        self.parameters.val()
    }

    /// The shape: of one learner's members, where it is of several.
    pub fn shape(&self) -> &MlpShape {
        &self.shape
    }
}

impl Network for Mlp {
    fn members(&self) -> usize {
        self.learners * self.shape.members
    }

    fn learners(&self) -> usize {
        self.learners
    }

    fn values_per_row(&self) -> usize {
        self.shape.values_per_row()
    }

    /// `0/0.weight` is `[in, out]`: the first number is the member (left out where there is one), the second the layer.
    fn pieces(&self, path: &str) -> Vec<Piece> {
        let prefix = path.strip_suffix("parameters").unwrap_or(path);
        let prefix = prefix.strip_prefix("trunk.").unwrap_or(prefix);
        let mut pieces = Vec::new();
        for member in 0..self.shape.members {
            let member = match self.shape.members {
                1 => String::new(),
                _ => format!("{member}."),
            };
            for (layer, pair) in self.shape.sizes.windows(2).enumerate() {
                pieces.push(Piece {
                    name: format!("{prefix}{member}{layer}.weight"),
                    shape: vec![pair[0], pair[1]],
                });
                let mut vectors = vec!["bias"];
                if self.shape.gain(layer).is_some() {
                    vectors.extend(["gain", "offset"]);
                }
                pieces.extend(vectors.into_iter().map(|name| Piece {
                    name: format!("{prefix}{member}{layer}.{name}"),
                    shape: vec![pair[1]],
                }));
            }
        }
        pieces
    }
}

#[cfg(not(test))]
fn tests_want_the_reference() -> bool {
    false
}

#[cfg(test)]
use tests::tests_want_the_reference;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use super::*;
    use crate::checkpoint::{gather, stack};
    use crate::learner::Dropout;
    use crate::nn::Activation;
    use crate::nn::MlpShape;
    use crate::nn::dropout::{DropoutStream, draw_from};
    use crate::prelude::*;
    use crate::random::Stack;

    thread_local! {
        static REFERENCE: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn tests_want_the_reference() -> bool {
        REFERENCE.get()
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    /// The distance of two vectors, relative to the second's length.
    fn distance(a: &[f32], b: &[f32]) -> f64 {
        assert_eq!(a.len(), b.len());
        let square = |x: f64| x * x;
        let apart: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
        let length: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
        (apart / length.max(1e-30)).sqrt()
    }

    /// The perceptron as `Learning` hands it out.
    fn in_training(mlp: &Mlp) -> Mlp {
        let tracked = Mlp::from_inner(mlp.clone());
        let parameters = tracked.parameters.val().detach().require_grad();
        Mlp {
            parameters: Param::initialized(tracked.parameters.id, parameters),
            ..tracked
        }
    }

    fn stream(seed: u64) -> DropoutStream {
        Arc::new(Mutex::new(Random::new(Seed(seed))))
    }

    /// Outputs and the gradients of parameters and inputs, of a loss that weighs every output differently.
    fn outputs_and_gradients(mlp: &Mlp, rows: &Tensor<2>, reference: bool) -> [Vec<f32>; 3] {
        weighed(mlp, rows, reference, |shape| {
            let weights = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin());
            weights.collect()
        })
    }

    /// The same of a loss with given weights of the outputs.
    fn weighed(
        mlp: &Mlp,
        rows: &Tensor<2>,
        reference: bool,
        weights: impl Fn([usize; 3]) -> Vec<f32>,
    ) -> [Vec<f32>; 3] {
        REFERENCE.set(reference);
        let recording = in_training(mlp);
        let parameters = recording.parameters.val();
        let input = Tensor::from_inner(rows.clone()).require_grad();
        draw_from(Some(&stream(5)));
        let out = recording.forward(input.clone());
        draw_from(None);
        REFERENCE.set(false);
        let weights = weights(out.dims());
        let weights = Tensor::from_data(TensorData::new(weights, out.shape()), &out.device());
        let gradients = (out.clone() * weights).sum().backward();
        [
            numbers(out),
            numbers(parameters.grad(&gradients).unwrap()),
            numbers(input.grad(&gradients).unwrap()),
        ]
    }

    #[test]
    fn the_fused_operation_agrees_with_burns_operations() {
        let hidden = [
            Activation::Relu,
            Activation::Tanh,
            Activation::Elu,
            Activation::Gelu,
            Activation::Identity,
        ];
        for (index, hidden) in hidden.into_iter().enumerate() {
            for (members, layer_norm, dropout) in [
                (1, None, 0.0),
                (2, None, 0.3),
                (3, Some(1e-5), 0.0),
                (2, Some(1e-5), 0.3),
            ] {
                let shape = MlpShape {
                    members,
                    sizes: vec![7, 33, 20, 3],
                    hidden,
                    output: Activation::Tanh,
                    layer_norm,
                };
                agrees(&shape, dropout, 29, index as u64, &Device::flex());
            }
        }
    }

    /// One operation on a device and Burn's on the processor come to the same outputs and gradients, to rounding.
    fn agrees(shape: &MlpShape, dropout: f32, batch: usize, seed: u64, device: &Device) {
        let outputs_and_gradients = |device: &Device, reference: bool| {
            let mut random = Random::<Init>::new(Seed(seed));
            let mlp = Mlp::new(shape.clone(), device, &mut random).with_dropout(dropout);
            let inputs = shape.inputs();
            let rows = TensorData::new(random.normals(batch * inputs), [batch, inputs]);
            outputs_and_gradients(&mlp, &Tensor::from_data(rows, device), reference)
        };
        let fused = outputs_and_gradients(device, false);
        let reference = outputs_and_gradients(&Device::flex(), true);
        for (fused, reference) in fused.iter().zip(&reference) {
            let apart = distance(fused, reference);
            assert!(apart < 1e-6, "{shape:?} {dropout} {batch}: {apart}");
        }
    }

    /// Those of a card as well, where the tests have one: of sizes that tiles fit, and that they do not.
    #[test]
    fn the_kernels_of_a_card_agree_with_burns_operations() {
        if let Some(device) = crate::testing_data::card() {
            for (hidden, output) in [
                (Activation::Relu, Activation::Identity),
                (Activation::Relu, Activation::Tanh),
                (Activation::Tanh, Activation::Elu),
                (Activation::Elu, Activation::Identity),
            ] {
                for (members, sizes, batch) in [
                    (1, vec![3, 1], 1),
                    (2, vec![7, 33, 20, 3], 29),
                    (3, vec![32, 64, 64, 32], 64),
                    (2, vec![14, 100, 1], 100),
                ] {
                    let shape = MlpShape {
                        members,
                        sizes,
                        hidden,
                        output,
                        layer_norm: None,
                    };
                    assert!(fused::is_there(&device, &shape, (1, 1), None));
                    agrees(&shape, 0.0, batch, 0, &device);
                }
            }
        }
    }

    #[test]
    fn each_learner_of_a_stack_has_its_own_outputs_and_gradients_whatever_the_others_are() {
        let device = Device::flex();
        let seeds = [3, 4, 5].map(Seed);
        let (learners, batch) = (seeds.len(), 29);
        for (members, layer_norm) in [(1, None), (2, Some(1e-5))] {
            let shape = MlpShape {
                members,
                sizes: vec![7, 33, 20, 3],
                layer_norm,
                ..default()
            };
            let stack = Stack(seeds.to_vec());
            let stack = Mlp::new(shape.clone(), &device, &mut Random::of_stack(&stack));
            assert_eq!((stack.members(), stack.learners()), (3 * members, 3));
            let mut values = Random::<Init>::new(Seed(0)).normals(learners * batch * 7);
            // The last learner has diverged.
            values[2 * batch * 7 + 3] = f32::NAN;
            let rows = Tensor::from_data(TensorData::new(values, [learners * batch, 7]), &device);
            // The same weights for each learner, in outputs `[members, batch, out]`.
            let weigh = |[members, rows, out]: [usize; 3]| -> Vec<f32> {
                let each = batch * out;
                let weights = (0..members * rows * out).map(|i| {
                    let (member, place) = (i / (rows * out), i % each);
                    ((member * each + place) as f32 * 0.7).sin()
                });
                weights.collect()
            };
            for reference in [false, true] {
                let all = weighed(&stack, &rows, reference, weigh);
                for (learner, seed) in seeds.iter().enumerate().take(2) {
                    let init = &mut Random::new(*seed);
                    let lone = Mlp::new(shape.clone(), &device, init);
                    let own = rows.clone().narrow(0, learner * batch, batch);
                    let lone_all = weighed(&lone, &own, reference, weigh);
                    let each = |all: &[f32]| {
                        let each = all.len() / learners;
                        all[learner * each..(learner + 1) * each].to_vec()
                    };
                    let outputs = all[0].chunks(learners * batch * 3);
                    let outputs: Vec<f32> = outputs.flat_map(each).collect();
                    let found = [outputs, each(&all[1]), each(&all[2])];
                    for (found, expected) in found.iter().zip(&lone_all) {
                        let apart = distance(found, expected);
                        assert!(apart < 1e-6, "{members} {reference} {learner}: {apart}");
                        // The kernels run for each learner as they do where it learns alone.
                        assert!(reference || found == expected, "{members} {learner}");
                    }
                    REFERENCE.set(reference);
                    let last = stack.forward_member(members - 1, rows.clone());
                    let last = last.narrow(0, learner * batch, batch);
                    let lone_last = lone.forward_member(members - 1, own);
                    REFERENCE.set(false);
                    assert!(distance(&numbers(last), &numbers(lone_last)) < 1e-6);
                }
            }
        }
    }

    /// Networks, targets and optimizers of TD3+BC after 50 steps, from this seed or as a stack of these seeds, in Burn's operations.
    fn taught(seeds: &[u64]) -> Snapshot {
        let mut td3 = Td3Bc {
            minibatch: MinibatchSettings::of(16),
            ..default()
        };
        td3.actor.encoder.set_hidden_sizes(&[16, 16]);
        td3.critic.encoder.set_hidden_sizes(&[16, 16]);
        REFERENCE.set(true);
        let app = crate::testing_data::learner_of(seeds, td3, 50);
        REFERENCE.set(false);
        gather(app.world(), 50).unwrap()
    }

    #[test]
    fn a_stack_in_burns_operations_has_the_weights_targets_optimizers_and_losses_of_lone_runs() {
        let all = taught(&[3, 4, 5]);
        for (learner, seed) in [3, 4, 5].into_iter().enumerate() {
            let lone = taught(&[seed]);
            let mut own = lone.clone();
            stack::teach(&mut own, &all, learner);
            assert_eq!(own.files.len(), 6, "{:?}", own.files.keys());
            for (file, tensors) in &lone.files {
                for (name, tensor) in tensors {
                    let apart = distance(&own.files[file][name].values, &tensor.values);
                    assert!(apart < 1e-5, "{file} {name}: {apart}");
                }
            }
            let metrics = |snapshot: &Snapshot| {
                let mut world = World::new();
                world.insert_resource(ComputeDevice::cpu());
                let mut metrics = Metrics::default();
                metrics.load(snapshot, &world).unwrap();
                metrics.read()
            };
            let (found, expected) = (metrics(&own), metrics(&lone));
            assert!(expected.len() > 8, "{expected:?}");
            assert_eq!(found.len(), expected.len());
            for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                let apart = (found - expected).abs();
                assert!(
                    apart <= 1e-5 * expected.abs().max(1.0),
                    "{name}: {found} {expected}"
                );
            }
            for (key, state) in &lone.state {
                if key.starts_with("random/") || key.starts_with("optimizer_") {
                    assert_eq!(&own.state[key], state, "{key}");
                }
            }
        }
    }

    #[test]
    fn a_frozen_network_passes_gradients_on_and_keeps_none() {
        let device = Device::flex();
        let shape = MlpShape {
            sizes: vec![3, 8, 1],
            ..default()
        };
        let mlp = Mlp::new(shape, &device, &mut Random::<Init>::new(Seed(0)));
        let input = Tensor::<2>::ones([4, 3], &device.autodiff()).require_grad();
        let gradients = mlp.forward(input.clone()).sum().backward();
        assert!(input.grad(&gradients).is_some());
        assert!(
            !mlp.forward(Tensor::ones([4, 3], &Device::flex()))
                .device()
                .is_autodiff()
        );
    }

    #[test]
    fn dropout_is_drawn_from_its_stream_in_training_and_never_outside_of_it() {
        let device = Device::flex();
        let shape = MlpShape {
            members: 2,
            sizes: vec![3, 40, 40, 1],
            ..default()
        };
        let mlp = Mlp::new(shape, &device, &mut Random::<Init>::new(Seed(0))).with_dropout(0.5);
        let input = Tensor::<2>::ones([4, 3], &device);
        let dropping = |mlp: &Mlp, seed| {
            let stream = stream(seed);
            draw_from(Some(&stream));
            let out = numbers(mlp.forward(input.clone()));
            draw_from(None);
            let place = stream.lock().unwrap().state();
            (out, place != Random::<Dropout>::new(Seed(seed)).state())
        };
        let training = in_training(&mlp);
        assert_eq!(dropping(&training, 0), dropping(&training, 0));
        assert_ne!(dropping(&training, 0), dropping(&training, 1));
        let plain = numbers(mlp.forward(input.clone()));
        let (rows, drew) = dropping(&training, 0);
        assert!(drew && rows != plain);
        // All rows of the input are equal, so those of the output differ by their masks alone.
        assert!(rows[1..].iter().all(|row| *row != rows[0]), "{rows:?}");
        let frozen = Mlp::from_inner(mlp.clone()).no_grad();
        let without = in_training(&mlp.clone().with_dropout(0.0));
        for network in [&mlp, &frozen, &without] {
            assert_eq!(dropping(network, 0), (plain.clone(), false));
        }
        assert_eq!(numbers(training.forward(input)), plain, "no learner");
    }

    #[test]
    fn features_are_the_outputs_of_the_hidden_layers() {
        let device = Device::flex();
        let shape = MlpShape {
            members: 2,
            sizes: vec![3, 8, 5, 1],
            ..default()
        };
        let mlp = Mlp::new(shape, &device, &mut Random::<Init>::new(Seed(0)));
        let features = mlp.features(Tensor::ones([4, 3], &device));
        let shapes: Vec<[usize; 3]> = features.iter().map(Tensor::dims).collect();
        assert_eq!(shapes, [[2, 4, 8], [2, 4, 5]]);
        assert!(
            features
                .iter()
                .all(|layer| numbers(layer.clone()).iter().all(|x| *x >= 0.0))
        );
    }

    /// A TD3+BC run on made-up data: the actor's and the critics' parameters after `steps` steps.
    fn td3_bc(steps: u64, threads: usize, reference: bool) -> [Vec<f32>; 2] {
        crate::nn::set_threads(threads);
        REFERENCE.set(reference);
        let app = crate::testing_data::learner(
            Td3Bc {
                minibatch: MinibatchSettings::of(64),
                ..default()
            },
            steps,
        );
        REFERENCE.set(false);
        let world = app.world();
        [
            numbers(
                world
                    .resource::<Net<Actor>>()
                    .trunk()
                    .layers()
                    .parameters
                    .val(),
            ),
            numbers(
                world
                    .resource::<Net<Critic>>()
                    .trunk()
                    .layers()
                    .parameters
                    .val(),
            ),
        ]
    }

    #[test]
    fn a_hundred_steps_of_td3_bc_agree_with_burns_operations() {
        let fused = td3_bc(100, 1, false);
        let reference = td3_bc(100, 1, true);
        for (fused, reference) in fused.iter().zip(&reference) {
            let apart = distance(fused, reference);
            assert!(apart < 1e-4, "{apart}");
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let one = td3_bc(20, 1, false);
        assert_eq!(one, td3_bc(20, 2, false));
        assert_eq!(one, td3_bc(20, 3, false));
    }
}
