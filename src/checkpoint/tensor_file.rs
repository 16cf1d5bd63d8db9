//! One file of named `f32` tensors in the safetensors format (<https://huggingface.co/docs/safetensors>).
//!
//! The crate's header type is used for both directions, and the values are streamed past it: a snapshot is never copied
//! whole, and a header that promises more than the file holds is refused before anything is allocated for it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::plain_file::open_plain;
use super::{CheckpointError, HostTensor};

/// The largest header that is written or read: some forty thousand tensors.
const HEADER_LIMIT: u64 = 4 << 20;

/// Values converted at a time.
const PIECE: usize = 1 << 14;

/// A file that is ready to be written.
pub(super) struct TensorFile<'a> {
    /// The header's length and the header, padded to eight bytes.
    head: Vec<u8>,
    tensors: Vec<&'a HostTensor>,
}

impl<'a> TensorFile<'a> {
    /// Lays out `tensors` in the order of their names, with `step` in the file's notes.
    pub fn new(
        checkpoint: &str,
        file: &str,
        step: u64,
        tensors: &'a BTreeMap<String, HostTensor>,
    ) -> Result<Self, CheckpointError> {
        let too_large = |bytes: usize| CheckpointError::TooLarge {
            checkpoint: checkpoint.to_owned(),
            what: format!("the header of `{file}`"),
            bytes: bytes as u64,
            limit: HEADER_LIMIT,
        };
        let mut offset = 0;
        let infos = tensors.iter().map(|(name, tensor)| {
            let start = offset;
            offset += size_of_val(tensor.values.as_slice());
            let info = TensorInfo {
                dtype: Dtype::F32,
                shape: tensor.shape.clone(),
                data_offsets: (start, offset),
            };
            (name.clone(), info)
        });
        // One note only: the crate keeps notes in a hash map, and the same snapshot must give the same bytes.
        let notes = HashMap::from([("step".to_owned(), step.to_string())]);
        let header = Metadata::new(Some(notes), infos.collect())
            .map_err(|error| error.to_string())
            .and_then(|metadata| serde_json::to_vec(&metadata).map_err(|error| error.to_string()));
        let mut header = header.map_err(|what| {
            CheckpointError::io("lay out the tensors", Path::new(file))(io::Error::other(what))
        })?;
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() as u64 > HEADER_LIMIT {
            return Err(too_large(header.len()));
        }
        let mut head = (header.len() as u64).to_le_bytes().to_vec();
        head.extend(header);
        Ok(Self {
            head,
            tensors: tensors.values().collect(),
        })
    }

    /// Writes the file.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        let mut bytes = Vec::with_capacity(4 * PIECE);
        for tensor in &self.tensors {
            for piece in tensor.values.chunks(PIECE) {
                bytes.clear();
                bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

/// Reads the tensors of `folder/file`. What it allocates is bounded by the file's size.
pub(super) fn read(
    folder: &Path,
    file: &str,
) -> Result<BTreeMap<String, HostTensor>, CheckpointError> {
    let path = folder.join(file);
    let damaged = |what: String| CheckpointError::damaged(folder, file, what);
    let reading = || CheckpointError::io("read the tensors", &path);

    let opened = open_plain(&path).map_err(reading())?;
    let length = opened.metadata().map_err(reading())?.len();
    let mut input = BufReader::with_capacity(1 << 18, opened);

    let mut header_length = [0; 8];
    input
        .read_exact(&mut header_length)
        .map_err(|_| damaged("it ends inside the header's length".to_owned()))?;
    let header_length = u64::from_le_bytes(header_length);
    if header_length > HEADER_LIMIT || header_length > length.saturating_sub(8) {
        return Err(damaged(format!("its header claims {header_length} bytes")));
    }
    let mut header = vec![0; header_length as usize];
    input.read_exact(&mut header).map_err(reading())?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| damaged(format!("its header: {error}")))?;
    if Some(metadata.data_len() as u64) != length.checked_sub(8 + header_length) {
        return Err(damaged("its tensors do not fill the file".to_owned()));
    }

    let mut tensors = BTreeMap::new();
    for name in metadata.offset_keys() {
        crate::terminal::heed(&name);
        let info = metadata
            .info(&name)
            .ok_or_else(|| damaged(format!("its header has lost `{name}`")))?;
        if info.dtype != Dtype::F32 {
            return Err(damaged(format!(
                "tensor `{name}` is {}, and checkpoints hold F32",
                info.dtype
            )));
        }
        // The crate checked that the offsets follow each other and fit the shape.
        let count = (info.data_offsets.1 - info.data_offsets.0) / 4;
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| {
            damaged(format!(
                "tensor `{name}` needs {} bytes of memory",
                4 * count
            ))
        })?;
        let mut bytes = vec![0; 4 * count.min(PIECE)];
        while values.len() < count {
            let piece = &mut bytes[..4 * (count - values.len()).min(PIECE)];
            input.read_exact(piece).map_err(reading())?;
            values.extend(
                piece
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&four| f32::from_le_bytes(four)),
            );
        }
        tensors.insert(
            name,
            HostTensor {
                shape: info.shape.clone(),
                values,
            },
        );
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tensors() -> BTreeMap<String, HostTensor> {
        let counting = |count: usize| (0..count).map(|index| index as f32).collect::<Vec<_>>();
        BTreeMap::from([
            (
                "weight".to_owned(),
                HostTensor {
                    shape: vec![300, 200],
                    values: counting(60_000),
                },
            ),
            (
                "scalar".to_owned(),
                HostTensor {
                    shape: vec![],
                    values: vec![f32::from_bits(0x7f80_0001)],
                },
            ),
            (
                "empty".to_owned(),
                HostTensor {
                    shape: vec![0, 3],
                    values: vec![],
                },
            ),
            (
                "a \"name\"/ö".to_owned(),
                HostTensor {
                    shape: vec![2],
                    values: vec![-0.0, f32::NEG_INFINITY],
                },
            ),
        ])
    }

    fn bytes_of(tensors: &BTreeMap<String, HostTensor>) -> Vec<u8> {
        let mut bytes = Vec::new();
        TensorFile::new("test", "actor", 7, tensors)
            .unwrap()
            .write(&mut bytes)
            .unwrap();
        bytes
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    #[test]
    fn tensors_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("actor.safetensors"),
            bytes_of(&tensors()),
        )
        .unwrap();
        assert_eq!(read(folder.path(), "actor.safetensors").unwrap(), tensors());
        fs::write(
            folder.path().join("none.safetensors"),
            bytes_of(&BTreeMap::new()),
        )
        .unwrap();
        assert_eq!(
            read(folder.path(), "none.safetensors").unwrap(),
            BTreeMap::new()
        );
    }

