//! What forward and backward passes together promise: they agree with double precision, and their bits depend neither on
//! the threads nor on what lay in their memory.

use super::{
    Activation, Gradients, Input, InstructionSet, Kernels, MlpShape, Saved,
    reference::{Reference, Values},
    zeros::RightIsSparser,
};

const ALL: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Tanh,
    Activation::Elu,
    Activation::Gelu,
];

/// What a network and its gradients are computed from.
struct Case {
    shape: MlpShape,
    batch: usize,
    params: Vec<f32>,
    x: Vec<f32>,
    mask: Option<Vec<f32>>,
    d_out: Vec<f32>,
}

/// What comes out: outputs, features, gradients.
#[derive(Debug, PartialEq)]
struct Results {
    out: Vec<f32>,
    features: Vec<Vec<f32>>,
    d_params: Vec<f32>,
    d_x: Vec<f32>,
}

impl Case {
    fn new(shape: MlpShape, batch: usize, shared: bool, masked: bool) -> Self {
        let mut values = Values::new(batch as u64 + shape.members as u64);
        let mut params = values.normal(shape.members * shape.parameters());
        // Weights in the size that they have in training, so that no value explodes on its way.
        for member in params.chunks_mut(shape.parameters()) {
            for layer in 0..shape.layers() {
                let scale = 1.0 / (shape.sizes[layer] as f32).sqrt();
                member[shape.weight(layer)]
                    .iter_mut()
                    .for_each(|weight| *weight *= scale);
            }
        }
        let x = values.normal(if shared { 1 } else { shape.members } * batch * shape.inputs());
        let mask = masked.then(|| values.mask(shape.dropout_len(batch)));
        let d_out = values.normal(shape.members * batch * shape.outputs());
        Self {
            shape,
            batch,
            params,
            x,
            mask,
            d_out,
        }
    }

    fn input(&self) -> Input<'_> {
        Input {
            rows: &self.x,
            batch: self.batch,
            dropout: self.mask.as_deref(),
        }
    }

    /// Everything by these kernels, out of memory that was full of NaN.
    fn run(&self, kernels: &mut Kernels) -> Results {
        let (shape, mut saved) = (&self.shape, Saved::default());
        let nan = |len| vec![f32::NAN; len];
        let (mut out, mut inferred) = (nan(self.d_out.len()), nan(self.d_out.len()));
        for _ in 0..2 {
            // The second round finds buffers of the right size, and only NaN in them.
            saved.poison();
            kernels.poison();
            kernels
                .forward(shape, &self.params, self.input(), &mut saved, &mut out)
                .unwrap();
        }
        kernels.poison();
        kernels
            .infer(shape, &self.params, self.input(), &mut inferred)
            .unwrap();
        assert_eq!(out, inferred, "inference differs");
        let (mut d_params, mut d_x, mut frozen) =
            (nan(self.params.len()), nan(self.x.len()), nan(self.x.len()));
        for _ in 0..2 {
            kernels.poison();
            let wanted = Gradients {
                params: Some(&mut d_params),
                x: Some(&mut d_x),
            };
            kernels
                .backward(
                    shape,
                    &self.params,
                    self.input(),
                    &saved,
                    &self.d_out,
                    wanted,
                )
                .unwrap();
            kernels.poison();
            let wanted = Gradients {
                params: None,
                x: Some(&mut frozen),
            };
            kernels
                .backward(
                    shape,
                    &self.params,
                    self.input(),
                    &saved,
                    &self.d_out,
                    wanted,
                )
                .unwrap();
        }
        assert_eq!(d_x, frozen, "a frozen network's gradient differs");
        let mut alone = nan(self.params.len());
        let wanted = Gradients {
            params: Some(&mut alone),
            x: None,
        };
        kernels
            .backward(
                shape,
                &self.params,
                self.input(),
                &saved,
                &self.d_out,
                wanted,
            )
            .unwrap();
        assert_eq!(
            d_params, alone,
            "the parameters' gradient depends on whether the input's is wanted"
        );
        let features = (0..shape.layers() - 1)
            .map(|layer| saved.features(layer).unwrap().to_vec())
            .collect();
        assert!(saved.features(shape.layers() - 1).is_none());
        Results {
            out,
            features,
            d_params,
            d_x,
        }
    }

    /// Compares with double precision, and threads with each other.
    fn check(&self) {
        let reference = Reference::new(&self.shape, &self.params, self.input());
        let wanted = reference.backward(&self.d_out);
        for instructions in InstructionSet::available() {
            let name = format!(
                "{} {:?} batch {}",
                instructions.name(),
                self.shape,
                self.batch
            );
            let got = self.run(&mut Kernels::with_instructions(1, *instructions));
            close(&got.out, &reference.forward(), &name, "out");
            for (layer, features) in got.features.iter().enumerate() {
                close(features, &reference.features(layer), &name, "features");
            }
            close(&got.d_params, &wanted.params, &name, "d_params");
            close(&got.d_x, &wanted.x, &name, "d_x");
            for threads in if cfg!(miri) { 2..3 } else { 2..4 } {
                let other = self.run(&mut Kernels::with_instructions(threads, *instructions));
                assert!(got == other, "{name}: {threads} threads give other bits");
            }
        }
    }
}

