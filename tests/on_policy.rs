//! REINFORCE, A2C and PPO: what their papers' formulas come to in literal numbers, PPO against a float64 reference, and rounds from
//! environments and from given rows, all through the real plugins.

mod small_run;

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use small_run::{assert_close, file, host, metrics, norm, set, start, step, tensor};
use yarak::checkpoint::RestorePlugin;
use yarak::data::{Experienced, generalised_advantages};
use yarak::learner::Piece;
use yarak::prelude::*;

fn column(values: &[f32], width: usize) -> Column {
    Column {
        values: values.to_vec(),
        width,
    }
}

/// A started app with the algorithm, which learns from given rows.
fn given(algorithm: impl Plugin, rows: GivenRowsPlugin) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(ComputeDevice::cpu())
        .insert_resource(Seed(0))
        .add_plugins(rows)
        .add_plugins(algorithm);
    start(&mut app);
    app
}

/// Begins a round.
fn prepare(app: &mut App) {
    app.world_mut().run_schedule(Prepare);
    assert_eq!(take_failure(), None);
}

fn run(app: &mut App) {
    for _ in 0..10_000 {
        app.update();
        match app.world().resource::<Training>().outcome.clone() {
            Some(Outcome::Failed(failure)) => panic!("{failure}"),
            Some(_) => return,
            None => {}
        }
    }
    panic!("the run never ended")
}

/// An app that learns on four poles, before its first step.
fn on_poles(algorithm: impl Plugin, steps: u64) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, RestorePlugin))
        .add_plugins(Reports::default())
        .insert_resource(ComputeDevice::cpu())
        .insert_resource(Seed(0))
        .add_plugins(Environments {
            env: "CartPole-v1".to_owned(),
            count: 4,
            autoreset: Autoreset::NextStep,
            ..default()
        })
        .add_plugins((NormaliseObservations {}, NormaliseReturns::default()))
        .add_plugins(algorithm);
    app.world_mut().resource_mut::<Clock>().steps = steps;
    app.finish();
    app.cleanup();
    app
}

fn small_ppo() -> Ppo {
    let mut ppo = Ppo {
        steps: 16,
        epochs: 3,
        minibatches: 5,
        ..default()
    };
    (ppo.actor.layers, ppo.critic.layers) = (vec![16], vec![16]);
    ppo
}

/// What a run came to, without what its reports say.
fn state(app: &App) -> Snapshot {
    let mut snapshot = gather(app.world(), 0).unwrap();
    snapshot.state.remove("metrics");
    snapshot
}

#[test]
fn a_run_that_is_saved_between_rounds_and_resumed_has_the_bits_of_the_whole_one() {
    fn resumes<A: Plugin + Clone>(algorithm: A) {
        let mut whole = on_poles(algorithm.clone(), 640);
        run(&mut whole);
        let mut first = on_poles(algorithm.clone(), 256);
        run(&mut first);
        let saved = gather(first.world(), 256).unwrap();
        let mut second = on_poles(algorithm, 640);
        second.insert_resource(ResumeFrom(saved));
        run(&mut second);
        let (second, whole) = (state(&second), state(&whole));
        for (key, value) in &whole.state {
            assert_eq!(second.state.get(key), Some(value), "{key}");
        }
        assert!(second == whole);
    }
    resumes(small_ppo());
    resumes(A2c::default());
    resumes(Reinforce {
        steps: 64,
        ..default()
    });
}

#[test]
fn a_round_takes_its_steps_in_all_environments_and_then_its_minibatches() {
    let mut app = on_poles(small_ppo(), 3 * 16 * 4);
    run(&mut app);
    let clock = app.world().resource::<Clock>();
    assert_eq!((clock.step, clock.gradient_steps), (192, 3 * 3 * 5));
    let rollout = app.world().resource::<Rollout>();
    assert_eq!(rollout.rows(), 64);
    let recorded = &app.world().resource::<Reported>().values;
    let recorded: BTreeMap<String, f64> = recorded.iter().cloned().collect();
    for name in [
        "loss",
        "actor/loss",
        "critic/loss",
        "entropy",
        "approx_kl",
        "clip_fraction",
        "explained_variance",
        "rate/actor",
        "rate/critic",
        "actor/gradient_norm",
        "critic/gradient_norm",
        "collect/return",
    ] {
        assert!(recorded.contains_key(name), "{name} of {recorded:?}");
    }
    let sum = recorded["actor/loss"] + 0.5 * recorded["critic/loss"];
    assert_close(recorded["loss"], sum, 1e-6 * sum);
}

