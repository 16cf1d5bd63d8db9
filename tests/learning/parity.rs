//! TD3+BC, behavior cloning, SAC and DQN against float64 references, for ten steps through the real systems of the real `Learn` schedule;
//! and PPO's first.
//!
//! Initial weights, batches and noise are the fixture's (`fixtures/parity/README.md`): the slot `Sample` puts the batch
//! into [`Batch`] and gives the noise to the stream that the critic's step draws from. Everything else is the plugin's.
//!
//! How it is compared, with every figure relative and in float32 against float64:
//! - a loss by |ours − theirs| / |theirs|, at each of the ten steps, to 1e-4;
//! - a gradient by ‖ours − theirs‖ / ‖theirs‖ for each weight and bias, to 1e-4. It is read out of Adam: after its first step
//!   the first moment is 0.1 of the gradient;
//! - a state (targets and the whole of each network) by the same ratio for each weight and bias, to 1e-4. Ten small steps move
//!   a weight by a hundredth of itself and a target by less than a thousandth, so what *moved* since the beginning is also
//!   compared, relative to the norm of the movement: to 3e-2, as the rounding of the weight itself is large next to it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use yarak::data::{Experienced, generalized_advantages};
use yarak::data::{FixedRollout, Spaces};
use yarak::learner::Piece;
use yarak::prelude::*;

use crate::small_run::{
    Rows, assert_close, column, device, fed, given, host, metrics, norm, prepare, set, snapshot,
    step, tensor,
};

const RELATIVE: f64 = 1e-4;
const MOVED: f64 = 3e-2;
const STEPS: usize = 10;

/// A reference run: tensors by name, in float64.
struct Reference(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Reference {
    fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/parity")
            .join(file);
        let bytes =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| {
            let view = tensors.tensor(name).unwrap();
            let number = |bytes: &[u8]| match view.dtype() {
                Dtype::F64 => f64::from_le_bytes(bytes.try_into().unwrap()),
                // DQN's actions.
                Dtype::I64 => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
                other => panic!("{name} is of {other:?}"),
            };
            let numbers = view.data().chunks_exact(8).map(number);
            (view.shape().to_vec(), numbers.collect())
        };
        let names = tensors.names().into_iter();
        Reference(
            names
                .map(|name| (name.to_owned(), read(name)))
                .collect::<BTreeMap<_, _>>(),
        )
    }

    fn get(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        match self.0.get(name) {
            Some((_, values)) => values.iter().map(|value| *value as f32).collect(),
            None => Vec::new(),
        }
    }

    /// The batches; behavior cloning has observations and actions only.
    fn rows(&self) -> Vec<Rows> {
        let rows = |step: usize| {
            let column = |name: &str| self.f32(&format!("batch{step}/{name}"));
            let observation = column("obs");
            let n = observation.len() / 5;
            let or_zeros = |values: Vec<f32>, n| match values.is_empty() {
                true => vec![0.0; n],
                false => values,
            };
            let terminated = or_zeros(column("done"), n);
            Rows {
                action: column("act"),
                reward: or_zeros(column("rew"), n),
                next_observation: or_zeros(column("next_obs"), observation.len()),
                bootstrap: terminated.iter().map(|done| 0.99 * (1.0 - done)).collect(),
                terminated,
                // Our critics' step, which looks at s', draws before the actor's.
                noise: [column("eps"), column("eps_next"), column("eps_pi")].concat(),
                observation,
                ..Rows::default()
            }
        };
        (1..=STEPS).map(rows).collect()
    }

    /// The tensors under `prefix` as ours are called and laid out: `(file, name) -> values`.
    fn state(&self, prefix: &str) -> BTreeMap<(String, String), Vec<f64>> {
        let under = self
            .0
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        let state: BTreeMap<_, _> = under
            .map(|(name, (shape, values))| {
                let values = match shape[..] {
                    // Theirs are [out, in], ours [in, out].
                    [rows, columns] => (0..columns)
                        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
                        .collect(),
                    _ => values.clone(),
                };
                (our_name(name), values)
            })
            .collect();
        assert!(!state.is_empty(), "nothing under `{prefix}`");
        state
    }
}

