//! One mistake in a scene, reported the way rustc reports one: the place, the message, the line, the remedy.
//!
//! [`Problems`] is what reading a scene returns when anything is wrong: all mistakes, in the order of the text.

use std::fmt;

/// Beyond this many mistakes only their number is kept: nobody reads on, and a hostile file must not fill the memory.
const MOST_KEPT: usize = 100;

/// Characters of a source line that are shown around a mistake.
const SHOWN_COLUMNS: usize = 110;

/// One mistake in a scene or in an override, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The scene's file as it was named; for an override the argument itself, such as `--set 'Td3Bc.alpha=x'`.
    pub file: String,
    /// Line in the file, from 1; 0 where the mistake belongs to no line (an override, an unreadable file).
    pub line: usize,
    /// Column in the line, in characters, from 1; 0 where `line` is 0.
    pub column: usize,
    /// The setting in question, such as `Td3Bc.critic.learning_rate`; empty where the mistake is about none.
    pub path: String,
    /// The offending text, as it was written.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
    /// The source line as it is shown, and what is underlined there.
    pub(crate) excerpt: Excerpt,
}

/// A source line around a mistake, fit for a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: String,
    /// Characters before the underlined ones.
    indent: usize,
    /// Characters to underline.
    width: usize,
}

impl Excerpt {
    /// The part of `line` around the byte `at`, of which `width` characters are meant.
    ///
    /// Of a long line only the surroundings are kept: a scene on one line must not be copied for each of its mistakes.
    pub(crate) fn new(line: &str, at: usize, width: usize) -> Self {
        let before = line.get(..at).unwrap_or(line);
        let start = if line.chars().nth(SHOWN_COLUMNS).is_none() {
            0
        } else {
            let mut back = before.char_indices().rev();
            back.nth(SHOWN_COLUMNS / 2).map_or(0, |(start, _)| start)
        };
        let shown = line[start..].chars().take(SHOWN_COLUMNS).map(printable);
        let line: String = shown.collect();
        let indent = before[start..].chars().count();
        let room = line.chars().count().saturating_sub(indent);
        Self {
            line,
            indent,
            width: width.clamp(1, room.max(1)),
        }
    }
}

impl Problem {
    /// A mistake about a whole file, such as one that cannot be opened.
    pub(crate) fn about_file(
        file: impl Into<String>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            path: String::new(),
            text: String::new(),
            message: message.into(),
            help,
            excerpt: Excerpt::default(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": error: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)?;
        if self.line > 0 {
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            let Excerpt {
                line,
                indent,
                width,
            } = &self.excerpt;
            let carets = "^".repeat(*width);
            write!(f, "\n{margin} |\n{number} | {line}\n{margin} | ")?;
            write!(f, "{}{carets}", " ".repeat(*indent))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// A character as it may be printed on somebody's terminal.
///
/// Control characters become spaces: a stranger's scene must not steer the terminal, and a tab would shift the caret.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// `text` on one line and short enough for a message.
pub(crate) fn clipped(text: &str) -> String {
    const LONGEST: usize = 48;
    let mut short: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// Every mistake that was found in a scene; never empty when it is returned as an error.
///
/// ```
/// use yarak::scene::{Scene, SceneRegistry};
///
/// let refused = Scene::parse("mine.ron", "Scene(steps: 0, plugins: [])", &SceneRegistry::new(), &[]);
/// let problems = refused.unwrap_err();
/// assert_eq!(problems.len(), 1);
/// assert!(problems.to_string().starts_with("mine.ron:1:14: error: steps: expected a whole number at least 1, found 0"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// Adds a mistake; beyond a hundred only the count rises.
    pub(crate) fn push(&mut self, problem: impl Into<Box<Problem>>) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push(*problem.into());
        } else {
            self.left_out += 1;
        }
    }

    /// How many mistakes there are.
    pub fn len(&self) -> usize {
        self.kept.len() + self.left_out
    }

    /// Whether there is no mistake.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The mistakes in the order of the text, overrides last; at most a hundred are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// `Ok` where there is no mistake.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.sorted())
    }

    /// The mistakes in the order of the text, those without a line last.
    pub(crate) fn sorted(mut self) -> Self {
        self.kept
            .sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
        self
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        let mut problems = Self::default();
        problems.push(problem);
        problems
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.kept {
            write!(f, "{problem}\n\n")?;
        }
        match self.len() {
            1 => write!(f, "1 mistake: nothing was started"),
            count if self.left_out > 0 => write!(
                f,
                "{count} mistakes, of which the first {MOST_KEPT} are shown: nothing was started"
            ),
            count => write!(f, "{count} mistakes: nothing was started"),
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize, source_line: &str, width: usize) -> Problem {
        Problem {
            file: "a.ron".into(),
            line,
            column,
            path: "Td3Bc.alhpa".into(),
            text: "alhpa".into(),
            message: "no such field".into(),
            help: Some("did you mean `alpha`?".into()),
            excerpt: Excerpt::new(source_line, column - 1, width),
        }
    }

    #[test]
    fn a_problem_points_at_its_text_with_a_caret_under_each_character() {
        let told = problem(12, 7, "Td3Bc(alhpa: 1)", 5).to_string();
        let expected = "a.ron:12:7: error: Td3Bc.alhpa: no such field\n   |\n12 | Td3Bc(alhpa: 1)\n   |       ^^^^^\nhelp: did you mean `alpha`?";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_long_line_is_shown_around_the_mistake() {
        let line = format!("{}alhpa{}", "x".repeat(5_000), "y".repeat(5_000));
        let told = problem(1, 5_001, &line, 5).to_string();
        let lines: Vec<&str> = told.lines().collect();
        let caret = lines[3].find("^^^^^").unwrap();
        assert!(lines[2].len() < 130);
        assert_eq!(&lines[2][caret..caret + 5], "alhpa");
    }

    #[test]
    fn escape_sequences_in_a_strangers_scene_do_not_reach_the_terminal() {
        let told = problem(1, 1, "\u{1b}[2J\talhpa", 1).to_string();
        assert!(!told.contains('\u{1b}') && !told.contains('\t'));
        assert!(!clipped("\u{1b}[31m").contains('\u{1b}'));
    }

    #[test]
    fn mistakes_are_sorted_by_place_and_counted_beyond_the_hundredth() {
        let mut problems = Problems::default();
        for line in (1..=130).rev() {
            problems.push(problem(line, 1, "", 1));
        }
        let problems = problems.into_result().unwrap_err();
        assert_eq!(problems.len(), 130);
        assert_eq!(problems.iter().next().unwrap().line, 31);
        assert!(
            problems
                .to_string()
                .ends_with("130 mistakes, of which the first 100 are shown: nothing was started")
        );
    }
}
