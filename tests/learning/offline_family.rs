//! IQL, BCQ, CQL, behavior cloning by likelihood, diffusion and flow matching against float64 references, for five or ten steps
//! through the real systems of the real `Learn` schedule.
//!
//! `make.py`, `make_denoising.py` and `make_memory.py` in `fixtures/offline_family` wrote the references from the papers' equations. Initial weights, batches and draws are theirs.
//! Metrics are compared at every step by |ours − theirs| / max(|theirs|, 0.1), to 1e-4; tensors after the last step by
//! ‖ours − theirs‖ / ‖theirs‖, to 1e-4, and what moved by the same ratio of the movement, to 1e-2: a wrong sign or a forgotten
//! term in any gradient moves a weight to another place. What does not move must keep its bits.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use yarak::data::ActionChunk;
use yarak::evaluate::Acting;
use yarak::nn::{Gru, Lstm, Transformer};
use yarak::plugins::{Diffusion, FlowBc};
use yarak::prelude::*;

use crate::small_run::{
    Rows, assert_close, device, fed, fed_frames, host, metrics, norm, set, snapshot, some_rows,
    step, step_metrics, tensor,
};

const STEPS: usize = 5;
const RELATIVE: f64 = 1e-4;
const MOVED: f64 = 1e-2;

/// A reference run: tensors by name, in float64.
struct Reference(BTreeMap<String, Vec<f64>>);

impl Reference {
    fn read(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/offline_family");
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| {
            let view = tensors.tensor(name).unwrap();
            assert_eq!(view.dtype(), Dtype::F64);
            let numbers = view.data().chunks_exact(8);
            numbers
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let names = tensors.names().into_iter();
        Reference(names.map(|name| (name.to_owned(), read(name))).collect())
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        self.0[name].iter().map(|value| *value as f32).collect()
    }

    /// What each step sees and draws.
    fn rows(&self) -> Vec<Rows> {
        let rows = |t: usize| {
            let column = |name: &str| self.f32(&format!("batch{t}/{name}"));
            Rows {
                observation: column("observation"),
                action: column("action"),
                reward: column("reward"),
                next_observation: column("next_observation"),
                bootstrap: column("bootstrap"),
                terminated: column("terminal"),
                noise: column("normals"),
                past_action: self
                    .0
                    .get(&format!("batch{t}/past_action"))
                    .map_or(Vec::new(), |_| column("past_action")),
                ..Rows::default()
            }
        };
        (1..=self.steps()).map(rows).collect()
    }

    /// How many steps the reference took.
    fn steps(&self) -> usize {
        let is_there = |t: &usize| self.0.contains_key(&format!("batch{t}/observation"));
        (1..).take_while(is_there).count()
    }

    /// The names under `prefix`, cut into file and tensor, with their values.
    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a [f64])> {
        self.0.iter().filter_map(move |(name, values)| {
            let (file, tensor) = name.strip_prefix(prefix)?.split_once('/')?;
            Some((file, tensor, &values[..]))
        })
    }

    /// Runs the algorithm from the reference's beginning; before each step `prepare` sees the app and the step.
    #[track_caller]
    fn agrees_with(&self, algorithm: impl Plugin, prepare: impl FnMut(&mut App, usize)) {
        self.agrees_in(fed(algorithm, self.rows()), prepare);
    }

