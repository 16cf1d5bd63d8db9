//! A Bevy app whose own entities learn: rabbits on a lawn, each of which has to find its carrot. `docs/bevy_app.md` explains it.
//!
//! `cargo run --release --example learn_in_bevy -- runs/rabbits` trains them with SAC. Ctrl-C saves, and the same command goes on from
//! there, bit for bit. `-- runs/rabbits 5000` is for so many steps.

use yarak::prelude::serde::{Deserialize, Serialize};
use yarak::prelude::*;

/// Where a rabbit is on the lawn, in meters.
#[derive(Component, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(crate = "yarak::prelude::serde")]
struct Position {
    x: f32,
    y: f32,
}

/// Where its carrot is, and how many have grown for it: what decides where the next one does.
#[derive(Component, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(crate = "yarak::prelude::serde")]
struct Carrot {
    at: Position,
    luck: u64,
    grown: u64,
}

impl Carrot {
    /// The next one grows at most five meters from the burrow.
    fn grow(&mut self) {
        self.grown += 1;
        let mut luck = Random::<Noise>::forked(Seed(self.luck), self.grown);
        let at = luck.uniforms(2, -5.0, 5.0);
        self.at = Position { x: at[0], y: at[1] };
    }
}

const RABBITS: usize = 16;

/// Makes an entity a rabbit with luck of its own.
fn rabbit(mut entity: EntityWorldMut, luck: u64) {
    let carrot = Carrot { luck, ..default() };
    entity.insert((Position::default(), carrot));
}

fn settle(world: &mut World) {
    for row in 0..RABBITS {
        rabbit(world.spawn(collect::EnvironmentRow { row }), row as u64);
    }
}

/// What a rabbit sees: the way to its carrot.
fn way(from: &Position, to: &Carrot) -> [f32; 2] {
    [to.at.x - from.x, to.at.y - from.y]
}

fn hop(
    mut rabbits: Query<(
        &mut Position,
        &Carrot,
        &collect::Action,
        &mut collect::Observation,
        &mut collect::Reward,
        &mut collect::Ended,
    )>,
) {
    for (mut position, carrot, action, mut observation, mut reward, mut ended) in &mut rabbits {
        position.x += action.0[0];
        position.y += action.0[1];
        let way = way(&position, carrot);
        let distance = way[0].hypot(way[1]);
        observation.0.set(&way);
        reward.0 = -f64::from(distance);
        ended.terminated = distance < 0.5;
    }
}

fn start_over(
    mut rabbits: Query<(
        &collect::Restart,
        &mut Position,
        &mut Carrot,
        &mut collect::Observation,
    )>,
) {
    for (restart, mut position, mut carrot, mut observation) in &mut rabbits {
        if restart.0 {
            *position = Position::default();
            carrot.grow();
            observation.0.set(&way(&position, &carrot));
        }
    }
}

/// SAC with small networks.
fn sac() -> Sac {
    let network = || NetworkSettings {
        encoder: EncoderSettings::from(&[64, 64]),
        optimizer: OptimizerSettings::at(1e-3),
        ..default()
    };
    Sac {
        minibatch: MinibatchSettings::of(64),
        off_policy: OffPolicySettings {
            learning_starts: 1_000,
            train_freq: 1,
            gradient_steps: 4,
        },
        critic: CriticSettings {
            encoder: network().encoder,
            optimizer: network().optimizer,
            ..default()
        },
        actor: network(),
        ..default()
    }
}

/// The lawn, where rabbits learn for so many steps and leave what they learned in a folder.
pub fn lawn(folder: &str, steps: u64) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin {
            steps,
            folder: Some(folder.into()),
            resume: true,
            ..default()
        }),
        collect::OwnEnvironments {
            name: "Rabbits".into(),
            observation: Space::from_bounds(&[(-10.0, 10.0); 2]),
            action: Space::from_bounds(&[(-0.5, 0.5); 2]),
            num_envs: RABBITS,
            time_limit: std::num::NonZeroU64::new(50),
            ..default()
        },
        collect::OwnEvaluation {
            every: 4_000.into(),
            ..collect::OwnEvaluation::of(rabbit)
        },
        Replay { capacity: 20_000 },
        sac(),
        Reports {
            every: 2_000.into(),
        },
        Checkpoints {
            every: 4_000.into(),
            ..default()
        },
    ))
    .add_systems(Startup, settle)
    .steps_environments(hop, start_over)
    .persist_component::<Position>()
    .persist_component::<Carrot>();
    app
}

fn main() -> AppExit {
    let mut words = std::env::args().skip(1);
    let Some(folder) = words.next() else {
        eprintln!("error: name a folder for the run, such as runs/rabbits");
        return AppExit::from_code(2);
    };
    match words.next().map(|steps| steps.parse()) {
        None => lawn(&folder, 20_000).run(),
        Some(Ok(steps)) => lawn(&folder, steps).run(),
        Some(Err(_)) => {
            eprintln!(
                "error: give the number of steps behind the folder, as in `runs/rabbits 5000`"
            );
            AppExit::from_code(2)
        }
    }
}
