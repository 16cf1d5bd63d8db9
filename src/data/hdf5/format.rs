//! The structures of a new HDF5 file as bytes, in the format's first version, which h5py writes by default and every tool reads:
//! superblock 0, object headers 1, groups as B-trees over symbol tables
//! (<https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>).
//!
//! All numbers are little-endian; addresses and lengths take 8 bytes, and every structure begins at a multiple of 8.

use rust_hdf5::DatatypeMessage;
use rust_hdf5::format::FormatContext;

/// The address of what is not there.
pub(super) const NOWHERE: u64 = u64::MAX;
/// Where the first structure after the superblock stands.
pub(super) const SUPERBLOCK_BYTES: u64 = 96;
/// Half of the entries of a symbol table, and of the children of a B-tree's node: libhdf5's own.
const LEAF_K: usize = 4;
const INTERNAL_K: usize = 16;
/// Bytes of a symbol table, whatever number of its entries are used.
const TABLE_BYTES: usize = 8 + 2 * LEAF_K * 40;
/// Bytes of a B-tree's node, whatever number of its children are used.
pub(super) const NODE_BYTES: usize = 24 + 2 * INTERNAL_K * 8 + (2 * INTERNAL_K + 1) * 8;

/// The numbers of header messages.
const DATASPACE: u16 = 0x01;
const DATATYPE: u16 = 0x03;
const FILL_VALUE: u16 = 0x05;
const LAYOUT: u16 = 0x08;
const ATTRIBUTE: u16 = 0x0c;
const SYMBOL_TABLE: u16 = 0x11;

/// Filled up with zeros to a multiple of 8.
pub(super) fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The file's first bytes, from which the top level is found.
pub(super) fn superblock(end: u64, root: u64) -> Vec<u8> {
    let mut bytes = b"\x89HDF\r\n\x1a\n".to_vec();
    // Versions, then the bytes of an address and of a length.
    bytes.extend([0, 0, 0, 0, 0, 8, 8, 0]);
    bytes.extend((LEAF_K as u16).to_le_bytes());
    bytes.extend((INTERNAL_K as u16).to_le_bytes());
    bytes.extend([0; 4]);
    for number in [0, NOWHERE, end, NOWHERE] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(symbol(0, root));
    bytes
}

/// An entry of a symbol table: where a name stands in the heap, and what it names.
fn symbol(name: u64, header: u64) -> [u8; 40] {
    let mut entry = [0; 40];
    entry[..8].copy_from_slice(&name.to_le_bytes());
    entry[8..16].copy_from_slice(&header.to_le_bytes());
    entry
}