#[test]
fn a_target_divergence_ends_a_round_between_its_epochs() {
    let mut ppo = small_ppo();
    ppo.actor.learning_rate = LearningRate::Constant(0.1);
    let gradient_steps = |target_kl| {
        let ppo = Ppo {
            target_kl,
            ..ppo.clone()
        };
        let mut app = on_poles(ppo, 64);
        run(&mut app);
        app.world().resource::<Clock>().gradient_steps
    };
    assert_eq!(gradient_steps(None), 15);
    assert_eq!(gradient_steps(Some(1e9)), 15);
    // The first epoch already moves too far, and is finished.
    assert_eq!(gradient_steps(Some(1e-6)), 5);
}

/// A critic V(s) = w · s + b, and gradient descent with rate 1.
fn linear_critic() -> reinforce::ValueSettings {
    reinforce::ValueSettings {
        layers: vec![],
        optimizer: Optimizer::Sgd { momentum: None },
        learning_rate: LearningRate::Constant(1.0),
        ..default()
    }
}

/// The critic's weights, and its bias.
fn critic(app: &App) -> [Vec<f32>; 2] {
    ["0.weight", "0.bias"].map(|name| tensor(app, "critic", name))
}

#[test]
fn td_errors_are_advantages_and_no_gradient_flows_into_the_next_value() {
    for (terminated, advantage) in [(false, 2.48), (true, 0.5)] {
        let a2c = A2c {
            lambda: 0.0,
            critic: linear_critic(),
            ..default()
        };
        // V(s) = 0.5 and V(s') = 2, each by a weight of its own.
        let rows = GivenRows {
            terminated: Some(vec![terminated]),
            next_observation: Some(column(&[0.0, 1.0], 2)),
            ..GivenRows::new(column(&[1.0, 0.0], 2), column(&[0.0], 1), vec![1.0])
        };
        let mut app = given(a2c, rows.of_choices(2));
        set(&mut app, [("critic", "0.weight", vec![0.5, 2.0])]);
        prepare(&mut app);
        let found = app.world().resource::<Rollout>().advantage()[0];
        assert_close(f64::from(found), advantage, 1e-6);
        step(&mut app);
        let recorded = metrics(&mut app);
        assert_close(recorded["critic/loss"], advantage * advantage, 1e-5);
        let [weight, bias] = critic(&app);
        // The gradient into V is −2 · 2.48 = −4.96.
        assert_close(f64::from(weight[0]), 0.5 + 2.0 * advantage, 1e-5);
        assert_close(f64::from(bias[0]), 2.0 * advantage, 1e-5);
        assert_eq!(weight[1], 2.0);
    }
}

#[test]
fn a_gradient_of_3_and_4_is_clipped_to_0_6_and_0_8() {
    let a2c = A2c {
        critic: reinforce::ValueSettings {
            max_gradient_norm: Some(1.0),
            ..linear_critic()
        },
        ..default()
    };
    // V = 0 and R = −2: the gradient is 2 (V − R) (s, 1).
    let rows = GivenRows {
        returns: Some(vec![-2.0]),
        ..GivenRows::new(column(&[0.75], 1), column(&[0.0], 1), vec![0.0])
    };
    let mut app = given(a2c, rows.of_choices(2));
    set(&mut app, [("critic", "0.weight", vec![0.0])]);
    prepare(&mut app);
    step(&mut app);
    assert_close(metrics(&mut app)["critic/gradient_norm"], 5.0, 1e-5);
    let [weight, bias] = critic(&app);
    assert_close(f64::from(weight[0]), -0.6, 1e-6);
    assert_close(f64::from(bias[0]), -0.8, 1e-6);
}

#[test]
fn rows_are_given_with_states_actions_rewards_and_advantages_and_nothing_else() {
    // The second choice is the better one, whatever is seen.
    let rows = || GivenRows {
        advantage: Some(vec![1.0, -1.0, 1.0, -1.0]),
        ..GivenRows::new(
            column(&[0.1, -0.2, 0.3, 0.4], 1),
            column(&[1.0, 0.0, 1.0, 0.0], 1),
            vec![1.0, 0.0, 1.0, 0.0],
        )
    };
    fn chooses(algorithm: impl Plugin, rows: GivenRows) -> Vec<f32> {
        let mut app = given(algorithm, rows.of_choices(2));
        app.world_mut().resource_mut::<Clock>().steps = 200;
        app.world_mut().resource_mut::<Training>().outcome = None;
        run(&mut app);
        let observation = Tensor::from_floats([[0.0], [1.0]], &ComputeDevice::cpu().plain());
        let policy = app.world().resource::<Net<SpaceActor>>();
        let SpaceDistribution::Choices(choices) = policy.distribution(observation) else {
            panic!("choices were given")
        };
        host(choices.log_probabilities.exp())
    }
    let actor = reinforce::PolicySettings {
        learning_rate: LearningRate::Constant(1e-2),
        ..default()
    };
    let reinforce = Reinforce {
        actor: actor.clone(),
        ..default()
    };
    let a2c = A2c {
        actor: actor.clone(),
        ..default()
    };
    let ppo = Ppo {
        minibatches: 2,
        actor,
        ..default()
    };
    for p in [
        chooses(reinforce, rows()),
        chooses(a2c, rows()),
        chooses(ppo, rows()),
    ] {
        assert!(p[1] > 0.8 && p[3] > 0.8, "{p:?}");
    }
}