    #[test]
    fn the_crates_own_reader_opens_the_file_and_finds_the_step() {
        let bytes = bytes_of(&tensors());
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["step"], "7");
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("weight").unwrap().shape(), [300, 200]);
        assert_eq!(bytes, bytes_of(&tensors()));
    }

    #[test]
    fn hostile_files_give_typed_errors() {
        let folder = tempfile::tempdir().unwrap();
        // Tensors that would fill the address space eight times over: the crate's own reader adds their ends to the
        // header's length without a check.
        let huge = usize::MAX / 8;
        let mut wrapping = String::from("{");
        for index in 0..8_usize {
            let (start, end) = (index * huge, (index + 1) * huge);
            wrapping += &format!(
                "\"{index}\":{{\"dtype\":\"U8\",\"shape\":[{huge}],\"data_offsets\":[{start},{end}]}},"
            );
        }
        let end = 8 * huge;
        wrapping += &format!(
            "\"8\":{{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[{end},{}]}}}}",
            end + 7
        );
        let one = |dtype: &str, shape: &str, start: u64, end: u64| {
            format!(
                "{{\"w\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}}}"
            )
        };
        let cases = [
            vec![],
            vec![1, 0, 0],
            u64::MAX.to_le_bytes().to_vec(),
            (1_u64 << 40).to_le_bytes().to_vec(),
            with_header("", &[]),
            with_header("[]", &[]),
            with_header("{\"w\":3}", &[]),
            with_header(&"[".repeat(100_000), &[]),
            with_header("\u{0}\u{0}", &[]),
            with_header(&wrapping, &[0; 7]),
            with_header(&one("F32", "[4611686018427387904,4]", 0, 4), &[0; 4]),
            with_header(&one("F32", "[1]", 0, 4), &[0; 3]),
            with_header(&one("F32", "[1]", 0, 4), &[0; 5]),
            with_header(&one("F32", "[1]", 4, 8), &[0; 8]),
            with_header(&one("F32", "[1]", 4, 0), &[0; 4]),
            with_header(&one("F32", "[-1]", 0, 4), &[0; 4]),
            with_header(&one("I32", "[1]", 0, 4), &[0; 4]),
            with_header(&one("F4", "[8]", 0, 4), &[0; 4]),
            with_header(&one("NOPE", "[1]", 0, 4), &[0; 4]),
        ];
        for (index, case) in cases.iter().enumerate() {
            fs::write(folder.path().join("w.safetensors"), case).unwrap();
            let error = read(folder.path(), "w.safetensors").unwrap_err();
            assert!(
                matches!(error, CheckpointError::Damaged { .. }),
                "case {index}: {error}"
            );
        }
    }

    #[test]
    fn every_flipped_or_missing_byte_of_a_small_file_is_read_without_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let small = BTreeMap::from([(
            "w".to_owned(),
            HostTensor {
                shape: vec![2],
                values: vec![1.0, 2.0],
            },
        )]);
        let bytes = bytes_of(&small);
        let path = folder.path().join("w.safetensors");
        for place in 0..bytes.len() {
            fs::write(&path, &bytes[..place]).unwrap();
            assert!(read(folder.path(), "w.safetensors").is_err());
            for flip in [1, 4, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= flip;
                fs::write(&path, changed).unwrap();
                let _ = read(folder.path(), "w.safetensors");
            }
        }
    }

    #[test]
    fn a_header_that_could_not_be_read_back_is_not_written() {
        let name = "x".repeat(HEADER_LIMIT as usize);
        let tensors = BTreeMap::from([(
            name,
            HostTensor {
                shape: vec![],
                values: vec![0.0],
            },
        )]);
        assert!(matches!(
            TensorFile::new("test", "actor", 7, &tensors),
            Err(CheckpointError::TooLarge { .. })
        ));
    }

    #[test]
    fn the_python_package_reads_the_same_tensors() {
        let Some(python) = std::env::var_os("YARAK_PYTHON") else {
            eprintln!(
                "skipped: set YARAK_PYTHON to a python that has the packages safetensors and numpy"
            );
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actor.safetensors");
        fs::write(&path, bytes_of(&tensors())).unwrap();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/read_checkpoint.py"
        );
        let output = std::process::Command::new(python)
            .arg(script)
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );

        let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen["step"], "7");
        let expected = tensors();
        assert_eq!(seen["tensors"].as_object().unwrap().len(), expected.len());
        for (name, tensor) in expected {
            let bits: Vec<u32> = tensor.values.iter().map(|value| value.to_bits()).collect();
            assert_eq!(
                seen["tensors"][&name],
                serde_json::json!({ "shape": tensor.shape, "bits": bits }),
                "{name}"
            );
        }
    }
}
