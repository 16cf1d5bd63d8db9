//! What each of TD3+BC's settings means, held through the real plugin and the real `Learn` schedule.
//!
//! Where a number is asked for, the networks are made so small that it can be worked out in the head: without hidden layers
//! a critic is Q(s, a) = w s + v a + b and a policy π(s) = tanh(w s + b).

use std::collections::BTreeMap;

use yarak::data::{EpisodeEnd, Minibatches};
use yarak::learner::Sampling;
use yarak::nn::ValueBounds;
use yarak::prelude::*;
use yarak::report::Reported;
use yarak::schedule::{Report, take_failure};

use crate::small_run::*;

/// The paper's settings with networks of one small layer.
fn small() -> Td3Bc {
    let mut td3 = Td3Bc::default();
    td3.critic.encoder.set_hidden_sizes(&[8]);
    td3.actor.encoder.set_hidden_sizes(&[8]);
    td3
}

/// The paper's settings with linear networks that stand still, so that what is recorded can be worked out.
fn linear() -> Td3Bc {
    let mut td3 = Td3Bc::default();
    td3.critic.encoder.set_hidden_sizes(&[]);
    td3.actor.encoder.set_hidden_sizes(&[]);
    td3.critic.optimizer.learning_rate = Schedule::Constant(0.0);
    td3.actor.optimizer.learning_rate = Schedule::Constant(0.0);
    td3.actor.update_freq = 1;
    td3.actor.noise_std = 0.0;
    td3
}

/// Gives member `member` of a linear critic its weights for s and a and its bias, and its target the same.
fn set_critic(app: &mut App, member: &str, [s, a, b]: [f32; 3]) {
    for file in ["critic", "target_critic"] {
        set(
            app,
            [
                (file, &*format!("{member}0.weight"), vec![s, a]),
                (file, &*format!("{member}0.bias"), vec![b]),
            ],
        );
    }
}

/// Gives a linear policy its weight and its bias, and its target the same.
fn set_actor(app: &mut App, weight: f32, bias: f32) {
    for file in ["actor", "target_actor"] {
        set(
            app,
            [
                (file, "0.weight", vec![weight]),
                (file, "0.bias", vec![bias]),
            ],
        );
    }
}

/// One-dimensional rows: `(s, a, r, s', bootstrap)`.
fn rows(rows: &[[f32; 5]]) -> Rows {
    let column = |index: usize| rows.iter().map(|row| row[index]).collect();
    Rows {
        observation: column(0),
        action: column(1),
        reward: column(2),
        next_observation: column(3),
        bootstrap: column(4),
        terminated: vec![0.0; rows.len()],
        noise: Vec::new(),
        ..Rows::default()
    }
}

/// Whether each of the files changed in each of the next `n` steps.
fn changes<const N: usize>(app: &mut App, files: [&str; N], n: u64) -> [Vec<u64>; N] {
    let mut changed = [const { Vec::new() }; N];
    for _ in 0..n {
        let before = snapshot(app).files;
        step(app);
        let after = snapshot(app).files;
        let now = app.world().resource::<Clock>().gradient_steps;
        for (file, changed) in files.iter().zip(&mut changed) {
            if before[*file] != after[*file] {
                changed.push(now);
            }
        }
    }
    changed
}

const STATE: [&str; 4] = ["critic", "actor", "target_critic", "target_actor"];

#[test]
fn the_defaults_are_the_papers() {
    let td3 = Td3Bc::default();
    assert_eq!((td3.alpha, td3.discount, td3.n_step), (2.5, 0.99, 1));
    assert_eq!((td3.target_update.every, td3.target_update.tau), (2, 0.005));
    let minibatch = td3.minibatch;
    assert_eq!(
        (minibatch.batch_size, minibatch.steps_per_epoch),
        (256, None)
    );
    assert!(!td3.infinite_horizon);
    let critic = td3.critic;
    assert_eq!((critic.ensemble.n, critic.ensemble.weight), (2, 1.0));
    assert_eq!(critic.encoder.as_mlp().unwrap().hidden_sizes, [256, 256]);
    assert_eq!((critic.huber, critic.value_bounds), (false, None));
    let actor = td3.actor;
    assert_eq!(actor.encoder.as_mlp().unwrap().hidden_sizes, [256, 256]);
    assert_eq!(actor.update_freq, 2);
    assert_eq!((actor.noise_std, actor.noise_clip), (0.2, 0.5));
    for optimizer in [critic.optimizer, actor.optimizer] {
        assert_eq!(optimizer.rule, Optimizer::adam());
        assert_eq!(optimizer.learning_rate, Schedule::Constant(3e-4));
        assert_eq!(optimizer.weight_decay, 0.0);
        assert_eq!(optimizer.max_gradient_norm, None);
        assert_eq!((optimizer.start_epoch, optimizer.end_epoch), (None, None));
    }
}

#[test]
fn alpha_over_the_mean_of_q1_weighs_the_q_term_without_a_gradient() {
    let a = 0.1_f32.sqrt();
    let mut app = fed(
        linear(),
        vec![rows(&[[4.0, a, 0.0, 0.0, 0.0], [0.0, a, 0.0, 0.0, 0.0]])],
    );
    // The first critic alone counts.
    set_critic(&mut app, "0.", [1.0, 0.5, 0.0]);
    set_critic(&mut app, "1.", [-9.0, 3.0, -7.0]);
    set_actor(&mut app, 0.0, 0.0);
    let recorded = step_metrics(&mut app);
    // Q = [4, 0], imitation 0.1, λ = 2.5 / 2.
    assert_close(recorded["actor/loss"], -2.4, 1e-6);
    // By the bias: −λ · 0.5 − 2 a. By the weight, which s = [4, 0] multiplies: twice that.
    // With a gradient through λ the Q term would have none at all, as mean Q / mean |Q| is 1.
    let bias = -1.25 * 0.5 - 2.0 * f64::from(a);
    let norm = bias.abs() * 5_f64.sqrt();
    assert_close(recorded["actor/gradient_norm"], norm, 1e-5);
}

