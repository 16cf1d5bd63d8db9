use std::path::Path;

use rand::SeedableRng;

use super::*;
use crate::checkpoint::{CheckpointWriter, Persist, Snapshot, load};
use crate::data::pipeline::Pipeline;
use crate::data::{Folding, Gathered, GoalMode, Goals};
use crate::env::Space;

/// Environment e's step t observes 100 t + e, does -t, earns t + e / 10, and leads to 100 (t + 1) + e.
fn steps(step: u64, environments: usize) -> StepResults {
    let mut steps = StepResults::new(environments, 1, 1);
    for environment in 0..environments {
        let now = (100 * step + environment as u64) as f32;
        steps.observation.values[environment] = now;
        steps.next_observation.values[environment] = now + 100.0;
        steps.action.values[environment] = -(step as f32);
        steps.reward[environment] = step as f32 + environment as f32 / 10.0;
        steps.valid[environment] = true;
    }
    steps
}

fn filled(capacity: usize, environments: usize, taken: u64) -> ReplayBuffer {
    let mut buffer = ReplayBuffer::new(capacity, environments, 1, 1);
    (0..taken).for_each(|step| buffer.push(&steps(step, environments)).unwrap());
    buffer
}

fn fold(n_step: usize) -> Pipeline {
    Pipeline {
        folding: Folding {
            discount: 0.5,
            n_step,
            infinite_horizon: false,
        },
        frames: 1,
        from_row: false,
        goals: None,
        past_actions: false,
        chunk: 1,
    }
}

fn gathered(buffer: &ReplayBuffer, row: usize, pipeline: &Pipeline) -> Gathered {
    pipeline.gather(buffer, buffer, buffer.widths(), &[row])
}

/// reward, bootstrap, next observation and terminal of one row.
fn folded(buffer: &ReplayBuffer, step: usize, environment: usize, pipeline: &Pipeline) -> [f32; 4] {
    let row = step * buffer.environments() + environment;
    let one = gathered(buffer, row, pipeline);
    let terminated = f32::from(u8::from(one.terminated[0]));
    [
        one.reward[0],
        one.bootstrap[0],
        one.next_observation.values[0],
        terminated,
    ]
}

#[test]
fn the_ring_keeps_the_newest_rows_and_draws_each_of_them() {
    for (capacity, environments, taken) in [(10, 1, 7), (10, 1, 1_000), (12, 3, 50), (1, 1, 9)] {
        let buffer = filled(capacity, environments, taken);
        let kept = taken.min((capacity / environments) as u64);
        assert_eq!(buffer.len(), kept * environments as u64);
        let mut generator = ChaCha8Rng::seed_from_u64(0);
        let mut counts = std::collections::BTreeMap::new();
        let draws = 4_000;
        for row in buffer.draw(draws, &mut generator).unwrap() {
            *counts.entry(row).or_insert(0) += 1;
        }
        let expected = (taken - kept) as usize * environments..taken as usize * environments;
        assert!(counts.keys().copied().eq(expected), "{counts:?}");
        assert!(counts.keys().copied().eq(buffer.rows()));
        let even = draws as u64 / buffer.len();
        assert!(counts.values().all(|count| *count > even / 2));
    }
}

#[test]
fn memory_is_bounded_however_long_a_run_is() {
    let (capacity, environments) = (1_000, 4);
    let bytes = ReplayBuffer::bytes(capacity, environments, &ObservationParts::vector(1), 1);
    let buffer = filled(capacity, environments, 5_000);
    let rows: usize = buffer.full.iter().map(|full| full.rows.rows()).sum();
    let most = bytes / buffer.widths.row_bytes();
    assert!((rows + buffer.tail.rows()) as u64 <= most);
    assert!(most < 2 * capacity as u64);
}

#[test]
fn rewards_are_folded_along_the_environments_own_rows() {
    let buffer = filled(100, 3, 50);
    // 10.2 + 11.2 / 2 + 12.2 / 4, bootstrapped from after step 12 of environment 2.
    let [reward, bootstrap, next, terminated] = folded(&buffer, 20, 2, &fold(3));
    assert!((reward - (20.2 + 21.2 / 2.0 + 22.2 / 4.0)).abs() < 1e-5);
    assert_eq!([bootstrap, next, terminated], [0.125, 2302.0, 0.0]);
    // The newest row has no following one yet.
    let [reward, bootstrap, next, _] = folded(&buffer, 49, 0, &fold(3));
    assert_eq!([reward, bootstrap, next], [49.0, 0.5, 5000.0]);
}

