//! What keeps columns and episodes from being transitions.

use thiserror::Error;

use super::EpisodeEnd;

/// Columns or episodes that do not form transitions.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TransitionsError {
    /// No rows at all.
    #[error("there is no transition: give at least one row")]
    Empty,
    /// More rows than a `u32` index reaches.
    #[error(
        "{rows} transitions are more than the {} that fit: split the data into several sets",
        u32::MAX
    )]
    TooMany {
        /// How many were given.
        rows: usize,
    },
    /// A column whose values do not make whole rows.
    #[error(
        "column `{column}`: {values} values do not make whole rows of width {width}; the width must be at least 1 and divide them"
    )]
    Width {
        /// The column.
        column: &'static str,
        /// Its declared width.
        width: usize,
        /// How many values it has.
        values: usize,
    },
    /// A column of another length than the rewards.
    #[error(
        "column `{column}` has {found} rows and `reward` has {expected}; every column needs one row per transition"
    )]
    Rows {
        /// The column.
        column: &'static str,
        /// Its rows.
        found: usize,
        /// The rows of `reward`.
        expected: usize,
    },
    /// The two observation columns differ in width.
    #[error(
        "`observation` has width {observation} and `next_observation` {next_observation}; both describe the same space and must agree"
    )]
    ObservationWidths {
        /// Width of `observation`.
        observation: usize,
        /// Width of `next_observation`.
        next_observation: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "column `{column}`, row {row}, element {element} is {value}; drop or repair this row, learning needs finite numbers"
    )]
    NotFinite {
        /// The column.
        column: &'static str,
        /// The row.
        row: usize,
        /// The element within the row.
        element: usize,
        /// What is there.
        value: f32,
    },
    /// An episode that is empty, overlaps another, leaves a gap or passes the last row.
    #[error(
        "episode {index} covers rows {start}..{end}; it must start at row {expected}, hold at least one row and end within the data"
    )]
    Episodes {
        /// Which episode, from 0.
        index: usize,
        /// Its first row.
        start: usize,
        /// The row after its last.
        end: usize,
        /// Where it must start.
        expected: usize,
    },
    /// The episodes end before the rows do.
    #[error(
        "the episodes cover {covered} of {rows} rows; add the episode that the remaining rows belong to"
    )]
    Uncovered {
        /// Rows that belong to an episode.
        covered: usize,
        /// All rows.
        rows: usize,
    },
    /// A terminal row that is not the last of its episode.
    #[error("episode {index} goes on after row {row}, which is terminal; end the episode there")]
    TerminalInside {
        /// Which episode, from 0.
        index: usize,
        /// The terminal row.
        row: usize,
    },
    /// An episode's end that disagrees with its last row.
    #[error(
        "episode {index} is said to end {end:?}, but `terminated` of its last row {row} is {terminated}; make them agree"
    )]
    End {
        /// Which episode, from 0.
        index: usize,
        /// Its last row.
        row: usize,
        /// Its declared end.
        end: EpisodeEnd,
        /// The row's flag.
        terminated: bool,
    },
}
