//! RON in which every number comes back with the same bits.
//!
//! Plain RON already keeps integers up to 64 bits and every `f32` and `f64` that is a number or an infinity: they are
//! written with the shortest digits that read back to the same bits, `-0.0` with its sign. It loses the payload of a NaN,
//! and without a compile-time feature it has no 128-bit integers. So two kinds of value are written as strings, whatever
//! struct they are in: a NaN as its bits (`"NaN 0x7fc00001"`), and a `u128` or `i128` in decimal.
//!
//! Not for types that serde reads without knowing their type beforehand (`flatten`, `untagged`, internally tagged enums):
//! those would find a string where such a number was.

mod read;
mod write;

use ron::error::SpannedError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// `value` as one line of RON.
pub(super) fn to_ron<T: Serialize + ?Sized>(value: &T) -> Result<String, ron::Error> {
    let mut text = String::new();
    let mut serializer = ron::Serializer::new(&mut text, None)?;
    value.serialize(Exact(&mut serializer))?;
    Ok(text)
}

/// The value that [`to_ron`] wrote.
pub(super) fn from_ron<T: DeserializeOwned>(text: &str) -> Result<T, SpannedError> {
    let mut deserializer = ron::Deserializer::from_str(text)?;
    let value =
        T::deserialize(Exact(&mut deserializer)).map_err(|error| deserializer.span_error(error))?;
    deserializer
        .end()
        .map_err(|error| deserializer.span_error(error))?;
    Ok(value)
}

/// Stands around each of serde's parts and hands everything through but the numbers above.
struct Exact<T>(T);

/// What a NaN's text begins with; its bits follow in hexadecimal.
const NAN_PREFIX: &str = "NaN 0x";

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(u128);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Unit,
        One(i128),
        Pair(f32, u128),
        Named { rate: f64, position: Option<u128> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        newtype: Newtype,
        kinds: Vec<Kind>,
        map: BTreeMap<String, (u64, f32)>,
        keyed: BTreeMap<u128, i64>,
        text: String,
        letter: char,
        nothing: Option<u8>,
        unit: (),
    }

    #[test]
    fn every_shape_of_type_comes_back_equal() {
        let value = Everything {
            newtype: Newtype(u128::MAX),
            kinds: vec![
                Kind::Unit,
                Kind::One(i128::MIN),
                Kind::Pair(f32::MIN_POSITIVE, 7),
                Kind::Named {
                    rate: 0.1,
                    position: Some(1 << 100),
                },
            ],
            map: [("a \"quoted\"\n key".to_owned(), (u64::MAX, 0.3))].into(),
            keyed: [(u128::MAX - 1, i64::MIN)].into(),
            text: "NaN 0x7fc00000".to_owned(),
            letter: '\'',
            nothing: None,
            unit: (),
        };
        let text = to_ron(&value).unwrap();
        assert_eq!(from_ron::<Everything>(&text).unwrap(), value, "{text}");
    }

    #[test]
    fn floats_come_back_bit_for_bit() {
        let special = [
            0,
            0x8000_0000,
            1,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xffc0_0000,
            0x7f80_0001,
            0xffff_ffff,
        ];
        let spread = (0..20_000_u32).map(|index| index.wrapping_mul(2_654_435_761));
        let floats: Vec<f32> = special
            .into_iter()
            .chain(spread)
            .map(f32::from_bits)
            .collect();
        let read: Vec<f32> = from_ron(&to_ron(&floats).unwrap()).unwrap();
        assert!(
            floats
                .iter()
                .map(|float| float.to_bits())
                .eq(read.iter().map(|float| float.to_bits()))
        );

        let spread = (0..20_000_u64).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let special = [
            0,
            1 << 63,
            1,
            0x7ff0 << 48,
            0xfff0 << 48,
            0x7ff8 << 48,
            (0x7ff0 << 48) + 1,
            u64::MAX,
        ];
        let doubles: Vec<f64> = special
            .into_iter()
            .chain(spread)
            .map(f64::from_bits)
            .collect();
        let read: Vec<f64> = from_ron(&to_ron(&doubles).unwrap()).unwrap();
        assert!(
            doubles
                .iter()
                .map(|float| float.to_bits())
                .eq(read.iter().map(|float| float.to_bits()))
        );
    }

    #[test]
    fn ordinary_numbers_stay_readable() {
        assert_eq!(
            to_ron(&(0.0003_f32, -0.0_f64, f32::INFINITY, u64::MAX)).unwrap(),
            "(0.0003,-0.0,inf,18446744073709551615)"
        );
        assert_eq!(
            to_ron(&f32::from_bits(0x7fc0_0001)).unwrap(),
            "\"NaN 0x7fc00001\""
        );
    }

    #[test]
    fn wrong_text_is_a_typed_error() {
        for text in [
            "",
            "\"NaN 0x00000000\"",
            "\"NaN 0xzz\"",
            "(1",
            "1.0 2.0",
            "\"NaN 0x17fc000000\"",
        ] {
            assert!(from_ron::<f32>(text).is_err(), "{text}");
        }
        assert!(from_ron::<u128>("\"-1\"").is_err());
        assert!(from_ron::<u128>("12").is_err());
        assert!(from_ron::<Vec<Vec<f32>>>(&"[".repeat(100_000)).is_err());
    }
}