    /// The same of an app that learns from the reference's rows.
    #[track_caller]
    fn agrees_in(&self, mut app: App, mut prepare: impl FnMut(&mut App, usize)) {
        let init = self.under("init/").map(|(file, tensor, values)| {
            let values = values.iter().map(|value| *value as f32).collect();
            (file, tensor, values)
        });
        set(&mut app, init);
        let mut compared = 0;
        for t in 1..=self.steps() {
            prepare(&mut app, t);
            step(&mut app);
            let ours = metrics(&mut app);
            for (role, what, theirs) in self.under("metric/") {
                let name = format!("{role}/{what}");
                let (ours, theirs) = (ours[&name], theirs[t - 1]);
                let off = (ours - theirs).abs() / theirs.abs().max(0.1);
                assert!(off <= RELATIVE, "{name} of step {t}: {ours}, not {theirs}");
                compared += 1;
            }
        }
        assert!(compared >= STEPS && self.steps() >= STEPS);
        let files = snapshot(&app).files;
        for (file, tensor, theirs) in self.under("end/") {
            let place = format!("{file}/{tensor}");
            let ours: Vec<f64> = files[file][tensor]
                .values
                .iter()
                .map(|value| f64::from(*value))
                .collect();
            assert_eq!(ours.len(), theirs.len(), "{place}");
            // Values whose gradient is nothing but rounding.
            let skipped = self
                .0
                .get(&format!("skip/{place}"))
                .map_or(&[][..], |it| it);
            let compared = |values: &[f64]| -> Vec<f64> {
                let values = values.iter().enumerate();
                let kept = values.filter(|(at, _)| !skipped.contains(&(*at as f64)));
                kept.map(|(_, value)| *value).collect()
            };
            let (ours, theirs) = (compared(&ours), compared(theirs));
            let off = norm(ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs));
            let size = norm(theirs.iter().copied());
            assert!(
                off <= RELATIVE * size.max(1e-2),
                "{place} is off by {off:.1e} of {size:.1e}"
            );
            let init = compared(&self.0[&format!("init/{place}")]);
            let moved = norm(theirs.iter().zip(&init).map(|(now, then)| now - then));
            assert!(moved > 0.0, "{place} never moved in the reference");
            // A target's movement is small next to the rounding of its weights.
            let most = if file.starts_with("target_") {
                3.0 * MOVED
            } else {
                MOVED
            };
            assert!(
                off <= most * moved,
                "{place} moved by {moved:.1e} and is off by {off:.1e}"
            );
        }
    }
}

fn network(rate: f64) -> NetworkSettings {
    NetworkSettings {
        encoder: EncoderSettings::from(&[8, 6]),
        optimizer: OptimizerSettings::at(rate),
        ..default()
    }
}

fn critic(rate: f64, weight: f32) -> CriticSettings {
    CriticSettings {
        ensemble: EnsembleSettings { n: 2, weight },
        encoder: EncoderSettings::from(&[8, 6]),
        optimizer: OptimizerSettings::at(rate),
        ..default()
    }
}

fn cloning(head: PolicyHead) -> Bc {
    let mut bc = Bc {
        head: Some(head),
        ..default()
    };
    bc.actor.encoder.set_hidden_sizes(&[8, 6]);
    bc.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
    bc
}

#[test]
fn cloning_with_a_gaussian_agrees_with_the_reference() {
    let reference = Reference::read("ref_bc_gaussian.safetensors");
    reference.agrees_with(cloning(PolicyHead::Gaussian), |_, _| {});
}

#[test]
fn cloning_with_a_mixture_agrees_with_the_reference() {
    let reference = Reference::read("ref_bc_mixture.safetensors");
    reference.agrees_with(cloning(PolicyHead::Mixture), |_, _| {});
}

/// Five steps side by side, all of which are supervised.
fn with_memory(encoder: impl Into<EncoderSettings>, head: Option<PolicyHead>) -> Bc {
    let mut bc = Bc {
        head,
        supervise_all_steps: true,
        ..default()
    };
    bc.mixture.modes = 2;
    bc.actor.encoder = encoder.into();
    bc.actor.head_sizes = Some(Vec::new());
    bc.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
    bc
}

#[test]
fn cloning_with_a_recurrent_policy_agrees_with_pytorchs() {
    let mixture = Some(PolicyHead::Mixture);
    let (hidden_size, layers) = (6, 2);
    let lstm = Lstm {
        hidden_size,
        layers,
        ..default()
    };
    let gru = Gru {
        hidden_size,
        layers,
        ..default()
    };
    for (file, bc) in [
        ("ref_bc_lstm.safetensors", with_memory(lstm, mixture)),
        ("ref_bc_gru.safetensors", with_memory(gru, mixture)),
    ] {
        let reference = Reference::read(file);
        reference.agrees_in(fed_frames(bc, reference.rows(), 5), |_, _| {});
    }
}