/// `target_q2.0.weight` is `1.0.weight` in our `target_critic`.
fn our_name(name: &str) -> (String, String) {
    if name == "log_std" {
        return ("actor".to_owned(), name.to_owned());
    }
    if name == "log_alpha" {
        return ("temperature".to_owned(), "value".to_owned());
    }
    let (net, place) = name.split_once('.').unwrap();
    let (target, net) = match net.strip_prefix("target_") {
        Some(net) => ("target_", net),
        None => ("", net),
    };
    let (file, place) = match net {
        "actor" => ("actor", place.to_owned()),
        "q" | "critic" => ("critic", place.to_owned()),
        "q1" => ("critic", format!("0.{place}")),
        "q2" => ("critic", format!("1.{place}")),
        _ => panic!("no network of ours is called {net}"),
    };
    (format!("{target}{file}"), place)
}

/// The algorithm with the reference's initial weights, ready for its first step.
fn at_the_beginning(algorithm: impl Plugin, reference: &Reference) -> App {
    let mut app = fed(algorithm, reference.rows());
    let init = reference.state("init/");
    let tensors = init.iter().map(|((file, name), values)| {
        let values = values.iter().map(|value| *value as f32).collect();
        (file.as_str(), name.as_str(), values)
    });
    set(&mut app, tensors);
    app
}

fn relative(ours: &[f32], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let difference = ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - b);
    norm(difference) / norm(theirs.iter().copied())
}

/// The largest difference of each kind, after each was found small enough.
#[derive(Default)]
struct Differences(BTreeMap<&'static str, f64>);

impl Differences {
    #[track_caller]
    fn take(&mut self, kind: &'static str, place: impl Debug, off: f64, most: f64) {
        assert!(off <= most, "{kind} {place:?} is off by {off:.1e}");
        let largest = self.0.entry(kind).or_insert(0.0);
        *largest = largest.max(off);
    }

    fn loss(&mut self, step: usize, ours: f64, theirs: f64) {
        // A loss of exactly 0 (the temperature's first) is met exactly.
        let off = (ours - theirs).abs() / theirs.abs().max(f64::MIN_POSITIVE);
        self.take("loss", step, off, RELATIVE);
    }

    /// Compares the whole state with the reference's after `step`.
    fn state(&mut self, app: &App, reference: &Reference, step: usize) {
        let ours = snapshot(app);
        let init = reference.state("init/");
        for (place, theirs) in reference.state(&format!("step{step}/")) {
            let ours = &ours.files[&place.0][&place.1].values;
            self.take("state", (step, &place), relative(ours, &theirs), RELATIVE);
            let init = &init[&place];
            let moved = norm(theirs.iter().zip(init).map(|(now, then)| now - then));
            let off = relative(ours, &theirs) * norm(theirs.iter().copied());
            if moved > 0.0 {
                self.take("movement", (step, &place), off / moved, MOVED);
            } else {
                // What does not move keeps its bits.
                let init: Vec<f32> = init.iter().map(|value| *value as f32).collect();
                assert_eq!(*ours, init, "{place:?} moved before step {step}");
            }
        }
    }

    /// Compares the gradient of the optimizer's first step with the reference's.
    fn first_gradient<R: Role>(&mut self, app: &App, reference: &Reference, prefix: &str) {
        let network = app.world().resource::<Net<R>>();
        let moment = tensor(app, &format!("optimizer_{}", R::NAME), "0.first_moment");
        let mut theirs = reference.state(prefix);
        theirs.retain(|(file, _), _| file == R::NAME);
        let mut rest = &moment[..];
        for Piece { name, shape } in network.pieces("trunk.parameters") {
            let (moment, after) = rest.split_at(shape.iter().product());
            rest = after;
            let gradient: Vec<f32> = moment.iter().map(|moment| moment / 0.1).collect();
            let place = (R::NAME.to_owned(), name);
            let theirs = theirs.remove(&place).unwrap();
            self.take("gradient", place, relative(&gradient, &theirs), RELATIVE);
        }
        // A deviation that is the same for every observation is a parameter of its own.
        if let Some(theirs) = theirs.remove(&(R::NAME.to_owned(), "log_std".to_owned())) {
            let moment = tensor(app, &format!("optimizer_{}", R::NAME), "1.first_moment");
            let gradient: Vec<f32> = moment.iter().map(|moment| moment / 0.1).collect();
            let off = relative(&gradient, &theirs);
            self.take("gradient", "log_std", off, RELATIVE);
        }
        assert!(
            rest.is_empty() && theirs.is_empty(),
            "some were not compared"
        );
    }
}

fn small(encoder: &mut EncoderSettings) {
    encoder.set_hidden_sizes(&[24, 32]);
}

#[test]
fn td3_bc_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_td3bc.safetensors");
    let mut td3 = Td3Bc::default();
    small(&mut td3.critic.encoder);
    small(&mut td3.actor.encoder);
    let mut app = at_the_beginning(td3, &reference);
    let critic_losses = reference.get("critic_loss");
    let actor_losses = reference.get("actor_loss_even_steps");
    let mut differences = Differences::default();
    for t in 1..=STEPS {
        step(&mut app);
        let recorded = metrics(&mut app);
        differences.loss(t, recorded["critic/loss"], critic_losses[t - 1]);
        assert_eq!(recorded.contains_key("actor/loss"), t % 2 == 0, "step {t}");
        if t % 2 == 0 {
            differences.loss(t, recorded["actor/loss"], actor_losses[t / 2 - 1]);
        }
        match t {
            1 => differences.first_gradient::<Critic>(&app, &reference, "grad1/"),
            2 => differences.first_gradient::<Actor>(&app, &reference, "grad2/"),
            _ => {}
        }
        if [1, 2, STEPS].contains(&t) {
            differences.state(&app, &reference, t);
        }
    }
    println!("TD3+BC, largest differences: {:?}", differences.0);
}

