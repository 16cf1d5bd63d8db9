//! The sum of what the units of a cube have.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Units of a cube that sums up.
pub(super) const UNITS: usize = 256;

/// The sum over all [`UNITS`] units, for each of them: in halves, in the same order each time.
#[cube]
pub fn summed(value: f32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    sums[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            sums[unit] = sums[unit] + sums[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    sums[0]
}
