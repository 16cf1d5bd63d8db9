//! Means, deviations and extremes of data that are swept through and never held, with the bits that they have when they are.

use super::stored::{Found, Table, Vector};
use crate::data::hdf5::File;
use crate::data::transitions::first_not_finite;
use crate::data::{Column, LoadError, Normaliser, Split};

/// The normaliser of the observations that are trained on, and a column of two rows: the least and the greatest actions.
pub(super) fn of(
    file: &File,
    found: &Found,
    split: &Split,
    normalise: bool,
) -> Result<(Normaliser, Column), LoadError> {
    let [observation, action] = found.widths;
    let mut low = vec![f32::INFINITY; action];
    let mut high = vec![f32::NEG_INFINITY; action];
    let all = 0..found.reward.len();
    each(file, found, Vector::Action, all, |values| {
        for (element, &value) in values.iter().enumerate() {
            low[element] = low[element].min(value);
            high[element] = high[element].max(value);
        }
    })?;
    // All of them, whether trained on or not, whether part of a transition or not.
    for table in &found.tables {
        look(file, table)?;
    }
    let observation = if normalise {
        Normaliser::fit_by(observation, split.training.len(), |consume| {
            let rows = split.training.iter().map(|row| *row as usize);
            each(file, found, Vector::Observation, rows, consume)
        })?
    } else {
        Normaliser::identity(observation)
    };
    let bounds = Column {
        values: [low, high].concat(),
        width: action,
    };
    Ok((observation, bounds))
}

/// Looks for numbers that are not finite.
fn look(file: &File, table: &Table) -> Result<(), LoadError> {
    for start in (0..table.rows).step_by(table.span) {
        let end = table.rows.min(start + table.span);
        let values: Vec<f32> = file.read(&table.path, start..end)?;
        if let Some(at) = first_not_finite(&values) {
            return Err(LoadError::NotFinite {
                file: file.path().to_owned(),
                dataset: table.path.clone(),
                row: start + at / table.width,
                column: at % table.width,
                value: values[at],
            });
        }
    }
    Ok(())
}

/// Gives one vector of each of the transitions, which ascend, in their order.
fn each(
    file: &File,
    found: &Found,
    vector: Vector,
    rows: impl Iterator<Item = usize>,
    mut consume: impl FnMut(&[f32]),
) -> Result<(), LoadError> {
    let mut held: (usize, usize, Vec<f32>) = (usize::MAX, 0, Vec::new());
    for row in rows {
        let (index, at) = found.place(row, vector);
        let table = &found.tables[index];
        let is_held = |(held, start, values): &(usize, usize, Vec<f32>)| {
            *held == index && *start <= at && at < start + values.len() / table.width
        };
        if !is_held(&held) {
            let start = at / table.span * table.span;
            let end = table.rows.min(start + table.span);
            held = (index, start, file.read(&table.path, start..end)?);
        }
        let from = (at - held.1) * table.width;
        match held.2.get(from..from + table.width) {
            Some(values) => consume(values),
            None => return Err(LoadError::changed(file)),
        }
    }
    Ok(())
}
