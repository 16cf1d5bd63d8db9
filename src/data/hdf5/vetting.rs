//! What is checked on a file's bytes before any HDF5 library sees them.
//!
//! The library opens a truncated file without a word and reads missing parts as zeros, while it opens a file it already follows
//! virtual datasets into other files (a crafted one keeps it busy for ever), and it lists names that were deleted. All three are
//! decided here, from the bytes.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread;

use memchr::memmem;
use rust_hdf5::format::FormatContext;
use rust_hdf5::format::superblock::{
    FLAG_SWMR_WRITE, FLAG_WRITE_ACCESS, SuperblockV0V1, SuperblockV2V3,
};

use super::FileError;
use super::stale_names::{self, Fault};

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// How a file says where its parts are.
#[derive(Clone, Copy)]
pub(super) struct Addressing {
    /// The byte that addresses count from.
    pub(super) base: u64,
    /// Bytes of an address and of a length.
    pub(super) context: FormatContext,
    /// Bytes of the file.
    pub(super) length: u64,
}

/// What is known of a file before it is opened.
pub(super) struct Vetted {
    /// Its length.
    pub(super) bytes: u64,
    /// Whether its writer closed it; files of old versions do not say, and count as closed.
    pub(super) is_closed: bool,
}

/// Refuses what is no complete HDF5 file, reads from other files, or lists what was deleted.
pub(super) fn vet(path: &Path) -> Result<Vetted, FileError> {
    let io = |source| FileError::Io {
        file: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => FileError::Missing {
            file: path.to_owned(),
        },
        _ => io(source),
    })?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            file: path.to_owned(),
        });
    }
    let length = metadata.len();
    let mut file = fs::File::open(path).map_err(io)?;
    let Some((base, head)) = locate_superblock(&mut file, length).map_err(io)? else {
        return Err(FileError::NotHdf5 {
            file: path.to_owned(),
        });
    };
    let damaged_at = |place: String, cause| FileError::Damaged {
        file: path.to_owned(),
        place,
        cause,
    };
    let damaged = |cause| damaged_at("the first block".to_owned(), cause);
    let open = FLAG_WRITE_ACCESS | FLAG_SWMR_WRITE;
    let (declared, sizeof_addr, sizeof_size, is_closed) = match head.get(8) {
        Some(0 | 1) => SuperblockV0V1::decode(&head).map(|block| {
            (
                block.end_of_file_address,
                block.sizeof_offsets,
                block.sizeof_lengths,
                block.file_consistency_flags & u32::from(open) == 0,
            )
        }),
        Some(2 | 3) => SuperblockV2V3::decode(&head).map(|block| {
            (
                block.end_of_file_address,
                block.sizeof_offsets,
                block.sizeof_lengths,
                block.file_consistency_flags & open == 0,
            )
        }),
        Some(version) => return Err(damaged(format!("version {version} is unknown"))),
        None => {
            return Err(FileError::Truncated {
                file: path.to_owned(),
                declared: base + 96,
                found: length,
            });
        }
    }
    .map_err(|error| match head.len() {
        // The longest first block there is.
        0..160 => FileError::Truncated {
            file: path.to_owned(),
            declared: base + 96,
            found: length,
        },
        _ => damaged(error.to_string()),
    })?;
    if length < declared {
        return Err(FileError::Truncated {
            file: path.to_owned(),
            declared,
            found: length,
        });
    }
    let addressing = Addressing {
        base,
        context: FormatContext {
            // Wider ones do not exist.
            sizeof_addr: sizeof_addr.min(8),
            sizeof_size: sizeof_size.min(8),
        },
        length,
    };
    let found = find(path, addressing).map_err(io)?;
    if let Some(offset) = found.virtual_layout {
        return Err(FileError::Virtual {
            file: path.to_owned(),
            offset,
        });
    }
    let deleted = |trace| FileError::DeletedNames {
        file: path.to_owned(),
        trace,
    };
    match stale_names::find_fault(&mut file, addressing, &found.heaps).map_err(io)? {
        None => Ok(Vetted {
            bytes: length,
            is_closed,
        }),
        Some(Fault::Stale(name)) => Err(deleted(format!("one was `{name}`"))),
        Some(Fault::Gap(offset)) => Err(deleted(format!(
            "they left a gap in the list that starts at byte {offset}"
        ))),
        Some(Fault::Damaged(offset, cause)) => Err(damaged_at(
            format!("a group's list of names (at byte {offset})"),
            cause,
        )),
    }
}

