//! A small dataset that is made up, for unit tests.

use crate::data::{
    ActionScale, Column, Data, Episode, EpisodeEnd, Normalizer, Parts, Transitions, split_episodes,
};
use crate::prelude::*;
use crate::random::Stack;
use crate::schedule::{FacilitatorPlugin, SchedulePlugin, take_failure};

const EPISODES: usize = 20;
const LENGTH: usize = 25;

/// The card that `YARAK_TEST_DEVICE` names, on which kernels are held against Burn's operations; `tests/device.sh` sets it.
pub fn card() -> Option<Device> {
    let name = std::env::var("YARAK_TEST_DEVICE").ok()?;
    let device: ComputeDevice = name.parse().unwrap();
    Some(device.plain()).filter(|device| *device != Device::flex())
}

/// Random transitions of 11 observations and 3 actions, half of the episodes terminal.
pub fn data() -> Data {
    let mut random = Random::<Noise>::new(Seed(0));
    let rows = EPISODES * LENGTH;
    let mut column = |width| Column {
        values: random.normals(rows * width),
        width,
    };
    let (observation, next_observation, reward) = (column(11), column(11), column(1).values);
    let action = Column {
        values: random.uniforms(rows * 3, -1.0, 1.0),
        width: 3,
    };
    let end = |episode| {
        if episode % 2 == 0 {
            EpisodeEnd::Terminated
        } else {
            EpisodeEnd::Truncated
        }
    };
    let transitions = Transitions::new(Parts {
        observation: observation.into(),
        action,
        reward,
        next_observation: next_observation.into(),
        terminated: (0..rows)
            .map(|row| (row + 1) % (2 * LENGTH) == LENGTH)
            .collect(),
        episodes: (0..EPISODES)
            .map(|episode| Episode {
                rows: episode * LENGTH..(episode + 1) * LENGTH,
                end: end(episode),
            })
            .collect(),
    })
    .unwrap();
    let split = split_episodes(&transitions, 0.0, 0).unwrap();
    Data::in_memory(transitions, split, "made up")
}

/// An app that has learned for so many steps.
pub fn learner(algorithm: impl Plugin, steps: u64) -> App {
    learner_of(&[1], algorithm, steps)
}

/// The same from this seed, or as a stack of these seeds.
pub fn learner_of(seeds: &[u64], algorithm: impl Plugin, steps: u64) -> App {
    let app = tried_for(seeds, algorithm, steps);
    assert_eq!(take_failure(), None);
    app
}

/// The same, with what went wrong left to be taken.
pub fn tried_for(seeds: &[u64], algorithm: impl Plugin, steps: u64) -> App {
    let mut app = App::new();
    if seeds.len() > 1 {
        let stack = Stack(seeds.iter().map(|seed| Seed(*seed)).collect());
        app.insert_resource(Metrics::of_learners(seeds.len()))
            .insert_resource(stack);
    }
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(Seed(seeds[0]))
        .insert_resource(ComputeDevice::cpu())
        .insert_resource(data())
        .insert_resource(Preprocessing::new(
            Normalizer::identity(11),
            ActionScale::from_bounds(vec![-1.0; 3], vec![1.0; 3]).unwrap(),
        ))
        .add_plugins(algorithm);
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(Startup);
    for _ in 0..steps {
        let mut clock = app.world_mut().resource_mut::<Clock>();
        clock.step += 1;
        clock.gradient_steps += 1;
        app.world_mut().run_schedule(Learn);
    }
    app
}
