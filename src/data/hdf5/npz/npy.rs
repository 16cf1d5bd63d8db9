//! The header of a NumPy array: what its elements are, and how many.

use super::super::Dtype;

/// The first bytes of an array's file: a signature and two bytes of version.
pub(super) const START: usize = 8;
const SIGNATURE: [u8; 6] = *b"\x93NUMPY";
/// Longer headers are of tables with named columns.
const MOST_BYTES: usize = 1 << 16;

/// An array's type and shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub dtype: Dtype,
    /// Bytes of an element.
    pub element_bytes: usize,
    pub is_big_endian: bool,
    pub shape: Vec<usize>,
}

impl Array {
    /// Bytes of all elements; `None` beyond all bounds.
    pub fn bytes(&self) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(self.element_bytes as u64, |product, length| {
                product.checked_mul(*length as u64)
            })
    }

    /// Reads what follows the start of a header.
    ///
    /// # Errors
    /// In words, what the array is instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unknown = || format!("has a header that is not NumPy's: {}", text.trim());
        let descr = entry(text, "descr").ok_or_else(unknown)?;
        let code = descr
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''))
            .map(|(code, _)| code)
            .ok_or("is a table with named columns")?;
        if entry(text, "fortran_order")
            .ok_or_else(unknown)?
            .starts_with("True")
        {
            return Err(
                "lies column by column (`fortran_order`): write `np.ascontiguousarray` of it"
                    .to_owned(),
            );
        }
        let shape = entry(text, "shape")
            .and_then(|shape| shape.strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(unknown)?
            .0
            .split(',')
            .map(str::trim)
            .filter(|length| !length.is_empty())
            .map(|length| length.parse().map_err(|_| unknown()))
            .collect::<Result<_, _>>()?;
        let (dtype, element_bytes) = type_of(code)?;
        Ok(Array {
            dtype,
            element_bytes,
            is_big_endian: code.starts_with('>'),
            shape,
        })
    }
}

/// The text behind a name of the header.
fn entry<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("'{name}':"))?;
    Some(rest.trim_start())
}

/// What a type's code stands for, such as `<f4`, with the bytes of an element.
fn type_of(code: &str) -> Result<(Dtype, usize), String> {
    let integer = |bits, signed| (Dtype::Integer { bits, signed }, usize::from(bits / 8));
    Ok(match code.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => (Dtype::Float16, 2),
        "f4" => (Dtype::Float32, 4),
        "f8" => (Dtype::Float64, 8),
        "b1" => (Dtype::Bool, 1),
        "i1" => integer(8, true),
        "i2" => integer(16, true),
        "i4" => integer(32, true),
        "i8" => integer(64, true),
        "u1" => integer(8, false),
        "u2" => integer(16, false),
        "u4" => integer(32, false),
        "u8" => integer(64, false),
        _ => {
            return Err(format!(
                "is of the type `{code}`, and only numbers and truth values are read: leave it out of the archive"
            ));
        }
    })
}

/// The bytes of the header's text, out of an array's first bytes and those of the length.
///
/// # Errors
/// In words, where this is no array.
pub(super) fn text_bytes(start: [u8; START], length: [u8; 4]) -> Result<usize, String> {
    let [.., major, _] = start;
    if !start.starts_with(&SIGNATURE) || !(1..=3).contains(&major) {
        return Err("is no array of NumPy's".to_owned());
    }
    let bytes = match major {
        1 => usize::from(u16::from_le_bytes([length[0], length[1]])),
        _ => u32::from_le_bytes(length) as usize,
    };
    match bytes {
        0..=MOST_BYTES => Ok(bytes),
        _ => Err(format!("declares a header of {bytes} bytes")),
    }
}

/// Bytes of the header's length.
pub(super) fn length_bytes(start: [u8; START]) -> usize {
    match start[6] {
        1 => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_type_and_shape() {
        let header = |descr: &str, order: &str, shape: &str| {
            Array::parse(&format!(
                "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}    \n"
            ))
        };
        let array = header("'>f8'", "False", "(12, 3)").unwrap();
        assert_eq!((array.dtype, array.element_bytes), (Dtype::Float64, 8));
        assert!(array.is_big_endian);
        assert_eq!((&array.shape[..], array.bytes()), (&[12, 3][..], Some(288)));
        assert_eq!(header("'|b1'", "False", "(5,)").unwrap().shape, [5]);
        assert!(header("'|u1'", "False", "()").unwrap().shape.is_empty());
        let huge = header("'<f4'", "False", "(9223372036854775807, 4)").unwrap();
        assert_eq!(huge.bytes(), None);
        for (refused, word) in [
            (header("'|O'", "False", "(2,)"), "`|O`"),
            (header("'<U4'", "False", "(2,)"), "`<U4`"),
            (header("'<f4'", "True", "(2, 3)"), "ascontiguousarray"),
            (
                header("[('a', '<f4')]", "False", "(2,)"),
                "table with named columns",
            ),
            (header("'<f4'", "False", "(-1,)"), "not NumPy's"),
            (Array::parse("{}"), "not NumPy's"),
        ] {
            let said = refused.unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    }
}
