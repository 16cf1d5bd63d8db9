//! `yarak eval RUN --values FILE`: what the run's networks think of a dataset's rows.

use std::io::{ErrorKind, Write};
use std::path::Path;

use bevy_app::{App, AppExit};
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::print;
use crate::checkpoint::write_whole;
use crate::data::{Dataset, Goals, Preprocessing, Reading, RowsAsSeen};
use crate::evaluate::{ValueColumn, value_columns, valued_actions};
use crate::scene::Scene;

/// What was asked for.
pub struct Values<'a> {
    /// The dataset.
    pub data: &'a Path,
    /// Where a line for each row goes.
    pub out: Option<&'a Path>,
    /// Whether that file is replaced.
    pub force: bool,
    /// Whether one JSON object is printed.
    pub json: bool,
}

/// How the values of a column are spread.
struct Spread {
    mean: f64,
    /// The root of the mean squared distance from the mean.
    std: f64,
    /// At the shares of `SHARES`: the least, quantiles, the greatest.
    at: Vec<f64>,
}

/// The shares of the rows that lie below what is printed.
const SHARES: [(f64, &str); 7] = [
    (0.0, "min"),
    (0.05, "5%"),
    (0.25, "25%"),
    (0.5, "50%"),
    (0.75, "75%"),
    (0.95, "95%"),
    (1.0, "max"),
];

impl Values<'_> {
    /// Computes and prints, with the networks of an app that was restored from a checkpoint.
    pub fn of(
        &self,
        app: impl FnOnce() -> Result<App, CliError>,
        scene: &Scene,
        checkpoint: &Path,
        step: u64,
    ) -> Result<AppExit, CliError> {
        // Found before anything is computed and not after.
        if let Some(out) = self.out
            && out.exists()
            && !self.force
        {
            return Err(taken(out));
        }
        if let Some(out) = self.out
            && let (Ok(out), Ok(data)) = (out.canonicalize(), self.data.canonicalize())
            && out == data
        {
            return Err(CliError::input(format!(
                "--out {}: these are the data; name another file",
                out.display()
            )));
        }
        let app = app()?;
        let world = app.world();
        let Some(actions) = valued_actions(world) else {
            return Err(CliError::input(format!(
                "{}: its algorithm has no network of the role `Critic` or `Value`, so nothing says what an action or a state is worth",
                checkpoint.display()
            )));
        };
        let reading = scene
            .settings::<Dataset>()
            .map_or_else(Reading::default, Dataset::reading);
        let preprocessing = world.resource::<Preprocessing>();
        let goals = world.get_resource::<Goals>().copied();
        let rows = RowsAsSeen::read(self.data, &reading, preprocessing, goals, actions)
            .map_err(|error| CliError::of(true, &error))?;
        let columns = value_columns(world, &rows).map_err(CliError::input)?;
        if let Some(out) = self.out {
            self.write(out, &rows, &columns)?;
        }
        let spreads: Vec<(&str, Spread)> = columns
            .iter()
            .map(|column| (column.name.as_str(), Spread::of(&column.values)))
            .collect();
        if self.json {
            print(
                &self
                    .as_json(checkpoint, step, rows.len(), &spreads)
                    .to_string(),
            )?;
            return Ok(AppExit::Success);
        }
        print(&format!(
            "{}, {} rows of {}",
            checkpoint.display(),
            rows.len(),
            self.data.display()
        ))?;
        print(&table(&spreads))?;
        if let Some(out) = self.out {
            print(&format!("{}: a line for each row", out.display()))?;
        }
        Ok(AppExit::Success)
    }

    fn as_json(
        &self,
        checkpoint: &Path,
        step: u64,
        rows: usize,
        spreads: &[(&str, Spread)],
    ) -> Value {
        let columns = spreads.iter().map(|(name, spread)| {
            let quantiles = SHARES.iter().zip(&spread.at);
            let quantiles = quantiles
                .filter(|((share, _), _)| *share > 0.0 && *share < 1.0)
                .map(|((share, _), value)| (share.to_string(), json!(value)));
            let column = json!({
                "mean": spread.mean,
                "std": spread.std,
                "min": spread.at.first(),
                "max": spread.at.last(),
                "quantiles": quantiles.collect::<Map<_, _>>(),
            });
            ((*name).to_owned(), column)
        });
        json!({
            "checkpoint": checkpoint.display().to_string(),
            "step": step,
            "data": self.data.display().to_string(),
            "rows": rows,
            "values": columns.collect::<Map<_, _>>(),
            "out": self.out.map(|out| out.display().to_string()),
        })
    }

    fn write(
        &self,
        out: &Path,
        rows: &RowsAsSeen,
        columns: &[ValueColumn],
    ) -> Result<(), CliError> {
        let written = write_whole(out, self.force, |file| {
            let reward = if rows.has_rewards() { ",reward" } else { "" };
            write!(file, "episode,step{reward}")?;
            for column in columns {
                write!(file, ",{}", column.name)?;
            }
            writeln!(file)?;
            for (number, episode) in rows.episodes().iter().enumerate() {
                for (step, row) in episode.rows.clone().enumerate() {
                    write!(file, "{number},{step}")?;
                    if rows.has_rewards() {
                        write!(file, ",{}", rows.reward()[row])?;
                    }
                    for column in columns {
                        write!(file, ",{}", column.values[row])?;
                    }
                    writeln!(file)?;
                }
            }
            Ok(())
        });
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => taken(out),
            _ => CliError::failed(format!("{}: {error}", out.display())),
        })
    }
}

fn taken(out: &Path) -> CliError {
    CliError::input(format!(
        "{}: there is something already; choose another name, or give --force to replace it",
        out.display()
    ))
}

impl Spread {
    fn of(values: &[f32]) -> Self {
        let mut sorted: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let squares = sorted.iter().map(|value| (value - mean).powi(2));
        Spread {
            mean,
            std: (squares.sum::<f64>() / count).sqrt(),
            at: SHARES
                .iter()
                .map(|(share, _)| at(&sorted, *share))
                .collect(),
        }
    }
}

/// The value below which a share of sorted values lies, between two of them in a straight line, as NumPy's `quantile` has it.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    low + (high - low) * place.fract()
}

fn table(spreads: &[(&str, Spread)]) -> String {
    let mut lines = vec![format!("  {:12} {:>10} {:>10}", "", "mean", "std")];
    for (_, name) in SHARES {
        lines[0].push_str(&format!(" {name:>10}"));
    }
    for (name, spread) in spreads {
        let mut line = format!("  {name:12} {:>10.3} {:>10.3}", spread.mean, spread.std);
        for value in &spread.at {
            line.push_str(&format!(" {value:>10.3}"));
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_two_values_in_a_straight_line() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!((spread.mean, spread.std), (2.5, 1.25_f64.sqrt()));
        for (found, expected) in spread
            .at
            .iter()
            .zip([1.0, 1.15, 1.75, 2.5, 3.25, 3.85, 4.0])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(Spread::of(&[7.0]).at, [7.0; 7]);
    }
}
