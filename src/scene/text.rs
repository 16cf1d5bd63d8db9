//! A scene's text and the values in it, which know their places, so that a mistake can be shown where it was written.

use std::ops::Range;

use super::problem::{Excerpt, Problem, clipped};

/// A text with its name: a scene's file, or one override.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
    /// Where each line begins; `None` for an override, whose problems name no line.
    lines: Option<Vec<usize>>,
}

impl Source {
    /// A scene's file.
    pub(crate) fn file(name: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            name: name.to_owned(),
            text,
            lines: Some(lines),
        }
    }

    /// The value of an override; `name` is the argument as problems shall print it.
    pub(crate) fn argument(name: String, text: &str) -> Self {
        Self {
            name,
            text: text.to_owned(),
            lines: None,
        }
    }

    /// The name that problems print.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A problem with the text at `range`.
    pub(crate) fn problem(
        &self,
        range: Range<usize>,
        path: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Problem {
        let written = self.text.get(range.clone()).unwrap_or_default();
        let mut problem = Problem {
            path: path.to_owned(),
            text: written.to_owned(),
            ..Problem::about_file(self.name.clone(), message, help)
        };
        if let Some(lines) = &self.lines {
            let line = lines.partition_point(|start| *start <= range.start).max(1);
            let start = lines[line - 1];
            let rest = self.text.get(start..).unwrap_or_default();
            let before = self.text.get(start..range.start).unwrap_or_default();
            let marked = written.lines().next().unwrap_or_default();
            problem.line = line;
            problem.column = before.chars().count() + 1;
            let source_line = rest.lines().next().unwrap_or_default();
            problem.excerpt = Excerpt::new(source_line, before.len(), marked.chars().count());
        }
        problem
    }
}

/// A value in a source: where it is and which shape it has.
#[derive(Clone, Debug)]
pub(crate) struct Node<'s> {
    pub(crate) source: &'s Source,
    pub(crate) range: Range<usize>,
    pub(crate) shape: Shape<'s>,
}

/// What a value looks like, before anybody asked what it should be.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'s> {
    /// A bare name: `None`, `true`, `Relu`, `inf`.
    Name(&'s str),
    /// `(…)` or `Name(…)`.
    Group {
        name: Option<Name<'s>>,
        items: Vec<Item<'s>>,
    },
    /// `[…]`.
    List(Vec<Node<'s>>),
    /// `{…}`: keyword arguments, and the space of a sweep.
    Map(Vec<(Node<'s>, Node<'s>)>),
    /// A number.
    Number,
    /// A string, raw or not.
    Text,
    /// Another literal: a character, bytes, a range.
    Other,
}

/// A name and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Name<'s> {
    pub(crate) text: &'s str,
    pub(crate) range: Range<usize>,
}

/// A value in a group, with its key where it has one.
#[derive(Clone, Debug)]
pub(crate) struct Item<'s> {
    pub(crate) key: Option<Name<'s>>,
    pub(crate) value: Node<'s>,
}

impl<'s> Node<'s> {
    /// The value as it was written.
    pub(crate) fn text(&self) -> &'s str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }

    /// The value for a message: one short line.
    pub(crate) fn found(&self) -> String {
        clipped(self.text())
    }

    /// A problem with this value.
    pub(crate) fn problem(
        &self,
        path: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Problem {
        self.source.problem(self.range.clone(), path, message, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = Source::file("a.ron", "\u{feff}Scene(\n  näme: 1)\n");
        let at = source.text().find('1').unwrap_or_default();
        let problem = source.problem(at..at + 1, "", "wrong", None);
        assert_eq!((problem.line, problem.column), (2, 9));
        assert_eq!(problem.text, "1");
        assert!(problem.to_string().contains("  näme: 1)\n  |         ^"));
    }

    #[test]
    fn a_place_outside_the_text_is_told_without_a_panic() {
        let source = Source::file("a.ron", "é");
        for range in [0..1, 2..2, 9..12] {
            assert!(source.problem(range, "", "wrong", None).line > 0);
        }
        assert_eq!(
            Source::argument("--set".into(), "é")
                .problem(0..2, "", "wrong", None)
                .line,
            0
        );
    }
}