/// Within single precision of each other, on the scale of the largest.
fn close(got: &[f32], want: &[f64], name: &str, what: &str) {
    assert_eq!(got.len(), want.len(), "{name}: {what}");
    let scale = want
        .iter()
        .fold(1.0_f64, |scale, want| scale.max(want.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (*got as f64 - want).abs() < 1e-5 * scale,
            "{name}: {what}[{at}] is {got}, not {want}"
        );
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn every_odd_size_in_every_dimension_matches_double_precision() {
    for sizes in [
        vec![1, 1],
        vec![3, 7, 1],
        vec![7, 3, 255, 3],
        vec![1, 257, 1, 7],
        vec![255, 3, 257],
        vec![14, 64, 65, 2],
        vec![9, 8, 31, 12],
    ] {
        for (members, batch) in [(1, 1), (2, 3), (5, 65), (2, 257)] {
            let shape = MlpShape {
                members,
                sizes: sizes.clone(),
                ..MlpShape::default()
            };
            Case::new(shape, batch, true, false).check();
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_critic_and_the_actor_of_the_papers_match_double_precision() {
    let critic = MlpShape {
        members: 2,
        sizes: vec![14, 256, 256, 1],
        ..MlpShape::default()
    };
    Case::new(critic, 256, true, false).check();
    let actor = MlpShape {
        sizes: vec![11, 256, 256, 3],
        output: Activation::Tanh,
        ..MlpShape::default()
    };
    Case::new(actor, 256, true, false).check();
}

#[test]
fn every_activation_with_and_without_norm_and_dropout_matches_double_precision() {
    for (index, hidden) in ALL.into_iter().enumerate() {
        for layer_norm in [None, Some(1e-5)] {
            for masked in [false, true] {
                // Miri takes minutes for each: one with everything, one with nothing.
                let all = hidden == Activation::Gelu && layer_norm.is_some() && masked;
                let none = hidden == Activation::Relu && layer_norm.is_none() && !masked;
                if cfg!(miri) && !all && !none {
                    continue;
                }
                for shared in [false, true] {
                    let output = ALL[(index + 3) % 5];
                    let sizes = if cfg!(miri) {
                        vec![3, 9, 5, 2]
                    } else {
                        vec![3, 33, 65, 2]
                    };
                    let shape = MlpShape {
                        members: 2,
                        sizes,
                        hidden,
                        output,
                        layer_norm,
                    };
                    Case::new(shape, if cfg!(miri) { 3 } else { 67 }, shared, masked).check();
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn batches_beyond_one_product_are_summed_whole() {
    let shape = MlpShape {
        members: 2,
        sizes: vec![5, 33, 2],
        ..MlpShape::default()
    };
    Case::new(shape, 1100, true, false).check();
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_layer_that_is_seldom_active_has_its_gradient_from_the_transposed_product() {
    for (sizes, batch) in [
        (vec![11, 256, 256, 3], 256),
        (vec![11, 70, 150, 33, 2], 257),
        (vec![5, 40, 300, 1], 1100),
    ] {
        let shape = MlpShape {
            members: 2,
            sizes,
            ..MlpShape::default()
        };
        let mut case = Case::new(shape.clone(), batch, true, false);
        for member in case.params.chunks_mut(shape.parameters()) {
            member[shape.bias(1)].fill(-1.0);
        }
        let (mut saved, mut out) = (Saved::default(), case.d_out.clone());
        let mut kernels = Kernels::new(1);
        kernels
            .forward(&shape, &case.params, case.input(), &mut saved, &mut out)
            .unwrap();
        for instructions in InstructionSet::available() {
            let [below, above] = [0, 1].map(|layer| {
                let features = saved.features(layer).unwrap();
                &features[..features.len() / 2]
            });
            assert!(
                instructions.run(RightIsSparser {
                    left: below,
                    right: above,
                    rows: batch
                }) && !instructions.run(RightIsSparser {
                    left: above,
                    right: below,
                    rows: batch
                }),
                "{shape:?}"
            );
        }
        case.check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_row_has_the_same_output_in_any_batch_and_a_member_in_any_ensemble() {
    let shape = MlpShape {
        members: 5,
        sizes: vec![11, 256, 256, 3],
        ..MlpShape::default()
    };
    let case = Case::new(shape.clone(), 257, true, false);
    for instructions in InstructionSet::available() {
        let mut kernels = Kernels::with_instructions(2, *instructions);
        let mut all = vec![f32::NAN; 5 * 257 * 3];
        kernels
            .infer(&shape, &case.params, case.input(), &mut all)
            .unwrap();
        let alone = MlpShape {
            members: 1,
            ..shape.clone()
        };
        let params = &case.params[3 * shape.parameters()..][..shape.parameters()];
        let mut one = [f32::NAN; 3];
        let row = Input {
            rows: &case.x[200 * 11..201 * 11],
            batch: 1,
            dropout: None,
        };
        kernels.infer(&alone, params, row, &mut one).unwrap();
        assert_eq!(
            one,
            all[(3 * 257 + 200) * 3..][..3],
            "{}",
            instructions.name()
        );
    }
}

#[test]
fn a_nan_in_the_input_reaches_the_output() {
    for hidden in ALL {
        let shape = MlpShape {
            sizes: vec![2, 20, 20, 1],
            hidden,
            ..MlpShape::default()
        };
        let mut case = Case::new(shape, 2, true, false);
        case.x[0] = f32::NAN;
        for instructions in InstructionSet::available() {
            let mut out = [0.0; 2];
            let mut kernels = Kernels::with_instructions(1, *instructions);
            kernels
                .infer(&case.shape, &case.params, case.input(), &mut out)
                .unwrap();
            assert!(
                out[0].is_nan() && out[1].is_finite(),
                "{hidden:?} {}",
                instructions.name()
            );
        }
    }
}