#[test]
fn cloning_with_a_transformer_agrees_with_pytorchs_attention() {
    let transformer = Transformer {
        embedding: 4,
        layers: 2,
        heads: 2,
        embedding_dropout: 0.0,
        attention_dropout: 0.0,
        block_dropout: 0.0,
        ..default()
    };
    let reference = Reference::read("ref_bc_transformer.safetensors");
    let app = fed_frames(with_memory(transformer, None), reference.rows(), 5);
    reference.agrees_in(app, |_, _| {});
}

fn iql() -> Iql {
    Iql {
        value: network(3e-3),
        critic: critic(3e-3, 1.0),
        actor: network(3e-3),
        // Low enough that some rows are clipped and some are not.
        max_weight: Some(2.0),
        ..default()
    }
}

#[test]
fn iql_agrees_with_the_reference() {
    Reference::read("ref_iql.safetensors").agrees_with(iql(), |_, _| {});
}

fn bcq() -> Bcq {
    Bcq {
        target_samples: 4,
        vae: network(1e-3),
        critic: critic(1e-3, 0.75),
        actor: network(1e-3),
        ..default()
    }
}

#[test]
fn bcq_agrees_with_the_reference() {
    Reference::read("ref_bcq.safetensors").agrees_with(bcq(), |_, _| {});
}

fn cql(lagrange: Option<f32>) -> Cql {
    Cql {
        weight: 5.0,
        lagrange,
        actions: 3,
        imitation_steps: 0,
        critic: critic(3e-3, 1.0),
        actor: network(3e-3),
        temperature: sac::TemperatureSettings {
            optimizer: OptimizerSettings::at(3e-3),
            ..default()
        },
        ..default()
    }
}

/// Gives the step its uniform draws.
fn with_uniforms(reference: &Reference) -> impl FnMut(&mut App, usize) {
    |app, t| {
        let mut uniform = app
            .world_mut()
            .resource_mut::<Random<yarak::plugins::cql::Uniform>>();
        uniform.give_uniforms(reference.f32(&format!("batch{t}/uniforms")));
    }
}

#[test]
fn cql_agrees_with_the_reference() {
    let reference = Reference::read("ref_cql.safetensors");
    reference.agrees_with(cql(None), with_uniforms(&reference));
}

#[test]
fn cql_with_a_multiplier_agrees_with_the_reference() {
    let reference = Reference::read("ref_cql_lagrange.safetensors");
    reference.agrees_with(cql(Some(5.0)), with_uniforms(&reference));
}

#[test]
fn the_multiplier_of_cql_is_learned_with_an_optimizer_of_its_own() {
    // The critics', in words, is what it has without any.
    let reference = Reference::read("ref_cql_lagrange.safetensors");
    let with = |rate| Cql {
        lagrange_optimizer: Some(OptimizerSettings::at(rate)),
        ..cql(Some(5.0))
    };
    reference.agrees_with(with(3e-3), with_uniforms(&reference));
    // Adam's first step is as long as the rate.
    let log_weight = |algorithm: Cql| {
        let mut app = fed(algorithm, rows());
        step(&mut app);
        tensor(&app, "lagrange_multiplier", "value")[0].abs()
    };
    for (algorithm, rate) in [(with(1e-4), 1e-4), (cql(Some(5.0)), 3e-3)] {
        assert_close(log_weight(algorithm).into(), rate, 1e-3 * rate);
    }
}

/// What differs from the reference in one setting must be found, or the comparison sees nothing of it.
#[track_caller]
fn is_seen<A: Plugin + Clone>(file: &str, right: &A, wrong: impl FnOnce(&mut A)) {
    let reference = Reference::read(file);
    let mut algorithm = right.clone();
    wrong(&mut algorithm);
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if file.contains("cql") {
            reference.agrees_with(algorithm, with_uniforms(&reference));
        } else {
            reference.agrees_with(algorithm, |_, _| {});
        }
    }));
    assert!(compared.is_err(), "{file} does not tell the difference");
}

