//! The members of a zip archive, as NumPy writes it: stored or deflated, with lengths of 64 bits where they are needed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// What the first member begins with.
pub(super) const SIGNATURE: [u8; 4] = *b"PK\x03\x04";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// The extra field with lengths of 64 bits.
const LENGTHS_64: u16 = 1;
/// Bytes of a list of members that are read at the most: a million names.
const MOST_LISTED: u64 = 64 << 20;
/// No data that are deflated shrink more than this (zlib's technical details, <https://zlib.net/zlib_tech.html>).
const MOST_DEFLATED: u64 = 1032;

/// One of the files in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    /// Bytes of its contents.
    pub length: u64,
    packed: u64,
    is_deflated: bool,
    checksum: u32,
    /// Where its own header is.
    at: u64,
}

/// Little-endian numbers out of a header.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], String> {
        let bytes = self.0.get(at..at + N).and_then(|it| it.try_into().ok());
        bytes.ok_or_else(|| "ends in the middle of a header".to_owned())
    }

    fn u16(&self, at: usize) -> Result<u16, String> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, String> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, String> {
        self.bytes(at).map(u64::from_le_bytes)
    }
}

/// The members that an archive lists, in its order.
///
/// # Errors
/// In words, what the archive is or has instead.
pub(super) fn members(file: &mut File, length: u64) -> Result<Vec<Member>, String> {
    let (at, bytes) = list_place(file, length)?;
    if at.checked_add(bytes).is_none_or(|end| end > length) || bytes > MOST_LISTED {
        return Err("lists members beyond its end: it was cut off or damaged".to_owned());
    }
    let list = read_at(file, at, bytes as usize)?;
    let mut members = Vec::new();
    let mut rest = list.as_slice();
    let mut packed = 0u64;
    while !rest.is_empty() {
        let (member, size) = member(rest)?;
        packed = packed.saturating_add(member.packed);
        members.push(member);
        rest = &rest[size..];
    }
    // Members that share their bytes would unpack to far more than the file can hold.
    if packed > length {
        return Err(format!(
            "lists members of {packed} bytes, more than the {length} that it has"
        ));
    }
    Ok(members)
}

/// Where the list of members is, and how long it is.
fn list_place(file: &mut File, length: u64) -> Result<(u64, u64), String> {
    const END_BYTES: usize = 22;
    let tail = length.min(END_BYTES as u64 + u64::from(u16::MAX));
    let tail_at = length - tail;
    let tail = read_at(file, tail_at, tail as usize)?;
    let end = (0..=tail.len().saturating_sub(END_BYTES))
        .rev()
        .find(|at| tail[*at..].starts_with(&END))
        .ok_or("has no list of its members at its end: it was cut off")?;
    let header = Header(&tail[end..]);
    let (bytes, at) = (header.u32(12)?, header.u32(16)?);
    if bytes != u32::MAX && at != u32::MAX {
        return Ok((at.into(), bytes.into()));
    }
    let locator = end.checked_sub(20).map(|at| Header(&tail[at..]));
    let locator = locator.filter(|locator| locator.0.starts_with(&LOCATOR_64));
    let place = locator
        .ok_or("lacks the lengths of 64 bits that it refers to")?
        .u64(8)?;
    if place.checked_add(56).is_none_or(|end| end > length) {
        return Err("refers to a place beyond its end: it was cut off or damaged".to_owned());
    }
    let header = read_at(file, place, 56)?;
    if !header.starts_with(&END_64) {
        return Err("lacks the lengths of 64 bits that it refers to".to_owned());
    }
    let header = Header(&header);
    Ok((header.u64(48)?, header.u64(40)?))
}