#[test]
fn alpha_zero_is_behavior_cloning_bit_for_bit() {
    let data = || {
        let rewards: Vec<f32> = (0..60).map(|row| (row as f32).cos()).collect();
        data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &[])
    };
    let mut td3 = small();
    td3.alpha = 0.0;
    td3.minibatch.batch_size = 16;
    td3.actor.update_freq = 1;
    let mut bc = Bc {
        minibatch: MinibatchSettings::of(16),
        ..default()
    };
    bc.actor.encoder.set_hidden_sizes(&[8]);
    let (mut td3, mut bc) = (learning(td3, data()), learning(bc, data()));
    let initial = file(&bc, "actor");
    assert_eq!(file(&td3, "actor"), initial);
    for t in 1..=40 {
        let (td3_loss, bc_loss) = (step_metrics(&mut td3), step_metrics(&mut bc));
        for name in ["actor/loss", "actor/gradient_norm"] {
            assert_eq!(
                td3_loss[name].to_bits(),
                bc_loss[name].to_bits(),
                "step {t}"
            );
        }
        assert_eq!(file(&td3, "actor"), file(&bc, "actor"), "step {t}");
        assert_eq!(file(&td3, "optimizer_actor"), file(&bc, "optimizer_actor"));
    }
    assert_ne!(file(&bc, "actor"), initial);
}

/// What one drawn row has: reward, next observation, bootstrap and terminal, by the row's observation.
fn drawn(app: &mut App) -> BTreeMap<usize, [f32; 4]> {
    step(app);
    let batch = app.world().resource::<Batch>().clone();
    let next = host(batch.next_observation);
    let (reward, bootstrap) = (host(batch.reward), host(batch.bootstrap));
    let terminated = host(batch.terminated);
    let rows = host(batch.observation).into_iter().enumerate();
    rows.map(|(i, row)| {
        (
            row as usize,
            [reward[i], next[i], bootstrap[i], terminated[i]],
        )
    })
    .collect()
}

#[test]
fn rewards_are_folded_over_n_steps_inside_the_episode() {
    let ends = [
        EpisodeEnd::Truncated,
        EpisodeEnd::Terminated,
        EpisodeEnd::Unfinished,
    ];
    let ones = [1.0, 1.0, 1.0, 1.0];
    let transitions = episodes(&ends.map(|end| (&ones[..], end)));
    let mut td3 = small();
    td3.n_step = 3;
    let mut app = learning(td3, data(transitions, &[]));
    let drawn = drawn(&mut app);
    // 256 draws of 12 rows miss one of them once in ten million runs, and the stream is always the same.
    assert_eq!(drawn.len(), 12);
    let (g1, g2, g3) = (0.99, 0.9801, 0.970299);
    for (row, [reward, next, bootstrap, terminated]) in drawn {
        let (episode, place) = (row / 4, row % 4);
        let last = 4 * episode as u32 + 3;
        // Rewards until the third step or the episode's end, γᵏ after them, from the true next observation of the last.
        let (sum, factor, from) = match place {
            0 => (2.9701, g3, last - 1),
            1 => (2.9701, g3, last),
            2 => (1.99, g2, last),
            _ => (1.0, g1, last),
        };
        let over = ends[episode] == EpisodeEnd::Terminated && from == last;
        assert_close(reward.into(), sum, 1e-6);
        assert_close(bootstrap.into(), if over { 0.0 } else { factor }, 1e-7);
        assert_eq!(next, from as f32 + 0.5);
        assert_eq!(terminated, f32::from(u8::from(over)));
    }
}

#[test]
fn one_step_targets_are_the_default_and_discounted() {
    let transitions = episodes(&[(&[1.0, 2.0, 3.0], EpisodeEnd::Terminated)]);
    let mut app = learning(small(), data(transitions, &[]));
    let drawn = drawn(&mut app);
    assert_eq!(drawn[&0], [1.0, 0.5, 0.99, 0.0]);
    assert_eq!(drawn[&1], [2.0, 1.5, 0.99, 0.0]);
    assert_eq!(drawn[&2], [3.0, 2.5, 0.0, 1.0]);
}

#[test]
fn the_target_adds_the_bootstrapped_value_of_the_next_state_to_the_reward() {
    let mut app = fed(linear(), vec![rows(&[[7.0, 0.3, 2.9701, 5.0, 0.970299]])]);
    set_critic(&mut app, "0.", [2.0, 1.0, 3.0]);
    set_critic(&mut app, "1.", [2.0, 1.0, 3.0]);
    set_actor(&mut app, 0.0, 0.5_f32.atanh());
    // Q'(s', π'(s')) = 2 · 5 + 0.5 + 3.
    let y = 2.9701 + 0.970299 * 13.5;
    let recorded = step_metrics(&mut app);
    assert_close(recorded["critic/q_target"], y, 1e-5);
    // Q(s, a) = 2 · 7 + 0.3 + 3, for both critics.
    let loss = (17.3 - y) * (17.3 - y);
    assert_close(recorded["critic/0/loss"], loss, 1e-4);
    assert_close(recorded["critic/1/loss"], loss, 1e-4);
    assert_close(recorded["critic/loss"], 2.0 * loss, 1e-4);
}

