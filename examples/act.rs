//! A trained policy without its training: load a checkpoint, give it an observation, get an action.
//!
//! `cargo run --release --example act -- runs/pendulum_td3_bc -1 0 0` prints the torque that the policy chooses where the pendulum
//! hangs down and stands still.

use yarak::prelude::*;

fn main() -> AppExit {
    let mut arguments = std::env::args().skip(1);
    let Some(run) = arguments.next() else {
        eprintln!("error: name a run or a checkpoint, and the numbers of an observation");
        return AppExit::from_code(2);
    };
    match act(&run, arguments) {
        Ok(action) => {
            println!("{action:?}");
            AppExit::Success
        }
        Err(error) => {
            eprintln!("error: {error}");
            AppExit::from_code(2)
        }
    }
}

fn act(run: &str, numbers: impl Iterator<Item = String>) -> Result<Vec<f32>> {
    let mut policy = policy::Policy::load(run)?;
    let mut observation = Vec::new();
    for number in numbers {
        observation.push(number.parse()?);
    }
    Ok(policy.act(&observation)?.to_vec())
}