#[test]
fn a_setting_that_is_a_little_off_is_seen_by_the_comparison() {
    let file = "ref_bc_gaussian.safetensors";
    let gaussian = cloning(PolicyHead::Gaussian);
    is_seen(file, &gaussian, |bc| bc.gaussian.initial_std = 0.101);
    is_seen(file, &gaussian, |bc| bc.gaussian.max_std = 0.1);
    let file = "ref_bc_mixture.safetensors";
    is_seen(file, &cloning(PolicyHead::Mixture), |bc| {
        bc.mixture.min_std = 3e-3
    });
    let file = "ref_iql.safetensors";
    is_seen(file, &iql(), |iql| iql.expectile = 0.71);
    is_seen(file, &iql(), |iql| iql.inverse_temperature = 3.1);
    is_seen(file, &iql(), |iql| iql.max_weight = Some(2.1));
    is_seen(file, &iql(), |iql| iql.target_update.tau = 0.006);
    is_seen(file, &iql(), |iql| iql.critic.huber = true);
    let file = "ref_bcq.safetensors";
    is_seen(file, &bcq(), |bcq| bcq.critic.ensemble.weight = 0.7);
    is_seen(file, &bcq(), |bcq| bcq.perturbation_limit = 0.06);
    is_seen(file, &bcq(), |bcq| bcq.divergence_weight = 0.6);
    is_seen(file, &bcq(), |bcq| bcq.latent_clip = 0.6);
    let (file, right) = ("ref_cql.safetensors", cql(None));
    is_seen(file, &right, |cql| cql.weight = 5.1);
    is_seen(file, &right, |cql| cql.deterministic_backup = false);
    is_seen(file, &right, |cql| {
        cql.temperature.target_entropy = Some(-2.1)
    });
    is_seen(file, &right, |cql| cql.imitation_steps = 1);
    let (file, right) = ("ref_cql_lagrange.safetensors", cql(Some(5.0)));
    is_seen(file, &right, |cql| cql.lagrange = Some(5.1));
}

/// Some rows, at which every network has a value of its own.
fn rows() -> Vec<Rows> {
    vec![some_rows(8, [OBSERVATION, ACTION])]
}

const OBSERVATION: usize = 3;
const ACTION: usize = 2;

#[test]
fn the_multiplier_rises_where_the_gap_is_above_the_threshold_and_falls_where_it_is_below() {
    for (threshold, moved) in [(-1e6, 3e-3), (1e6, -3e-3)] {
        let mut app = fed(cql(Some(threshold)), rows());
        let gap = step_metrics(&mut app)["critic/conservative_gap"];
        assert!(gap.abs() < 1e3, "{gap}");
        // Adam's first step is the rate, against the gradient's sign.
        let log_weight = tensor(&app, "lagrange_multiplier", "value")[0];
        assert_close(f64::from(log_weight), moved, 1e-8);
    }
}

#[test]
fn the_temperature_rises_where_the_policy_has_too_little_entropy_and_falls_where_it_has_enough() {
    for (target, moved) in [(1e3, 3e-3), (-1e3, -3e-3)] {
        let mut algorithm = cql(None);
        algorithm.temperature.target_entropy = Some(target);
        let mut app = fed(algorithm, rows());
        step(&mut app);
        let log_weight = tensor(&app, "temperature", "value")[0];
        assert_close(f64::from(log_weight), moved, 1e-8);
    }
}

#[test]
fn a_fixed_temperature_and_no_multiplier_have_no_network() {
    let mut algorithm = cql(None);
    (algorithm.temperature.learned, algorithm.temperature.initial) = (false, 0.2);
    let mut app = fed(algorithm, rows());
    step(&mut app);
    let files = snapshot(&app).files;
    assert!(files.contains_key("critic") && files.contains_key("actor"));
    assert!(!files.contains_key("temperature") && !files.contains_key("lagrange_multiplier"));
}

fn acts(app: &App, observation: Tensor<2>) -> Tensor<2> {
    let world = app.world();
    world
        .resource::<Acting>()
        .act(world, observation)
        .expect("the networks are built")
}