#[test]
fn an_infinite_horizon_repeats_the_reward_of_a_terminal_step_only() {
    let ends = [
        EpisodeEnd::Truncated,
        EpisodeEnd::Terminated,
        EpisodeEnd::Unfinished,
    ];
    let transitions = episodes(&ends.map(|end| (&[1.0, 2.0][..], end)));
    let mut td3 = small();
    td3.infinite_horizon = true;
    let mut app = learning(td3, data(transitions, &[]));
    let drawn = drawn(&mut app);
    let rewards: Vec<f32> = drawn.values().map(|row| row[0]).collect();
    // 2 / (1 − 0.99), at the end of the terminal episode.
    assert_eq!(rewards[..3], [1.0, 2.0, 1.0]);
    assert_close(rewards[3].into(), 200.0, 1e-3);
    assert_eq!(rewards[4..], [1.0, 2.0]);
    assert_eq!((drawn[&3][2], drawn[&3][3]), (0.0, 1.0));
}

#[test]
fn targets_begin_as_copies_and_follow_softly_at_every_second_update_of_the_critic() {
    let mut td3 = small();
    td3.target_update.tau = 0.1;
    let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
    let initial = snapshot(&app).files;
    assert_eq!(initial["target_critic"], initial["critic"]);
    assert_eq!(initial["target_actor"], initial["actor"]);
    step(&mut app);
    let files = snapshot(&app).files;
    assert_eq!(files["target_critic"], initial["critic"]);
    assert_eq!(files["target_actor"], initial["actor"]);
    step(&mut app);
    let files = snapshot(&app).files;
    for role in ["critic", "actor"] {
        let target = &files[&format!("target_{role}")];
        let mut moved = 0.0_f64;
        for (name, new) in &files[role] {
            let old = &initial[role][name].values;
            for ((new, old), target) in new.values.iter().zip(old).zip(&target[name].values) {
                let (new, old) = (f64::from(*new), f64::from(*old));
                assert_close((*target).into(), 0.1 * new + 0.9 * old, 3e-8);
                moved = moved.max((new - old).abs());
            }
        }
        assert!(
            moved > 1e-4,
            "the {role} must move for this to say anything"
        );
    }
}

#[test]
fn targets_follow_at_every_kth_update_of_the_critic_whenever_the_actor_is_updated() {
    for (update_freq, actor_steps) in [(1, vec![1, 2, 3, 4, 5, 6, 7]), (2, vec![2, 4, 6])] {
        let mut td3 = small();
        td3.actor.update_freq = update_freq;
        td3.target_update = TargetUpdate { every: 3, tau: 0.1 };
        let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
        let moved = changes(&mut app, ["actor", "target_critic", "target_actor"], 7);
        assert_eq!(moved, [actor_steps, vec![3, 6], vec![3, 6]]);
    }
}

#[test]
fn with_a_tau_of_one_targets_are_copies_to_the_last_bit() {
    let mut td3 = small();
    td3.target_update = TargetUpdate { every: 4, tau: 1.0 };
    let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
    let [critic, actor] = changes(&mut app, ["target_critic", "target_actor"], 4);
    assert_eq!((critic, actor), (vec![4], vec![4]));
    let files = snapshot(&app).files;
    assert_eq!(files["target_critic"], files["critic"]);
    assert_eq!(files["target_actor"], files["actor"]);
    let [critic, actor] = changes(&mut app, ["target_critic", "target_actor"], 9);
    assert_eq!((critic, actor), (vec![8, 12], vec![8, 12]));
}

/// Three gradient steps an epoch, and the given rates.
fn with_rates(critic: Schedule, actor: Schedule) -> App {
    let mut td3 = small();
    td3.minibatch.steps_per_epoch = Some(3);
    td3.actor.update_freq = 1;
    td3.critic.optimizer.learning_rate = critic;
    td3.actor.optimizer.learning_rate = actor;
    let rewards: Vec<f32> = (0..20).map(|row| (row as f32).cos()).collect();
    let data = data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &[]);
    learning(td3, data)
}

/// The rates of the next steps, as they are recorded.
fn rates(app: &mut App, role: &str, n: usize) -> Vec<f64> {
    (0..n)
        .map(|_| step_metrics(app)[&format!("learning_rate/{role}")])
        .collect()
}

#[test]
fn a_multistep_rate_decays_after_its_epochs() {
    let multistep = |initial, epoch_schedule| Schedule::Multistep {
        initial,
        decay_factor: 0.1,
        epoch_schedule,
    };
    let mut app = with_rates(multistep(3e-4, vec![2]), multistep(1e-3, vec![1, 3]));
    let (mut critic, mut actor) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let recorded = step_metrics(&mut app);
        critic.push(recorded["learning_rate/critic"]);
        actor.push(recorded["learning_rate/actor"]);
    }
    // Epochs of three steps: 1 and 2 at the initial rate, 3 and later at a tenth.
    let expected = [[3e-4; 6], [3e-5; 6]].concat();
    for (rate, expected) in critic.iter().zip(expected) {
        assert_close(*rate, expected, 1e-15);
    }
    let expected = [[1e-3; 3], [1e-4; 3], [1e-4; 3], [1e-5; 3]].concat();
    for (rate, expected) in actor.iter().zip(expected) {
        assert_close(*rate, expected, 1e-15);
    }
}

