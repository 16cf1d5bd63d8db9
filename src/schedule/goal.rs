//! Which values of a metric are good.

use bevy_reflect::Reflect;

/// Which of two values of a metric is the better one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Goal {
    /// The larger, as of a return.
    #[default]
    Largest,
    /// The smaller, as of a loss.
    Smallest,
}

impl Goal {
    /// Whether `value` is better than `best` by more than `by`. NaN and the infinities never are; any other number
    /// is better than no value.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::report::Goal;
    ///
    /// assert!(Goal::Largest.improves(2.0, Some(1.0), 0.5) && !Goal::Largest.improves(1.5, Some(1.0), 0.5));
    /// assert!(Goal::Smallest.improves(0.9, Some(1.0), 0.0) && !Goal::Smallest.improves(1.0, Some(1.0), 0.0));
    /// assert!(Goal::Smallest.improves(7.0, None, 0.0) && !Goal::Smallest.improves(f64::NAN, None, 0.0));
    /// ```
    pub fn improves(self, value: f64, best: Option<f64>, by: f64) -> bool {
        let better = |best: f64| match self {
            Goal::Largest => value > best + by,
            Goal::Smallest => value < best - by,
        };
        value.is_finite() && best.is_none_or(better)
    }
}
