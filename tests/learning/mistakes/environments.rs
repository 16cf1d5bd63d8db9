//! Mistakes in a plugin that needs environments and a replay buffer: SAC with another step.

use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

use super::{caught, names_the_unsaved, says};

/// SAC in the trial's toy world.
fn in_a_world(edit: impl Fn(&mut App) + 'static) -> Trial {
    let mut sac = Sac {
        minibatch: MinibatchSettings::of(16),
        ..default()
    };
    sac.off_policy.learning_starts = 100;
    sac.actor.encoder.set_hidden_sizes(&[16]);
    sac.critic.encoder.set_hidden_sizes(&[16]);
    Trial::of(sac).in_environments().with(edit)
}

const SLOTS: &[(&str, &[&str])] = &[
    ("Critic", &["critic"]),
    ("Temperature", &["temperature"]),
    ("Targets", &["target_critic"]),
];

/// Draws every other row of the replay buffer.
fn draw_every_other(mut replayed: data::Replayed) -> Result {
    let rows: Vec<usize> = replayed.buffer.rows().step_by(2).collect();
    let drawn = replayed.random.indices(16, rows.len());
    let drawn: Vec<usize> = drawn.into_iter().map(|index| rows[index]).collect();
    let gathered = replayed.gather(&drawn);
    Ok(replayed.learn_from(gathered)?)
}

#[test]
fn a_plugin_that_needs_environments_and_a_replay_buffer_passes_every_check() -> Result<(), Mistake>
{
    let plain = in_a_world(|_| ());
    let drawn = in_a_world(|app| {
        app.replace(Learn, LearnSystems::Sample, draw_every_other);
    });
    for trial in [plain, drawn] {
        trial.networks_exist(&["actor", "critic", "temperature"])?;
        trial.losses_are_finite()?;
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
fn rows_that_are_drawn_from_no_stream_of_the_run_are_caught() {
    use std::hash::{BuildHasher, RandomState};
    let trial = in_a_world(|app| {
        let draw = |mut replayed: data::Replayed| -> Result {
            let rows: Vec<usize> = replayed.buffer.rows().collect();
            let drawn: Vec<usize> = (0..16)
                .map(|_| rows[RandomState::new().hash_one(0) as usize % rows.len()])
                .collect();
            let gathered = replayed.gather(&drawn);
            Ok(replayed.learn_from(gathered)?)
        };
        app.replace(Learn, LearnSystems::Sample, draw);
    });
    caught(
        trial.same_seed_same_bits(),
        &[
            "two runs from one seed differ in",
            "`Random<..>` of the run",
        ],
    );
}

/// By how much an action is changed before it is taken: less and less.
#[derive(Resource)]
struct Shift(f32);

fn shift(mut shift: ResMut<Shift>, mut actions: ResMut<collect::Actions>) {
    shift.0 *= 0.9;
    for action in &mut actions.values {
        *action = (*action + shift.0).clamp(-1.0, 1.0);
    }
}

#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
struct Shifted;

#[test]
fn a_resource_that_a_step_of_collect_changes_and_nobody_saves_is_named() {
    let trial = in_a_world(|app| {
        app.insert_resource(Shift(1.0))
            .insert_after(Collect, CollectSystems::Act, Shifted, shift);
    });
    names_the_unsaved(trial.resumes_exactly(), "Shift");
}

#[test]
fn an_evaluation_that_moves_what_is_learned_with_is_caught() {
    // Steps are counted in no slot, and so in evaluations as well.
    #[derive(Resource, Default, serde::Serialize, serde::Deserialize)]
    #[serde(crate = "yarak::prelude::serde")]
    struct StepsSeen(u64);
    let trial = in_a_world(|app| {
        app.init_resource::<StepsSeen>()
            .persist_serde::<StepsSeen>()
            .add_systems(Collect, |mut steps: ResMut<StepsSeen>| steps.0 += 1);
    });
    says(
        trial.looking_changes_nothing(),
        "`Evaluate` changed `resource/StepsSeen`: what only looks takes `Res<..>`, and draws from a stream of its own, `Random::forked(Seed(0), 1)`",
    );
}

#[test]
fn a_step_that_changes_another_network_is_caught_in_environments_as_well() {
    let trial = in_a_world(|app| {
        app.remove(Learn, LearnSystems::Actor)
            .add_systems(Learn, sac::update_actor.in_set(LearnSystems::Measure));
    });
    caught(
        trial.changes_by_name(SLOTS),
        &["slot `Measure` changed `actor`", "wrong slot"],
    );
}
