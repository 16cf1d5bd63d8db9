use super::*;
use crate::data::{ActionScale, FixedRollout, Normalizer};
use crate::nn::ComputeDevice;
use crate::random::{Noise, Random, Sampling, Seed};
use rand::SeedableRng;

const ENVIRONMENTS: usize = 3;

fn preprocessing() -> Preprocessing {
    // Each observation is halved: what is seen is not what is raw.
    let normalizer = Normalizer {
        mean: vec![0.0],
        std: vec![2.0 - Normalizer::EPSILON],
    };
    Preprocessing::new(normalizer, ActionScale::identity(1))
}

/// Steps of environments whose episodes end at random in all the ways there are; after an end, where `next_step` says so, comes a
/// row that is none.
fn experience(steps: usize, next_step: bool) -> Vec<StepResults> {
    let mut random = Random::<Noise>::new(Seed(9));
    let mut restarts = [false; ENVIRONMENTS];
    let mut seen = random.normals(ENVIRONMENTS);
    let mut all = Vec::new();
    for _ in 0..steps {
        let mut step = StepResults::new(ENVIRONMENTS, 1, 1);
        let ends = random.uniforms(ENVIRONMENTS, 0.0, 1.0);
        let next = random.normals(ENVIRONMENTS);
        let fresh = random.normals(ENVIRONMENTS);
        step.observation.values.clone_from(&seen);
        step.action.values = random.normals(ENVIRONMENTS);
        step.reward = random.normals(ENVIRONMENTS);
        for i in 0..ENVIRONMENTS {
            step.valid[i] = !restarts[i];
            if restarts[i] {
                step.reward[i] = 0.0;
                (restarts[i], seen[i]) = (false, fresh[i]);
                step.next_observation.values[i] = fresh[i];
                continue;
            }
            step.next_observation.values[i] = next[i];
            step.terminated[i] = ends[i] < 0.15;
            step.truncated[i] = (0.1..0.3).contains(&ends[i]);
            let ended = step.ended(i);
            restarts[i] = ended && next_step;
            seen[i] = if ended && !next_step {
                fresh[i]
            } else {
                next[i]
            };
        }
        all.push(step);
    }
    all
}

/// V(s), from what is seen.
fn v(seen: f32) -> f32 {
    (3.0 * seen).sin()
}

fn evaluate(rollout: &mut RolloutBuffer) {
    rollout.evaluate(&ComputeDevice::cpu().plain(), |observation| {
        let seen: Vec<f32> = observation.into_data().into_vec().unwrap();
        let values: Vec<f32> = seen.into_iter().map(v).collect();
        Tensor::from_floats(&values[..], &ComputeDevice::cpu().plain())
    });
}

/// GAE's sum for one step, in float64, from the environments' own rows.
fn advantage(all: &[StepResults], step: usize, i: usize, discount: f64, lambda: f64) -> f64 {
    let value = |raw: f32| f64::from(v(raw / 2.0));
    let (mut factor, mut sum) = (1.0, 0.0);
    for at in &all[step..] {
        let next = match at.terminated[i] {
            true => 0.0,
            false => value(at.next_observation.values[i]),
        };
        let own = value(at.observation.values[i]);
        sum += factor * (f64::from(at.reward[i]) + discount * next - own);
        factor *= discount * lambda;
        if at.ended(i) {
            break;
        }
    }
    sum
}

#[test]
fn advantages_bootstrap_from_the_true_last_observation_and_never_across_an_end() {
    for next_step in [false, true] {
        let all = experience(60, next_step);
        // The second round overwrites the first.
        for round in [&all[..30], &all[30..]] {
            let mut rollout = RolloutBuffer::new(30, ENVIRONMENTS, 1, 1);
            for step in all[..30].iter().chain(round) {
                rollout.record(step, &preprocessing()).unwrap();
            }
            evaluate(&mut rollout);
            rollout.estimate(0.99, 0.95);
            let (discount, lambda) = (f64::from(0.99_f32), f64::from(0.95_f32));
            let mut compared = 0;
            for (t, step) in round.iter().enumerate() {
                for i in 0..ENVIRONMENTS {
                    let row = t * ENVIRONMENTS + i;
                    assert_eq!(rollout.valid[row], step.valid[i]);
                    if !step.valid[i] {
                        continue;
                    }
                    compared += 1;
                    let expected = advantage(round, t, i, discount, lambda);
                    let found = f64::from(rollout.advantage()[row]);
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{t} {i}: {found} {expected}"
                    );
                    let value = f64::from(v(step.observation.values[i] / 2.0));
                    assert!((f64::from(rollout.returns()[row]) - expected - value).abs() < 1e-5);
                }
            }
            assert_eq!(compared, rollout.valid_rows());
            assert_eq!(compared == 90, !next_step);
        }
    }
}

