//! A Bevy app's own entities as environments: rabbits on a lawn, each of which has to find its carrot.
//!
//! The app has its components and its systems already. What makes a rabbit an environment is an `EnvironmentRow`, a system that hops as
//! its `Action` says and writes `Observation`, `Reward` and `Ended`, and one that starts over. yarak does the rest: it hands
//! out the policy's actions, cuts long episodes, restarts, and counts returns.
//!
//! `cargo run --release --example bevy_world` lets two policies play: random hops, and hops towards the carrot. An online
//! algorithm's plugin takes the same place.

use yarak::collect::{
    ActRandomly, Action, Actions, Ended, EnvironmentRow, FinishedEpisodes, Observation,
    Observations, OwnEnvironments, Restart, Reward,
};
use yarak::env::NumpyRandom;
use yarak::prelude::*;

/// Where somebody is on the lawn, in meters.
#[derive(Component, Clone, Copy, Default)]
struct Position {
    x: f32,
    y: f32,
}

/// What a rabbit is after, and the luck that decides where it grows.
#[derive(Component)]
struct Carrot {
    at: Position,
    luck: NumpyRandom,
}

const RABBITS: usize = 16;

fn plant(mut commands: Commands) {
    for row in 0..RABBITS {
        let luck = NumpyRandom::new(row as u64);
        let at = Position::default();
        commands.spawn((
            EnvironmentRow { row },
            Position::default(),
            Carrot { at, luck },
        ));
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
        &Action,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) {
    for (mut position, carrot, action, mut observation, mut reward, mut ended) in &mut rabbits {
        position.x += action.0[0];
        position.y += action.0[1];
        let [x, y] = way(&position, carrot);
        let distance = x.hypot(y);
        observation.0.set(&[x, y]);
        reward.0 = f64::from(-distance);
        ended.terminated = distance < 0.5;
    }
}

fn start_over(mut rabbits: Query<(&Restart, &mut Position, &mut Carrot, &mut Observation)>) {
    for (restart, mut position, mut carrot, mut observation) in &mut rabbits {
        if restart.0 {
            *position = Position::default();
            let mut draw = || carrot.luck.uniform(-5.0, 5.0) as f32;
            let (x, y) = (draw(), draw());
            carrot.at = Position { x, y };
            observation.0.set(&way(&position, &carrot));
        }
    }
}

/// A policy by hand: as far towards the carrot as one hop goes.
fn hop_to_the_carrot(observations: Res<Observations>, mut actions: ResMut<Actions>) {
    for row in 0..observations.rows() {
        for (action, way) in actions.row_mut(row).iter_mut().zip(observations.row(row)) {
            // Actions lie in [-1, 1] here, and the longest hop is half a meter.
            *action = (way / 0.5).clamp(-1.0, 1.0);
        }
    }
}

/// The mean return of the episodes that ended.
#[derive(Resource, Default)]
struct Played {
    episodes: usize,
    total: f64,
}

fn count(finished: Res<FinishedEpisodes>, mut played: ResMut<Played>) {
    played.episodes += finished.0.len();
    played.total += finished.0.iter().map(|it| it.total_reward).sum::<f64>();
}

fn play(act: impl Fn(&mut App)) -> AppExit {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin {
            steps: 100 * RABBITS as u64,
            ..default()
        }),
        OwnEnvironments {
            name: "Rabbits".into(),
            observation: Space::from_bounds(&[(-10.0, 10.0); 2]),
            action: Space::from_bounds(&[(-0.5, 0.5); 2]),
            num_envs: RABBITS,
            time_limit: std::num::NonZeroU64::new(50),
            ..default()
        },
    ))
    .init_resource::<Played>()
    .add_systems(Startup, plant)
    .steps_environments(hop, start_over)
    .add_systems(Collect, count.in_set(CollectSystems::Record))
    .add_systems(
        Last,
        |mut exits: MessageReader<AppExit>, played: Res<Played>| {
            if exits.read().next().is_some() && played.episodes > 0 {
                let mean = played.total / played.episodes as f64;
                println!("{} episodes, mean return {mean:.1}", played.episodes);
            }
        },
    );
    act(&mut app);
    app.run()
}

fn main() -> AppExit {
    println!("random hops:");
    let random = play(|app| {
        app.add_plugins(ActRandomly {});
    });
    println!("hops towards the carrot:");
    let aimed = play(|app| {
        app.add_systems(Collect, hop_to_the_carrot.in_set(CollectSystems::Act));
    });
    if random.is_success() { aimed } else { random }
}
