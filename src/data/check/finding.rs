//! What a check has to say: findings, each with its places, for people and for scripts.

use std::fmt;

use serde::Serialize;

/// How many places of one finding are kept; the count is of all.
pub const MOST_PLACES: usize = 100;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training on this would be wrong, or is refused.
    Error,
    /// Training works, and may not do what was meant.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The file cannot be read as transitions.
    Unreadable,
    /// NaN.
    NotANumber,
    /// An infinity.
    Infinite,
    /// Numbers whose squares float32 cannot add up.
    TooLarge,
    /// Actions beyond the bounds.
    OutOfBounds,
    /// Actions that lie exactly at a bound, many of them.
    Saturated,
    /// An episode that gives no transition.
    EmptyEpisode,
    /// An end that is both terminal and truncated.
    ContradictingEnds,
    /// No end of any episode is marked.
    NoEnds,
    /// A next observation that is not the following observation.
    DoesNotFollow,
    /// An element that never changes.
    Constant,
    /// Episodes that are the same to the last bit.
    Duplicate,
    /// Numbers whose differences float32 cannot hold.
    Precision,
    /// Rows that repeat, as those do that were never written.
    Repeated,
    /// A number of steps that is not the columns'.
    Declared,
    /// A file that its writer did not close.
    NotClosed,
    /// Rewards or ends that no step has.
    NotRecorded,
    /// Discrete actions that nobody took.
    NeverTaken,
}

/// Where in the data; what does not apply is left out. All numbers count from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Place {
    /// The dataset in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<usize>,
    /// The row of the dataset, or of all transitions where no dataset is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// The element within the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("episode", self.episode),
            ("row", self.row),
            ("element", self.element),
        ];
        let parts: Vec<String> = self
            .dataset
            .iter()
            .map(|dataset| format!("`{dataset}`"))
            .chain(
                numbers
                    .into_iter()
                    .filter_map(|(name, number)| Some(format!("{name} {}", number?))),
            )
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// One thing that was found, wherever it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    pub kind: Kind,
    /// What it is in words, and what to do about it.
    pub message: String,
    /// How often.
    pub count: usize,
    /// Where: the first [`MOST_PLACES`].
    pub places: Vec<Place>,
}

impl Finding {
    /// A finding without a place yet.
    pub(super) fn new(severity: Severity, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            message: message.into(),
            count: 0,
            places: Vec::new(),
        }
    }

    /// Once more, there.
    pub(super) fn at(&mut self, place: impl FnOnce() -> Place) {
        self.count += 1;
        if self.places.len() < MOST_PLACES {
            self.places.push(place());
        }
    }

    /// With a single place.
    pub(super) fn once(mut self, place: Place) -> Self {
        self.at(|| place);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        writeln!(f, "  {:7}  {}", self.severity, self.message)?;
        for place in self.places.iter().take(SHOWN) {
            let place = place.to_string();
            if !place.is_empty() {
                writeln!(f, "           {place}")?;
            }
        }
        match self.count.saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "           and {more} more"),
        }
    }
}