#[test]
fn an_episode_in_which_an_environment_failed_is_bootstrapped_from_what_it_showed_last() {
    let mut rollout = RolloutBuffer::new(2, 1, 1, 1);
    let mut step = StepResults::new(1, 1, 1);
    (step.observation.values, step.next_observation.values) = (vec![1.0], vec![3.0]);
    (step.reward, step.valid) = (vec![0.5], vec![true]);
    rollout.record(&step, &preprocessing()).unwrap();
    let mut failed = StepResults::new(1, 1, 1);
    failed.observation.values = vec![3.0];
    rollout.record(&failed, &preprocessing()).unwrap();
    evaluate(&mut rollout);
    rollout.estimate(0.9, 1.0);
    let expected = 0.5 + 0.9 * v(1.5) - v(0.5);
    assert!((rollout.advantage()[0] - expected).abs() < 1e-6);
    assert_eq!(rollout.valid_rows(), 1);
}

#[test]
fn without_values_an_episodes_rewards_are_summed_and_an_unfinished_one_is_left_out() {
    let mut rollout = RolloutBuffer::new(3, 1, 1, 1);
    for (reward, terminated) in [(1.0, false), (2.0, true), (5.0, false)] {
        let mut step = StepResults::new(1, 1, 1);
        (step.reward[0], step.terminated[0], step.valid[0]) = (reward, terminated, true);
        rollout.record(&step, &preprocessing()).unwrap();
    }
    rollout.sum_rewards(0.5);
    assert_eq!(rollout.advantage()[..2], [2.0, 2.0]);
    assert_eq!(rollout.valid_rows(), 2);
}

#[test]
fn what_the_policy_saw_stays_as_it_saw_it() {
    let mut rollout = RolloutBuffer::new(1, 1, 1, 1);
    let mut step = StepResults::new(1, 1, 1);
    step.observation.values[0] = 8.0;
    rollout.see(&SampledActions {
        observation: vec![7.0],
        action: vec![0.0],
        log_probability: vec![-0.5],
    });
    rollout.record(&step, &preprocessing()).unwrap();
    assert_eq!(rollout.observation.values, [7.0]);
    rollout.fill_log_probabilities(|_| panic!("it was seen"));
    assert_eq!(rollout.log_probability, [-0.5]);
    // Nobody says what was seen: it is the environment's observation, preprocessed.
    rollout.record(&step, &preprocessing()).unwrap();
    assert_eq!(rollout.observation.values, [4.0]);
    let device = ComputeDevice::cpu().plain();
    rollout.fill_log_probabilities(|_| Tensor::from_floats([-2.0], &device));
    assert_eq!(rollout.log_probability, [-2.0]);
}

/// A full rollout whose rows' rewards are their numbers, and the rows to learn from.
fn numbered(next_step: bool) -> (RolloutBuffer, Vec<u32>) {
    let mut rollout = RolloutBuffer::new(30, ENVIRONMENTS, 1, 1);
    for step in experience(30, next_step) {
        rollout.record(&step, &preprocessing()).unwrap();
    }
    let valid = (0..90_u32).filter(|row| rollout.valid[*row as usize]);
    let valid = valid.collect();
    (rollout, valid)
}

#[test]
fn each_epoch_takes_every_row_once_in_an_order_of_its_own() {
    for (next_step, minibatches) in [(false, 4), (true, 7)] {
        let (mut rollout, valid) = numbered(next_step);
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        rollout.shuffle(3, minibatches, &mut generator);
        let epochs: Vec<Vec<u32>> = (0..3)
            .map(|_| {
                let parts = (0..minibatches).map(|_| rollout.next_rows_to_learn().to_vec());
                let parts: Vec<Vec<u32>> = parts.collect();
                let lengths = || parts.iter().map(Vec::len);
                assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1);
                parts.concat()
            })
            .collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, valid);
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != valid);
        // After the last comes the first again.
        let n = valid.len() / minibatches;
        assert_eq!(rollout.next_rows_to_learn()[..n], epochs[0][..n]);
    }
}

