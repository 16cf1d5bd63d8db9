//! Looking over the pages of a Parquet file before they are read: the reader allocates by what their headers declare.
//!
//! A header is a structure of Thrift's compact protocol
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// No data that Snappy packed shrink more than this: the longest copy is 64 bytes for 3
/// (<https://github.com/google/snappy/blob/main/format_description.txt>).
const MOST_PACKED: u64 = 24;
/// Bytes that a page of nothing takes unpacked.
const SLACK: u64 = 64;
/// The most bytes of one page.
const MOST_PAGE_BYTES: u64 = 1 << 30;
/// Structures within structures in a header.
const DEEPEST: usize = 8;
/// Longer headers are none.
const MOST_HEADER_BYTES: u64 = 1 << 20;

/// Encodings that pyarrow writes unless it is told otherwise, by their numbers: plain values, run lengths, and places in a dictionary.
const ENCODINGS: [i64; 4] = [0, 2, 3, 8];

/// The pages of one column in one group of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) is_packed: bool,
}

/// Counts the values of a column's pages.
///
/// # Errors
/// In words, what the pages declare and cannot hold, or how they are encoded.
pub(super) fn count(file: &mut File, chunk: Chunk) -> Result<u64, String> {
    let broken = |error: io::Error| format!("has pages that cannot be read ({error})");
    file.seek(SeekFrom::Start(chunk.start)).map_err(broken)?;
    let mut from = Bytes {
        inner: BufReader::with_capacity(1 << 12, file),
        taken: 0,
        most: 0,
    };
    let mut values = 0u64;
    while from.taken < chunk.bytes {
        let left = chunk.bytes - from.taken;
        from.most = from.taken + left.min(MOST_HEADER_BYTES);
        let page = Page::read(&mut from).map_err(broken)?;
        let left = chunk.bytes - from.taken;
        let (Some(packed), Some(unpacked)) = (positive(page.packed), positive(page.unpacked))
        else {
            return Err("has pages without a length".to_owned());
        };
        let room = match chunk.is_packed {
            true => packed.saturating_mul(MOST_PACKED) + SLACK,
            false => packed,
        };
        if packed > left || unpacked > room.min(MOST_PAGE_BYTES) {
            return Err(format!(
                "declares a page of {unpacked} bytes where there are {} of it",
                packed.min(left)
            ));
        }
        if let Some((count, encoding)) = page.values {
            if !ENCODINGS.contains(&encoding) {
                return Err(format!(
                    "is encoded by {}, and only plain values and dictionaries are read: write it with pyarrow's own settings",
                    name_of(encoding)
                ));
            }
            let count = positive(count).ok_or("has pages without a number of values")?;
            if page.is_dictionary {
                if count > unpacked {
                    return Err(format!(
                        "declares a dictionary of {count} values in {unpacked} bytes"
                    ));
                }
            } else {
                values = values.saturating_add(count);
            }
        }
        from.skip(packed).map_err(broken)?;
    }
    Ok(values)
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

fn name_of(encoding: i64) -> String {
    match encoding {
        4 => "BIT_PACKED".to_owned(),
        5 => "DELTA_BINARY_PACKED".to_owned(),
        6 => "DELTA_LENGTH_BYTE_ARRAY".to_owned(),
        7 => "DELTA_BYTE_ARRAY".to_owned(),
        9 => "BYTE_STREAM_SPLIT".to_owned(),
        other => format!("an unknown encoding ({other})"),
    }
}

/// What matters of a page's header.
#[derive(Debug, Default)]
struct Page {
    unpacked: i64,
    packed: i64,
    /// How many values, and their encoding.
    values: Option<(i64, i64)>,
    is_dictionary: bool,
}

/// The types of Thrift's compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const WHOLE: std::ops::RangeInclusive<u8> = 4..=6;
const DOUBLE: u8 = 7;
const TEXT: u8 = 8;
const LIST: std::ops::RangeInclusive<u8> = 9..=10;
const STRUCT: u8 = 12;

impl Page {
    fn read(from: &mut Bytes<'_>) -> io::Result<Self> {
        let mut page = Page {
            unpacked: -1,
            packed: -1,
            ..Page::default()
        };
        let mut field = 0;
        while let Some(kind) = from.field(&mut field)? {
            match (field, kind) {
                (2, kind) if WHOLE.contains(&kind) => page.unpacked = from.whole()?,
                (3, kind) if WHOLE.contains(&kind) => page.packed = from.whole()?,
                // The headers of a page of data, of a dictionary, and of a page of data of the second version.
                (5 | 7, STRUCT) => {
                    page.is_dictionary = field == 7;
                    page.values = Some(from.values(2)?);
                }
                (8, STRUCT) => page.values = Some(from.values(4)?),
                (_, kind) => from.pass(kind, 0)?,
            }
        }
        Ok(page)
    }
}

/// Bytes of a header, up to the most that it may have.
struct Bytes<'a> {
    inner: BufReader<&'a mut File>,
    taken: u64,
    most: u64,
}

impl Bytes<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        if self.taken >= self.most {
            return Err(io::Error::other("a header does not end"));
        }
        let mut byte = [0];
        self.inner.read_exact(&mut byte)?;
        self.taken += 1;
        Ok(byte[0])
    }

    /// A number of up to 64 bits, 7 in a byte.
    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(io::Error::other("a number does not end"))
    }

    /// A whole number, whose sign is its last bit.
    fn whole(&mut self) -> io::Result<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The next field's type, and its number after that of the one before; `None` at the end.
    fn field(&mut self, field: &mut i64) -> io::Result<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *field = match byte >> 4 {
            0 => self.whole()?,
            further => field.saturating_add(i64::from(further)),
        };
        Ok(Some(byte & 0xf))
    }

    /// The number of values in a page, field 1, and their encoding.
    fn values(&mut self, encoding: i64) -> io::Result<(i64, i64)> {
        let (mut found, mut field) = ((-1, -1), 0);
        while let Some(kind) = self.field(&mut field)? {
            match kind {
                kind if WHOLE.contains(&kind) && field == 1 => found.0 = self.whole()?,
                kind if WHOLE.contains(&kind) && field == encoding => found.1 = self.whole()?,
                kind => self.pass(kind, 1)?,
            }
        }
        Ok(found)
    }

    /// Passes over a value.
    fn pass(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other("a header lies too deep"));
        }
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.byte().map(drop),
            kind if WHOLE.contains(&kind) => self.number().map(drop),
            DOUBLE => (0..8).try_for_each(|_| self.byte().map(drop)),
            TEXT => {
                let length = self.number()?;
                (0..length).try_for_each(|_| self.byte().map(drop))
            }
            kind if LIST.contains(&kind) => {
                let head = self.byte()?;
                let length = match head >> 4 {
                    15 => self.number()?,
                    short => u64::from(short),
                };
                match head & 0xf {
                    // A truth value in a list takes a byte.
                    TRUE | FALSE => (0..length).try_for_each(|_| self.byte().map(drop)),
                    inner => (0..length).try_for_each(|_| self.pass(inner, depth + 1)),
                }
            }
            STRUCT => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.pass(kind, depth + 1)?;
                }
                Ok(())
            }
            kind => Err(io::Error::other(format!(
                "a field of the unknown type {kind}"
            ))),
        }
    }

    /// Passes over a page.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let by = i64::try_from(bytes).map_err(io::Error::other)?;
        self.inner.seek_relative(by)?;
        self.taken += bytes;
        Ok(())
    }
}