/// An object header of messages that [`message`] made.
pub(super) fn header(messages: &[Vec<u8>]) -> Vec<u8> {
    let size: usize = messages.iter().map(Vec::len).sum();
    let mut bytes = vec![1, 0];
    bytes.extend((messages.len() as u16).to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend((size as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(messages.concat());
    bytes
}

/// A header message; `None` where it is larger than one can be.
fn message(kind: u16, body: Vec<u8>) -> Option<Vec<u8>> {
    let body = padded(body);
    let size = u16::try_from(body.len()).ok()?;
    let mut bytes = Vec::with_capacity(8 + body.len());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    Some(bytes)
}

fn dataspace(shape: &[usize]) -> Vec<u8> {
    let mut bytes = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
    for length in shape {
        bytes.extend((*length as u64).to_le_bytes());
    }
    bytes
}

fn encoded(datatype: &DatatypeMessage) -> Vec<u8> {
    datatype.encode(&FormatContext::default_v3())
}

/// The messages of a dataset whose bytes lie one after the other.
pub(super) fn dataset(
    datatype: &DatatypeMessage,
    shape: &[usize],
    address: u64,
    bytes: u64,
) -> Option<Vec<Vec<u8>>> {
    let mut layout = vec![3, 1];
    layout.extend(if bytes == 0 { NOWHERE } else { address }.to_le_bytes());
    layout.extend(bytes.to_le_bytes());
    Some(vec![
        message(DATASPACE, dataspace(shape))?,
        message(DATATYPE, encoded(datatype))?,
        // Late allocation, written where set, and the default value: zero.
        message(FILL_VALUE, vec![2, 2, 2, 1, 0, 0, 0, 0])?,
        message(LAYOUT, layout)?,
    ])
}

/// The message of an attribute of one value.
pub(super) fn attribute(name: &str, datatype: &DatatypeMessage, value: &[u8]) -> Option<Vec<u8>> {
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    let (datatype, space) = (encoded(datatype), dataspace(&[]));
    let mut body = vec![1, 0];
    for length in [name.len(), datatype.len(), space.len()] {
        body.extend(u16::try_from(length).ok()?.to_le_bytes());
    }
    for part in [name, datatype, space] {
        body.extend(padded(part));
    }
    body.extend(value);
    message(ATTRIBUTE, body)
}

/// The message by which a group is found.
pub(super) fn group(tree: u64, heap: u64) -> Option<Vec<u8>> {
    message(
        SYMBOL_TABLE,
        [tree.to_le_bytes(), heap.to_le_bytes()].concat(),
    )
}

/// Names, each with its place among them; the first 8 bytes are the name of nothing.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = vec![0; 8];
    let places = names
        .map(|name| {
            let place = bytes.len() as u64;
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            place
        })
        .collect();
    (bytes, places)
}

/// The heap of a group's names, which stand at an address.
pub(super) fn heap(bytes: usize, address: u64) -> Vec<u8> {
    let mut heap = b"HEAP\0\0\0\0".to_vec();
    // No free block: the number 1.
    for number in [bytes as u64, 1, address] {
        heap.extend(number.to_le_bytes());
    }
    heap
}

/// The symbol tables of a group: names' places and what they name, in the order of the names.
pub(super) fn tables(symbols: &[(u64, u64)]) -> impl Iterator<Item = (u64, Vec<u8>)> {
    symbols.chunks(2 * LEAF_K).map(|symbols| {
        let mut bytes = b"SNOD\x01\0".to_vec();
        bytes.extend((symbols.len() as u16).to_le_bytes());
        for (name, header) in symbols {
            bytes.extend(symbol(*name, *header));
        }
        bytes.resize(TABLE_BYTES, 0);
        let (last, _) = symbols[symbols.len() - 1];
        (last, bytes)
    })
}

/// The nodes of one level of a group's B-tree, to stand one after the other from an address on: for each the last name's place
/// among those below it, and its bytes. Of no children there is one node.
pub(super) fn nodes(children: &[(u64, u64)], level: u8, start: u64) -> Vec<(u64, Vec<u8>)> {
    let count = children.len().div_ceil(2 * INTERNAL_K).max(1);
    let address = |node: usize| start + (node * NODE_BYTES) as u64;
    (0..count)
        .map(|node| {
            let first = node * 2 * INTERNAL_K;
            let below = &children[first..children.len().min(first + 2 * INTERNAL_K)];
            let before = first.checked_sub(1).map_or(0, |last| children[last].0);
            let mut bytes = b"TREE\0".to_vec();
            bytes.push(level);
            bytes.extend((below.len() as u16).to_le_bytes());
            let left = node.checked_sub(1).map_or(NOWHERE, address);
            let right = if node + 1 < count {
                address(node + 1)
            } else {
                NOWHERE
            };
            for number in [left, right, before] {
                bytes.extend(number.to_le_bytes());
            }
            for (last, child) in below {
                bytes.extend(child.to_le_bytes());
                bytes.extend(last.to_le_bytes());
            }
            bytes.resize(NODE_BYTES, 0);
            (below.last().map_or(0, |(last, _)| *last), bytes)
        })
        .collect()
}

/// Texts of any length, to stand at an address, and for each the bytes by which it is found.
pub(super) fn texts(texts: &[&str], address: u64) -> (Vec<u8>, Vec<[u8; 16]>) {
    /// No collection is smaller.
    const LEAST: usize = 4096;
    let mut objects = Vec::new();
    let mut found = Vec::new();
    for (text, index) in texts.iter().zip(1u16..) {
        let object = [&index.to_le_bytes()[..], &1u16.to_le_bytes(), &[0; 4]].concat();
        objects.extend(object);
        objects.extend((text.len() as u64).to_le_bytes());
        objects.extend(padded(text.as_bytes().to_vec()));
        let mut place = [0; 16];
        if !text.is_empty() {
            place[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
            place[4..12].copy_from_slice(&address.to_le_bytes());
            place[12..14].copy_from_slice(&index.to_le_bytes());
        }
        found.push(place);
    }
    // The rest is object 0, free, with its own 16 bytes.
    let size = (16 + objects.len() + 16).max(LEAST);
    let free = size - 16 - objects.len();
    let mut bytes = b"GCOL\x01\0\0\0".to_vec();
    bytes.extend((size as u64).to_le_bytes());
    bytes.extend(objects);
    bytes.extend([0; 8]);
    bytes.extend((free as u64).to_le_bytes());
    bytes.resize(size, 0);
    (bytes, found)
}
