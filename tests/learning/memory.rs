//! Encoders with memory are in every algorithm: they train, repeat and resume bit for bit, know what was seen steps ago, and never what
//! is to come.

use yarak::nn::{Combined, Gru, Horizon, Lstm, PartEncoder, Positions, Transformer};
use yarak::observation::{EncoderInput, ObservationParts};
use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

use crate::small_run::{device, fed_frames, file, some_rows, steps, trial};

const STEPS: usize = 4;

fn encoders() -> [EncoderSettings; 4] {
    let transformer = |positions| Transformer {
        embedding: 8,
        layers: 2,
        heads: 2,
        positions,
        ..default()
    };
    [
        Lstm {
            hidden_size: 8,
            layers: 2,
            ..default()
        }
        .into(),
        Gru {
            each: EncoderSettings::from(&[12]),
            hidden_size: 8,
            layers: 1,
            ..default()
        }
        .into(),
        transformer(Positions::Learned).into(),
        transformer(Positions::Sinusoidal).into(),
    ]
}

/// What is asked of any plugin, whatever its networks are.
fn stands(trial: impl Fn() -> Trial) -> Result<(), Mistake> {
    let trial = || trial().with_frame_stack(STEPS);
    trial().losses_are_finite()?;
    trial().looking_changes_nothing()?;
    trial().same_seed_same_bits()?;
    trial().resumes_exactly()
}

#[test]
fn behavior_cloning_has_memory_with_every_head() -> Result<(), Mistake> {
    let heads = [None, Some(PolicyHead::Gaussian), Some(PolicyHead::Mixture)];
    for encoder in encoders() {
        for (head, supervise_all_steps) in heads.into_iter().zip([true, false, true]) {
            stands(|| {
                let mut bc = Bc {
                    minibatch: MinibatchSettings::of(16),
                    head,
                    supervise_all_steps,
                    ..default()
                };
                bc.actor.encoder = encoder.clone();
                trial(bc)
            })?;
        }
    }
    Ok(())
}

/// Two layers of memory that move along an episode in this way.
fn moving(horizon: Horizon) -> [EncoderSettings; 2] {
    let (hidden_size, layers) = (8, 2);
    [
        Lstm {
            hidden_size,
            layers,
            horizon,
            ..default()
        }
        .into(),
        Gru {
            hidden_size,
            layers,
            horizon,
            ..default()
        }
        .into(),
    ]
}

#[test]
fn behavior_cloning_resets_its_memory() -> Result<(), Mistake> {
    let [lstm, gru] = [Horizon::Resetting, Horizon::OpenLoop].map(moving);
    for encoder in lstm.into_iter().chain(gru) {
        stands(|| {
            let mut bc = Bc {
                minibatch: MinibatchSettings::of(16),
                head: Some(PolicyHead::Mixture),
                supervise_all_steps: true,
                ..default()
            };
            bc.actor.encoder = encoder.clone();
            trial(bc)
        })?;
    }
    Ok(())
}

#[test]
fn algorithms_that_value_have_memory_too() -> Result<(), Mistake> {
    let [encoder, ..] = encoders();
    stands(|| {
        let mut td3 = Td3Bc {
            minibatch: MinibatchSettings::of(16),
            ..default()
        };
        (td3.actor.encoder, td3.critic.encoder) = (encoder.clone(), encoder.clone());
        trial(td3)
    })?;
    stands(|| {
        let mut iql = Iql {
            minibatch: MinibatchSettings::of(16),
            ..default()
        };
        (iql.actor.encoder, iql.critic.encoder) = (encoder.clone(), encoder.clone());
        iql.value.encoder = encoder.clone();
        trial(iql)
    })?;
    stands(|| {
        let mut dqn = Dqn {
            minibatch: MinibatchSettings::of(16),
            ..default()
        };
        dqn.critic.encoder = encoder.clone();
        trial(dqn).with_discrete_actions(3)
    })?;
    stands(|| {
        let mut sac = Sac {
            minibatch: MinibatchSettings::of(16),
            ..default()
        };
        sac.off_policy.learning_starts = 64;
        (sac.actor.encoder, sac.critic.encoder) = (encoder.clone(), encoder.clone());
        trial(sac).in_environments()
    })?;
    stands(|| {
        let mut ppo = Ppo {
            steps: 8,
            minibatches: 2,
            ..default()
        };
        (ppo.actor.encoder, ppo.critic.encoder) = (encoder.clone(), encoder.clone());
        trial(ppo)
    })
}

