//! The types that a file stores, and the few that its values are wanted as.

use std::fmt;

use rust_hdf5::DatatypeMessage;
use rust_hdf5::format::messages::datatype::IeeeFormat;

/// The type of a dataset's elements, by NumPy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision.
    Float16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
    /// A whole number.
    Integer {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether it may be negative.
        signed: bool,
    },
    /// What h5py makes of NumPy's `bool`: an enumeration of `FALSE = 0` and `TRUE = 1`.
    Bool,
    /// Text, of fixed or variable length.
    Text,
    /// Anything else, by the name of its kind; it can be listed and not read.
    Other(&'static str),
}

impl Dtype {
    pub(super) fn of(datatype: &DatatypeMessage) -> Self {
        match datatype {
            DatatypeMessage::FixedPoint {
                size: size @ (1 | 2 | 4 | 8),
                signed,
                bit_offset: 0,
                bit_precision,
                ..
            } if u32::from(*bit_precision) == size * 8 => Self::Integer {
                bits: *size as u8 * 8,
                signed: *signed,
            },
            // The size first: the library multiplies it unchecked.
            DatatypeMessage::FloatingPoint {
                size: 2 | 4 | 8, ..
            } => match datatype.ieee_format() {
                Some(IeeeFormat::Binary16) => Self::Float16,
                Some(IeeeFormat::Binary32) => Self::Float32,
                Some(IeeeFormat::Binary64) => Self::Float64,
                None => Self::Other("unusual float"),
            },
            DatatypeMessage::Enum { base, members } => {
                let is = |name: &str, value: u8| {
                    members.iter().any(|m| m.name == name && m.value == [value])
                };
                if base.element_size() == 1 && members.len() == 2 && is("FALSE", 0) && is("TRUE", 1)
                {
                    Self::Bool
                } else {
                    Self::Other("enumeration")
                }
            }
            DatatypeMessage::FixedString { .. } | DatatypeMessage::VarLenString { .. } => {
                Self::Text
            }
            DatatypeMessage::FixedPoint { .. } => Self::Other("unusual integer"),
            DatatypeMessage::FloatingPoint { .. } => Self::Other("unusual float"),
            DatatypeMessage::BitField { .. } => Self::Other("bit field"),
            DatatypeMessage::Opaque { .. } => Self::Other("opaque"),
            DatatypeMessage::Compound { .. } => Self::Other("compound"),
            DatatypeMessage::VarLenSequence { .. } => Self::Other("sequence"),
            DatatypeMessage::Array { .. } => Self::Other("array"),
            DatatypeMessage::Reference { .. } => Self::Other("reference"),
        }
    }

    /// Whether this is a floating-point type.
    pub fn is_float(&self) -> bool {
        matches!(self, Self::Float16 | Self::Float32 | Self::Float64)
    }

    /// Whether this is a number or a truth value.
    pub fn is_numeric(&self) -> bool {
        self.is_float() || matches!(self, Self::Integer { .. } | Self::Bool)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float16 => f.pad("float16"),
            Self::Float32 => f.pad("float32"),
            Self::Float64 => f.pad("float64"),
            Self::Integer { bits, signed } => {
                f.pad(&format!("{}int{bits}", if *signed { "" } else { "u" }))
            }
            Self::Bool => f.pad("bool"),
            Self::Text => f.pad("text"),
            Self::Other(name) => f.pad(name),
        }
    }
}

/// A value that is not one of the wanted type: its index among those converted, and its text.
pub struct Unfit {
    pub(super) index: usize,
    pub(super) value: String,
}

/// What a dataset's values can be read as: `f32`, `f64`, `i64` or `bool`.
///
/// Floating-point types take every number and truth value, rounded to the nearest; a finite number beyond their range is
/// refused. `i64` takes whole numbers and truth values. `bool` takes truth values and the numbers 0 and 1 of any type.
pub trait Element: Copy + Send + sealed::Sealed {
    /// The type's name in messages.
    const NAME: &'static str;
    /// The stored type that needs no conversion, if there is one.
    #[doc(hidden)]
    const AS_IS: Option<Dtype>;
    /// Whether values of this stored type can be wanted as `Self` at all.
    fn accepts(dtype: &Dtype) -> bool;
    #[doc(hidden)]
    fn from_f32s(values: Vec<f32>) -> Result<Vec<Self>, Unfit>;
    #[doc(hidden)]
    fn from_f64s(values: Vec<f64>) -> Result<Vec<Self>, Unfit>;
    #[doc(hidden)]
    fn from_integers<I: Copy + Into<i128>>(values: Vec<I>) -> Result<Vec<Self>, Unfit>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i64 {}
    impl Sealed for bool {}
}

fn each<A: Copy + fmt::Display, B>(
    values: Vec<A>,
    convert: impl Fn(A) -> Option<B>,
) -> Result<Vec<B>, Unfit> {
    let mut converted = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        match convert(value) {
            Some(value) => converted.push(value),
            None => {
                return Err(Unfit {
                    index,
                    value: value.to_string(),
                });
            }
        }
    }
    Ok(converted)
}

fn integers<I: Copy + Into<i128>, B>(
    values: Vec<I>,
    convert: impl Fn(i128) -> Option<B>,
) -> Result<Vec<B>, Unfit> {
    let mut converted = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        match convert(value.into()) {
            Some(value) => converted.push(value),
            None => {
                return Err(Unfit {
                    index,
                    value: value.into().to_string(),
                });
            }
        }
    }
    Ok(converted)
}