#[test]
fn a_line_and_a_cosine_are_half_way_at_half_time_and_nothing_moves_after_them() {
    let line = Schedule::Linear {
        initial: 1e-3,
        end: 0.0,
        over: Span::Steps(4),
    };
    let cosine = Schedule::Cosine {
        initial: 1e-3,
        over: Span::Steps(4),
        warm_up: None,
    };
    let mut app = with_rates(line, cosine);
    let half = 0.5_f64.sqrt();
    let (mut critic, mut actor) = (Vec::new(), Vec::new());
    let [moved_critic, moved_actor] = {
        let mut moved = [Vec::new(), Vec::new()];
        for _ in 0..8 {
            let before = snapshot(&app).files;
            let recorded = step_metrics(&mut app);
            critic.push(recorded["learning_rate/critic"]);
            actor.push(recorded["learning_rate/actor"]);
            let after = snapshot(&app).files;
            moved[0].push(before["critic"] != after["critic"]);
            moved[1].push(before["actor"] != after["actor"]);
        }
        moved
    };
    let line = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 0.0, 0.0, 0.0, 0.0];
    let cosine = [2.0, 1.0 + half, 1.0, 1.0 - half, 0.0, 0.0, 0.0, 0.0].map(|rate| rate * 0.5e-3);
    for (found, expected) in critic.iter().zip(line).chain(actor.iter().zip(cosine)) {
        assert_close(*found, expected, 1e-12);
    }
    // The rate that is recorded is the rate that was taken.
    let first_four = [true, true, true, true, false, false, false, false];
    assert_eq!(moved_critic, first_four);
    assert_eq!(moved_actor, first_four);
}

#[test]
fn a_warm_up_rises_to_the_initial_rate() {
    let rate = Schedule::Cosine {
        initial: 1e-3,
        over: Span::Steps(6),
        warm_up: Some(2),
    };
    let mut app = with_rates(rate, Schedule::Constant(2e-4));
    let critic = rates(&mut app, "critic", 8);
    for (found, expected) in critic.iter().zip([0.5, 1.0, 1.0]) {
        assert_close(*found, expected * 1e-3, 1e-12);
    }
    // Four steps of a cosine after the two of the warm-up: half way after two of them.
    assert_close(critic[4], 0.5e-3, 1e-12);
    assert_eq!(critic[6..], [0.0, 0.0]);
    assert_eq!(rates(&mut app, "actor", 2), [2e-4, 2e-4]);
}

/// A schedule is counted by its own network's updates: an actor that is updated at every second step of the critic has half of
/// them, and is half way when the critic is at the end.
#[test]
fn a_network_with_half_the_updates_takes_twice_the_time_for_the_same_schedule() {
    let line = Schedule::Linear {
        initial: 1e-3,
        end: 0.0,
        over: Span::Steps(4),
    };
    let cosine = Schedule::Cosine {
        initial: 1e-3,
        over: Span::Steps(4),
        warm_up: None,
    };
    let mut td3 = small();
    td3.actor.update_freq = 2;
    (
        td3.critic.optimizer.learning_rate,
        td3.actor.optimizer.learning_rate,
    ) = (line, cosine);
    let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
    let (mut critic, mut actor) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let recorded = step_metrics(&mut app);
        critic.push(recorded["learning_rate/critic"]);
        actor.push(recorded["learning_rate/actor"]);
    }
    let line = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    // The actor's updates are steps 2, 4, 6 and 8: its rate moves after each of them.
    let half = 0.5_f64.sqrt();
    let cosine = [
        2.0,
        2.0,
        1.0 + half,
        1.0 + half,
        1.0,
        1.0,
        1.0 - half,
        1.0 - half,
        0.0,
        0.0,
    ];
    for (found, expected) in critic.iter().zip(line) {
        assert_close(*found, expected, 1e-12);
    }
    for (found, expected) in actor.iter().zip(cosine) {
        assert_close(*found, expected * 0.5e-3, 1e-12);
    }
}

#[test]
fn a_schedule_in_epochs_counts_from_the_first_in_which_the_network_is_trained() {
    let line = Schedule::Linear {
        initial: 4e-4,
        end: 0.0,
        over: Span::Epochs(4),
    };
    let mut td3 = small();
    td3.minibatch.steps_per_epoch = Some(3);
    td3.critic.optimizer.learning_rate = line.clone();
    td3.actor.optimizer.learning_rate = line;
    td3.actor.optimizer.start_epoch = Some(2);
    let rewards: Vec<f32> = (0..20).map(|row| (row as f32).cos()).collect();
    let mut app = learning(
        td3,
        data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &[]),
    );
    let (mut critic, mut actor) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let recorded = step_metrics(&mut app);
        critic.push(recorded["learning_rate/critic"]);
        actor.push(recorded["learning_rate/actor"]);
    }
    let epochs = |rates: [f64; 5]| rates.into_iter().flat_map(|rate| [rate; 3]);
    for (found, expected) in critic.iter().zip(epochs([4e-4, 3e-4, 2e-4, 1e-4, 0.0])) {
        assert_close(*found, expected, 1e-15);
    }
    for (found, expected) in actor.iter().zip(epochs([4e-4, 4e-4, 3e-4, 2e-4, 1e-4])) {
        assert_close(*found, expected, 1e-15);
    }
}

