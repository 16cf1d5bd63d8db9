use bevy_app::AppExit;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::checkpoint::{Persist, Snapshot, gather};
use crate::collect::NormalizeObservations;
use crate::data::{Folding, GoalMode, Goals, RowWeights, StepResults};
use crate::plugins::Td3;
use crate::prelude::*;

const WIDTHS: [usize; 2] = [3, 2];

/// A step in which anything may happen.
fn step(environments: usize, random: &mut ChaCha8Rng) -> StepResults {
    let mut steps = StepResults::new(environments, WIDTHS[0], WIDTHS[1]);
    let columns = [
        &mut steps.observation,
        &mut steps.action,
        &mut steps.next_observation,
    ];
    for value in columns.into_iter().flat_map(|column| &mut column.values) {
        *value = random.random_range(-2.0..2.0);
    }
    for row in 0..environments {
        steps.reward[row] = random.random_range(-1.0..1.0);
        steps.terminated[row] = random.random_range(0..6) == 0;
        steps.truncated[row] = random.random_range(0..9) == 0;
        steps.valid[row] = random.random_range(0..7) != 0;
    }
    steps
}

fn pipelines() -> Vec<Pipeline> {
    let plain = Pipeline {
        folding: Folding {
            discount: 0.9,
            n_step: 1,
            infinite_horizon: false,
        },
        frames: 1,
        from_row: false,
        goals: None,
        past_actions: false,
        chunk: 1,
    };
    let folded = |n_step| Folding {
        n_step,
        ..plain.folding
    };
    let goals = Some(Goals {
        mode: GoalMode::Last,
    });
    vec![
        plain,
        Pipeline {
            folding: folded(3),
            ..plain
        },
        Pipeline {
            frames: 3,
            past_actions: true,
            ..plain
        },
        Pipeline {
            goals,
            chunk: 2,
            ..plain
        },
        Pipeline {
            folding: folded(2),
            frames: 2,
            from_row: false,
            goals,
            past_actions: true,
            chunk: 3,
        },
    ]
}

fn normalizer(pipeline: &Pipeline, is_identity: bool) -> Normalizer {
    let width = pipeline.side_by_side() * WIDTHS[0];
    match is_identity {
        true => Normalizer::identity(width),
        false => Normalizer {
            mean: (0..width).map(|it| 0.1 * it as f32).collect(),
            std: (0..width).map(|it| 0.3 + 0.2 * it as f32).collect(),
        },
    }
}