impl Element for f32 {
    const NAME: &'static str = "float32";
    const AS_IS: Option<Dtype> = Some(Dtype::Float32);

    fn accepts(dtype: &Dtype) -> bool {
        dtype.is_numeric()
    }

    fn from_f32s(values: Vec<f32>) -> Result<Vec<Self>, Unfit> {
        Ok(values)
    }

    fn from_f64s(values: Vec<f64>) -> Result<Vec<Self>, Unfit> {
        each(values, |value| {
            let single = value as f32;
            (single.is_finite() || !value.is_finite()).then_some(single)
        })
    }

    fn from_integers<I: Copy + Into<i128>>(values: Vec<I>) -> Result<Vec<Self>, Unfit> {
        integers(values, |value| Some(value as f32))
    }
}

impl Element for f64 {
    const NAME: &'static str = "float64";
    const AS_IS: Option<Dtype> = Some(Dtype::Float64);

    fn accepts(dtype: &Dtype) -> bool {
        dtype.is_numeric()
    }

    fn from_f32s(values: Vec<f32>) -> Result<Vec<Self>, Unfit> {
        each(values, |value| Some(f64::from(value)))
    }

    fn from_f64s(values: Vec<f64>) -> Result<Vec<Self>, Unfit> {
        Ok(values)
    }

    fn from_integers<I: Copy + Into<i128>>(values: Vec<I>) -> Result<Vec<Self>, Unfit> {
        integers(values, |value| Some(value as f64))
    }
}

impl Element for i64 {
    const NAME: &'static str = "whole number of 64 bits";
    const AS_IS: Option<Dtype> = Some(Dtype::Integer {
        bits: 64,
        signed: true,
    });

    fn accepts(dtype: &Dtype) -> bool {
        matches!(dtype, Dtype::Integer { .. } | Dtype::Bool)
    }

    fn from_f32s(values: Vec<f32>) -> Result<Vec<Self>, Unfit> {
        each(values, |_| None)
    }

    fn from_f64s(values: Vec<f64>) -> Result<Vec<Self>, Unfit> {
        each(values, |_| None)
    }

    fn from_integers<I: Copy + Into<i128>>(values: Vec<I>) -> Result<Vec<Self>, Unfit> {
        integers(values, |value| value.try_into().ok())
    }
}

impl Element for bool {
    const NAME: &'static str = "truth value (0 or 1)";
    const AS_IS: Option<Dtype> = None;

    fn accepts(dtype: &Dtype) -> bool {
        dtype.is_numeric()
    }

    fn from_f32s(values: Vec<f32>) -> Result<Vec<Self>, Unfit> {
        each(values, |value| {
            (value == 0.0 || value == 1.0).then_some(value == 1.0)
        })
    }

    fn from_f64s(values: Vec<f64>) -> Result<Vec<Self>, Unfit> {
        each(values, |value| {
            (value == 0.0 || value == 1.0).then_some(value == 1.0)
        })
    }

    fn from_integers<I: Copy + Into<i128>>(values: Vec<I>) -> Result<Vec<Self>, Unfit> {
        integers(values, |value| {
            (value == 0 || value == 1).then_some(value == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfit<T: fmt::Debug>(result: Result<Vec<T>, Unfit>) -> (usize, String) {
        let Unfit { index, value } = result.err().unwrap();
        (index, value)
    }

    #[test]
    fn doubles_round_to_the_nearest_single_and_do_not_overflow_to_infinity() {
        assert_eq!(f32::from_f64s(vec![0.1, -1e-60]).ok().unwrap(), [0.1, -0.0]);
        assert_eq!(unfit(f32::from_f64s(vec![1.0, -1e39])).0, 1);
        assert!(f32::from_f64s(vec![f64::INFINITY]).ok().unwrap()[0].is_infinite());
    }

    #[test]
    fn only_zero_and_one_are_truth_values() {
        assert_eq!(
            bool::from_f64s(vec![0.0, 1.0, -0.0]).ok().unwrap(),
            [false, true, false]
        );
        assert_eq!(
            bool::from_integers(vec![1u8, 0]).ok().unwrap(),
            [true, false]
        );
        assert_eq!(
            unfit(bool::from_f32s(vec![0.0, 0.5])),
            (1, "0.5".to_owned())
        );
        assert_eq!(
            unfit(bool::from_f32s(vec![f32::NAN])),
            (0, "NaN".to_owned())
        );
        assert_eq!(unfit(bool::from_integers(vec![-1i8])), (0, "-1".to_owned()));
    }

    #[test]
    fn whole_numbers_do_not_wrap() {
        assert_eq!(
            unfit(i64::from_integers(vec![7, u64::MAX])),
            (1, u64::MAX.to_string())
        );
        assert!(!i64::accepts(&Dtype::Float32));
    }

    #[test]
    fn types_are_named_as_numpy_names_them() {
        assert_eq!(
            Dtype::Integer {
                bits: 8,
                signed: false
            }
            .to_string(),
            "uint8"
        );
        assert_eq!(
            format!("{:>8}|{:<6}|", Dtype::Float64, Dtype::Bool),
            " float64|bool  |"
        );
    }
}