#[test]
fn bcq_acts_better_the_more_it_may_choose_from_and_always_alike() {
    let observation = || {
        let values = some_rows(5, [OBSERVATION, ACTION]).observation;
        let values = TensorData::new(values, [5, OBSERVATION]);
        Tensor::<2>::from_data(values, &device().plain())
    };
    let value_of = |samples: usize| {
        let algorithm = Bcq {
            act_samples: samples,
            ..bcq()
        };
        let app = fed(algorithm, rows());
        let action = acts(&app, observation());
        assert_eq!(host(action.clone()), host(acts(&app, observation())));
        // A row's action is its own: it is the same without the others.
        let first = acts(&app, observation().narrow(0, 0, 1));
        for (alone, among) in host(first).iter().zip(host(action.clone())) {
            assert_close(f64::from(*alone), f64::from(among), 1e-6);
        }
        let critic = app.world().resource::<Net<Critic>>();
        host(critic.q1(observation(), action))
    };
    // The latents of the smaller choice are the first of the larger.
    let (one, many) = (value_of(1), value_of(50));
    assert!(
        one.iter().zip(&many).all(|(one, many)| many >= one),
        "{one:?} {many:?}"
    );
    assert!(one.iter().zip(&many).any(|(one, many)| *many > one + 1e-4));
}

#[test]
fn without_a_perturbation_bcq_takes_what_is_proposed() {
    let algorithm = |limit| Bcq {
        perturbation_limit: limit,
        act_samples: 1,
        ..bcq()
    };
    let observation = Tensor::<2>::ones([1, OBSERVATION], &device().plain());
    let act = |limit| host(acts(&fed(algorithm(limit), rows()), observation.clone()));
    let (proposed, moved) = (act(0.0), act(0.05));
    let change = |(proposed, moved): (&f32, &f32)| (proposed - moved).abs();
    let changes: Vec<f32> = proposed.iter().zip(&moved).map(change).collect();
    assert!(
        changes
            .iter()
            .all(|change| *change > 0.0 && *change <= 0.05 + 1e-6),
        "{changes:?}"
    );
}

#[test]
fn iql_and_cloning_act_with_the_mean_or_that_of_the_weightiest_component() {
    let observation = Tensor::<2>::ones([1, OBSERVATION], &device().plain());
    for head in [PolicyHead::Gaussian, PolicyHead::Mixture] {
        let iql = Iql { head, ..iql() };
        let app = fed(iql, rows());
        let policy = app.world().resource::<Net<Actor>>();
        let expected = match policy.distribution(observation.clone()) {
            ActionDistribution::Gaussian(gaussian) => host(gaussian.mean),
            ActionDistribution::Mixture(mixture) => {
                let weights = host(mixture.logits);
                let best = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
                host(mixture.mean.narrow(1, best.unwrap(), 1))
            }
            other => panic!("a Gaussian or a mixture was asked for: {other:?}"),
        };
        assert_eq!(host(acts(&app, observation.clone())), expected);
    }
}

/// The draws of diffusion steps or times.
fn give_uniforms(reference: &Reference, app: &mut App, t: usize) {
    let uniforms = reference.f32(&format!("batch{t}/uniforms"));
    let mut noise = app.world_mut().resource_mut::<Random<Noise>>();
    noise.give_uniforms(uniforms);
}

fn denoiser(activation: Activation, optimizer: OptimizerSettings) -> NetworkSettings {
    let encoder = MlpSettings {
        hidden_sizes: vec![16, 16],
        activation,
        ..default()
    };
    NetworkSettings {
        encoder: EncoderSettings::new(encoder),
        optimizer,
        ..default()
    }
}

#[test]
fn diffusion_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_diffusion.safetensors");
    assert_eq!(reference.steps(), 10);
    let optimizer = OptimizerSettings {
        rule: Optimizer::AdamW {
            betas: Some((0.95, 0.999)),
            epsilon: None,
        },
        weight_decay: 1e-2,
        ..OptimizerSettings::at(1e-3)
    };
    let diffusion = Diffusion {
        action_chunk: ActionChunk::default(),
        time_features: 8,
        actor: denoiser(Activation::Relu, optimizer),
        ..default()
    };
    reference.agrees_with(diffusion, |app, t| give_uniforms(&reference, app, t));
}

#[test]
fn flow_matching_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_flow_bc.safetensors");
    assert_eq!(reference.steps(), 10);
    let flow = FlowBc {
        time_features: 8,
        actor: denoiser(Activation::Gelu, OptimizerSettings::at(3e-3)),
        ..default()
    };
    reference.agrees_with(flow, |app, t| give_uniforms(&reference, app, t));
}