#[test]
fn folding_stops_at_both_ends_and_a_timeout_is_never_taken_for_a_terminal() {
    let mut buffer = ReplayBuffer::new(100, 2, 1, 1);
    for step in 0..6 {
        let mut now = steps(step, 2);
        now.terminated[0] = step == 3;
        now.truncated[1] = step == 3;
        buffer.push(&now).unwrap();
    }
    // 2 + 3 / 2, and nothing is bootstrapped.
    assert_eq!(folded(&buffer, 2, 0, &fold(5)), [3.5, 0.0, 400.0, 1.0]);
    // 2.1 + 3.1 / 2, bootstrapped from the true last observation.
    let [reward, bootstrap, next, terminated] = folded(&buffer, 2, 1, &fold(5));
    assert!((reward - 3.65).abs() < 1e-6);
    assert_eq!([bootstrap, next, terminated], [0.25, 401.0, 0.0]);
    let mut forever = fold(5);
    forever.folding.infinite_horizon = true;
    // 2 + (3 / (1 - 1/2)) / 2
    assert_eq!(folded(&buffer, 2, 0, &forever)[0], 5.0);
    assert!((folded(&buffer, 2, 1, &forever)[0] - 3.65).abs() < 1e-6);
}

#[test]
fn a_row_that_is_no_step_is_never_drawn_nor_folded_into() {
    let mut buffer = ReplayBuffer::new(20, 1, 1, 1);
    for step in 0..100 {
        let mut now = steps(step, 1);
        now.truncated[0] = step % 4 == 2;
        now.valid[0] = step % 4 != 3;
        buffer.push(&now).unwrap();
    }
    assert_eq!(buffer.len(), 15);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let rows = buffer.draw(1_000, &mut generator).unwrap();
    assert!(rows.iter().all(|row| row % 4 != 3 && *row >= 80));
    // Step 82 is the end of its episode.
    assert_eq!(folded(&buffer, 81, 0, &fold(9))[2], 8300.0);
    assert!(
        ReplayBuffer::new(5, 1, 1, 1)
            .draw(1, &mut generator)
            .is_none()
    );
}

#[test]
fn a_rows_episode_and_its_neighbors_are_its_own_environments() {
    // Environment 0 ends every fourth step, and begins the next episode in a row of its own; environment 1 is cut in step 5.
    let mut buffer = ReplayBuffer::new(200, 2, 1, 1);
    for step in 0..10 {
        let mut now = steps(step, 2);
        now.terminated[0] = step % 4 == 2;
        now.valid[0] = step % 4 != 3;
        now.truncated[1] = step == 5;
        buffer.push(&now).unwrap();
    }
    let episode = |row| buffer.episode_of(row).collect::<Vec<_>>();
    assert_eq!(episode(10), [8, 10, 12]);
    assert_eq!(episode(16), [16, 18]);
    assert_eq!(episode(7), [1, 3, 5, 7, 9, 11]);
    assert_eq!(episode(19), [13, 15, 17, 19]);
    assert_eq!(buffer.end(12), Some(EpisodeEnd::Terminated));
    assert_eq!(buffer.end(11), Some(EpisodeEnd::Truncated));
    for row in buffer.rows() {
        let rows = episode(row);
        let at = rows.iter().position(|it| *it == row).unwrap();
        assert_eq!(buffer.after(row), rows.get(at + 1).copied(), "{row}");
        let before = at.checked_sub(1).map(|at| rows[at]);
        assert_eq!(buffer.before(row), before, "{row}");
    }
    assert!(!buffer.contains(6) && !buffer.contains(20) && buffer.contains(19));
    assert_eq!(buffer.rows().count() as u64, buffer.len());
}

