//! The algorithms, one file each. A file here uses nothing but the prelude: it is what an outside crate would write.

pub mod bc;
pub mod td3_bc;

pub use bc::Bc;
pub use td3_bc::Td3Bc;

use yarak::prelude::*;

/// Makes every algorithm known to scenes, and their steps to `order: [...]`.
pub fn register(app: &mut App) {
    app.register_for_scenes::<Bc>()
        .register_for_scenes::<Td3Bc>()
        .register_step("bc::clone_behaviour", bc::clone_behaviour)
        .register_step("bc::raise_likelihood", bc::raise_likelihood)
        .register_step("td3_bc::update_critic", td3_bc::update_critic)
        .register_step("td3_bc::update_actor", td3_bc::update_actor)
        .register_step("td3_bc::track_targets", td3_bc::track_targets);
}
