//! Mutants of checkpoints, also such whose sums are right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ron::ser::PrettyConfig;

use super::super::digest::sum_of;
use super::super::disk::RealDisk;
use super::super::step_folder::{CHECKSUMS, Checksums, FORMAT, write_checkpoint};
use super::super::{Blob, Snapshot, load};
use crate::fuzzing::{hold, mutant, mutant_of_text};

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::new(20);
    snapshot
        .put_tensor("actor", "0.weight", &[2, 3], vec![0.5; 6])
        .unwrap();
    snapshot
        .put_tensor("actor", "0.bias", &[3], vec![-0.0; 3])
        .unwrap();
    snapshot
        .put_state("kept", &BTreeSet::from([3_u64, 20]))
        .unwrap();
    let numbers = BTreeMap::from([("mean", vec![0.1_f64, -1e-300]), ("std", vec![1.0])]);
    snapshot.put_state("preprocessing", &numbers).unwrap();
    snapshot
        .put_state("name", &Some("a \"name\"".to_owned()))
        .unwrap();
    let blob = Blob::new(|out| out.write_all(b"rows"));
    snapshot.put_blob("replay.000000000", blob).unwrap();
    snapshot
}

/// Lists the files that are there, as they are.
fn sum_up(folder: &Path, names: &[String]) {
    let files = names.iter().map(|name| {
        let file = fs::File::open(folder.join(name)).unwrap();
        (name.clone(), sum_of(file, 1 << 20).unwrap())
    });
    let sums = Checksums {
        format: FORMAT,
        files: files.collect(),
    };
    let text = ron::ser::to_string_pretty(&sums, PrettyConfig::new()).unwrap();
    fs::write(folder.join(CHECKSUMS), text).unwrap();
}

#[test]
fn no_mutant_of_a_checkpoint_panics_and_none_passes_for_it_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let may = &|| Ok(());
    write_checkpoint(&mut RealDisk, folder.path(), &snapshot(), false, may).unwrap();
    let step = folder.path().join("step_000000020");
    let entries = fs::read_dir(&step).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    let good: Vec<Vec<u8>> = names
        .iter()
        .map(|name| fs::read(step.join(name)).unwrap())
        .collect();
    let summed: Vec<String> = names
        .iter()
        .filter(|it| *it != CHECKSUMS)
        .cloned()
        .collect();
    hold("checkpoints", 1_000, |numbers| {
        let at = numbers.below(names.len());
        let bytes = match std::str::from_utf8(&good[at]) {
            Ok(text) if numbers.below(2) == 0 => mutant_of_text(text, numbers).into_bytes(),
            _ => mutant(&good[at], 512, numbers),
        };
        let path = step.join(&names[at]);
        fs::write(&path, &bytes).unwrap();
        let is_summed_up = names[at] != CHECKSUMS && numbers.below(4) > 0;
        if is_summed_up {
            sum_up(&step, &summed);
        }
        match load(&step) {
            Ok(loaded) => {
                loaded.check().unwrap();
                // Each kind of value is read as others.
                let _ = loaded.state::<BTreeSet<u64>>("kept");
                let _ = loaded.state::<BTreeMap<String, Vec<f32>>>("preprocessing");
                let _ = loaded.state::<Option<String>>("name");
                let changed = bytes != good[at];
                assert!(
                    is_summed_up || names[at] == CHECKSUMS || !changed,
                    "{} was changed, and nobody saw it",
                    names[at]
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        fs::write(&path, &good[at]).unwrap();
        let sums = names.iter().position(|it| it == CHECKSUMS).unwrap();
        fs::write(step.join(CHECKSUMS), &good[sums]).unwrap();
    });
    assert_eq!(load(&step).unwrap(), snapshot());
}