#[test]
fn rows_that_cannot_be_a_round_are_refused_in_words() {
    let rows = || {
        GivenRows::new(
            column(&[0.1, 0.2], 1),
            column(&[1.0, 0.0], 1),
            vec![1.0, 0.0],
        )
    };
    let refusal = |rows: GivenRows| Rollout::given(&rows).unwrap_err().to_string();
    let short = GivenRows {
        advantage: Some(vec![1.0]),
        ..rows()
    };
    let said = refusal(short);
    assert!(
        said.contains("the given `advantage` has 1 row(s), and `observation` 2"),
        "{said}"
    );
    let cut = GivenRows {
        truncated: Some(vec![true, false]),
        ..rows()
    };
    let said = refusal(cut);
    assert!(
        said.contains("row 0 ends no episode") && said.contains("next_observation"),
        "{said}"
    );

    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(ComputeDevice::cpu())
        .add_plugins(Ppo::default());
    app.world_mut().resource_mut::<Clock>().steps = 1;
    app.finish();
    app.update();
    let outcome = app.world().resource::<Training>().outcome.clone();
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("there is nothing to learn from")
    };
    assert!(
        failure.message.contains("add `Environments(env"),
        "{failure}"
    );
    assert_eq!(failure.exit_status(), 2);
}

mod reference {
    use super::*;

    const RELATIVE: f64 = 1e-4;

    /// The tensors of the reference by name, in float64.
    struct Reference(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

    impl Reference {
        fn read() -> Self {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/parity/ref_ppo.safetensors");
            let bytes = std::fs::read(path).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let read = |name: &str| {
                let view = tensors.tensor(name).unwrap();
                let number = |bytes: &[u8]| match view.dtype() {
                    Dtype::F64 => f64::from_le_bytes(bytes.try_into().unwrap()),
                    Dtype::I64 => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
                    other => panic!("{name} is of {other:?}"),
                };
                let numbers = view.data().chunks_exact(8).map(number);
                (view.shape().to_vec(), numbers.collect())
            };
            let names = tensors.names().into_iter();
            Reference(names.map(|name| (name.to_owned(), read(name))).collect())
        }

        fn f64(&self, name: &str) -> &[f64] {
            &self.0[name].1
        }

        fn f32(&self, name: &str) -> Vec<f32> {
            self.f64(name).iter().map(|value| *value as f32).collect()
        }

        /// The tensors under `prefix` as ours are called and laid out: `(file, name) -> values`.
        fn networks(&self, prefix: &str) -> BTreeMap<(String, String), Vec<f64>> {
            let under = self.0.iter();
            let under = under.filter_map(|(name, it)| Some((name.strip_prefix(prefix)?, it)));
            let named = under.map(|(name, (shape, values))| {
                let values = match shape[..] {
                    // Theirs are [out, in], ours [in, out].
                    [rows, columns] => (0..columns)
                        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
                        .collect(),
                    _ => values.clone(),
                };
                let (file, name) = name.split_once('.').unwrap_or(("actor", name));
                ((file.to_owned(), name.to_owned()), values)
            });
            named.collect()
        }
    }

    fn relative(ours: &[f32], theirs: &[f64]) -> f64 {
        assert_eq!(ours.len(), theirs.len());
        let off = ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - b);
        norm(off) / norm(theirs.iter().copied())
    }

    #[test]
    fn advantages_and_returns_agree_with_the_reference() {
        let reference = Reference::read();
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
        generalised_advantages(experienced, 0.99, 0.95, &mut advantage);
        assert!(relative(&advantage, reference.f64("gae/advantages")) < 1e-6);
        let returns = advantage.iter().zip(&value).map(|(a, v)| a + v);
        let returns: Vec<f32> = returns.collect();
        assert!(relative(&returns, reference.f64("gae/returns")) < 1e-6);
    }