#[test]
fn the_critics_target_agrees_with_the_reference_row_by_row() {
    let reference = Reference::read("ref_td3bc.safetensors");
    let mut td3 = Td3Bc::default();
    small(&mut td3.critic.encoder);
    small(&mut td3.actor.encoder);
    let mut app = at_the_beginning(td3, &reference);
    // The target is made of the target networks alone, which step 1 leaves where they began.
    step(&mut app);
    let mut noise = Random::<Noise>::new(Seed(0));
    noise.give_normals(reference.f32("batch1/eps"));
    let world = app.world();
    let y = td3::q_target(
        world.resource::<td3::TwinDelayed>(),
        world.resource::<Batch>(),
        world.resource::<Target<Actor>>(),
        world.resource::<Target<Critic>>(),
        &mut noise,
    );
    for (ours, theirs) in host(y).iter().zip(reference.get("target_y1")) {
        assert_close(f64::from(*ours), *theirs, RELATIVE * theirs.abs());
    }
}

#[test]
fn behavior_cloning_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_bc.safetensors");
    let mut bc = Bc::default();
    small(&mut bc.actor.encoder);
    let mut app = at_the_beginning(bc, &reference);
    let mut differences = Differences::default();
    for t in 1..=STEPS {
        step(&mut app);
        let ours = metrics(&mut app)["actor/loss"];
        differences.loss(t, ours, reference.get("loss")[t - 1]);
        if t == 1 {
            differences.first_gradient::<Actor>(&app, &reference, "grad1/");
        }
        if [1, STEPS].contains(&t) {
            differences.state(&app, &reference, t);
        }
    }
    println!("BC, largest differences: {:?}", differences.0);
}

#[test]
fn sac_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_sac.safetensors");
    let mut sac = Sac::default();
    small(&mut sac.critic.encoder);
    small(&mut sac.actor.encoder);
    let mut app = at_the_beginning(sac, &reference);
    let mut differences = Differences::default();
    for t in 1..=STEPS {
        step(&mut app);
        let recorded = metrics(&mut app);
        for (ours, theirs) in [
            ("critic/loss", "critic_loss"),
            ("actor/loss", "actor_loss"),
            ("temperature/loss", "alpha_loss"),
        ] {
            differences.loss(t, recorded[ours], reference.get(theirs)[t - 1]);
        }
        if t == 1 {
            differences.first_gradient::<Critic>(&app, &reference, "grad1/");
            differences.first_gradient::<Actor>(&app, &reference, "grad1/");
        }
        if [1, STEPS].contains(&t) {
            differences.state(&app, &reference, t);
        }
    }
    println!("SAC, largest differences: {:?}", differences.0);
}