/// Files of the state after one step with that optimizer and weight decay, and before it.
fn one_step(
    rule: Optimizer,
    weight_decay: f32,
) -> [BTreeMap<String, BTreeMap<String, yarak::checkpoint::HostTensor>>; 2] {
    let mut td3 = small();
    td3.actor.update_freq = 1;
    for settings in [&mut td3.critic.optimizer, &mut td3.actor.optimizer] {
        (settings.rule, settings.weight_decay) = (rule, weight_decay);
    }
    let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
    let before = snapshot(&app).files;
    step(&mut app);
    [before, snapshot(&app).files]
}

/// The parameters of a role in the order of its optimizer's moments.
fn flat(file: &BTreeMap<String, yarak::checkpoint::HostTensor>) -> Vec<f32> {
    // By name: `0.bias` comes before `0.weight`, and the flat buffer has the weight first.
    let mut names: Vec<&String> = file.keys().collect();
    names.sort_by_key(|name| name.replace("weight", "a"));
    names
        .into_iter()
        .flat_map(|name| file[name].values.iter().copied())
        .collect()
}

#[test]
fn weight_decay_is_in_adams_gradient_and_next_to_adamws() {
    let decay = 0.5;
    let [before, plain] = one_step(Optimizer::adam(), 0.0);
    let [_, adam] = one_step(Optimizer::adam(), decay);
    let [_, plain_w] = one_step(Optimizer::adam_w(), 0.0);
    let [_, adamw] = one_step(Optimizer::adam_w(), decay);
    assert!(plain == plain_w, "without decay the two are one");
    // The critic's step comes first, so that both have its gradient from the same state; the actor's would differ.
    let moments = "optimizer_critic";
    assert!(
        plain[moments] == adamw[moments],
        "AdamW's gradient has no decay in it"
    );
    let values = flat(&before["critic"]);
    let (without, with) = (
        &plain[moments]["0.first_moment"].values,
        &adam[moments]["0.first_moment"].values,
    );
    for ((value, without), with) in values.iter().zip(without).zip(with) {
        let in_gradient = f64::from(*with - *without) / 0.1;
        assert_close(in_gradient, f64::from(decay * value), 1e-5);
    }
    let (without, with) = (flat(&plain["critic"]), flat(&adamw["critic"]));
    for ((value, without), with) in values.iter().zip(&without).zip(&with) {
        let decayed = f64::from(without - with);
        assert_close(decayed, 3e-4 * f64::from(decay * value), 1e-7);
    }
    // And the actor: its gradient is another one, after another critic's step, but its decay is not small next to it.
    let values = flat(&before["actor"]);
    let mut actor = small();
    actor.critic.optimizer.learning_rate = Schedule::Constant(0.0);
    actor.actor.update_freq = 1;
    let first_moment = |decay, rule| {
        let mut td3 = actor.clone();
        let optimizer = &mut td3.actor.optimizer;
        (optimizer.weight_decay, optimizer.rule) = (decay, rule);
        let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
        step(&mut app);
        tensor(&app, "optimizer_actor", "0.first_moment")
    };
    let without = first_moment(0.0, Optimizer::adam());
    assert_eq!(without, first_moment(decay, Optimizer::adam_w()));
    let with = first_moment(decay, Optimizer::adam());
    for ((value, without), with) in values.iter().zip(&without).zip(&with) {
        assert_close(
            f64::from(with - without) / 0.1,
            f64::from(decay * value),
            1e-5,
        );
    }
}

#[test]
fn the_first_steps_of_all_optimizers_follow_from_one_gradient() {
    let sgd = |momentum| Optimizer::Sgd { momentum };
    let [before, plain] = one_step(sgd(None), 0.0);
    let [_, momentum] = one_step(sgd(Some(0.9)), 0.0);
    assert!(
        plain["critic"] == momentum["critic"],
        "momentum begins at 0"
    );
    let rms_prop = Optimizer::RmsProp {
        smoothing: Some(0.96),
        epsilon: None,
        momentum: None,
    };
    let [_, rms_prop] = one_step(rms_prop, 0.0);
    let (before, plain) = (flat(&before["critic"]), flat(&plain["critic"]));
    let mut followed = 0;
    for ((before, plain), after) in before.iter().zip(&plain).zip(flat(&rms_prop["critic"])) {
        let gradient = f64::from(before - plain) / 3e-4;
        if gradient.abs() > 0.01 {
            // The first mean square is 0.04 g², so the step is the rate times 5, against the sign.
            let step = f64::from(before - after);
            assert_close(step, 3e-4 * 5.0 * gradient.signum(), 1e-6);
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed}");
}

#[test]
fn activation_norm_and_dropout_are_each_networks_own() {
    let mut td3 = small();
    let critic = td3.critic.encoder.as_mlp_mut().unwrap();
    (critic.activation, critic.dropout, critic.layer_norm) = (Activation::Elu, 0.3, true);
    let actor = td3.actor.encoder.as_mlp_mut().unwrap();
    (actor.activation, actor.dropout) = (Activation::Tanh, 0.1);
    let app = fed(td3, vec![some_rows(16, [3, 2])]);
    let critic = app.world().resource::<Net<Critic>>();
    let critic = critic.trunk().layers();
    let shape = critic.shape();
    assert_eq!(
        (shape.hidden, shape.output),
        (Activation::Elu, Activation::Identity)
    );
    assert_eq!((shape.layer_norm, critic.dropout()), (Some(1e-5), 0.3));
    let actor = app.world().resource::<Net<Actor>>();
    let actor = actor.trunk().layers();
    let shape = actor.shape();
    assert_eq!(
        (shape.hidden, shape.output),
        (Activation::Tanh, Activation::Tanh)
    );
    assert_eq!((shape.layer_norm, actor.dropout()), (None, 0.1));
}

#[test]
fn dropout_is_in_the_steps_and_not_in_the_targets() {
    let run = |dropout| {
        let mut td3 = linear();
        for encoder in [&mut td3.critic.encoder, &mut td3.actor.encoder] {
            encoder.set_hidden_sizes(&[8]);
            encoder.as_mlp_mut().unwrap().dropout = dropout;
        }
        let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
        step_metrics(&mut app)
    };
    let (without, with) = (run(0.0), run(0.5));
    assert_eq!(without["critic/q_target"], with["critic/q_target"]);
    for loss in ["critic/loss", "actor/loss"] {
        assert_ne!(without[loss], with[loss], "{loss}");
    }
}

/// A run on data with three gradient steps an epoch.
fn with_windows(critic: [Option<u64>; 2], actor: [Option<u64>; 2]) -> App {
    let mut td3 = small();
    td3.minibatch.steps_per_epoch = Some(3);
    [
        td3.critic.optimizer.start_epoch,
        td3.critic.optimizer.end_epoch,
    ] = critic;
    [
        td3.actor.optimizer.start_epoch,
        td3.actor.optimizer.end_epoch,
    ] = actor;
    let rewards: Vec<f32> = (0..20).map(|row| (row as f32).cos()).collect();
    learning(
        td3,
        data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &[]),
    )
}

