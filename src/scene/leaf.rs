//! The values at the leaves of settings: numbers, truth values, texts and paths.

use std::any::TypeId;
use std::path::PathBuf;

use bevy_reflect::{PartialReflect, Reflect, TypeInfo};

use super::bounds::Bounds;
use super::keywords::Keywords;
use super::text::{Node, Shape};
use crate::period::Period;

/// A leaf's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Bool,
    F32,
    F64,
    /// A whole number between two limits.
    Whole(Whole),
    Text,
    Path,
    Keywords,
    Period,
}

/// The types of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    U8,
    U16,
    U32,
    U64,
    Usize,
    I8,
    I16,
    I32,
    I64,
    Isize,
}

/// Runs `$with!(type)` for the Rust type of a `Whole`.
macro_rules! for_whole {
    ($whole:expr, $with:ident) => {
        match $whole {
            Whole::U8 => $with!(u8),
            Whole::U16 => $with!(u16),
            Whole::U32 => $with!(u32),
            Whole::U64 => $with!(u64),
            Whole::Usize => $with!(usize),
            Whole::I8 => $with!(i8),
            Whole::I16 => $with!(i16),
            Whole::I32 => $with!(i32),
            Whole::I64 => $with!(i64),
            Whole::Isize => $with!(isize),
        }
    };
}

impl Whole {
    const ALL: [Self; 10] = [
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Usize,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::Isize,
    ];

    fn type_id(self) -> TypeId {
        macro_rules! id {
            ($type:ty) => {
                TypeId::of::<$type>()
            };
        }
        for_whole!(self, id)
    }

    /// The smallest and the largest value of the type.
    pub(crate) fn limits(self) -> (i128, i128) {
        macro_rules! limits {
            ($type:ty) => {
                (<$type>::MIN as i128, <$type>::MAX as i128)
            };
        }
        for_whole!(self, limits)
    }
}

impl Leaf {
    /// The leaf that a type is, if it is one.
    pub(crate) fn of(info: &TypeInfo) -> Option<Self> {
        let id = info.type_id();
        let named = [
            (TypeId::of::<bool>(), Self::Bool),
            (TypeId::of::<f32>(), Self::F32),
            (TypeId::of::<f64>(), Self::F64),
            (TypeId::of::<String>(), Self::Text),
            (TypeId::of::<PathBuf>(), Self::Path),
            (TypeId::of::<Keywords>(), Self::Keywords),
            (TypeId::of::<Period>(), Self::Period),
        ];
        named
            .into_iter()
            .find(|(leaf_id, _)| *leaf_id == id)
            .map(|(_, leaf)| leaf)
            .or_else(|| {
                let whole = Whole::ALL.into_iter().find(|whole| whole.type_id() == id)?;
                Some(Self::Whole(whole))
            })
    }

    /// Whether the leaf is a text or a path, which an override may give without quotes.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Path)
    }

    /// The value that a text without quotes stands for; `None` where the leaf is no text.
    pub(crate) fn bare(self, text: &str) -> Option<Box<dyn Reflect>> {
        match self {
            Self::Text => Some(Box::new(text.to_owned())),
            Self::Path => Some(Box::new(PathBuf::from(text))),
            _ => None,
        }
    }

    /// Reads a value; `None` where it is not one of this type within the bounds.
    pub(crate) fn read(self, node: &Node, bounds: Option<&Bounds>) -> Option<Box<dyn Reflect>> {
        let text = node.text();
        let bounds = bounds.copied().unwrap_or(Bounds::any());
        match self {
            Self::Bool => match node.shape {
                Shape::Name("true") => Some(Box::new(true)),
                Shape::Name("false") => Some(Box::new(false)),
                _ => None,
            },
            Self::F32 => {
                let value: f32 = number(node)?;
                let spelled = text.contains("inf");
                (bounds.contains_single(value) && (value.is_finite() || spelled))
                    .then(|| Box::new(value) as _)
            }
            Self::F64 => {
                let value: f64 = number(node)?;
                let spelled = text.contains("inf");
                (bounds.contains(value) && (value.is_finite() || spelled))
                    .then(|| Box::new(value) as _)
            }
            Self::Whole(whole) => {
                macro_rules! read {
                    ($type:ty) => {{
                        let value: $type = number(node)?;
                        bounds.contains(value as f64).then(|| Box::new(value) as _)
                    }};
                }
                for_whole!(whole, read)
            }
            Self::Text | Self::Path => {
                if !matches!(node.shape, Shape::Text) {
                    return None;
                }
                let value: String = ron::from_str(text).ok()?;
                crate::terminal::heed(&value);
                self.bare(&value)
            }
            Self::Keywords => match node.shape {
                Shape::Map(_) => Keywords::read(text).map(|read| Box::new(read) as _),
                _ => None,
            },
            Self::Period => Period::read(text).map(|read| Box::new(read) as _),
        }
    }

    /// The value as RON, which reads back to the same bits.
    pub(crate) fn print(self, value: &dyn PartialReflect) -> Option<String> {
        Some(match self {
            Self::Bool => value.try_downcast_ref::<bool>()?.to_string(),
            // `Debug` prints the shortest decimal that reads back to the same number.
            Self::F32 => format!("{:?}", value.try_downcast_ref::<f32>()?),
            Self::F64 => format!("{:?}", value.try_downcast_ref::<f64>()?),
            Self::Whole(whole) => {
                macro_rules! print {
                    ($type:ty) => {
                        value.try_downcast_ref::<$type>()?.to_string()
                    };
                }
                for_whole!(whole, print)
            }
            Self::Text => quoted(value.try_downcast_ref::<String>()?),
            Self::Path => quoted(&value.try_downcast_ref::<PathBuf>()?.to_string_lossy()),
            Self::Keywords => value.try_downcast_ref::<Keywords>()?.ron(),
            Self::Period => value.try_downcast_ref::<Period>()?.to_string(),
        })
    }
}

