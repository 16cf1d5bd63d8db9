//! The algorithms, one file each, and what several share. A file here uses nothing but the prelude: it is what an outside crate would write.

pub mod a2c;
pub mod bc;
pub mod bcq;
pub mod cql;
pub mod ddpg;
pub mod diffusion;
pub mod dqn;
pub mod flow_bc;
pub mod iql;
pub mod on_policy;
pub mod ppo;
pub mod reinforce;
pub mod sac;
pub mod td3;
pub mod td3_bc;

pub use a2c::A2c;
pub use bc::Bc;
pub use bcq::Bcq;
pub use cql::Cql;
pub use ddpg::Ddpg;
pub use diffusion::Diffusion;
pub use dqn::Dqn;
pub use flow_bc::FlowBc;
pub use iql::Iql;
pub use ppo::Ppo;
pub use reinforce::Reinforce;
pub use sac::Sac;
pub use td3::Td3;
pub use td3_bc::Td3Bc;

use yarak::prelude::*;

/// Makes every algorithm known to scenes, and their steps to `order: [...]`.
pub fn register(app: &mut App) {
    app.register_for_scenes::<A2c>()
        .register_for_scenes::<Bc>()
        .register_for_scenes::<Bcq>()
        .register_for_scenes::<Cql>()
        .register_for_scenes::<Ddpg>()
        .register_for_scenes::<Diffusion>()
        .register_for_scenes::<Dqn>()
        .register_for_scenes::<FlowBc>()
        .register_for_scenes::<Iql>()
        .register_for_scenes::<Ppo>()
        .register_for_scenes::<Reinforce>()
        .register_for_scenes::<Sac>()
        .register_for_scenes::<Td3>()
        .register_for_scenes::<Td3Bc>()
        .register_step("bc::clone_behavior", bc::clone_behavior)
        .register_step("bcq::track_targets", bcq::track_targets)
        .register_step("bcq::update_actor", bcq::update_actor)
        .register_step("bcq::update_critic", bcq::update_critic)
        .register_step("bcq::update_vae", bcq::update_vae)
        .register_step("cql::update_actor", cql::update_actor)
        .register_step(
            "cql::update_lagrange_multiplier",
            cql::update_lagrange_multiplier,
        )
        .register_step("cql::update_critic", cql::update_critic)
        .register_step("ddpg::track_targets", ddpg::track_targets)
        .register_step("ddpg::update_actor", ddpg::update_actor)
        .register_step("ddpg::update_critic", ddpg::update_critic)
        .register_step("diffusion::average_weights", diffusion::average_weights)
        .register_step("diffusion::denoise", diffusion::denoise)
        .register_step("dqn::track_target", dqn::track_target)
        .register_step("dqn::update_critic", dqn::update_critic)
        .register_step("flow_bc::average_weights", flow_bc::average_weights)
        .register_step("flow_bc::match_flow", flow_bc::match_flow)
        .register_step("iql::track_targets", iql::track_targets)
        .register_step("iql::update_actor", iql::update_actor)
        .register_step("iql::update_critic", iql::update_critic)
        .register_step("iql::update_value", iql::update_value)
        .register_step("on_policy::update_actor", on_policy::update_actor)
        .register_step("on_policy::update_critic", on_policy::update_critic)
        .register_step("ppo::update_actor", ppo::update_actor)
        .register_step("ppo::update_critic", ppo::update_critic)
        .register_step("sac::track_targets", sac::track_targets)
        .register_step("sac::update_actor", sac::update_actor)
        .register_step("sac::update_critic", sac::update_critic)
        .register_step("sac::update_temperature", sac::update_temperature)
        .register_step("td3::track_targets", td3::track_targets)
        .register_step("td3::update_actor", td3::update_actor)
        .register_step("td3::update_critic", td3::update_critic)
        .register_step("td3_bc::update_actor", td3_bc::update_actor);
}