#[test]
fn a_frozen_critic_does_not_freeze_the_actor() {
    let mut app = with_windows([Some(2), Some(3)], [None, None]);
    // Epoch 2 is steps 4, 5 and 6.
    let [critic, actor, target_critic, target_actor] = changes(&mut app, STATE, 10);
    assert_eq!(critic, [4, 5, 6]);
    assert_eq!(actor, [2, 4, 6, 8, 10]);
    // The targets are the critic's: they follow at its second update, step 5, and stand still where it does.
    assert_eq!((target_critic, target_actor), (vec![5], vec![5]));
    assert_eq!(app.world().resource::<Tick<Critic>>().count, 3);
    assert_eq!(app.world().resource::<Tick<Actor>>().count, 10);
}

#[test]
fn outside_the_actors_window_it_stands_still_and_the_targets_follow_the_critic() {
    let mut app = with_windows([None, None], [Some(2), Some(4)]);
    // Epochs 2 and 3 are steps 4 to 9. The first of them is the actor's tick 1, so its even ticks are steps 5, 7 and 9.
    let [critic, actor, target_critic, target_actor] = changes(&mut app, STATE, 12);
    assert_eq!(critic, (1..=12).collect::<Vec<_>>());
    assert_eq!(actor, [5, 7, 9]);
    assert_eq!(target_critic, [2, 4, 6, 8, 10, 12]);
    // A copy follows a copy nowhere until the actor moves, and after its last step still comes nearer to it.
    assert_eq!(target_actor, [6, 8, 10, 12]);
    assert_eq!(app.world().resource::<Tick<Actor>>().count, 6);
}

#[test]
fn huber_is_smooth_l1_and_squares_are_the_default() {
    for (huber, expected) in [(true, 0.8125), (false, 2.125)] {
        let mut td3 = linear();
        td3.critic.huber = huber;
        let mut app = fed(
            td3,
            vec![rows(&[
                [0.0, 0.0, 0.5, 0.0, 0.0],
                [0.0, 0.0, -2.0, 0.0, 0.0],
            ])],
        );
        set_critic(&mut app, "0.", [0.0; 3]);
        set_critic(&mut app, "1.", [0.0; 3]);
        assert_eq!(step_metrics(&mut app)["critic/1/loss"], expected);
    }
}

#[test]
fn each_critic_is_clipped_on_its_own_and_the_norm_is_told_before_clipping() {
    let mut td3 = linear();
    td3.critic.optimizer.max_gradient_norm = Some(4.0);
    td3.actor.optimizer.max_gradient_norm = Some(0.25);
    // One row with s = a = 0 and y = 0: a critic's gradient is 2 b, in its bias alone.
    let mut app = fed(td3, vec![rows(&[[0.0, 0.0, 0.0, 0.0, 0.0]])]);
    set_critic(&mut app, "0.", [0.0, 0.0, 1.0]);
    set_critic(&mut app, "1.", [0.0, 0.0, 3.0]);
    // Its Q term has no gradient; the imitation's is 2 tanh(b) (1 − tanh²(b)) = 0.75.
    set_actor(&mut app, 0.0, 0.5_f32.atanh());
    let recorded = step_metrics(&mut app);
    assert_close(recorded["critic/0/gradient_norm"], 2.0, 1e-6);
    assert_close(recorded["critic/1/gradient_norm"], 6.0, 1e-6);
    assert_close(recorded["actor/gradient_norm"], 0.75, 1e-6);
    // Adam's first moment is a tenth of the gradient that it was given: weights for s and a, then the bias.
    let critic = tensor(&app, "optimizer_critic", "0.first_moment");
    for (found, expected) in critic.iter().zip([0.0, 0.0, 0.2, 0.0, 0.0, 0.4]) {
        assert_close((*found).into(), expected, 1e-6);
    }
    let actor = tensor(&app, "optimizer_actor", "0.first_moment");
    assert_eq!(actor[0], 0.0);
    assert_close(actor[1].into(), 0.025, 1e-7);
}