#[test]
fn an_episode_that_an_environment_broke_off_ends_with_its_last_step() {
    let mut buffer = ReplayBuffer::new(200, 1, 1, 1);
    for step in 0..6 {
        let mut now = steps(step, 1);
        now.valid[0] = step != 3;
        buffer.push(&now).unwrap();
    }
    assert_eq!(buffer.episode_of(1).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(buffer.episode_of(5).collect::<Vec<_>>(), [4, 5]);
    assert_eq!((buffer.after(2), buffer.before(4)), (None, None));
}

#[test]
fn episodes_are_known_from_the_oldest_row_that_is_left() {
    let mut buffer = ReplayBuffer::new(8, 1, 1, 1);
    for step in 0..30 {
        let mut now = steps(step, 1);
        now.truncated[0] = step % 10 == 4;
        buffer.push(&now).unwrap();
    }
    assert_eq!(buffer.range(), 22..30);
    assert_eq!(buffer.episode_of(23).collect::<Vec<_>>(), [22, 23, 24]);
    assert_eq!(
        buffer.episode_of(29).collect::<Vec<_>>(),
        (25..30).collect::<Vec<_>>()
    );
    assert_eq!(buffer.before(22), None);
}

#[test]
fn frames_of_the_oldest_row_are_those_that_went_before_it() {
    let mut buffer = ReplayBuffer::new(8, 1, 1, 1).with_frames(3);
    for step in 0..300 {
        let mut now = steps(step, 1);
        now.truncated[0] = step % 100 == 99;
        buffer.push(&now).unwrap();
        let pipeline = Pipeline {
            frames: 3,
            ..fold(1)
        };
        for row in buffer.rows() {
            let begin = row - row % 100;
            let expected = [row.saturating_sub(2), row.saturating_sub(1), row]
                .map(|it| 100.0 * it.max(begin) as f32);
            let one = gathered(&buffer, row, &pipeline);
            assert_eq!(one.observation.values, expected);
            let after = [expected[1], expected[2], 100.0 * row as f32 + 100.0];
            assert_eq!(one.next_observation.values, after);
        }
    }
    assert!(
        buffer
            .full
            .iter()
            .map(|full| full.rows.rows())
            .sum::<usize>()
            < 14
    );
}

#[test]
fn a_goal_is_what_the_episode_has_come_to_so_far() {
    let mut buffer = filled(100, 2, 3);
    let pipeline = Pipeline {
        goals: Some(Goals {
            mode: GoalMode::Last,
        }),
        ..fold(1)
    };
    assert_eq!(
        gathered(&buffer, 1, &pipeline).observation.values,
        [1.0, 301.0]
    );
    buffer.push(&steps(3, 2)).unwrap();
    assert_eq!(
        gathered(&buffer, 1, &pipeline).observation.values,
        [1.0, 401.0]
    );
}

#[test]
fn what_is_drawn_is_raw_and_the_next_action_is_the_environments_own() {
    let buffer = filled(10, 2, 5);
    let one = gathered(&buffer, 7, &fold(1));
    assert_eq!(one.observation.values, [301.0]);
    assert_eq!(
        (one.action.values[0], one.next_action.values[0]),
        (-3.0, -4.0)
    );
    assert_eq!(one.has_next_action, [true]);
    assert_eq!(gathered(&buffer, 9, &fold(1)).has_next_action, [false]);
}

/// Saves the buffer as a run does, and reads what is on disk then.
fn saved(buffer: &ReplayBuffer, folder: &Path, step: u64) -> Snapshot {
    let writer = CheckpointWriter::start(folder, 2).unwrap();
    let mut snapshot = Snapshot::new(step);
    buffer.save(&mut snapshot).unwrap();
    writer.save(snapshot, false).unwrap();
    writer.finish().unwrap();
    load(folder.join(format!("step_{step:09}"))).unwrap()
}

/// What a fresh buffer restores.
fn through_the_disk(buffer: &ReplayBuffer, folder: &Path, step: u64) -> ReplayBuffer {
    let snapshot = saved(buffer, folder, step);
    let mut restored = ReplayBuffer::new(600, 2, 1, 1);
    restored.load(&snapshot, &World::new()).unwrap();
    restored
}

#[test]
fn a_restored_buffer_goes_on_as_the_one_that_was_saved() {
    // Before it is full, when it is, on a piece's border, and off it.
    for taken in [0, 1, 37, 38, 76, 299, 300, 301, 1_000] {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = filled(600, 2, taken);
        let mut restored = through_the_disk(&whole, folder.path(), taken + 1);
        for step in taken..taken + 100 {
            let now = steps(step, 2);
            whole.push(&now).unwrap();
            restored.push(&now).unwrap();
        }
        assert_eq!(whole.state(), restored.state());
        assert_eq!((whole.valid, &whole.tail), (restored.valid, &restored.tail));
        assert_eq!(whole.cuts, restored.cuts);
        let pieces = |buffer: &ReplayBuffer| -> Vec<Chunk> {
            buffer
                .full
                .iter()
                .map(|full| (*full.rows).clone())
                .collect()
        };
        assert_eq!(pieces(&whole), pieces(&restored));
    }
}

#[test]
fn a_checkpoint_whose_rows_begin_behind_the_oldest_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    through_the_disk(&filled(600, 2, 1_000), folder.path(), 1);
    let good = load(folder.path().join("step_000000001")).unwrap();
    let restored = |change: &dyn Fn(&str) -> String| {
        let mut snapshot = good.clone();
        let state = snapshot.state.get_mut("replay").unwrap();
        *state = change(state);
        filled(600, 2, 0).load(&snapshot, &World::new())
    };
    restored(&str::to_owned).unwrap();
    let taken =
        |steps: u64| move |state: &str| state.replace("taken:1000", &format!("taken:{steps}"));
    // Steps whose last piece is not full, of which there are no others, and more rows than can be counted.
    for steps in [1 << 32, u64::MAX] {
        let changed = |state: &str| {
            let changed = taken(steps)(state);
            assert_ne!(changed, state);
            let first = changed.find("first:").unwrap();
            let end = first + changed[first..].find(',').unwrap();
            let whole = u64::MAX / 2;
            format!("{}first:{whole}{}", &changed[..first], &changed[end..])
        };
        let refused = restored(&changed).unwrap_err().to_string();
        assert!(refused.contains("none before those of piece"), "{refused}");
    }
}