    /// PPO's first step on the reference's batch: what it recorded, and the app afterwards.
    fn first_step(
        reference: &Reference,
        kind: &str,
        change: impl FnOnce(&mut Ppo),
    ) -> (BTreeMap<String, f64>, App) {
        let read = |name: &str| reference.f32(&format!("{kind}/{name}"));
        let act = read("act");
        let rows = GivenRows {
            log_probability: Some(read("old_logp")),
            value: Some(read("old_value")),
            advantage: Some(read("adv")),
            returns: Some(read("ret")),
            ..GivenRows::new(
                column(&read("obs"), 5),
                column(&act, act.len() / 16),
                vec![0.0; 16],
            )
        };
        let rows = match kind {
            "discrete" => rows.of_choices(3),
            _ => rows.of_numbers(),
        };
        let mut ppo = Ppo {
            epochs: 1,
            minibatches: 1,
            value_clip: Some(0.2),
            entropy_coefficient: 0.01,
            ..default()
        };
        (ppo.actor.layers, ppo.critic.layers) = (vec![24, 32], vec![24, 32]);
        (ppo.actor.activation, ppo.critic.activation) = (Activation::Relu, Activation::Relu);
        change(&mut ppo);
        let mut app = given(ppo, rows);
        let init = reference.networks(&format!("{kind}/init/"));
        let init = init.iter().map(|((file, name), values)| {
            let values = values.iter().map(|value| *value as f32).collect();
            (file.as_str(), name.as_str(), values)
        });
        set(&mut app, init);
        prepare(&mut app);
        step(&mut app);
        (metrics(&mut app), app)
    }

    /// How far the step is from the reference at the most: a recorded number, or the gradient of a weight or bias.
    fn apart(reference: &Reference, kind: &str, change: impl FnOnce(&mut Ppo)) -> f64 {
        let (ours, app) = first_step(reference, kind, change);
        let mut most = 0.0_f64;
        for (name, theirs) in [
            ("actor/loss", "policy_loss"),
            ("critic/loss", "value_loss"),
            ("entropy", "entropy"),
            ("loss", "total"),
            ("approx_kl", "approx_kl"),
            ("clip_fraction", "clip_fraction"),
        ] {
            let theirs = reference.f64(&format!("{kind}/{theirs}"))[0];
            most = most.max((ours[name] - theirs).abs() / theirs.abs());
        }
        let theirs = reference.networks(&format!("{kind}/grad/"));
        let mut compared = 0;
        for (role, pieces) in [
            (
                "actor",
                app.world()
                    .resource::<Net<SpaceActor>>()
                    .pieces("trunk.parameters"),
            ),
            (
                "critic",
                app.world()
                    .resource::<Net<StateCritic>>()
                    .pieces("trunk.parameters"),
            ),
        ] {
            let optimizer = format!("optimizer_{role}");
            // After Adam's first step the first moment is a tenth of the gradient.
            let moments = tensor(&app, &optimizer, "0.first_moment");
            let mut rest = &moments[..];
            let mut gradients = Vec::new();
            for Piece { name, shape } in pieces {
                let (own, after) = rest.split_at(shape.iter().product());
                rest = after;
                gradients.push((name, own.to_vec()));
            }
            if let Some(log_std) = file(&app, &optimizer).get("1.first_moment") {
                gradients.push(("log_std".to_owned(), log_std.values.clone()));
            }
            for (name, moments) in gradients {
                let gradient: Vec<f32> = moments.iter().map(|moment| moment / 0.1).collect();
                let theirs = &theirs[&(role.to_owned(), name)];
                most = most.max(relative(&gradient, theirs));
                compared += 1;
            }
        }
        assert_eq!(compared, theirs.len());
        most
    }

    #[test]
    fn ppos_losses_measures_and_gradients_agree_with_the_reference() {
        let reference = Reference::read();
        for kind in ["discrete", "gaussian"] {
            let apart = apart(&reference, kind, |_| {});
            println!("{kind}: {apart:.1e}");
            assert!(apart < RELATIVE, "{kind}: {apart:.1e}");
        }
    }

    #[test]
    fn a_setting_that_is_a_little_off_is_seen_by_the_comparison() {
        let reference = Reference::read();
        let changes: [fn(&mut Ppo); 6] = [
            |ppo| ppo.clip = 0.21,
            |ppo| ppo.value_clip = Some(0.21),
            |ppo| ppo.value_clip = None,
            |ppo| ppo.entropy_coefficient = 0.011,
            |ppo| ppo.value_coefficient = 0.51,
            |ppo| ppo.normalise_advantages = false,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            for kind in ["discrete", "gaussian"] {
                let apart = apart(&reference, kind, change);
                assert!(
                    apart > 10.0 * RELATIVE,
                    "change {index}, {kind}: {apart:.1e}"
                );
            }
        }
    }
}
