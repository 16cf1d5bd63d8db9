//! Hindsight experience replay (Andrychowicz et al. 2017, <https://arxiv.org/abs/1707.01495>), as one system over the shipped DQN, on
//! the paper's own task: turn bits over until they are those that were asked for. Every step earns -1, so that without hindsight
//! nearly no episode carries information.
//!
//! `cargo run --release --example hindsight` trains with it, `-- without` without; `-- with 20000` for so many steps.

use yarak::prelude::*;

/// How many bits there are, and steps in an episode.
pub const BITS: usize = 12;

/// Where the state lies in an observation, and where the goal does.
const STATE: std::ops::Range<usize> = 0..BITS;
const GOAL: std::ops::Range<usize> = BITS..2 * BITS;

/// Draws of which a share is relabeled: as if what its episode came to later had been the goal.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Hindsight {
    /// The share of a minibatch's rows. The paper's k = 4 goals a row besides its own are 0.8.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub share: f32,
}

impl Default for Hindsight {
    fn default() -> Self {
        Hindsight { share: 0.8 }
    }
}

impl Settings for Hindsight {}

impl Plugin for Hindsight {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .replace(Learn, LearnSystems::Sample, draw_in_hindsight);
    }
}

/// The strategy "future" of section 4.5: the goal is a state that the same episode came to from this row on.
pub fn draw_in_hindsight(
    (hindsight, dqn): (Res<Hindsight>, Res<Dqn>),
    mut replayed: data::Replayed,
) -> Result {
    let rows = replayed.draw()?;
    let draws = replayed.random.uniforms(2 * rows.len(), 0.0, 1.0);
    let mut gathered = replayed.gather(&rows);
    for (index, row) in rows.iter().enumerate() {
        let [relabel, which] = [draws[2 * index], draws[2 * index + 1]];
        if relabel >= hindsight.share {
            continue;
        }
        let episode = replayed.buffer.episode_of(*row);
        let later: Vec<usize> = episode.filter(|later| later >= row).collect();
        let later = later[((which * later.len() as f32) as usize).min(later.len() - 1)];
        let goal = &replayed.buffer.next_observation(later)[STATE];
        gathered.observation.row_mut(index)[GOAL].copy_from_slice(goal);
        let next = gathered.next_observation.row_mut(index);
        next[GOAL].copy_from_slice(goal);
        let reached = next[STATE] == *goal;
        gathered.reward[index] = if reached { 0.0 } else { -1.0 };
        gathered.bootstrap[index] = if reached { 0.0 } else { dqn.discount };
        gathered.terminated[index] = reached;
    }
    Ok(replayed.learn_from(gathered)?)
}

/// The bits as they are, followed by those that are asked for, and the luck that chooses both.
#[derive(Component)]
struct Bits([f32; 2 * BITS], Random<Noise>);

fn flip(
    mut worlds: Query<(
        &mut Bits,
        &collect::Action,
        &mut collect::Observation,
        &mut collect::Reward,
        &mut collect::Ended,
    )>,
) {
    for (mut bits, action, mut observation, mut reward, mut ended) in &mut worlds {
        let bit = &mut bits.0[action.0[0] as usize];
        *bit = 1.0 - *bit;
        ended.terminated = bits.0[STATE] == bits.0[GOAL];
        reward.0 = if ended.terminated { 0.0 } else { -1.0 };
        observation.0.set(&bits.0);
    }
}

fn start_over(mut worlds: Query<(&collect::Restart, &mut Bits, &mut collect::Observation)>) {
    for (_, mut bits, mut observation) in worlds.iter_mut().filter(|(restart, ..)| restart.0) {
        let Bits(values, luck) = &mut *bits;
        let drawn = luck.uniforms(2 * BITS, 0.0, 1.0);
        *values = std::array::from_fn(|bit| f32::from(u8::from(drawn[bit] < 0.5)));
        observation.0.set(values);
    }
}

/// Of the episodes that ended, how many came to their goal: of all, and of the last ones.
#[derive(Resource, Default)]
pub struct Reached(Vec<bool>);

impl Reached {
    /// The share among the last `n` episodes.
    pub fn share_of_last(&self, n: usize) -> f64 {
        let last = &self.0[self.0.len().saturating_sub(n)..];
        last.iter().filter(|reached| **reached).count() as f64 / last.len().max(1) as f64
    }
}

fn count(steps: Res<StepResults>, mut reached: ResMut<Reached>) {
    let ended = (0..steps.rows()).filter(|row| steps.ended(*row));
    reached.0.extend(ended.map(|row| steps.terminated[row]));
}

/// DQN that turns bits over, for so many steps, with hindsight or without.
pub fn app(steps: u64, hindsight: bool) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin { steps, ..default() }),
        collect::OwnEnvironments {
            name: "bits".into(),
            // In the order of their names, as Gymnasium's goal environments have it.
            observation: Space::dict([
                ("achieved_goal", Space::from_bounds(&[(0.0, 1.0); BITS])),
                ("desired_goal", Space::from_bounds(&[(0.0, 1.0); BITS])),
            ]),
            action: Space::Discrete { n: BITS },
            num_envs: 16,
            time_limit: std::num::NonZeroU64::new(BITS as u64),
            ..default()
        },
        Replay { capacity: 100_000 },
        Dqn {
            discount: 0.98,
            minibatch: MinibatchSettings {
                batch_size: 128,
                ..default()
            },
            off_policy: OffPolicySettings {
                learning_starts: 1_000,
                train_freq: 4,
                gradient_steps: 4,
            },
            target_update: TargetUpdate {
                every: 1,
                tau: 0.05,
            },
            exploration: Schedule::Linear {
                initial: 1.0,
                end: 0.02,
                over: Span::Steps(10_000),
            },
            critic: NetworkSettings {
                encoder: EncoderSettings::from(&[128]),
                optimizer: OptimizerSettings {
                    learning_rate: Schedule::Constant(1e-3),
                    ..default()
                },
                ..default()
            },
            ..default()
        },
    ))
    .steps_environments(flip, start_over)
    .init_resource::<Reached>()
    .add_systems(Collect, count.in_set(CollectSystems::Record));
    if hindsight {
        app.add_plugins(Hindsight::default());
    }
    for row in 0..16 {
        let luck = Random::forked(Seed(0), row as u64);
        let bits = Bits([0.0; 2 * BITS], luck);
        app.world_mut()
            .spawn((collect::EnvironmentRow { row }, bits));
    }
    app
}

fn main() -> AppExit {
    let mut words = std::env::args().skip(1);
    let hindsight = words.next().is_none_or(|word| word != "without");
    let steps = words.next().and_then(|steps| steps.parse().ok());
    let mut app = app(steps.unwrap_or(60_000), hindsight);
    app.finish();
    app.cleanup();
    let exit = loop {
        app.update();
        if let Some(exit) = app.should_exit() {
            break exit;
        }
    };
    let share = 100.0 * app.world().resource::<Reached>().share_of_last(500);
    println!("{share:.0}% of the last 500 episodes came to their goal");
    exit
}
