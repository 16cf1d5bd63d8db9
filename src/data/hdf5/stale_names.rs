//! Names that were deleted from a group, and that the HDF5 library would list all the same.
//!
//! A group with many or unusual names keeps its links one behind the other in a *fractal heap* (signature `FRHP`), and says in a
//! B-tree which places in the heap are in use. Deleting a name takes it out of the B-tree and leaves its bytes. The library
//! that reads the file here never asks the B-tree: it takes the heap's bytes for links from the front of every block to the
//! first byte that begins none. So it lists what was deleted, or misses what is behind a gap. A file is refused where what
//! the library would find is not what the B-tree holds.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;

use rust_hdf5::format::chunk_index::btree_v2::{
    BT2_TYPE_GRP_NAME, Bt2Header, collect_btree_v2_records,
};
use rust_hdf5::format::fractal_heap::{
    FractalHeapHeader, HeapId, ManagedBlock, collect_managed_blocks,
};
use rust_hdf5::format::messages::link::LinkMessage;
use rust_hdf5::format::{BlockReader, FormatContext, FormatError, FormatResult};

use super::vetting::{Addressing, read_at};

/// Begins every fractal heap.
pub(super) const SIGNATURE: [u8; 4] = *b"FRHP";

/// Bytes that tell one object of a heap of links; heaps of attributes have 8.
const LINK_ID_BYTES: u16 = 7;

/// More than the longest header of a heap or of a B-tree.
const HEADER_BYTES: usize = 512;

/// What is wrong with a group's names.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// This one was deleted, and would be listed.
    Stale(String),
    /// The list that starts at this byte has a gap, and what follows would not be listed.
    Gap(u64),
    /// The list that starts at this byte makes no sense.
    Damaged(u64, String),
}

/// Whether a heap of links may start with these bytes.
pub(super) fn is_heap_of_links(bytes: &[u8], context: &FormatContext) -> bool {
    bytes.starts_with(&SIGNATURE)
        && bytes.get(5..7) == Some(&LINK_ID_BYTES.to_le_bytes())
        && FractalHeapHeader::decode(bytes, context).is_ok()
}

/// The first fault among the heaps of links that start at these bytes of the file.
pub(super) fn find_fault(
    file: &mut fs::File,
    addressing: Addressing,
    heaps: &[u64],
) -> io::Result<Option<Fault>> {
    let mut blocks = Blocks {
        file,
        addressing,
        // Sound heaps share no block, and each is walked twice at most.
        left: addressing.length.saturating_mul(2) + (1 << 16),
    };
    let doubtful: HashSet<u64> = heaps
        .iter()
        .filter_map(|heap| heap.checked_sub(addressing.base))
        .filter(|&heap| !is_untouched(&mut blocks, heap).unwrap_or(false))
        .collect();
    if doubtful.is_empty() {
        return Ok(None);
    }
    // A heap that no group names is left over from a group that is gone.
    for (heap, names) in find_groups(blocks.file, addressing, &doubtful)? {
        let fault = compare(&mut blocks, heap, names).unwrap_or_else(|error| {
            Some(Fault::Damaged(heap + addressing.base, error.to_string()))
        });
        if fault.is_some() {
            return Ok(fault);
        }
    }
    Ok(None)
}

/// The links that the library would find in one block, each with its place in the block.
fn links<'a>(
    block: &'a ManagedBlock,
    context: &'a FormatContext,
) -> impl Iterator<Item = (usize, usize, LinkMessage)> + 'a {
    let mut at = block.payload_start;
    std::iter::from_fn(move || {
        let rest = block
            .image
            .get(at..)
            .filter(|rest| rest.first() == Some(&1))?;
        let (link, length) = LinkMessage::decode(rest, context).ok()?;
        let from = at;
        at += length;
        (length > 0).then_some((from, at, link))
    })
}

/// Whether nothing was ever deleted from a heap: it is full from the front of every block, with zeros behind, and counts as
/// many links and as many bytes in use as there are.
fn is_untouched(blocks: &mut Blocks, heap: u64) -> FormatResult<bool> {
    let context = blocks.addressing.context;
    let header = FractalHeapHeader::decode(&blocks.read_block(heap, HEADER_BYTES)?, &context)?;
    let (mut count, mut used, mut free) = (0, 0, 0);
    for block in collect_managed_blocks(&header, &context, blocks)? {
        let mut end = block.payload_start;
        for (from, to, _) in links(&block, &context) {
            count += 1;
            used += (to - from) as u64;
            end = to;
        }
        if block.image[end..].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        free += (block.image.len() - end) as u64;
    }
    Ok(count == header.man_nobjs
        && (count == 0 || free == header.total_man_free)
        && used <= header.man_alloc_size)
}

