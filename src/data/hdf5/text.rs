//! The texts and the names in a file, which are not numbers and few.

use rust_hdf5::Hdf5Error;

use super::element::Dtype;
use super::error::FileError;
use super::file::File;
use super::selection::Selection;
use crate::terminal::heed;

impl File {
    /// A text attribute of a group, a dataset or, with an empty path, the file; `None` where there is none of that name.
    ///
    /// Ask only for what a layout defines as text: of a group's or the file's attribute the type cannot be seen, and a
    /// number's bytes would be taken for characters.
    ///
    /// # Errors
    ///
    /// No such group or dataset, a dataset's attribute that is no text, or a damaged file.
    pub fn text_attribute(&self, object: &str, name: &str) -> Result<Option<String>, FileError> {
        Ok(self.characters(object, name)?.map(heeded))
    }

    /// The same of what may be no text, and then is shown nowhere: a number 10 is a line break.
    fn characters(&self, object: &str, name: &str) -> Result<Option<String>, FileError> {
        let object = object.trim_matches('/');
        let damaged = |error: Hdf5Error| FileError::Damaged {
            file: self.path().to_owned(),
            place: format!("attribute `{name}` of `/{object}`"),
            cause: error.to_string(),
        };
        if let Some(info) = self.listed(object) {
            let dataset = self.source(info)?;
            if !dataset
                .attr_names()
                .map_err(damaged)?
                .iter()
                .any(|found| found == name)
            {
                return Ok(None);
            }
            let attribute = dataset.attr(name).map_err(damaged)?;
            return match Dtype::of(&attribute.datatype().map_err(damaged)?) {
                Dtype::Text => attribute.read_string().map(Some).map_err(damaged),
                dtype => Err(damaged(Hdf5Error::TypeMismatch(format!(
                    "it is {dtype}, not text"
                )))),
            };
        }
        if self.tables().is_some() {
            // Tables have no attributes.
            return Ok(None);
        }
        let group = match object {
            "" => self.handle.root_group(),
            path => self.handle.root_group().group(path).map_err(damaged)?,
        };
        if !group
            .attr_names()
            .map_err(damaged)?
            .iter()
            .any(|found| found == name)
        {
            return Ok(None);
        }
        group.attr_string(name).map(Some).map_err(damaged)
    }

    /// A dataset's attribute that is a whole number; `None` where there is none of that name.
    ///
    /// # Errors
    ///
    /// No such dataset, an attribute that is no whole number, or a damaged file.
    pub fn whole_attribute(&self, dataset: &str, name: &str) -> Result<Option<i64>, FileError> {
        let info = self.dataset(dataset)?;
        let damaged = |error: Hdf5Error| FileError::Damaged {
            file: self.path().to_owned(),
            place: format!("attribute `{name}` of `{}`", info.path),
            cause: error.to_string(),
        };
        let source = self.source(info)?;
        if !source
            .attr_names()
            .map_err(damaged)?
            .iter()
            .any(|found| found == name)
        {
            return Ok(None);
        }
        let values = source
            .attr(name)
            .and_then(|attribute| attribute.read_numeric_as::<i64>())
            .map_err(damaged)?;
        Ok(values.first().copied())
    }

    /// Whether a group's attribute is a whole number other than `expected`, and then what it says, in words; `None` where there is no
    /// such attribute, and where it cannot be told.
    ///
    /// Of a group's attribute the library gives the bytes as text, up to the first that is 0. So the bytes of what is expected are
    /// made a text in the same way.
    pub(in crate::data) fn other_number(
        &self,
        group: &str,
        name: &str,
        expected: u64,
    ) -> Option<String> {
        // A group behind a link has no attributes of its own here.
        let Ok(Some(found)) = self.characters(group, name) else {
            return None;
        };
        let bytes = expected.to_le_bytes();
        let length = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
        let same = String::from_utf8_lossy(&bytes[..length]) == found;
        // A number whose first byte is 0, such as one of `float64`, or one that was written as text.
        if same || found.is_empty() || found.trim() == expected.to_string() {
            return None;
        }
        let number = found.bytes().rev().fold(0u64, |number, byte| {
            number.wrapping_mul(256) + u64::from(byte)
        });
        Some(match found.is_ascii() && found.len() <= 2 {
            true => format!("says {number}"),
            false => "says another number".to_owned(),
        })
    }

    /// The names of the attributes of a group, a dataset or, with an empty path, the file, in order.
    ///
    /// # Errors
    ///
    /// No such group or dataset, or a damaged file.
    pub fn attribute_names(&self, object: &str) -> Result<Vec<String>, FileError> {
        let object = object.trim_matches('/');
        if self.tables().is_some() {
            return Ok(Vec::new());
        }
        let root = self.handle.root_group();
        let names = match self.listed(object) {
            Some(info) => self.source(info)?.attr_names(),
            None if object.is_empty() => root.attr_names(),
            None => root.group(object).and_then(|group| group.attr_names()),
        };
        let mut names = names.map_err(|error| FileError::Damaged {
            file: self.path().to_owned(),
            place: format!("the attributes of `/{object}`"),
            cause: error.to_string(),
        })?;
        names.sort();
        Ok(names.into_iter().map(heeded).collect())
    }

    /// All texts of a dataset, such as a list of names.
    ///
    /// # Errors
    ///
    /// Everything that [`FileError`] lists about datasets, and [`FileError::Conversion`] for one that holds no text.
    pub fn read_texts(&self, dataset: &str) -> Result<Vec<String>, FileError> {
        let info = self.dataset(dataset)?;
        if info.dtype != Dtype::Text {
            return Err(FileError::Conversion {
                file: self.path().to_owned(),
                dataset: info.path.clone(),
                dtype: info.dtype,
                wanted: "text",
            });
        }
        let selection = Selection::new(self, info, self.source(info)?, 0..info.rows())?;
        let texts = selection.texts();
        let texts = texts.map_err(|error| self.damaged(info, error))?;
        Ok(texts.into_iter().map(heeded).collect())
    }

    /// The names of what is directly in a group, links included, in order; none where there is no such group.
    ///
    /// # Errors
    ///
    /// A damaged file.
    pub fn names_in(&self, group: &str) -> Result<Vec<String>, FileError> {
        if self.tables().is_some() {
            return Ok(self.names_listed_in(group.trim_matches('/')));
        }
        let root = self.handle.root_group();
        let group = match group.trim_matches('/') {
            "" => root,
            path => match root.group(path) {
                Ok(group) => group,
                Err(_) => return Ok(Vec::new()),
            },
        };
        let names = group.link_names().map_err(|error| FileError::Damaged {
            file: self.path().to_owned(),
            place: format!("group `{}`", group.name()),
            cause: error.to_string(),
        })?;
        Ok(names.into_iter().map(heeded).collect())
    }
}

impl File {
    /// The names directly in a group by what is listed: the copy of a table has no groups.
    fn names_listed_in(&self, group: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .datasets()
            .iter()
            .filter_map(|info| match group {
                "" => Some(info.path.as_str()),
                group => info.path.strip_prefix(group)?.strip_prefix('/'),
            })
            .filter_map(|rest| rest.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    }
}

/// A text out of a file, which messages may show.
fn heeded(text: String) -> String {
    heed(&text);
    text
}
