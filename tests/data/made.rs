//! Small files of demonstrations, made by the test that reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_hdf5::types::H5Type;
use rust_hdf5::{H5File, H5Group};
use yarak::data::check::{Check, Finding, Kind};
use yarak::data::{DatasetFile, LoadError, Reading, Transitions};

/// A file that is being made, in a folder of its own.
pub struct Made {
    pub folder: tempfile::TempDir,
    path: PathBuf,
    file: H5File,
    groups: BTreeMap<String, H5Group>,
}

/// A file that was made.
pub struct Finished {
    pub folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Made {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Minari's name, which the other layouts do not mind.
        let path = folder.path().join("main_data.hdf5");
        Self {
            file: H5File::create(&path).unwrap(),
            folder,
            path,
            groups: BTreeMap::new(),
        }
    }

    /// A dataset at a path, in groups that are made where they are not there.
    pub fn put<T: H5Type>(&mut self, path: &str, shape: &[usize], values: &[T]) -> &mut Self {
        for (at, _) in path.match_indices('/') {
            self.group(&path[..at]);
        }
        let dataset = self.file.new_dataset::<T>().shape(shape).create(path);
        dataset.unwrap().write_raw(values).unwrap();
        self
    }

    /// `[values]`.
    pub fn column<T: H5Type>(&mut self, path: &str, values: &[T]) -> &mut Self {
        self.put(path, &[values.len()], values)
    }

    /// A list of names.
    pub fn names(&mut self, path: &str, names: &[&str]) -> &mut Self {
        for (at, _) in path.match_indices('/') {
            self.group(&path[..at]);
        }
        self.file.write_vlen_strings(path, names).unwrap();
        self
    }

    /// An attribute of a group, or with an empty path of the file, that is a number.
    pub fn number(&mut self, group: &str, name: &str, value: i64) -> &mut Self {
        self.group(group).set_attr_numeric(name, &value).unwrap();
        self
    }

    /// A group's attribute that is a text.
    pub fn text(&mut self, group: &str, name: &str, value: &str) -> &mut Self {
        self.group(group).set_attr_string(name, value).unwrap();
        self
    }

    fn group(&mut self, path: &str) -> &H5Group {
        if !self.groups.contains_key(path) {
            let root = self.file.root_group();
            let group = match path {
                "" => root,
                path => root.create_group(path).unwrap(),
            };
            self.groups.insert(path.to_owned(), group);
        }
        &self.groups[path]
    }

    pub fn finish(self) -> Finished {
        drop(self.groups);
        self.file.close().unwrap();
        Finished {
            folder: self.folder,
            path: self.path,
        }
    }
}

impl Finished {
    pub fn open(&self) -> Result<DatasetFile, LoadError> {
        DatasetFile::open(&self.path, &Reading::default())
    }

    #[track_caller]
    pub fn read(&self) -> Transitions {
        let opened = self.open().unwrap_or_else(|error| panic!("{error}"));
        opened.read().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why it is not read.
    #[track_caller]
    pub fn refusal(&self) -> String {
        match self.open() {
            Ok(_) => panic!("it is read"),
            Err(error) => error.to_string(),
        }
    }

    pub fn finding(&self, kind: Kind) -> Option<Finding> {
        finding(&self.path, kind)
    }
}

/// What a check finds of a kind.
pub fn finding(path: &Path, kind: Kind) -> Option<Finding> {
    let found = Check::of(path, None).findings;
    found.into_iter().find(|finding| finding.kind == kind)
}

/// Numbers that look random, from -1 to 1.
pub fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || crate::hostile::splitmix(&mut state) as f64 / u64::MAX as f64;
    (0..count).map(|_| 2.0 * next() - 1.0).collect()
}

/// A demonstration of robomimic's layout, whose actions are all `action`.
pub fn demonstration(made: &mut Made, name: &str, steps: usize, action: f64) {
    let path = |what: &str| format!("data/{name}/{what}");
    made.put(&path("obs/a"), &[steps, 2], &noise(7, 2 * steps))
        .put(&path("next_obs/a"), &[steps, 2], &noise(8, 2 * steps))
        .put(&path("actions"), &[steps, 1], &vec![action; steps])
        .column(&path("rewards"), &noise(9, steps))
        .column(&path("dones"), &vec![0_i64; steps]);
}

/// An episode of Minari's layout, whose actions are all `action`.
pub fn episode(made: &mut Made, name: &str, steps: usize, action: f64) {
    let path = |what: &str| format!("{name}/{what}");
    made.put(
        &path("observations"),
        &[steps + 1, 2],
        &noise(7, 2 * steps + 2),
    )
    .put(&path("actions"), &[steps, 1], &vec![action; steps])
    .column(&path("rewards"), &noise(9, steps))
    .column(&path("terminations"), &vec![0_u8; steps])
    .column(&path("truncations"), &vec![0_u8; steps]);
}