#[test]
fn sacs_probabilities_and_target_agree_with_the_reference_row_by_row() {
    let reference = Reference::read("ref_sac.safetensors");
    let mut sac = Sac::default();
    small(&mut sac.critic.encoder);
    small(&mut sac.actor.encoder);
    let app = at_the_beginning(sac, &reference);
    let world = app.world();
    let rows = reference.rows().swap_remove(0);
    let matrix = |values: Vec<f32>, width: usize| {
        let shape = [values.len() / width, width];
        let device = device().plain();
        Tensor::<2>::from_data(TensorData::new(values, shape), &device)
    };
    let actor = world.resource::<Net<Actor>>();
    let policy = actor.distribution(matrix(rows.observation.clone(), 5));
    let ActionDistribution::SquashedGaussian(policy) = policy else {
        panic!("SAC's policy is a squashed Gaussian")
    };
    let drawn = policy.with_noise(matrix(reference.f32("batch1/eps_pi"), 2));
    for (ours, theirs) in host(drawn.log_probability)
        .iter()
        .zip(reference.get("logp_pi1"))
    {
        assert_close(f64::from(*ours), *theirs, RELATIVE * theirs.abs().max(1.0));
    }
    let mut noise = Random::<Noise>::new(Seed(0));
    noise.give_normals(reference.f32("batch1/eps_next"));
    let batch = rows.batch();
    let alpha = world.resource::<Net<sac::Temperature>>().value().exp();
    let y = sac::q_target(
        world.resource::<sac::SoftActorCritic>(),
        &batch,
        &actor.distribution(batch.next_observation.clone()),
        world.resource::<Target<Critic>>(),
        Some(alpha),
        &mut noise,
    );
    for (ours, theirs) in host(y).iter().zip(reference.get("target_y1")) {
        assert_close(f64::from(*ours), *theirs, RELATIVE * theirs.abs());
    }
}

/// DQN in an environment with three discrete actions.
struct AmongThree(Dqn);

impl Plugin for AmongThree {
    fn build(&self, app: &mut App) {
        app.insert_resource(Spaces {
            environment: "three discrete actions".to_owned(),
            observation: Space::from_bounds(&[(-1.0, 1.0); 5]),
            action: Space::Discrete { n: 3 },
        })
        .add_plugins(self.0.clone());
    }
}

#[test]
fn double_dqn_agrees_with_the_reference_for_ten_steps() {
    let reference = Reference::read("ref_dqn.safetensors");
    let mut dqn = Dqn {
        target_update: TargetUpdate::default(),
        ..default()
    };
    dqn.critic.optimizer.learning_rate = Schedule::Constant(3e-4);
    small(&mut dqn.critic.encoder);
    let mut app = at_the_beginning(AmongThree(dqn), &reference);
    let mut differences = Differences::default();
    for t in 1..=STEPS {
        step(&mut app);
        let ours = metrics(&mut app)["critic/loss"];
        differences.loss(t, ours, reference.get("loss")[t - 1]);
        if t == 1 {
            differences.first_gradient::<Critic>(&app, &reference, "grad1/");
        }
        if [1, STEPS].contains(&t) {
            differences.state(&app, &reference, t);
        }
    }
    println!("DQN, largest differences: {:?}", differences.0);
}

#[test]
fn advantages_and_returns_agree_with_the_reference() {
    let reference = Reference::read("ref_ppo.safetensors");
    let (value, done) = (reference.f32("gae/values"), reference.f32("gae/dones"));
    let after = [&value[3..], &reference.f32("gae/last_value")].concat();
    let next = after
        .iter()
        .zip(&done)
        .map(|(next, done)| next * (1.0 - done));
    let experienced = Experienced {
        environments: 3,
        reward: &reference.f32("gae/rewards"),
        value: &value,
        next_value: &next.collect::<Vec<_>>(),
        ended: &done.iter().map(|done| *done == 1.0).collect::<Vec<_>>(),
    };
    let mut advantage = vec![0.0; 36];
    generalized_advantages(experienced, 0.99, 0.95, &mut advantage);
    assert!(relative(&advantage, reference.get("gae/advantages")) < 1e-6);
    let returns = advantage.iter().zip(&value).map(|(a, v)| a + v);
    let returns: Vec<f32> = returns.collect();
    assert!(relative(&returns, reference.get("gae/returns")) < 1e-6);
}