fn input(steps: usize) -> EncoderInput {
    EncoderInput::new(ObservationParts::vector(2), steps)
}

#[test]
fn a_transformer_drops_in_training_and_by_the_runs_own_draws() {
    let after = |[embedding_dropout, attention_dropout, block_dropout]: [f32; 3], taken: u64| {
        let mut bc = Bc::default();
        bc.actor.encoder = Transformer {
            embedding: 8,
            layers: 1,
            heads: 2,
            embedding_dropout,
            attention_dropout,
            block_dropout,
            ..default()
        }
        .into();
        let mut app = fed_frames(bc, vec![some_rows(16, [2 * STEPS, 1])], STEPS);
        steps(&mut app, taken);
        file(&app, "actor")
    };
    let none = [0.0; 3];
    for some in [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]] {
        assert_eq!(after(none, 0), after(some, 0));
        assert_ne!(after(none, 1), after(some, 1), "{some:?}");
        assert_eq!(after(some, 3), after(some, 3), "{some:?}");
    }
}

fn actor(encoder: EncoderSettings, input: &EncoderInput) -> ActorNetwork {
    let (device, init) = (device().plain(), &mut Random::new(Seed(3)));
    ActorNetwork::new(encoder, ActorHead::Deterministic, input, 1, &device, init).unwrap()
}

fn actions(actor: &ActorNetwork, rows: &[Vec<f32>]) -> Vec<f32> {
    let shape = [rows.len(), rows[0].len()];
    let rows = TensorData::new(rows.concat(), shape);
    let device = device().plain();
    let acted = actor.act(Tensor::from_data(rows, &device));
    acted.into_data().into_vec().unwrap()
}

#[test]
fn what_was_seen_first_is_remembered_and_each_step_knows_no_later_one() {
    for encoder in encoders() {
        let name = encoder.name();
        let actor = actor(encoder, &input(STEPS));
        let row: Vec<f32> = (0..2 * STEPS).map(|it| (it as f32).cos()).collect();
        let (mut first, mut last) = (row.clone(), row.clone());
        first[0] += 0.5;
        last[2 * STEPS - 1] += 0.5;
        let acted = actions(&actor, &[row.clone(), first, last.clone()]);
        assert_ne!(acted[0], acted[1], "{name}");
        assert_ne!(acted[0], acted[2], "{name}");

        let device = device().plain();
        let each = |row: &[f32]| -> Vec<f32> {
            let row = TensorData::new(row.to_vec(), [1, row.len()]);
            let policy = actor.distribution_at_each_step(Tensor::from_data(row, &device));
            policy.unwrap().mode().into_data().into_vec().unwrap()
        };
        let (of_row, of_last) = (each(&row), each(&last));
        assert_eq!(of_row.len(), STEPS);
        assert_eq!(of_row[STEPS - 1], acted[0], "{name}");
        assert_eq!(of_row[..STEPS - 1], of_last[..STEPS - 1], "{name}");
        assert_ne!(of_row[STEPS - 1], of_last[STEPS - 1], "{name}");
    }
}

