//! Deliberate mistakes in a plugin, each of which a check of `yarak::testing` catches, with a message that names it.

mod discrete_actions;
mod environments;
mod rounds;

use bevy_ecs::system::ScheduleSystem;
use yarak::plugins::{bc, td3_bc};
use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

fn small() -> Td3Bc {
    let mut td3 = Td3Bc {
        minibatch: MinibatchSettings::of(32),
        ..default()
    };
    td3.actor.encoder.set_hidden_sizes(&[16]);
    td3.critic.encoder.set_hidden_sizes(&[16]);
    td3.actor.update_freq = 1;
    td3
}

fn with(edit: impl Fn(&mut App) + 'static) -> Trial {
    Trial::of(small()).with(edit)
}

/// TD3+BC with another critic step.
fn critic<M>(step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + 'static) -> Trial {
    with(move |app| {
        app.replace(Learn, LearnSystems::Critic, step.clone());
    })
}

/// TD3+BC with another actor step.
fn actor<M>(step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + 'static) -> Trial {
    with(move |app| {
        app.replace(Learn, LearnSystems::Actor, step.clone());
    })
}

const SLOTS: &[(LearnSystems, &[&str])] = &[
    (LearnSystems::Critic, &["critic"]),
    (LearnSystems::Actor, &["actor"]),
    (LearnSystems::Targets, &["target_actor", "target_critic"]),
];

