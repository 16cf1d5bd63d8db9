//! A pass over the held-out rows, part by part.

use bevy_ecs::prelude::*;

use super::{DueLeft, Failure, Validate, stop_requested, take_failure};

/// Whether held-out rows are left after the part that [`Validate`] just ran on. Whoever puts rows into place says so.
#[derive(Resource, Default, Debug)]
pub(crate) struct PartsLeft(pub bool);

/// Runs [`Validate`] on all held-out rows, once for each part of them. Between two parts it is left where the run is asked to stop:
/// a run that goes on begins it anew.
///
/// # Errors
/// A step failed, or the rows cannot be read.
pub fn validate(world: &mut World) -> Result<(), Failure> {
    loop {
        world.resource_mut::<PartsLeft>().0 = false;
        world.run_schedule(Validate);
        take_failure().map_or(Ok(()), Err)?;
        if !world.resource::<PartsLeft>().0 {
            return Ok(());
        }
        if stop_requested() {
            world.get_resource_or_init::<DueLeft>().0 = true;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy_app::App;

    use super::*;
    use crate::schedule::{InputError, SchedulePlugin, ValidateSystems};

    #[derive(Resource, Default)]
    struct Parts(u32);

    #[test]
    fn a_pass_goes_on_while_parts_are_left_and_ends_with_a_failure() {
        let mut app = App::new();
        app.add_plugins(SchedulePlugin).init_resource::<Parts>();
        let next =
            |mut parts: ResMut<Parts>, mut left: ResMut<PartsLeft>| -> Result<(), BevyError> {
                parts.0 += 1;
                left.0 = !parts.0.is_multiple_of(3);
                match parts.0 {
                    5 => Err(InputError::new("unreadable").into()),
                    _ => Ok(()),
                }
            };
        app.add_systems(Validate, next.in_set(ValidateSystems::Sample));
        app.finish();
        assert_eq!(validate(app.world_mut()), Ok(()));
        assert_eq!(app.world().resource::<Parts>().0, 3);
        let failure = validate(app.world_mut()).unwrap_err();
        assert_eq!(failure.message, "unreadable");
        assert_eq!(app.world().resource::<Parts>().0, 5);
    }
}
