//! REINFORCE, A2C and PPO: what their papers' formulas come to in literal numbers, and rounds from environments and from fixed rollouts,
//! all through the real plugins. `parity.rs` holds PPO against a float64 reference.

use std::collections::BTreeMap;

use yarak::checkpoint::RestorePlugin;
use yarak::checkpoint::{ResumeFrom, gather};
use yarak::collect::{Autoreset, NormalizeObservations, NormalizeReturns};
use yarak::data::FixedRollout;
use yarak::prelude::*;
use yarak::report::Reported;
use yarak::schedule::{FacilitatorPlugin, Outcome, SchedulePlugin};

use crate::small_run::{
    assert_close, column, device, given, host, metrics, prepare, set, step, tensor,
};

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
    edited(algorithm, steps, |_| {})
}

/// The same after an edit.
fn edited(algorithm: impl Plugin, steps: u64, edit: impl FnOnce(&mut App)) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, RestorePlugin))
        .add_plugins(Reports::default())
        .insert_resource(device())
        .insert_resource(Seed(0))
        .add_plugins(Environments {
            env: "CartPole-v1".to_owned(),
            num_envs: 4,
            autoreset: Autoreset::NextStep,
            ..default()
        })
        .add_plugins((NormalizeObservations {}, NormalizeReturns::default()))
        .add_plugins(algorithm);
    edit(&mut app);
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
    ppo.actor.encoder.set_hidden_sizes(&[16]);
    ppo.critic.encoder.set_hidden_sizes(&[16]);
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
    let rollout = app.world().resource::<RolloutBuffer>();
    assert_eq!(rollout.rows(), 64);
    let recorded = &app.world().resource::<Reported>().values;
    let recorded: BTreeMap<String, f64> = recorded.iter().cloned().collect();
    for name in [
        "train/loss",
        "actor/loss",
        "critic/loss",
        "actor/entropy",
        "actor/approx_kl",
        "actor/clip_fraction",
        "critic/explained_variance",
        "learning_rate/actor",
        "learning_rate/critic",
        "actor/gradient_norm",
        "critic/gradient_norm",
        "rollout/episodic_return",
    ] {
        assert!(recorded.contains_key(name), "{name} of {recorded:?}");
    }
    let sum = recorded["actor/loss"] + 0.5 * recorded["critic/loss"];
    assert_close(recorded["train/loss"], sum, 1e-6 * sum);
}

#[test]
fn a_run_of_epochs_takes_as_many_rounds_as_have_them() {
    // Three epochs a round.
    let mut app = edited(small_ppo(), u64::MAX, |app| {
        app.world_mut().resource_mut::<Clock>().epochs = Some(5);
    });
    run(&mut app);
    let clock = app.world().resource::<Clock>();
    assert_eq!((clock.step, clock.epoch()), (2 * 64, 6));
}

#[test]
fn a_rounds_preparation_and_its_steps_are_replaced_like_any_other() {
    fn sum_rewards(mut rollout: ResMut<RolloutBuffer>) {
        rollout.sum_rewards(0.9);
    }
    let mut app = edited(small_ppo(), 64, |app| {
        app.replace(Prepare, PrepareSystems::Advantages, sum_rewards)
            .replace(Learn, LearnSystems::Actor, on_policy::update_actor);
    });
    run(&mut app);
    let recorded = &app.world().resource::<Reported>().values;
    let has = |name: &str| recorded.iter().any(|(there, _)| there == name);
    assert!(has("actor/loss") && has("critic/loss"));
    assert!(!has("critic/explained_variance") && !has("actor/clip_fraction"));
    let rollout = app.world().resource::<RolloutBuffer>();
    assert!(rollout.value().iter().all(|value| *value == 0.0));
    assert_eq!(rollout.advantage(), rollout.returns());
}