/// A number as ron reads it: underscores, exponents, `0x`, type suffixes.
fn number<T: serde::de::DeserializeOwned>(node: &Node) -> Option<T> {
    match node.shape {
        Shape::Number | Shape::Name("inf" | "NaN" | "inff32" | "inff64" | "NaNf32" | "NaNf64") => {
            ron::from_str(node.text()).ok()
        }
        _ => None,
    }
}

/// A text as a RON string.
pub(crate) fn quoted(text: &str) -> String {
    ron::to_string(text).unwrap_or_else(|_| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::split::split;
    use crate::scene::text::Source;
    use bevy_reflect::Typed;

    fn read<T: Reflect + Typed>(text: &str, bounds: Option<Bounds>) -> Option<T> {
        let source = Source::file("a", text);
        let (node, _) = split(&source).unwrap();
        let value = Leaf::of(T::type_info())
            .unwrap()
            .read(&node, bounds.as_ref())?;
        Some(value.take::<T>().unwrap())
    }

    #[test]
    fn whole_numbers_take_underscores_and_stay_in_their_type() {
        assert_eq!(read::<u64>("20_000", None), Some(20_000));
        assert_eq!(read::<u8>("300", None), None);
        assert_eq!(read::<usize>("-1", None), None);
        assert_eq!(read::<i32>("-5", None), Some(-5));
        assert_eq!(read::<u64>("1.5", None), None);
        assert_eq!(read::<u64>("\"1\"", None), None);
        assert_eq!(read::<u64>("18446744073709551615", None), Some(u64::MAX));
    }

    #[test]
    fn a_number_with_a_point_may_be_given_as_a_whole_number() {
        assert_eq!(read::<f32>("3", None), Some(3.0));
        assert_eq!(read::<f64>("1_000.5", None), Some(1000.5));
        assert_eq!(read::<f32>("1e-3", None), Some(1e-3));
    }

    #[test]
    fn infinity_needs_permission_and_must_be_spelled_out() {
        let allowed = Some(Bounds::any().or_infinite());
        assert_eq!(read::<f64>("inf", None), None);
        assert_eq!(read::<f64>("inf", allowed), Some(f64::INFINITY));
        assert_eq!(read::<f32>("-inf", allowed), Some(f32::NEG_INFINITY));
        assert_eq!(read::<f32>("1e40", allowed), None);
        assert!(read::<f32>("NaN", allowed).is_none());
    }

    #[test]
    fn every_float_prints_and_reads_back_to_the_same_bits() {
        let mut bits = 1_u32;
        for _ in 0..5_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = Leaf::F32.print(&value).unwrap();
                assert_eq!(
                    read::<f32>(&text, None).map(f32::to_bits),
                    Some(bits),
                    "{text}"
                );
            }
        }
        for value in [0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX, -0.0, 5e-324] {
            let text = Leaf::F64.print(&value).unwrap();
            assert_eq!(
                read::<f64>(&text, None).map(f64::to_bits),
                Some(value.to_bits())
            );
        }
    }

    #[test]
    fn texts_survive_quotes_line_breaks_and_backslashes() {
        for text in ["a \"b\" \\ \n\t é", "", "C:\\data"] {
            assert_eq!(read::<String>(&quoted(text), None).as_deref(), Some(text));
            assert_eq!(
                read::<PathBuf>(&quoted(text), None),
                Some(PathBuf::from(text))
            );
        }
    }
}