/// The first block's place (0, or 512 times a power of two after a user block) and up to 1 KiB from there.
fn locate_superblock(file: &mut fs::File, length: u64) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    let mut offset = 0;
    while offset < length {
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        file.take(1024).read_to_end(&mut head)?;
        if head.starts_with(&SIGNATURE) {
            return Ok(Some((offset, head)));
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    Ok(None)
}

/// What a search of the file's bytes finds.
#[derive(Default)]
struct Found {
    /// Where a virtual dataset's layout message is, if the file has one.
    virtual_layout: Option<u64>,
    /// Where heaps of links start.
    heaps: Vec<u64>,
}

/// Searches the file for what the library must not see, and for what has to be looked at more closely.
///
/// A virtual dataset's layout message is a version (3 to 5), the class 3 and the address of a global heap, which starts with `GCOL`. All three
/// together do not occur by chance, and object headers are never compressed, so a search of the bytes finds every one. Two
/// threads search half of the file each.
fn find(path: &Path, addressing: Addressing) -> std::io::Result<Found> {
    let search = |from, to| {
        Search {
            file: fs::File::open(path)?,
            addressing,
        }
        .run(from, to)
    };
    let length = addressing.length;
    if length < TWO_THREADS_FROM_BYTES {
        return search(0, length);
    }
    thread::scope(|scope| {
        let second = scope.spawn(|| search(length / 2, length));
        let first = search(0, length / 2);
        let second = second
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (mut first, second) = (first?, second?);
        first.virtual_layout = first.virtual_layout.or(second.virtual_layout);
        first.heaps.extend(second.heaps);
        Ok(first)
    })
}

/// Starting a thread takes longer than searching this many bytes.
const TWO_THREADS_FROM_BYTES: u64 = 1 << 20;

struct Search {
    file: fs::File,
    addressing: Addressing,
}

impl Search {
    /// Heaps, and the first virtual layout, that start at `from..to`; nothing after such a layout matters.
    fn run(mut self, from: u64, to: u64) -> std::io::Result<Found> {
        const BLOCK: u64 = 1 << 18;
        /// Few enough that a hit costs little, enough for the compiler to vectorize the search.
        const PIECE: usize = 2048;
        let width = usize::from(self.addressing.context.sizeof_addr);
        // A message or a signature may begin on a piece's last byte.
        let beyond = (1 + width).max(stale_names::SIGNATURE.len() - 1);
        let signature = memmem::Finder::new(&stale_names::SIGNATURE);
        let mut found = Found::default();
        let mut bytes = vec![0; BLOCK as usize + beyond];
        for start in (from..to).step_by(BLOCK as usize) {
            let count = (to - start).min(BLOCK) as usize;
            let filled = read_at(&mut self.file, start, &mut bytes[..count + beyond])?;
            let block = &bytes[..filled];
            for at in signature.find_iter(block).filter(|at| *at < count) {
                let heap = start + at as u64;
                if self.is_heap_of_links(heap)? {
                    found.heaps.push(heap);
                }
            }
            for first in (0..filled).step_by(PIECE) {
                let piece = &block[first..filled.min(first + PIECE + 1)];
                // No early exit: see `PIECE`.
                let hit = piece
                    .iter()
                    .zip(&piece[1..])
                    .fold(0, |hit, (version, class)| {
                        hit | (u8::from(version.wrapping_sub(3) < 3) & u8::from(*class == 3))
                    });
                if hit == 0 {
                    continue;
                }
                for at in first..first + piece.len() {
                    let Some([3..=5, 3, address @ ..]) = block.get(at..at + 2 + width) else {
                        continue;
                    };
                    let address = address
                        .iter()
                        .rev()
                        .fold(0, |value: u64, &byte| value << 8 | u64::from(byte));
                    let heap = address
                        .checked_add(self.addressing.base)
                        .filter(|heap| *heap < self.addressing.length);
                    if let Some(heap) = heap
                        && self.is_global_heap(heap)?
                    {
                        found.virtual_layout = Some(start + at as u64);
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }

    fn is_heap_of_links(&mut self, address: u64) -> std::io::Result<bool> {
        let mut bytes = [0; 256];
        let filled = read_at(&mut self.file, address, &mut bytes)?;
        Ok(stale_names::is_heap_of_links(
            &bytes[..filled],
            &self.addressing.context,
        ))
    }

    fn is_global_heap(&mut self, address: u64) -> std::io::Result<bool> {
        let mut mark = [0; 4];
        Ok(read_at(&mut self.file, address, &mut mark)? == 4 && &mark == b"GCOL")
    }
}

/// Fills the buffer from `offset` as far as the file goes, and says how far that was.
pub(super) fn read_at(
    file: &mut fs::File,
    offset: u64,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of zeros with a heap at `heap` and a message at `message`.
    fn found(length: usize, heap: usize, message: usize, address: u64, base: u64) -> Option<u64> {
        let mut bytes = vec![0; length];
        bytes[heap..heap + 4].copy_from_slice(b"GCOL");
        let declared = [&[4, 3][..], &address.to_le_bytes()].concat();
        bytes[message..message + declared.len()].copy_from_slice(&declared);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        let addressing = Addressing {
            base,
            context: FormatContext::default_v3(),
            length: length as u64,
        };
        find(file.path(), addressing).unwrap().virtual_layout
    }

    #[test]
    fn a_virtual_layout_is_found_wherever_it_stands() {
        let length = 3 << 20;
        let half = length / 2;
        for message in [
            0,
            2_043,
            2_047,
            2_048,
            (1 << 18) - 9,
            (1 << 18) - 1,
            1 << 18,
            half - 10,
            half - 5,
            half - 1,
            half,
            length - 10,
        ] {
            assert_eq!(
                found(length, 5_000, message, 5_000, 0),
                Some(message as u64),
                "{message}"
            );
        }
        assert_eq!(found(4_096, 1_000, 4_086, 1_000, 0), Some(4_086));
    }

    #[test]
    fn heap_addresses_count_from_the_first_block() {
        assert_eq!(found(4_096, 1_512, 2_000, 1_000, 512), Some(2_000));
        assert_eq!(found(4_096, 1_512, 2_000, 1_512, 512), None);
    }

    #[test]
    fn bytes_that_only_resemble_a_virtual_layout_are_none() {
        assert_eq!(found(4_096, 1_000, 2_000, 1_001, 0), None);
        assert_eq!(found(4_096, 1_000, 2_000, u64::MAX, 0), None);
        assert_eq!(found(4_096, 1_000, 2_000, u64::MAX, 512), None);
        assert_eq!(found(4_096, 1_000, 2_000, 4_095, 0), None);
    }
}