#[test]
fn value_bounds_squash_values_and_targets() {
    let mut td3 = linear();
    td3.critic.value_bounds = Some(ValueBounds {
        low: -1.0,
        high: 5.0,
    });
    let mut app = fed(
        td3,
        vec![rows(&[
            [0.5, 0.0, 0.0, 0.0, 1.0],
            [50.0, 0.0, 0.0, 0.0, 1.0],
        ])],
    );
    set_critic(&mut app, "0.", [1.0, 0.0, 0.0]);
    set_critic(&mut app, "1.", [-1.0, 0.0, 0.0]);
    let recorded = step_metrics(&mut app);
    // (5 − 1) / 2 + (5 + 1) / 2 · tanh(0), for both.
    assert_close(recorded["critic/q_target"], 2.0, 1e-6);
    let value = |x: f64| 2.0 + 3.0 * x.tanh();
    let loss =
        |sign: f64| ((value(sign * 0.5) - 2.0).powi(2) + (value(sign * 50.0) - 2.0).powi(2)) / 2.0;
    assert_close(recorded["critic/0/loss"], loss(1.0), 1e-5);
    assert_close(recorded["critic/1/loss"], loss(-1.0), 1e-5);
}

#[test]
fn the_target_mixes_the_least_and_the_greatest_of_n_critics() {
    // The bias of each critic, the weight of the least, and the target.
    for (biases, weight, y) in [
        (vec![1.0, 3.0], 0.75, 1.5),
        (vec![3.0, 1.0], 1.0, 1.0),
        (vec![1.0, 3.0], 0.0, 3.0),
        (vec![2.0, 1.0, 3.0], 0.75, 1.5),
        (vec![2.0], 0.75, 2.0),
    ] {
        let mut td3 = linear();
        td3.critic.ensemble.n = biases.len();
        td3.critic.ensemble.weight = weight;
        let mut app = fed(td3, vec![rows(&[[0.0, 0.0, 0.0, 0.0, 1.0]])]);
        for (member, bias) in biases.iter().enumerate() {
            let prefix = match biases.len() {
                1 => String::new(),
                _ => format!("{member}."),
            };
            set_critic(&mut app, &prefix, [0.0, 0.0, *bias]);
        }
        let recorded = step_metrics(&mut app);
        assert_close(recorded["critic/q_target"], y, 1e-6);
        // Each critic regresses onto the same target.
        for (member, bias) in biases.iter().enumerate() {
            let error = f64::from(*bias) - y;
            assert_close(
                recorded[&format!("critic/{member}/loss")],
                error * error,
                1e-6,
            );
        }
        assert!(!recorded.contains_key(&format!("critic/{}/loss", biases.len())));
    }
}

#[test]
fn hidden_sizes_are_the_widths_of_hidden_layers_with_relu() {
    let mut td3 = linear();
    td3.critic.encoder.set_hidden_sizes(&[5, 3]);
    td3.actor.encoder.set_hidden_sizes(&[7]);
    let mut app = fed(td3, vec![some_rows(4, [3, 2])]);
    let shapes = |app: &App, name: &str| -> Vec<(String, Vec<usize>)> {
        file(app, name)
            .into_iter()
            .map(|(name, tensor)| (name, tensor.shape))
            .collect()
    };
    let named = |names: &[(&str, &[usize])]| -> Vec<(String, Vec<usize>)> {
        names
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
            .collect()
    };
    let actor: &[(&str, &[usize])] = &[
        ("0.bias", &[7]),
        ("0.weight", &[3, 7]),
        ("1.bias", &[2]),
        ("1.weight", &[7, 2]),
    ];
    assert_eq!(shapes(&app, "actor"), named(actor));
    let critic = shapes(&app, "critic");
    assert_eq!(critic.len(), 12);
    assert!(critic.contains(&("1.0.weight".to_owned(), vec![5, 5])));
    assert!(critic.contains(&("1.1.weight".to_owned(), vec![5, 3])));
    assert!(critic.contains(&("1.2.weight".to_owned(), vec![3, 1])));
    // Every network's output is a perceptron's with ReLU, on the host in float64.
    step(&mut app);
    let batch = app.world().resource::<Batch>().clone();
    let q = host(
        app.world()
            .resource::<Net<Critic>>()
            .q(batch.observation.clone(), batch.action.clone()),
    );
    let pi = host(
        app.world()
            .resource::<Net<Actor>>()
            .act(batch.observation.clone()),
    );
    let (observation, action) = (host(batch.observation), host(batch.action));
    let files = snapshot(&app).files;
    for row in 0..4 {
        let s: Vec<f64> = observation[3 * row..][..3]
            .iter()
            .map(|s| f64::from(*s))
            .collect();
        let a = action[2 * row..][..2].iter().map(|a| f64::from(*a));
        let sa: Vec<f64> = s.iter().copied().chain(a).collect();
        for member in 0..2 {
            let expected = perceptron(&files["critic"], &format!("{member}."), &sa)[0];
            assert_close(q[4 * member + row].into(), expected, 1e-6);
        }
        let expected = perceptron(&files["actor"], "", &s);
        assert_close(pi[2 * row].into(), expected[0].tanh(), 1e-6);
        assert_close(pi[2 * row + 1].into(), expected[1].tanh(), 1e-6);
    }
}