/// The groups whose links are in one of the heaps: the addresses of the heap and of the B-tree of the names in use.
///
/// A group says so in a message in its header: a version of 0, flags, the highest number given to a link where flag 1 is set,
/// and the two addresses. Headers are never compressed.
fn find_groups(
    file: &mut fs::File,
    addressing: Addressing,
    heaps: &HashSet<u64>,
) -> io::Result<BTreeSet<(u64, u64)>> {
    const BLOCK: u64 = 1 << 18;
    const BEFORE: u64 = 10;
    let width = usize::from(addressing.context.sizeof_addr);
    let mut bytes = vec![0; BLOCK as usize + BEFORE as usize + 2 * width];
    let mut groups = BTreeSet::new();
    for start in (0..addressing.length).step_by(BLOCK as usize) {
        let from = start.saturating_sub(BEFORE);
        let filled = read_at(file, from, &mut bytes)?;
        for (at, addresses) in bytes[..filled].windows(2 * width).enumerate() {
            let (heap, names) = addresses.split_at(width);
            let heap = number(heap);
            if heap >= addressing.length || !heaps.contains(&heap) {
                continue;
            }
            let before = &bytes[..at];
            let is_message = matches!(before, [.., 0, 0 | 2])
                || matches!(before, [.., 0, 1 | 3, _, _, _, _, _, _, _, _]);
            let names = number(names);
            let mut mark = [0; 4];
            if is_message
                && let Some(place) = names
                    .checked_add(addressing.base)
                    .filter(|place| *place < addressing.length)
                && read_at(file, place, &mut mark)? == 4
                && &mark == b"BTHD"
            {
                groups.insert((heap, names));
            }
        }
    }
    Ok(groups)
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Compares what the library would find in a heap with what the B-tree says is in use.
fn compare(blocks: &mut Blocks, heap: u64, names: u64) -> FormatResult<Option<Fault>> {
    /// Every further level holds twenty times as many names.
    const DEEPEST: u16 = 16;
    let context = blocks.addressing.context;
    let header = FractalHeapHeader::decode(&blocks.read_block(heap, HEADER_BYTES)?, &context)?;
    // Left over from a group that is gone, or the library fails at it too.
    let Ok(found) = collect_managed_blocks(&header, &context, blocks) else {
        return Ok(None);
    };
    let tree = Bt2Header::decode(&blocks.read_block(names, HEADER_BYTES)?, &context)?;
    let record = usize::from(tree.record_size);
    if tree.record_type != BT2_TYPE_GRP_NAME
        || record != 4 + usize::from(LINK_ID_BYTES)
        || tree.depth > DEEPEST
    {
        return Err(FormatError::InvalidData(
            "its names are indexed by something else than names".to_owned(),
        ));
    }
    let mut in_use = HashSet::new();
    for record in collect_btree_v2_records(&tree, &context, blocks)?.chunks_exact(record) {
        // After the name's hash. Names of thousands of characters are outside the heap's blocks.
        if let HeapId::Managed { offset, .. } = HeapId::parse(&record[4..], &header, &context)? {
            in_use.insert(offset);
        }
    }
    for block in found {
        for (from, _, link) in links(&block, &context) {
            let place = block.heap_offset.checked_add(from as u64);
            if !place.is_some_and(|place| in_use.remove(&place)) {
                return Ok(Some(Fault::Stale(link.name)));
            }
        }
    }
    Ok((!in_use.is_empty()).then_some(Fault::Gap(heap + blocks.addressing.base)))
}

/// Reads pieces of a file for the library's walks, as many bytes in all as a sound file needs.
struct Blocks<'a> {
    file: &'a mut fs::File,
    addressing: Addressing,
    left: u64,
}

impl BlockReader for Blocks<'_> {
    fn read_block(&mut self, offset: u64, length: usize) -> FormatResult<Vec<u8>> {
        let beyond = || FormatError::InvalidData(format!("byte {offset} is beyond the file"));
        let start = offset
            .checked_add(self.addressing.base)
            .ok_or_else(beyond)?;
        let there = self
            .addressing
            .length
            .checked_sub(start)
            .ok_or_else(beyond)?;
        let count = there.min(length as u64);
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            FormatError::InvalidData("its blocks lie over one another".to_owned())
        })?;
        let mut bytes = vec![0; count as usize];
        let filled = read_at(self.file, start, &mut bytes)
            .map_err(|error| FormatError::InvalidData(error.to_string()))?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}
