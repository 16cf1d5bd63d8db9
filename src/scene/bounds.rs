//! The range that a number in the settings may take, written next to the field as a reflected attribute.

use std::fmt;

use bevy_reflect::Reflect;

/// The range of a number: `#[reflect(@Bounds::within(0.0, 1.0))]` next to a field.
///
/// It holds for every number inside the field: through `Option`, the items of a `Vec`, arrays and tuples. Numbers that
/// are not finite are refused with or without bounds, unless they say [`Bounds::or_infinite`]; NaN is refused always.
/// A 32-bit field is compared in 32 bits, so `0.1` is within `0.0` to `0.1`.
///
/// `Bounds::any().required()`, next to a field of any type, says that a scene has to give it: [`Bounds::required`].
///
/// ```
/// use bevy_reflect::Reflect;
/// use yarak::scene::Bounds;
///
/// /// How targets follow their networks.
/// #[derive(Clone, Debug, Reflect)]
/// struct Tracking {
///     /// Share of the way that the target goes in one step, τ.
///     #[reflect(@Bounds::above(0.0).up_to(1.0))]
///     rate: f32,
///     /// Steps between two updates.
///     #[reflect(@Bounds::at_least(1.0))]
///     every: u64,
/// }
///
/// assert_eq!(Bounds::above(0.0).up_to(1.0).to_string(), "above 0 and at most 1");
/// assert!(Bounds::within(0.0, 1.0).contains(0.5) && !Bounds::within(0.0, 1.0).contains(1.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct Bounds {
    low: f64,
    high: f64,
    low_included: bool,
    high_included: bool,
    infinite: bool,
    required: bool,
}

impl Bounds {
    /// Every finite number; a start for [`Bounds::or_infinite`].
    pub const fn any() -> Self {
        Self {
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            low_included: true,
            high_included: true,
            infinite: false,
            required: false,
        }
    }

    /// From `low` to `high`, both included.
    pub const fn within(low: f64, high: f64) -> Self {
        Self::at_least(low).up_to(high)
    }

    /// `low` or more.
    pub const fn at_least(low: f64) -> Self {
        Self { low, ..Self::any() }
    }

    /// More than `low`.
    pub const fn above(low: f64) -> Self {
        Self {
            low,
            low_included: false,
            ..Self::any()
        }
    }

    /// `high` or less.
    pub const fn at_most(high: f64) -> Self {
        Self::any().up_to(high)
    }

    /// Less than `high`.
    pub const fn below(high: f64) -> Self {
        Self::any().under(high)
    }

    /// These bounds, and `high` or less.
    pub const fn up_to(self, high: f64) -> Self {
        Self {
            high,
            high_included: true,
            ..self
        }
    }

    /// These bounds, and less than `high`.
    pub const fn under(self, high: f64) -> Self {
        Self {
            high,
            high_included: false,
            ..self
        }
    }

    /// These bounds, and `inf` or `-inf` on a side that has no bound.
    pub const fn or_infinite(self) -> Self {
        Self {
            infinite: true,
            ..self
        }
    }

    /// These bounds, of a field that has no good default: a scene that leaves it out is refused with the field's name and meaning. It
    /// is in the JSON schema's `required`, and in templates a place to fill in. The struct's `Default` is then for programs alone.
    ///
    /// It holds for a plugin's fields and for those of structs inside, and next to a field of any type.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::scene::{Scene, SceneRegistry};
    ///
    /// /// Learns one task.
    /// #[derive(Clone, Debug, Default, Resource, Reflect)]
    /// struct Mine {
    ///     /// What is to be learned.
    ///     #[reflect(@Bounds::any().required())]
    ///     task: String,
    /// }
    /// impl Settings for Mine {}
    /// impl Plugin for Mine {
    ///     fn build(&self, _: &mut App) {}
    /// }
    ///
    /// let mut registry = SceneRegistry::new();
    /// registry.register::<Mine>()?;
    /// let refused = Scene::parse("mine.ron", "Scene(steps: 1, plugins: [Mine()])", &registry, &[]);
    /// let refused = refused.unwrap_err().to_string();
    /// assert!(refused.starts_with("mine.ron:1:27: error: Mine.task: `Mine` needs `task`: What is to be learned"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// Whether a scene has to give the field.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// The lower bound and whether it is included; `None` where there is none.
    pub fn low(&self) -> Option<(f64, bool)> {
        (self.low > f64::NEG_INFINITY).then_some((self.low, self.low_included))
    }

    /// The upper bound and whether it is included; `None` where there is none.
    pub fn high(&self) -> Option<(f64, bool)> {
        (self.high < f64::INFINITY).then_some((self.high, self.high_included))
    }

    /// Whether infinite values are allowed.
    pub fn allows_infinite(&self) -> bool {
        self.infinite
    }

    /// Whether a 64-bit number lies inside.
    pub fn contains(&self, value: f64) -> bool {
        let above = value > self.low || (self.low_included && value == self.low);
        let below = value < self.high || (self.high_included && value == self.high);
        above && below && (value.is_finite() || self.infinite)
    }

    /// Whether a 32-bit number lies inside these bounds rounded to 32 bits.
    ///
    /// Rounding keeps order, so a text that is inside as a decimal stays inside as a 32-bit number.
    pub(crate) fn contains_single(&self, value: f32) -> bool {
        Self {
            low: f64::from(self.low as f32),
            high: f64::from(self.high as f32),
            ..*self
        }
        .contains(f64::from(value))
    }
}

impl fmt::Display for Bounds {
    /// `at least 1`, `above 0 and at most 1`, `from 0 to 1`; empty where there is no bound.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low(), self.high()) {
            (None, None) => Ok(()),
            (Some((low, true)), Some((high, true))) => write!(f, "from {low} to {high}"),
            (low, high) => {
                if let Some((low, included)) = low {
                    write!(f, "{} {low}", if included { "at least" } else { "above" })?;
                }
                if low.is_some() && high.is_some() {
                    write!(f, " and ")?;
                }
                if let Some((high, included)) = high {
                    write!(f, "{} {high}", if included { "at most" } else { "below" })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_belong_to_the_range_only_where_it_says_so() {
        assert!(Bounds::within(0.0, 1.0).contains(0.0) && Bounds::within(0.0, 1.0).contains(1.0));
        assert!(!Bounds::above(0.0).contains(0.0) && !Bounds::below(1.0).contains(1.0));
        assert!(Bounds::at_least(0.0).under(1.0).contains(0.0));
    }

    #[test]
    fn only_explicit_bounds_admit_infinity_and_none_admit_nan() {
        assert!(!Bounds::at_least(0.0).contains(f64::INFINITY));
        assert!(Bounds::at_least(0.0).or_infinite().contains(f64::INFINITY));
        assert!(
            !Bounds::within(0.0, 1.0)
                .or_infinite()
                .contains(f64::INFINITY)
        );
        assert!(!Bounds::any().or_infinite().contains(f64::NAN));
    }

    #[test]
    fn a_single_precision_number_on_the_bound_is_inside() {
        assert!(!Bounds::at_most(0.1).contains(f64::from(0.1_f32)));
        assert!(Bounds::at_most(0.1).contains_single(0.1));
    }

    #[test]
    fn bounds_read_as_english() {
        assert_eq!(Bounds::at_least(1.0).to_string(), "at least 1");
        assert_eq!(Bounds::within(0.0, 1.0).to_string(), "from 0 to 1");
        assert_eq!(
            Bounds::above(0.0).under(0.5).to_string(),
            "above 0 and below 0.5"
        );
        assert_eq!(Bounds::any().to_string(), "");
    }
}