#[track_caller]
fn caught(found: Result<(), Mistake>, words: &[&str]) {
    let said = found
        .expect_err("the check must find the mistake")
        .to_string();
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

/// The check finds the mistake, and says this.
#[track_caller]
fn says(found: Result<(), Mistake>, words: &str) {
    let said = found.expect_err("the check must find the mistake");
    assert_eq!(said.to_string(), words);
}

/// The check finds that a run differs where it goes on, and says which resource is not saved, and what to do.
#[track_caller]
fn names_the_unsaved(found: Result<(), Mistake>, resource: &str) {
    let said = found.expect_err("the check must find the mistake");
    let said = said.to_string();
    let begins = format!(
        "resource `{resource}` is changed by a step and nobody persists it: a run that was saved and resumed differs in `actor`, "
    );
    let ends = format!(
        ". Register it with `app.persist_serde::<{resource}>()`, or implement `Persist` for it and register it with `app.persist::<{resource}>()`"
    );
    assert!(said.starts_with(&begins) && said.ends_with(&ends), "{said}");
}

/// r + γ Q'(s', π'(s')) with the target networks.
fn target(batch: &Batch, actor: &Target<Actor>, critic: &Target<Critic>) -> Tensor<1> {
    let next = batch.next_observation.clone();
    let q = critic.q1(next.clone(), actor.act(next));
    batch.reward.clone() + batch.bootstrap.clone() * q
}

#[test]
fn the_algorithm_without_a_mistake_passes_every_check() -> Result<(), Mistake> {
    let right = |batch: Res<Batch>,
                 target_actor: Res<Target<Actor>>,
                 target_critic: Res<Target<Critic>>,
                 mut critic: Learning<Critic>,
                 mut metrics: ResMut<Metrics>|
     -> Result {
        let y = target(&batch, &target_actor, &target_critic);
        let q = critic.q(batch.observation.clone(), batch.action.clone());
        let loss = losses::mse_of_each(q, y).sum();
        metrics.record("critic/loss", loss.clone());
        critic.descend(loss)?;
        Ok(())
    };
    for trial in [Trial::of(small()), critic(right)] {
        trial.networks_exist(&["actor", "critic"])?;
        trial.losses_are_finite()?;
        trial.changes(SLOTS)?;
        trial.one_writer_for_each_network()?;
        trial.targets_follow(0.005)?;
        trial.targets_are_detached("critic")?;
        trial.terminals_stop_the_bootstrap("critic")?;
        trial.looking_changes_nothing()?;
        trial.same_seed_same_bits()?;
        trial.resumes_exactly()?;
    }
    Ok(())
}

#[test]
fn a_forgotten_detach_is_caught() {
    // The bootstrapped value comes from the network in training, and the error is written by hand.
    let forgotten = |batch: Res<Batch>,
                     target_actor: Res<Target<Actor>>,
                     mut critic: Learning<Critic>|
     -> Result {
        let next = batch.next_observation.clone();
        let next_action = target_actor.act(next.clone());
        let q_next = critic.q(next, next_action);
        let constant = |x: Tensor<1>| x.unsqueeze::<2>().stop_gradient();
        let y = q_next * constant(batch.bootstrap.clone()) + constant(batch.reward.clone());
        let q = critic.q(batch.observation.clone(), batch.action.clone());
        critic.descend((q - y).square().mean())?;
        Ok(())
    };
    caught(
        critic(forgotten).targets_are_detached("critic"),
        &["`critic`", "not detached", ".stop_gradient()"],
    );
}

#[test]
fn a_step_in_the_wrong_slot_is_caught() {
    // The actor's step is behind the targets', so they follow the actor of the step before.
    let trial = with(|app| {
        app.remove(Learn, LearnSystems::Actor)
            .add_systems(Learn, td3_bc::update_actor.in_set(LearnSystems::Measure));
    });
    caught(
        trial.changes(SLOTS),
        &[
            "slot `Measure`",
            "`actor`",
            "td3_bc::update_actor",
            "wrong slot",
        ],
    );
}

#[test]
fn a_step_in_no_slot_is_caught() {
    let trial = with(|app| {
        app.add_systems(Learn, |clock: Res<Clock>, mut told: Local<u64>| {
            *told = clock.step
        });
    });
    caught(
        trial.changes(SLOTS),
        &["in no slot", ".in_set(LearnSystems::"],
    );
}

#[test]
fn a_step_in_no_slot_that_trains_a_network_is_called_that() {
    // It conflicts with nearly every other step.
    let trial = with(|app| {
        app.add_systems(Learn, bc::clone_behavior);
    });
    says(
        trial.changes(SLOTS),
        "`bc::clone_behavior` is in `Learn` in no slot, so nothing says when it runs: add it with `.in_set(LearnSystems::..)`",
    );
}

#[test]
fn a_step_in_the_slot_of_another_network_is_called_that() {
    let trial = with(|app| {
        app.remove(Learn, LearnSystems::Actor)
            .add_systems(Learn, td3_bc::update_actor.in_set(LearnSystems::Critic));
    });
    says(
        trial.changes(SLOTS),
        "`td3::update_critic` and `td3_bc::update_actor` are both in slot `Critic` of `Learn` and share `Net<Critic>`, and nothing says which runs first: put one of them into another slot, or order the two with `.after(..)`. Is one of them in the wrong slot?",
    );
}

#[test]
fn two_writers_of_one_network_are_caught() {
    let trial = with(|app| {
        app.add_systems(Learn, bc::clone_behavior.in_set(LearnSystems::Measure));
    });
    caught(
        trial.one_writer_for_each_network(),
        &[
            "`td3_bc::update_actor` in slot `Actor`",
            "`bc::clone_behavior` in slot `Measure`",
            "`Net<Actor>`",
        ],
    );
}

#[test]
fn two_writers_in_one_slot_are_caught() {
    let trial = with(|app| {
        app.add_systems(Learn, bc::clone_behavior.in_set(LearnSystems::Actor));
    });
    says(
        trial.one_writer_for_each_network(),
        "`bc::clone_behavior` in slot `Actor` and `td3_bc::update_actor` in slot `Actor` write `Net<Actor>`: one step trains a network, and the second undoes the first or doubles its rate. Keep one, or `replace` it",
    );
}

#[test]
fn a_loss_of_the_wrong_rank_is_caught() {
    // A column of values against a row of targets would broadcast to a matrix.
    let wrong = |batch: Res<Batch>, mut critic: Learning<Critic>| -> Result {
        let q = critic.q(batch.observation.clone(), batch.action.clone());
        let column = q.swap_dims(0, 1);
        let row = batch.reward.clone().unsqueeze::<2>();
        critic.descend(losses::mse(column, row))?;
        Ok(())
    };
    caught(
        critic(wrong).losses_are_finite(),
        &["must have one shape", "[32, 2]", "[1, 32]"],
    );
}

#[test]
fn a_loss_that_is_not_one_number_is_caught() {
    let unreduced = |batch: Res<Batch>, mut critic: Learning<Critic>| -> Result {
        let q = critic.q(batch.observation.clone(), batch.action.clone());
        critic.descend(losses::mse_of_each(q, batch.reward.clone()))?;
        Ok(())
    };
    caught(
        critic(unreduced).losses_are_finite(),
        &["`critic`", "must be one number, and has 2 elements"],
    );
}

#[test]
fn a_target_that_is_updated_by_gradient_is_caught() {
    /// What is put in the place of the critic's target, trained as a network of its own.
    struct Twin;
    impl Role for Twin {
        type Network = CriticNetwork;
        const NAME: &'static str = "twin";
    }
    fn build_twin(critic: Res<Net<Critic>>, mut commands: Commands) {
        commands.insert_resource(Net::<Twin>::new((**critic).clone()));
    }
    fn descend_target(
        batch: Res<Batch>,
        mut twin: Learning<Twin>,
        mut target: ResMut<Target<Critic>>,
    ) -> Result {
        let q = twin.q(batch.observation.clone(), batch.action.clone());
        twin.descend(losses::mse_of_each(q, batch.reward.clone()).sum())?;
        *target = Target::copy_of(&Net::new((*twin).clone()));
        Ok(())
    }
    let trial = with(|app| {
        app.add_learner::<Twin>(OptimizerSettings::default())
            .add_systems(PostStartup, build_twin)
            .replace(Learn, LearnSystems::Targets, descend_target);
    });
    caught(
        trial.targets_follow(0.005),
        &[
            "`target_critic`",
            "slot `Targets`",
            "no gradient reaches them",
        ],
    );
}

#[test]
fn a_target_that_nobody_tracks_is_caught() {
    let trial = with(|app| {
        app.remove(Learn, LearnSystems::Targets);
    });
    caught(
        trial.targets_follow(0.005),
        &["never moved", "LearnSystems::Targets"],
    );
}

#[test]
fn a_loss_of_the_plain_network_is_caught() {
    let unrecorded =
        |batch: Res<Batch>, critic: Res<Net<Critic>>, mut actor: Learning<Actor>| -> Result {
            let q = critic.q1(batch.observation.clone(), batch.action.clone());
            actor.descend(q.mean().neg())?;
            Ok(())
        };
    caught(
        actor(unrecorded).losses_are_finite(),
        &["`actor` records no gradient", "`Learning<..>`"],
    );
}

#[test]
fn a_step_down_another_networks_loss_is_caught() {
    // The values that the actor shall climb are handed to the critic, which then raises them everywhere.
    let mixed_up =
        |batch: Res<Batch>, mut actor: Learning<Actor>, mut critic: Learning<Critic>| -> Result {
            let action = actor.act(batch.observation.clone());
            actor.descend(losses::mse(action, batch.action.clone()))?;
            let action = actor.act(batch.observation.clone());
            let q = critic.q1(batch.observation.clone(), action);
            critic.descend(q.mean().neg())?;
            Ok(())
        };
    caught(
        actor(mixed_up).changes(SLOTS),
        &["slot `Actor` changed `critic`", "another network's loss"],
    );
}

#[test]
fn a_bootstrap_past_a_terminal_is_caught() {
    let endless = |batch: Res<Batch>,
                   target_actor: Res<Target<Actor>>,
                   target_critic: Res<Target<Critic>>,
                   mut critic: Learning<Critic>|
     -> Result {
        let next = batch.next_observation.clone();
        let q_next = target_critic.q1(next.clone(), target_actor.act(next));
        let y = batch.reward.clone() + q_next * 0.99;
        let q = critic.q(batch.observation.clone(), batch.action.clone());
        critic.descend(losses::mse_of_each(q, y).sum())?;
        Ok(())
    };
    caught(
        critic(endless).terminals_stop_the_bootstrap("critic"),
        &["after a terminal step", "`batch.bootstrap`"],
    );
}

#[test]
fn a_loss_that_is_no_number_is_caught() {
    let logarithm =
        |batch: Res<Batch>, mut actor: Learning<Actor>, mut metrics: ResMut<Metrics>| -> Result {
            let loss = actor.act(batch.observation.clone()).log().mean();
            metrics.record("actor/loss", loss.clone());
            actor.descend(loss)?;
            Ok(())
        };
    caught(
        actor(logarithm).losses_are_finite(),
        &["`actor/loss` is NaN at step 1", "logarithm"],
    );
}

#[test]
fn a_network_that_is_never_built_is_caught() {
    struct Planner;
    impl Role for Planner {
        type Network = Mlp;
        const NAME: &'static str = "planner";
    }
    let trial = with(|app| {
        app.add_learner::<Planner>(OptimizerSettings::default());
    });
    caught(
        trial.networks_exist(&["actor", "critic", "planner"]),
        &["`planner` has a learner and no network", "`Startup`"],
    );
    caught(
        trial.networks_exist(&["actor", "critic"]),
        &["planner", "`add_learner`"],
    );
}

#[test]
fn a_validation_that_draws_from_trainings_stream_is_caught() {
    let trial = with(|app| {
        app.add_systems(
            Validate,
            (|mut noise: ResMut<Random<Noise>>| {
                noise.normals(1);
            })
            .in_set(ValidateSystems::Losses),
        );
    });
    caught(
        trial.looking_changes_nothing(),
        &["`Validate` changed `random/noise`", "`Random::forked"],
    );
}

#[test]
fn a_state_that_is_not_saved_is_caught() {
    /// A running weight of the imitation term, which a resumed run would begin anew.
    #[derive(Resource, Default)]
    struct Weight(f32);

    let forgets =
        |batch: Res<Batch>, mut weight: ResMut<Weight>, mut actor: Learning<Actor>| -> Result {
            weight.0 += 1.0;
            let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
            actor.descend(loss.square() * weight.0)?;
            Ok(())
        };
    let trial = actor(forgets).with(|app| {
        app.init_resource::<Weight>();
    });
    names_the_unsaved(trial.resumes_exactly(), "Weight");
}

#[test]
fn a_state_that_a_step_keeps_to_itself_is_caught_without_a_name() {
    let forgets =
        |batch: Res<Batch>, mut weight: Local<f32>, mut actor: Learning<Actor>| -> Result {
            *weight += 1.0;
            let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
            actor.descend(loss.square() * *weight)?;
            Ok(())
        };
    caught(
        actor(forgets).resumes_exactly(),
        &[
            "differs in `actor`",
            "something that its steps need is not saved",
        ],
    );
}

#[test]
fn a_resource_that_is_saved_or_filled_anew_in_each_step_is_no_mistake() -> Result<(), Mistake> {
    /// A running weight of the imitation term.
    #[derive(Resource, Default, serde::Serialize, serde::Deserialize)]
    #[serde(crate = "yarak::prelude::serde")]
    struct Weight(f32);
    /// The loss of this step.
    #[derive(Resource, Default)]
    struct Last(Option<Tensor<1>>);

    let keeps = |batch: Res<Batch>,
                 mut weight: ResMut<Weight>,
                 mut last: ResMut<Last>,
                 mut actor: Learning<Actor>|
     -> Result {
        weight.0 += 1.0;
        let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
        last.0 = Some(loss.clone().no_grad());
        actor.descend(loss * weight.0)?;
        Ok(())
    };
    let trial = actor(keeps).with(|app| {
        app.init_resource::<Last>()
            .init_resource::<Weight>()
            .persist_serde::<Weight>();
    });
    trial.resumes_exactly()
}

#[test]
fn a_run_that_its_seed_does_not_determine_is_caught() {
    use std::hash::{BuildHasher, RandomState};
    let trial = actor(|batch: Res<Batch>, mut actor: Learning<Actor>| -> Result {
        // `RandomState` has another key in each process and instance, as every `HashMap` has.
        let order = (RandomState::new().hash_one(0) % 1000) as f32;
        let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
        actor.descend(loss * (1.0 + order))?;
        Ok(())
    });
    caught(trial.same_seed_same_bits(), &["`actor`", "`HashMap`"]);
}

#[test]
fn a_sign_that_is_wrong_is_caught() {
    let away = |batch: Res<Batch>, mut actor: Learning<Actor>| -> Result {
        let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
        actor.descend(loss.neg())?;
        Ok(())
    };
    caught(actor(away).learns_to_imitate(100), &["not learned", "sign"]);
}