#[test]
fn minibatches_are_a_function_of_the_stream() {
    let drawn = |seed| {
        let (mut rollout, _) = numbered(false);
        let mut random = Random::<Sampling>::new(Seed(seed));
        rollout.shuffle(1, 2, random.generator());
        rollout.next_rows_to_learn().to_vec()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}

#[test]
fn a_minibatch_has_its_rows_columns_and_normalizes_its_own_advantages() {
    let column = |scale: f32| Column {
        values: (0..6).map(|row| scale * row as f32).collect(),
        width: 1,
    };
    let vector = |scale: f32| Some(column(scale).values);
    let rows = FixedRollout {
        log_probability: vector(3.0),
        value: vector(4.0),
        advantage: vector(5.0),
        returns: vector(6.0),
        ..FixedRollout::new(column(1.0), column(2.0), vec![0.0; 6])
    };
    let mut rollout = RolloutBuffer::fixed(&rows).unwrap();
    evaluate(&mut rollout);
    rollout.estimate(0.99, 0.95);
    rollout.shuffle(1, 2, &mut ChaCha8Rng::seed_from_u64(1));
    let device = ComputeDevice::cpu().plain();
    for normalize in [false, true] {
        let batch = rollout.next_minibatch(normalize, &device);
        assert_eq!(batch.rows(), 3);
        let rows = numbers(batch.observation);
        let times = |scale: f32| rows.iter().map(|row| scale * row).collect::<Vec<_>>();
        assert_eq!(numbers(batch.action), times(2.0));
        assert_eq!(numbers(batch.log_probability), times(3.0));
        assert_eq!(numbers(batch.value), times(4.0));
        assert_eq!(numbers(batch.returns), times(6.0));
        let advantage = numbers(batch.advantage);
        if !normalize {
            assert_eq!(advantage, times(5.0));
            continue;
        }
        let raw = times(5.0);
        let mean = raw.iter().sum::<f32>() / 3.0;
        let std = (raw.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 2.0).sqrt();
        for (found, raw) in advantage.iter().zip(&raw) {
            assert!((found - (raw - mean) / std).abs() < 1e-6);
        }
    }
}

#[test]
fn the_advantage_of_a_minibatch_of_one_row_stays_as_it_is() {
    let column = |value: f32| Column {
        values: vec![value; 2],
        width: 1,
    };
    let rows = FixedRollout {
        advantage: Some(vec![5.0; 2]),
        ..FixedRollout::new(column(1.0), column(2.0), vec![0.0; 2])
    };
    let mut rollout = RolloutBuffer::fixed(&rows).unwrap();
    rollout.shuffle(1, 2, &mut ChaCha8Rng::seed_from_u64(1));
    let batch = rollout.next_minibatch(true, &ComputeDevice::cpu().plain());
    assert_eq!(numbers(batch.advantage), [5.0]);
}

#[test]
fn fewer_rows_than_minibatches_come_twice_and_none_is_empty() {
    let (mut rollout, _) = numbered(false);
    rollout.valid.fill(false);
    rollout.valid[17] = true;
    rollout.valid[18] = true;
    rollout.shuffle(2, 4, &mut ChaCha8Rng::seed_from_u64(1));
    for _ in 0..8 {
        assert_eq!(rollout.next_rows_to_learn().len(), 1);
    }
    rollout.valid.fill(false);
    rollout.shuffle(2, 4, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(rollout.next_rows_to_learn().is_empty());
}

#[test]
fn values_explain_all_of_the_returns_or_nothing() {
    let (mut rollout, _) = numbered(false);
    evaluate(&mut rollout);
    rollout.estimate(0.99, 0.95);
    rollout.returns.clone_from(&rollout.value.clone());
    assert_eq!(rollout.explained_variance(), Some(1.0));
    rollout.value.fill(3.0);
    assert!(rollout.explained_variance().unwrap().abs() < 1e-12);
    rollout.returns.fill(1.0);
    assert_eq!(rollout.explained_variance(), None);
}