/// The member that a list begins with, and the bytes of its entry.
fn member(list: &[u8]) -> Result<(Member, usize), String> {
    const ENTRY_BYTES: usize = 46;
    if !list.starts_with(&ENTRY) {
        return Err("has a damaged list of its members".to_owned());
    }
    let header = Header(list);
    let [name, extra, comment] = [
        header.u16(28)? as usize,
        header.u16(30)? as usize,
        header.u16(32)? as usize,
    ];
    let size = ENTRY_BYTES + name + extra + comment;
    let entry = list
        .get(..size)
        .ok_or("has a damaged list of its members")?;
    let name = String::from_utf8_lossy(&entry[ENTRY_BYTES..][..name]).into_owned();
    let extra = &entry[size - comment - extra..size - comment];
    if header.u16(8)? & 1 != 0 {
        return Err(format!("has the member `{name}`, which is encrypted"));
    }
    let is_deflated = match header.u16(10)? {
        0 => false,
        8 => true,
        method => {
            return Err(format!(
                "has the member `{name}`, which is compressed by zip's method {method}, and not by deflate"
            ));
        }
    };
    let mut lengths = [24, 20, 42].map(|at| header.u32(at).map(u64::from));
    let mut wide = wide_lengths(extra);
    for length in &mut lengths {
        if *length == Ok(u64::from(u32::MAX)) {
            *length = wide
                .next()
                .ok_or(format!("lacks the length of 64 bits of `{name}`"));
        }
    }
    let [length, packed, at] = lengths;
    let member = Member {
        length: length?,
        packed: packed?,
        is_deflated,
        checksum: header.u32(16)?,
        at: at?,
        name,
    };
    let most = match is_deflated {
        true => member.packed.saturating_mul(MOST_DEFLATED),
        false => member.packed,
    };
    if member.length > most {
        return Err(format!(
            "declares {} bytes of `{}`, and the {} that are there hold no more than {most}",
            member.length, member.name, member.packed
        ));
    }
    Ok((member, size))
}

/// The lengths of 64 bits among extra fields.
fn wide_lengths(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let [id_low, id_high, low, high, rest @ ..] = extra {
        let size = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        if u16::from_le_bytes([*id_low, *id_high]) == LENGTHS_64 {
            found = &rest[..size];
        }
        extra = &rest[size..];
    }
    let (numbers, _) = found.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}

fn read_at(file: &mut File, at: u64, bytes: usize) -> Result<Vec<u8>, String> {
    let mut buffer = vec![0; bytes];
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.read_exact(&mut buffer))
        .map_err(|error| format!("cannot be read at byte {at}: {error}"))?;
    Ok(buffer)
}

/// The contents of a member, unpacked as they are read.
pub(super) struct Contents<'a> {
    from: Box<dyn Read + 'a>,
    checksum: Crc,
    expected: u32,
}

impl<'a> Contents<'a> {
    /// # Errors
    /// In words, what is there instead of the member.
    pub fn of(file: &'a mut File, member: &Member) -> Result<Self, String> {
        let header = read_at(file, member.at, 30)?;
        if !header.starts_with(&SIGNATURE) {
            return Err("is not where the archive's list says".to_owned());
        }
        let header = Header(&header);
        let start = member.at + 30 + u64::from(header.u16(26)?) + u64::from(header.u16(28)?);
        file.seek(SeekFrom::Start(start))
            .map_err(|error| error.to_string())?;
        let packed = BufReader::with_capacity(1 << 16, file.take(member.packed));
        let from: Box<dyn Read> = match member.is_deflated {
            true => Box::new(DeflateDecoder::new(packed)),
            false => Box::new(packed),
        };
        Ok(Contents {
            from,
            checksum: Crc::new(),
            expected: member.checksum,
        })
    }

    /// Fills the buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(buffer)?;
        self.checksum.update(buffer);
        Ok(())
    }

    /// Whether what was read is all there is, and what was packed.
    pub fn ends_whole(mut self) -> bool {
        let at_end = matches!(self.from.read(&mut [0]), Ok(0));
        at_end && self.checksum.sum() == self.expected
    }
}