#[test]
fn a_row_of_fewer_steps_is_that_step_of_a_whole_one() {
    for goal in [false, true] {
        let of_goal = usize::from(goal);
        let input = input(STEPS + of_goal).with_goal(goal);
        for horizon in [Horizon::Resetting, Horizon::OpenLoop] {
            for encoder in moving(horizon) {
                let name = encoder.name();
                let actor = actor(encoder, &input);
                let row: Vec<f32> = (0..input.width()).map(|it| (it as f32).cos()).collect();
                let (seen, behind) = row.split_at(2 * STEPS);
                let data = TensorData::new(row.clone(), [1, row.len()]);
                let policy = Tensor::from_data(data, &device().plain());
                let policy = actor.distribution_at_each_step(policy).unwrap().mode();
                let each: Vec<f32> = policy.into_data().into_vec().unwrap();
                for steps in 1..=STEPS {
                    let shorter = [&seen[..2 * steps], behind].concat();
                    // Next to another row, as in a batch.
                    let other = shorter.iter().map(|it| -it).collect();
                    let acted = actions(&actor, &[other, shorter]);
                    assert_eq!(acted[1], each[steps - 1], "{name} {horizon:?} {steps}");
                }
            }
        }
    }
}

#[test]
fn an_open_loop_sees_the_first_step_in_all_of_them() {
    let row: Vec<f32> = (0..2 * STEPS).map(|it| (it as f32).cos()).collect();
    let first = row[..2].repeat(STEPS);
    let [open, closed] = [Horizon::OpenLoop, Horizon::Resetting].map(moving);
    for (open, closed) in open.into_iter().zip(closed) {
        let name = open.name();
        // The same initial weights.
        let [open, closed] = [open, closed].map(|it| actor(it, &input(STEPS)));
        let expected = actions(&closed, std::slice::from_ref(&first));
        assert_eq!(
            actions(&open, &[row.clone(), first.clone()]),
            expected.repeat(2),
            "{name}"
        );
        assert_ne!(
            actions(&closed, std::slice::from_ref(&row)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_goal_is_no_step_and_is_seen_at_each() {
    for encoder in encoders() {
        let name = encoder.name();
        let actor = actor(encoder, &input(STEPS + 1).with_goal(true));
        let row: Vec<f32> = (0..2 * (STEPS + 1)).map(|it| (it as f32).sin()).collect();
        let mut elsewhere = row.clone();
        elsewhere[2 * STEPS] += 1.0;
        let device = device().plain();
        let each = |row: &[f32]| -> Vec<f32> {
            let row = TensorData::new(row.to_vec(), [1, row.len()]);
            let policy = actor.distribution_at_each_step(Tensor::from_data(row, &device));
            policy.unwrap().mode().into_data().into_vec().unwrap()
        };
        let (here, there) = (each(&row), each(&elsewhere));
        assert_eq!(here.len(), STEPS);
        let moved = here.iter().zip(&there).all(|(here, there)| here != there);
        assert!(moved, "{name}: {here:?} {there:?}");
    }
}

#[test]
fn what_cannot_remember_is_refused_with_the_remedy() {
    let refused = |encoder: EncoderSettings, steps: usize| {
        let (device, init) = (device().plain(), &mut Random::new(Seed(3)));
        let (head, input) = (ActorHead::Deterministic, input(steps));
        let made = ActorNetwork::new(encoder, head, input, 1, &device, init);
        made.unwrap_err().to_string()
    };
    for encoder in encoders() {
        let said = refused(encoder, 1);
        assert!(said.contains("`Dataset(frame_stack: 10)`"), "{said}");
    }
    for encoder in moving(Horizon::Resetting) {
        let part = PartEncoder {
            part: String::new(),
            encoder,
        };
        let said = refused(
            Combined {
                encoders: vec![part],
            }
            .into(),
            2,
        );
        assert!(said.contains("(each: Combined(..), horizon: ..)"), "{said}");
    }
    let uneven = Transformer {
        embedding: 10,
        heads: 4,
        ..default()
    };
    let said = refused(uneven.into(), 2);
    assert!(
        said.contains("`embedding` of 10") && said.contains("4 heads"),
        "{said}"
    );
    let vast = Lstm {
        hidden_size: 16_384,
        layers: 64,
        ..default()
    };
    let said = refused(vast.into(), 2);
    assert!(said.contains("lower `hidden_size`"), "{said}");
}