#[test]
fn a_save_writes_what_is_new_and_shares_the_rest_with_the_checkpoint_before() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = filled(600, 2, 200);
    let links = |step: u64| -> Vec<(String, u64)> {
        let folder = folder.path().join(format!("step_{step:09}"));
        let mut links: Vec<(String, u64)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, entry.metadata().unwrap().nlink())
            })
            .filter(|(name, _)| name.starts_with("replay."))
            .collect();
        links.sort();
        links
    };
    through_the_disk(&buffer, folder.path(), 1);
    let pieces = buffer.full.len();
    assert!(links(1).len() == pieces + 1 && pieces >= 4);
    // More is recorded, and a process that restored the buffer shares the files too.
    (200..260).for_each(|step| buffer.push(&steps(step, 2)).unwrap());
    let restored = through_the_disk(&buffer, folder.path(), 2);
    through_the_disk(&restored, folder.path(), 3);
    let now = links(3);
    let shared = now.iter().filter(|(_, links)| *links >= 2).count();
    assert_eq!(shared, buffer.full.len());
    assert_eq!(
        now.iter().find(|(_, links)| *links == 1).unwrap().0,
        "replay.tail.blob"
    );
}

/// A gray picture of 2 by 3 pixels, and two numbers.
fn camera_and_state() -> ObservationParts {
    ObservationParts::of_space(&Space::dict([
        ("camera", Space::picture([2, 3, 1])),
        ("state", Space::from_bounds(&[(-1.0, 1.0); 2])),
    ]))
}

/// A step of two environments that show these parts.
fn shown(step: u64) -> StepResults {
    let mut steps = StepResults::new(2, 8, 1);
    for row in 0..2 {
        let seen = |step: u64| {
            let pixel = move |at: u64| ((step * 31 + row as u64 * 7 + at) % 256) as f32;
            (0..6).map(pixel).chain([step as f32 * 0.1, -(row as f32)])
        };
        let fill =
            |to: &mut [f32], step| to.iter_mut().zip(seen(step)).for_each(|(to, it)| *to = it);
        fill(steps.observation.row_mut(row), step);
        fill(steps.next_observation.row_mut(row), step + 1);
        steps.reward[row] = step as f32;
        steps.valid[row] = (step + row as u64) % 9 != 8;
        steps.truncated[row] = (step + row as u64) % 9 == 7;
    }
    steps
}