/// All numbers of a batch, bit for bit.
fn bits(batch: &Batch) -> Vec<Vec<u32>> {
    let numbers = |tensor: Tensor<1>| -> Vec<u32> {
        let values: Vec<f32> = tensor.into_data().into_vec().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let flat = |tensor: &Tensor<2>| numbers(tensor.clone().flatten(0, 1));
    let matrices = [
        Some(&batch.observation),
        Some(&batch.action),
        Some(&batch.next_observation),
        Some(&batch.next_action),
        batch.past_action.as_ref(),
    ];
    let vectors = [
        Some(&batch.reward),
        Some(&batch.bootstrap),
        Some(&batch.terminated),
        Some(&batch.has_next_action),
        batch.weight.as_ref(),
    ];
    let matrices = matrices.into_iter().flatten().map(flat);
    let vectors = vectors.into_iter().flatten();
    matrices
        .chain(vectors.map(|it| numbers(it.clone())))
        .collect()
}

/// What the host makes of rows.
fn by_the_host(buffer: &ReplayBuffer, shown: &Shown, rows: &[usize]) -> Batch {
    let gathered = shown.pipeline.gather(buffer, buffer, buffer.widths(), rows);
    let device = ComputeDevice::cpu().plain();
    gathered
        .into_batch(Some(shown.normalizer), &device)
        .unwrap()
}

fn empty(capacity: usize, environments: usize, frames: usize) -> ReplayBuffer {
    let buffer = ReplayBuffer::new(capacity, environments, WIDTHS[0], WIDTHS[1]);
    let mut buffer = buffer.with_frames(frames);
    buffer.keep_on(&ComputeDevice::cpu().plain());
    buffer
}

#[test]
fn rows_on_a_device_make_the_hosts_batches_bit_for_bit() {
    let device = ComputeDevice::cpu().plain();
    let mut random = ChaCha8Rng::seed_from_u64(0);
    for (pipeline, is_identity) in pipelines().into_iter().zip([true, false].repeat(3)) {
        let normalizer = normalizer(&pipeline, is_identity);
        let shown = Shown {
            pipeline,
            normalizer: &normalizer,
            gradient_steps: 3,
        };
        // Long enough to go around several times, in a step at a time and several.
        for (capacity, environments) in [(40, 1), (36, 3), (1, 1)] {
            let mut buffer = empty(capacity, environments, pipeline.frames);
            for taken in 0..120 {
                buffer.push(&step(environments, &mut random)).unwrap();
                if buffer.is_empty() || (20..30).contains(&(taken % 40)) {
                    continue;
                }
                for _ in 0..4 {
                    let drawn = buffer.draw(5, &mut random).unwrap();
                    let expected = by_the_host(&buffer, &shown, &drawn);
                    let mut after = random.clone();
                    let more = |n| buffer.draw(n, &mut after).unwrap();
                    let mut kept = buffer.on(&device).unwrap();
                    let taken = kept.take(&buffer, &shown, &drawn, more).unwrap();
                    assert_eq!(taken.row_ids, drawn);
                    assert_eq!(bits(&taken), bits(&expected));
                    let gathered = kept.gather(&buffer, &shown, &drawn).unwrap();
                    assert_eq!(bits(&gathered), bits(&expected));
                }
            }
        }
    }
}

#[test]
fn rows_that_a_checkpoint_brings_take_the_place_of_those_that_were_there() {
    let device = ComputeDevice::cpu().plain();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let pipeline = pipelines()[1];
    let normalizer = normalizer(&pipeline, true);
    let shown = Shown {
        pipeline,
        normalizer: &normalizer,
        gradient_steps: 1,
    };
    for taken in [3, 20, 57] {
        // Of as many steps, so that nothing but the rows tells them apart.
        let mut buffers = [empty(20, 2, 1), empty(20, 2, 1)];
        for buffer in &mut buffers {
            (0..taken).for_each(|_| buffer.push(&step(2, &mut random)).unwrap());
            buffer.write_to_device();
        }
        let [saved, mut restored] = buffers;
        let mut snapshot = Snapshot::new(1);
        saved.save(&mut snapshot).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let writer = crate::checkpoint::CheckpointWriter::start(folder.path(), 1).unwrap();
        writer.save(snapshot, false).unwrap();
        writer.finish().unwrap();
        let snapshot = crate::checkpoint::load(folder.path().join("step_000000001")).unwrap();
        restored.load(&snapshot, &World::new()).unwrap();
        let rows: Vec<usize> = saved.rows().collect();
        let expected = by_the_host(&saved, &shown, &rows);
        let mut kept = restored.on(&device).unwrap();
        let gathered = kept.gather(&restored, &shown, &rows).unwrap();
        assert_eq!(bits(&gathered), bits(&expected));
    }
}

#[test]
fn a_normalizer_of_another_width_is_refused_as_the_host_refuses_it() {
    let device = ComputeDevice::cpu().plain();
    let mut buffer = empty(8, 1, 1);
    let mut random = ChaCha8Rng::seed_from_u64(2);
    (0..8).for_each(|_| buffer.push(&step(1, &mut random)).unwrap());
    let rows: Vec<usize> = buffer.rows().take(1).collect();
    let normalizer = Normalizer::identity(2);
    let shown = Shown {
        pipeline: pipelines()[0],
        normalizer: &normalizer,
        gradient_steps: 1,
    };
    let mut kept = buffer.on(&device).unwrap();
    let refused = kept.gather(&buffer, &shown, &rows).unwrap_err();
    let gathered = shown.pipeline.gather(&buffer, &buffer, WIDTHS, &rows);
    let by_the_host = gathered.into_batch(Some(&normalizer), &device).unwrap_err();
    assert_eq!(refused, by_the_host);
}

/// TD3 on the pendulum, before its first step.
fn run(is_kept: bool, is_weighted: bool, more: impl Plugin) -> App {
    let off_policy = OffPolicySettings {
        learning_starts: 60,
        train_freq: 2,
        gradient_steps: 3,
    };
    let encoder = EncoderSettings::from(&[8]);
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin {
            steps: 260,
            ..default()
        }),
        Environments {
            env: "Pendulum-v1".into(),
            num_envs: 2,
            ..default()
        },
        Replay { capacity: 150 },
        Td3 {
            off_policy,
            n_step: 2,
            minibatch: MinibatchSettings {
                batch_size: 16,
                ..default()
            },
            actor: td3::ActorSettings {
                encoder: encoder.clone(),
                ..default()
            },
            critic: CriticSettings {
                encoder,
                ..default()
            },
            ..default()
        },
        more,
    ));
    let keep = |mut buffer: ResMut<ReplayBuffer>| buffer.keep_on(&Device::flex());
    if is_kept {
        app.add_systems(bevy_app::PostStartup, keep);
    }
    if is_weighted {
        app.init_resource::<RowWeights>()
            .replace(Learn, LearnSystems::Sample, draw_by_weight);
    }
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
    let buffer = app.world().resource::<ReplayBuffer>();
    let written = buffer.on(&Device::flex()).map(|kept| kept.written);
    assert_eq!(written, is_kept.then_some(260 / 2));
    app
}

/// Newer rows more often.
fn draw_by_weight(mut weights: ResMut<RowWeights>, mut replayed: crate::data::Replayed) -> Result {
    weights.follow(&replayed.buffer);
    for row in replayed.buffer.rows() {
        weights.set(row, (row % 5) as f64)?;
    }
    let n = replayed.batch_size();
    let rows = weights.draw(n, replayed.random.generator());
    let rows = rows.unwrap_or_default();
    let weight = rows.iter().map(|row| 1.0 / (1.0 + *row as f32)).collect();
    Ok(replayed.learn_from_rows(&rows, Some(weight))?)
}

#[test]
fn a_run_whose_buffer_lies_on_a_device_learns_the_same_bits() {
    let learned = |app: &App| gather(app.world(), 0).unwrap().files;
    let plain = |_: &mut App| {};
    for is_weighted in [false, true] {
        let host = learned(&run(false, is_weighted, plain));
        assert!(host.len() > 3, "{:?}", host.keys());
        assert_eq!(host, learned(&run(true, is_weighted, plain)));
    }
    let moving = NormalizeObservations {};
    let host = learned(&run(false, false, moving.clone()));
    assert_eq!(host, learned(&run(true, false, moving)));
}