#[test]
fn the_actor_is_updated_every_few_ticks_and_the_targets_at_every_second_step_of_the_critic() {
    for (freq, actor_steps, target_actor_steps) in [
        (2, vec![2, 4, 6, 8], vec![2, 4, 6, 8]),
        // A copy follows a copy nowhere until the actor moves.
        (3, vec![3, 6], vec![4, 6, 8]),
        (1, (1..=8).collect(), vec![2, 4, 6, 8]),
    ] {
        let mut td3 = small();
        td3.actor.update_freq = freq;
        let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
        let [critic, actor, target_critic, target_actor] = changes(&mut app, STATE, 8);
        assert_eq!(critic, (1..=8).collect::<Vec<_>>());
        assert_eq!(actor, actor_steps);
        assert_eq!(target_critic, [2, 4, 6, 8]);
        assert_eq!(target_actor, target_actor_steps);
    }
}

#[test]
fn the_targets_noise_is_scaled_then_clipped_and_so_is_the_action() {
    let mut td3 = linear();
    (td3.actor.noise_std, td3.actor.noise_clip) = (0.2, 0.5);
    // π'(s') = 0.75 and Q'(s', a) = a, so that the target is the action.
    for (draw, action) in [
        (0.5, 0.85),
        (-5.0, 0.25),
        (5.0, 1.0),
        (0.0, 0.75),
        (-2.0, 0.35),
    ] {
        let mut row = rows(&[[0.0, 0.0, 0.0, 0.0, 1.0]]);
        row.noise = vec![draw];
        let mut app = fed(td3.clone(), vec![row]);
        set_critic(&mut app, "0.", [0.0, 1.0, 0.0]);
        set_critic(&mut app, "1.", [0.0, 1.0, 0.0]);
        set_actor(&mut app, 0.0, 0.75_f32.atanh());
        assert_close(step_metrics(&mut app)["critic/q_target"], action, 1e-6);
    }
}

#[test]
fn every_element_of_every_action_has_noise_of_its_own() {
    let mut td3 = linear();
    (td3.actor.noise_std, td3.actor.noise_clip) = (0.2, 0.5);
    let mut app = fed(td3, vec![some_rows(64, [3, 2])]);
    let place = app.world().resource::<Random<Noise>>().state();
    step(&mut app);
    let mut again = Random::<Noise>::new(Seed(0));
    assert_eq!(again.state(), place);
    again.normals(64 * 2);
    assert_eq!(
        app.world().resource::<Random<Noise>>().state(),
        again.state()
    );
}

#[test]
fn a_batch_has_as_many_rows_as_it_says_and_an_epoch_as_many_steps() {
    let rewards = [0.0; 100];
    let data = || data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &[3, 4]);
    // 98 rows to train on, 30 in a batch: 4 steps an epoch, unless it says otherwise.
    for (steps_per_epoch, expected) in [(None, 4), (Some(9), 9)] {
        let mut td3 = small();
        let batch_size = 30;
        td3.minibatch = MinibatchSettings {
            batch_size,
            steps_per_epoch,
        };
        let mut app = learning(td3, data());
        assert_eq!(app.world().resource::<Clock>().steps_per_epoch, expected);
        step(&mut app);
        assert_eq!(app.world().resource::<Batch>().rows(), 30);
    }
}

#[test]
fn minibatches_are_drawn_from_the_training_rows_with_replacement_and_from_the_seed() {
    let rewards = [0.0; 20];
    let held_out: Vec<u32> = (0..10).collect();
    let data = data(episodes(&[(&rewards, EpisodeEnd::Truncated)]), &held_out);
    let mut td3 = small();
    td3.minibatch.batch_size = 64;
    let mut app = learning(td3, data);
    step(&mut app);
    let observation = host(app.world().resource::<Batch>().observation.clone());
    assert!(observation.iter().all(|row| (10.0..20.0).contains(row)));
    let minibatches = app.world().resource::<Minibatches>();
    let mut stream = Random::<Sampling>::new(Seed(0));
    let device = device().plain();
    let again = minibatches.draw(&mut stream, &device).unwrap();
    assert_eq!(host(again.observation), observation);
    let mut other = Random::<Sampling>::new(Seed(1));
    let other = minibatches.draw(&mut other, &device).unwrap();
    assert_ne!(host(other.observation), observation);
}

#[test]
fn metrics_have_the_names_that_were_promised() {
    let mut rows = some_rows(16, [3, 2]);
    rows.terminated[..4].fill(1.0);
    let mut app = fed(small(), vec![rows]);
    steps(&mut app, 2);
    app.world_mut().run_schedule(Report);
    assert_eq!(take_failure(), None);
    let reported = app.world().resource::<Reported>().clone();
    let names: Vec<&str> = reported
        .values
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "actor/gradient_norm",
            "actor/loss",
            "critic/0/gradient_norm",
            "critic/0/loss",
            "critic/1/gradient_norm",
            "critic/1/loss",
            "critic/loss",
            "critic/q_target",
            "critic/terminated_fraction",
            "epoch",
            "learning_rate/actor",
            "learning_rate/critic",
            "loss",
            "time/steps_per_second",
        ]
    );
    let get = |name: &str| reported.get(name).unwrap();
    assert_eq!(get("critic/terminated_fraction"), 0.25);
    assert_close(get("loss"), get("critic/loss") + get("actor/loss"), 1e-12);
    assert_close(
        get("critic/loss"),
        get("critic/0/loss") + get("critic/1/loss"),
        1e-5,
    );
}