/// PPO before its first step on the reference's batch, whose log-probabilities, values, advantages and returns are given.
fn ppo(reference: &Reference, kind: &str, change: impl FnOnce(&mut Ppo)) -> App {
    let read = |name: &str| reference.f32(&format!("{kind}/{name}"));
    let act = read("act");
    let width = act.len() / 16;
    let rows = FixedRollout {
        log_probability: Some(read("old_logp")),
        value: Some(read("old_value")),
        advantage: Some(read("adv")),
        returns: Some(read("ret")),
        ..FixedRollout::new(column(&read("obs"), 5), column(&act, width), vec![0.0; 16])
    };
    let rows = match kind {
        "discrete" => rows.of_discrete_actions(3),
        _ => rows.of_numbers(),
    };
    let mut ppo = Ppo {
        epochs: 1,
        minibatches: 1,
        value_clip: Some(0.2),
        entropy_coefficient: 0.01,
        ..default()
    };
    small(&mut ppo.actor.encoder);
    small(&mut ppo.critic.encoder);
    for encoder in [&mut ppo.actor.encoder, &mut ppo.critic.encoder] {
        encoder.as_mlp_mut().unwrap().activation = Activation::Relu;
    }
    change(&mut ppo);
    let mut app = given(ppo, rows);
    let init = reference.state(&format!("{kind}/init/"));
    let init = init.iter().map(|((file, name), values)| {
        let values = values.iter().map(|value| *value as f32).collect();
        (file.as_str(), name.as_str(), values)
    });
    set(&mut app, init);
    prepare(&mut app);
    app
}

/// Takes PPO's first step and compares it with the reference's.
#[track_caller]
fn ppos_first_step_agrees(kind: &str, change: impl FnOnce(&mut Ppo)) -> Differences {
    let reference = Reference::read("ref_ppo.safetensors");
    let mut app = ppo(&reference, kind, change);
    step(&mut app);
    let recorded = metrics(&mut app);
    let mut differences = Differences::default();
    for (ours, theirs) in [
        ("actor/loss", "policy_loss"),
        ("critic/loss", "value_loss"),
        ("actor/entropy", "entropy"),
        ("train/loss", "total"),
        ("actor/approx_kl", "approx_kl"),
        ("actor/clip_fraction", "clip_fraction"),
    ] {
        let theirs = reference.get(&format!("{kind}/{theirs}"))[0];
        differences.loss(1, recorded[ours], theirs);
    }
    // The reference differentiates the weighed sum of all losses, as we do.
    let prefix = format!("{kind}/grad/");
    differences.first_gradient::<Actor>(&app, &reference, &prefix);
    differences.first_gradient::<Critic>(&app, &reference, &prefix);
    differences
}

#[test]
fn ppos_losses_measures_and_gradients_agree_with_the_reference() {
    for kind in ["discrete", "gaussian"] {
        let differences = ppos_first_step_agrees(kind, |_| {});
        println!("PPO, {kind}, largest differences: {:?}", differences.0);
    }
}

#[test]
fn a_setting_of_ppo_that_is_a_little_off_is_seen_by_the_comparison() {
    let changes: [fn(&mut Ppo); 6] = [
        |ppo| ppo.clip = 0.21,
        |ppo| ppo.value_clip = Some(0.21),
        |ppo| ppo.value_clip = None,
        |ppo| ppo.entropy_coefficient = 0.011,
        |ppo| ppo.value_coefficient = 0.51,
        |ppo| ppo.normalize_advantages = false,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        for kind in ["discrete", "gaussian"] {
            let compared = std::panic::catch_unwind(|| ppos_first_step_agrees(kind, change));
            assert!(compared.is_err(), "change {index}, {kind}");
        }
    }
}
