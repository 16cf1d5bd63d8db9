//! A trained policy in a Bevy app: it is a resource, and a system that asks it moves the app's own entities. The app has none of
//! yarak's plugins.
//!
//! `cargo run --release --example act_in_bevy -- runs/pendulum_td3_bc` lets the policy of `scenes/pendulum_td3_bc.ron` swing up eight
//! pendulums that are nobody's environments.

use yarak::prelude::*;

/// A pendulum of the app's own world: its angle from upright in rad, and its angular velocity in rad/s.
#[derive(Component)]
struct Pendulum {
    angle: f32,
    velocity: f32,
}

/// What its motor does, in N m.
#[derive(Component, Default)]
struct Torque(f32);

fn hang(mut commands: Commands) {
    for number in 0..8 {
        let angle = 1.5 + 0.4 * number as f32;
        let velocity = 0.0;
        commands.spawn((Pendulum { angle, velocity }, Torque::default()));
    }
}

/// What the policy sees is what it was trained on: cosine, sine, angular velocity.
fn steer(
    mut policy: ResMut<policy::Policy>,
    mut pendulums: Query<(&Pendulum, &mut Torque)>,
) -> Result {
    for (pendulum, mut torque) in &mut pendulums {
        let (sin, cos) = pendulum.angle.sin_cos();
        torque.0 = policy.act(&[cos, sin, pendulum.velocity])?[0];
    }
    Ok(())
}

fn swing(mut pendulums: Query<(&mut Pendulum, &Torque)>) {
    const SECONDS: f32 = 0.05;
    for (mut pendulum, torque) in &mut pendulums {
        pendulum.velocity += (15.0 * pendulum.angle.sin() + 3.0 * torque.0) * SECONDS;
        pendulum.velocity = pendulum.velocity.clamp(-8.0, 8.0);
        pendulum.angle += pendulum.velocity * SECONDS;
    }
}

fn main() -> AppExit {
    let Some(run) = std::env::args().nth(1) else {
        eprintln!("error: name a run, such as runs/pendulum_td3_bc");
        return AppExit::from_code(2);
    };
    let policy = match policy::Policy::load(run) {
        Ok(policy) => policy,
        Err(error) => {
            eprintln!("error: {error}");
            return AppExit::from_code(2);
        }
    };
    let mut app = App::new();
    app.insert_resource(policy)
        .add_systems(Startup, hang)
        .add_systems(Update, (steer, swing).chain());
    // Ten seconds.
    for _ in 0..200 {
        app.update();
    }
    let world = app.world_mut();
    let mut pendulums = world.query::<&Pendulum>();
    let upright = pendulums.iter(world).filter(|it| it.angle.cos() > 0.9);
    println!("{} of 8 pendulums stand upright", upright.count());
    AppExit::Success
}