#[test]
fn a_target_divergence_ends_a_round_between_its_epochs() {
    let mut ppo = small_ppo();
    ppo.actor.optimizer.learning_rate = Schedule::Constant(0.1);
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
fn linear_critic() -> on_policy::ValueSettings {
    on_policy::ValueSettings {
        encoder: EncoderSettings::from(&[]),
        optimizer: OptimizerSettings {
            rule: Optimizer::Sgd { momentum: None },
            ..OptimizerSettings::at(1.0)
        },
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
        let rows = FixedRollout {
            terminated: Some(vec![terminated]),
            next_observation: Some(column(&[0.0, 1.0], 2)),
            ..FixedRollout::new(column(&[1.0, 0.0], 2), column(&[0.0], 1), vec![1.0])
        };
        let mut app = given(a2c, rows.of_discrete_actions(2));
        set(&mut app, [("critic", "0.weight", vec![0.5, 2.0])]);
        prepare(&mut app);
        let found = app.world().resource::<RolloutBuffer>().advantage()[0];
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
    let mut a2c = A2c {
        critic: linear_critic(),
        ..default()
    };
    a2c.critic.optimizer.max_gradient_norm = Some(1.0);
    // V = 0 and R = −2: the gradient is 2 (V − R) (s, 1).
    let rows = FixedRollout {
        returns: Some(vec![-2.0]),
        ..FixedRollout::new(column(&[0.75], 1), column(&[0.0], 1), vec![0.0])
    };
    let mut app = given(a2c, rows.of_discrete_actions(2));
    set(&mut app, [("critic", "0.weight", vec![0.0])]);
    prepare(&mut app);
    step(&mut app);
    assert_close(metrics(&mut app)["critic/gradient_norm"], 5.0, 1e-5);
    let [weight, bias] = critic(&app);
    assert_close(f64::from(weight[0]), -0.6, 1e-6);
    assert_close(f64::from(bias[0]), -0.8, 1e-6);
}

#[test]
fn weights_decay_as_the_rule_has_it() {
    let (adam, adam_w) = (Optimizer::adam(), Optimizer::adam_w());
    for (rule, weight_decay, expected) in [(adam, 0.0, 4.0), (adam, 0.5, 3.9), (adam_w, 0.5, 3.8)] {
        let mut a2c = A2c {
            lambda: 0.0,
            ..default()
        };
        a2c.critic.encoder.set_hidden_sizes(&[]);
        a2c.critic.optimizer = OptimizerSettings {
            rule,
            weight_decay,
            ..OptimizerSettings::at(0.1)
        };
        // The second weight has no gradient but its decay: Adam's step is then the rate, AdamW's rate · decay · weight.
        let rows = FixedRollout {
            next_observation: Some(column(&[0.0, 1.0], 2)),
            ..FixedRollout::new(column(&[1.0, 0.0], 2), column(&[0.0], 1), vec![1.0])
        };
        let mut app = given(a2c, rows.of_discrete_actions(2));
        set(&mut app, [("critic", "0.weight", vec![0.5, 4.0])]);
        prepare(&mut app);
        step(&mut app);
        let [weight, _] = critic(&app);
        assert_close(f64::from(weight[1]), expected, 1e-6);
    }
}

#[test]
fn rows_are_given_with_states_actions_rewards_and_advantages_and_nothing_else() {
    // The second choice is the better one, whatever is seen.
    let rows = || FixedRollout {
        advantage: Some(vec![1.0, -1.0, 1.0, -1.0]),
        ..FixedRollout::new(
            column(&[0.1, -0.2, 0.3, 0.4], 1),
            column(&[1.0, 0.0, 1.0, 0.0], 1),
            vec![1.0, 0.0, 1.0, 0.0],
        )
    };
    fn chooses(algorithm: impl Plugin, rows: FixedRollout) -> Vec<f32> {
        let mut app = given(algorithm, rows.of_discrete_actions(2));
        app.world_mut().resource_mut::<Clock>().steps = 200;
        app.world_mut().resource_mut::<Training>().outcome = None;
        run(&mut app);
        let observation = Tensor::from_floats([[0.0], [1.0]], &device().plain());
        let policy = app.world().resource::<Net<Actor>>();
        let ActionDistribution::Categorical(discrete_actions) = policy.distribution(observation)
        else {
            panic!("discrete actions were given")
        };
        host(discrete_actions.log_probabilities.exp())
    }
    let actor = on_policy::PolicySettings {
        optimizer: OptimizerSettings::at(1e-2),
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
        FixedRollout::new(
            column(&[0.1, 0.2], 1),
            column(&[1.0, 0.0], 1),
            vec![1.0, 0.0],
        )
    };
    let refusal = |rows: FixedRollout| RolloutBuffer::fixed(&rows).unwrap_err().to_string();
    let short = FixedRollout {
        advantage: Some(vec![1.0]),
        ..rows()
    };
    let said = refusal(short);
    assert!(
        said.contains("the given `advantage` has 1 row(s), and `observation` 2"),
        "{said}"
    );
    let broken = FixedRollout {
        value: Some(vec![0.0, f32::NAN]),
        ..rows()
    };
    assert!(refusal(broken).contains("the given `value` has a NaN or an infinity in row 1"));
    let wide = FixedRollout {
        next_observation: Some(column(&[0.0; 4], 2)),
        ..rows()
    };
    assert!(refusal(wide).contains("`next_observation` has 2 column(s), and `observation` 1"));
    let mut app = App::new();
    let third = FixedRollout::new(
        column(&[0.1, 0.2], 1),
        column(&[1.0, 2.0], 1),
        vec![1.0, 0.0],
    );
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(device())
        .add_plugins((third.of_discrete_actions(2), Ppo::default()));
    app.world_mut().resource_mut::<Clock>().steps = 1;
    app.finish();
    app.update();
    let outcome = app.world().resource::<Training>().outcome.clone();
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("2 is no choice of two")
    };
    assert!(
        failure
            .message
            .contains("row 1 is none of 2 discrete actions"),
        "{failure}"
    );
    let cut = FixedRollout {
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
        .insert_resource(device())
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
