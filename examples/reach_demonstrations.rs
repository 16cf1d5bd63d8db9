//! Demonstrations of `ReachPixels-v1`, seen in pictures, by somebody who knows the arm's angles.
//!
//!     cargo run --release --example reach_demonstrations -- reach.hdf5 4000
//!
//! Resolved-rate control (Whitney 1969): joints turn so that the tip moves towards the spot, by the damped inverse of the Jacobian, with
//! noise on the actions that it recovers from. `scenes/reach_pixels_bc.ron` learns from the file.

use std::error::Error;
use std::path::Path;

use yarak::data::convert::write_recorded;
use yarak::data::{Column, Episode, EpisodeEnd, Parts, Spaces, Transitions};
use yarak::env::{Environment, Pixels, Reach, Simulation, registry};
use yarak::prelude::*;

/// How fast both joints turn, towards the spot.
fn expert(state: [f64; 4]) -> [f64; 2] {
    let [elbow, tip] = Reach::elbow_and_tip(state);
    let wanted = [state[2] - tip[0], state[3] - tip[1]];
    // What a turn of the shoulder, and one of the elbow, does to the tip.
    let [shoulder, elbow] = [[-tip[1], tip[0]], [elbow[1] - tip[1], tip[0] - elbow[0]]];
    let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
    // (J Jᵀ + λ) x = wanted, and Jᵀ x are the turns.
    const DAMPING: f64 = 0.02;
    let entry =
        |row: usize, column: usize| shoulder[row] * shoulder[column] + elbow[row] * elbow[column];
    let (a, b, d) = (entry(0, 0) + DAMPING, entry(0, 1), entry(1, 1) + DAMPING);
    let determinant = a * d - b * b;
    let x = [
        (d * wanted[0] - b * wanted[1]) / determinant,
        (a * wanted[1] - b * wanted[0]) / determinant,
    ];
    let turns = [dot(shoulder, x), dot(elbow, x)].map(|turn| turn / 0.15);
    let fastest = turns[0].abs().max(turns[1].abs()).max(1.0);
    turns.map(|turn| turn / fastest)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let file = words.next().unwrap_or_else(|| "reach.hdf5".to_owned());
    let episodes = words.next().map_or(Ok(4_000), |count| count.parse())?;
    const NAME: &str = "ReachPixels-v1";
    let limit = registry::specification(NAME)?.time_limit.get();
    let mut pictures = Pixels::new(NAME, Simulation::new(Reach), 32)?;
    let mut arm = Simulation::new(Reach);
    let (mut seen, mut state) = (vec![0.0; 32 * 32], [0.0; 4]);
    let mut noise = Random::<Noise>::new(Seed(0));
    let [mut observation, mut action, mut next] = [const { Vec::new() }; 3];
    let (mut reward, mut terminated, mut cut) = (Vec::new(), Vec::new(), Vec::new());
    for episode in 0..episodes {
        let begins = reward.len();
        // Evaluations and tests begin elsewhere.
        let seed = Some(7_000_000 + episode);
        pictures.reset(seed, &mut seen)?;
        arm.reset(seed, &mut state)?;
        for _ in 0..limit {
            let wanted = expert(state.map(f64::from));
            let turns: Vec<f32> = wanted
                .iter()
                .zip(noise.normals(2))
                .map(|(turn, noise)| (*turn as f32 + 0.2 * noise).clamp(-1.0, 1.0))
                .collect();
            observation.extend_from_slice(&seen);
            let result = pictures.step(&turns, &mut seen)?;
            arm.step(&turns, &mut state)?;
            next.extend_from_slice(&seen);
            // What was wanted teaches more than what was done.
            action.extend(wanted.map(|turn| turn as f32));
            reward.push(result.reward as f32);
            terminated.push(result.terminated);
            if result.terminated {
                break;
            }
        }
        let end = match terminated.last() {
            Some(true) => EpisodeEnd::Terminated,
            _ => EpisodeEnd::Truncated,
        };
        cut.push(Episode {
            rows: begins..reward.len(),
            end,
        });
    }
    let reached = terminated.iter().filter(|it| **it).count();
    println!(
        "{reached} of {episodes} episodes touched the spot, {} steps",
        reward.len()
    );
    let column = |values, width| Column { values, width };
    let transitions = Transitions::new(Parts {
        observation: column(observation, 32 * 32).into(),
        action: column(action, 2),
        reward,
        next_observation: column(next, 32 * 32).into(),
        terminated,
        episodes: cut,
    })?;
    let spaces = Spaces {
        environment: NAME.to_owned(),
        observation: pictures.observation_space().clone(),
        action: pictures.action_space().clone(),
    };
    write_recorded(&transitions, &spaces, Path::new(&file), false)?;
    Ok(())
}
