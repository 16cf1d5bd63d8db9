//! What a gradient step takes in memory, looked at before the first one: a batch that does not fit is refused, with the figure.

use bevy_app::{App, PostStartup};
use bevy_ecs::prelude::*;
use burn::module::Module;

use super::{Net, Role};
use crate::memory::{self, RowsOfStep};
use crate::nn::{ComputeDevice, Network};
use crate::schedule::InputError;

/// The networks of an app, weighed.
#[derive(Resource, Default)]
struct Weighed {
    parameters: u64,
    /// The most numbers that one network keeps for each row of a batch.
    per_row: u64,
}

#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Weighing;

/// Weighs role `R` once its network is built.
pub(super) fn weigh_network<R: Role>(app: &mut App) {
    if !app.world().contains_resource::<Weighed>() {
        app.init_resource::<Weighed>()
            .add_systems(PostStartup, check.after(Weighing));
    }
    app.add_systems(PostStartup, weigh::<R>.in_set(Weighing));
}

fn weigh<R: Role>(net: Option<Res<Net<R>>>, mut weighed: ResMut<Weighed>) {
    if let Some(net) = net {
        weighed.parameters += net.num_params() as u64;
        weighed.per_row = weighed.per_row.max(net.values_per_row() as u64);
    }
}

/// A bound from below, so that nothing is refused that would run: a network's hidden values with their gradients, and its weights
/// with gradients and an optimizer's two memories.
fn check(
    weighed: Res<Weighed>,
    rows: Option<Res<RowsOfStep>>,
    device: Option<Res<ComputeDevice>>,
) -> Result<(), BevyError> {
    // The memory of other devices is theirs.
    let (Some(rows), true) = (
        rows,
        device.is_some_and(|device| device.to_string() == "cpu"),
    ) else {
        return Ok(());
    };
    let of_rows = (2 * 4 * weighed.per_row).saturating_mul(rows.rows as u64);
    let needed = of_rows.saturating_add(4 * 4 * weighed.parameters);
    let what = format!(
        "a gradient step on {} rows, with {} hidden values in its largest network,",
        rows.rows, weighed.per_row
    );
    memory::check(&what, needed, rows.setting).map_err(InputError::new)?;
    Ok(())
}