#[test]
fn pictures_are_bytes_and_drawn_rows_have_the_same_bits_as_with_numbers() {
    let parts = camera_and_state();
    // Two observations of 6 bytes and 2 numbers, an action, a reward, and the flags.
    assert_eq!(
        ReplayBuffer::bytes(64, 2, &parts, 1),
        2 * (32 + 4) * (2 * (6 + 8) + 4 + 4 + 1)
    );
    let vector = ObservationParts::vector(8);
    assert_eq!(
        ReplayBuffer::bytes(64, 2, &vector, 1),
        2 * (32 + 4) * (2 * 32 + 4 + 4 + 1)
    );
    let new = || ReplayBuffer::new(64, 2, 8, 1).with_frames(3);
    let (mut numbers, mut bytes) = (new(), new().with_parts(&parts));
    let pipeline = Pipeline {
        frames: 3,
        goals: Some(Goals {
            mode: GoalMode::Last,
        }),
        ..fold(2)
    };
    // Before it is full, and after it went around several times.
    for step in 0..150 {
        numbers.push(&shown(step)).unwrap();
        bytes.push(&shown(step)).unwrap();
        let rows: Vec<usize> = numbers.rows().collect();
        assert!(bytes.rows().eq(rows.iter().copied()));
        let of = |buffer: &ReplayBuffer| pipeline.gather(buffer, buffer, buffer.widths(), &rows);
        assert_eq!(of(&bytes), of(&numbers));
    }
    assert_eq!(bytes.observation(299), numbers.observation(299));
    let taken: u64 = bytes
        .full
        .iter()
        .map(|full| full.rows.observation.bytes())
        .sum();
    let rows: usize = bytes.full.iter().map(|full| full.rows.rows()).sum();
    assert_eq!(taken, 14 * rows as u64);
}

#[test]
fn what_is_no_byte_is_refused_and_not_recorded() {
    let mut buffer = ReplayBuffer::new(64, 2, 8, 1).with_parts(&camera_and_state());
    buffer.push(&shown(0)).unwrap();
    let mut odd = shown(1);
    odd.next_observation.row_mut(1)[4] = 0.5;
    let error = buffer.push(&odd).unwrap_err();
    assert_eq!((error.element, error.value), (4, 0.5));
    buffer.push(&shown(1)).unwrap();
    assert_eq!(buffer.range(), 0..4);
    assert_eq!(*buffer.observation(3), *shown(1).observation.row(1));
    assert_eq!(
        *buffer.next_observation(2),
        *shown(1).next_observation.row(0)
    );
}

#[test]
fn a_restored_buffer_of_bytes_is_the_one_that_was_saved_and_numbers_are_refused() {
    let new = || ReplayBuffer::new(600, 2, 8, 1).with_parts(&camera_and_state());
    let mut whole = new();
    (0..500).for_each(|step| whole.push(&shown(step)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let snapshot = saved(&whole, folder.path(), 1);
    let mut restored = new();
    restored.load(&snapshot, &World::new()).unwrap();
    for step in 500..600 {
        whole.push(&shown(step)).unwrap();
        restored.push(&shown(step)).unwrap();
    }
    assert!(whole.rows().eq(restored.rows()));
    for row in whole.rows() {
        assert_eq!(whole.observation(row), restored.observation(row));
        assert_eq!(whole.next_observation(row), restored.next_observation(row));
    }
    let mut numbers = ReplayBuffer::new(600, 2, 8, 1);
    let error = numbers.load(&snapshot, &World::new()).unwrap_err();
    assert!(error.to_string().contains("replay"), "{error}");
}

#[test]
fn a_buffer_of_another_capacity_is_refused() {
    let mut snapshot = Snapshot::new(1);
    filled(600, 2, 10).save(&mut snapshot).unwrap();
    let mut other = ReplayBuffer::new(700, 2, 1, 1);
    let error = other.load(&snapshot, &World::new()).unwrap_err();
    assert!(error.to_string().contains("the replay buffer"), "{error}");
    assert!(other.is_empty());
}
