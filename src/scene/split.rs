//! Splits a scene's text into values, without asking yet what they should be.
//!
//! RON's own deserializer stops at the first mistake and forgets where a value was, and it cannot read the order edits,
//! which mix a bare value with a named one: `Replace(Actor, with: "bc::clone_behavior")`. So the brackets, names and commas
//! are split here, and each literal between them (number, string, raw string, character) is lexed by the `ron` crate.

use std::ops::Range;

use ron::extensions::Extensions;
use serde::Deserialize;

use super::problem::{Problem, clipped};
use super::text::{Item, Name, Node, Shape, Source};

/// Brackets inside brackets beyond this depth are refused, which bounds the recursion.
const DEEPEST: usize = 64;

/// Bytes of a scene: they are written by hand or resolved from such, and a larger file is something else.
pub(crate) const LARGEST: usize = 1 << 18;

/// A part of the text, or the syntax error that stopped the split.
type Split<T> = Result<T, Box<Problem>>;

/// Splits a whole source: RON's extensions at its head, then one value and nothing else.
///
/// # Errors
/// The syntax error that stopped the split.
pub(crate) fn split(source: &Source) -> Split<(Node<'_>, Extensions)> {
    let text = source.text();
    if text.len() > LARGEST {
        let message = format!("{} bytes are too many for a scene", text.len());
        let help = format!("a scene has at most {LARGEST} bytes; is this another file?");
        return Err(Problem::about_file(source.name(), message, Some(help)).into());
    }
    let head = ron::Deserializer::from_str(text).map_err(|error| {
        let start = offset(text, error.span.start);
        let end = offset(text, error.span.end).max(start);
        source.problem(
            start..end,
            "",
            format!("this is not RON: {}", error.code),
            None,
        )
    })?;
    let mut splitter = Splitter {
        source,
        at: text.len() - head.remainder().len(),
        depth: 0,
    };
    let value = splitter.value()?;
    splitter.skip_space()?;
    if splitter.at < text.len() {
        let range = splitter.at..splitter.word_end();
        let found = clipped(&text[range.clone()]);
        let message = format!("nothing may follow the closing bracket, found {found}");
        let help = Some("take it away".to_owned());
        return Err(source.problem(range, "", message, help).into());
    }
    Ok((value, head.extensions()))
}

/// The byte at which ron's line and column (both from 1, in characters) lie in `text`.
fn offset(text: &str, position: ron::error::Position) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(position.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = &text[start..];
    rest.char_indices()
        .nth(position.col.saturating_sub(1))
        .map_or(text.len(), |(at, _)| start + at)
}

/// Whether a string, byte string or byte starts here, rather than a name that begins with `r` or `b`.
fn is_prefixed_literal(rest: &str) -> bool {
    ["r\"", "r#\"", "r##", "b\"", "b'", "br\"", "br#"]
        .iter()
        .any(|prefix| rest.starts_with(prefix))
}

/// RON's white space.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
        || matches!(
            c,
            '\u{b}' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
        )
}

const CLOSE_THE_TEXT: &str = "close the text with the quote that opened it";

/// What to do about a text that begins here with a quote and has a backslash in its line, such as a path of Windows.
fn escape_help(rest: &str) -> Option<String> {
    let line = rest.lines().next().unwrap_or_default();
    let inside = line.strip_prefix('"')?;
    let inside = &inside[..inside.find('"').unwrap_or(inside.len())];
    let plain = inside.strip_suffix('\\').unwrap_or(inside);
    inside.contains('\\').then(|| {
        format!(
            "a backslash begins an escape: write \"{}\", or r\"{inside}\"",
            plain.replace("\\\\", "/").replace('\\', "/")
        )
    })
}

struct Splitter<'s> {
    source: &'s Source,
    at: usize,
    depth: usize,
}

impl<'s> Splitter<'s> {
    fn rest(&self) -> &'s str {
        &self.source.text()[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The end of the word at the cursor: at least one character, up to white space or a bracket or comma.
    fn word_end(&self) -> usize {
        let rest = self.rest();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let more = rest[first..]
            .find(|c: char| is_space(c) || "()[]{},\"".contains(c))
            .unwrap_or(rest.len() - first);
        self.at + first + more
    }

    fn error(
        &self,
        range: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Box<Problem> {
        Box::new(self.source.problem(range, "", message, help))
    }

    fn skip_space(&mut self) -> Split<()> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest, as in Rust.
    fn skip_block_comment(&mut self) -> Split<()> {
        let start = self.at;
        let mut level = 0_usize;
        loop {
            let rest = self.rest().as_bytes();
            let mark = |pair: &[u8]| pair == b"/*" || pair == b"*/";
            let Some(next) = rest.windows(2).position(mark) else {
                self.at = self.source.text().len();
                return Err(self.error(
                    start..start + 2,
                    "this comment is never closed",
                    Some("close it with `*/`".into()),
                ));
            };
            // The first mark opens the comment, so the level is at least 1 where one closes.
            level = if rest[next] == b'/' {
                level + 1
            } else {
                level - 1
            };
            self.at += next + 2;
            if level == 0 {
                return Ok(());
            }
        }
    }

    /// The identifier at the cursor; the cursor moves behind it.
    fn name(&mut self) -> Option<Name<'s>> {
        let rest = self.rest();
        if is_prefixed_literal(rest) {
            return None;
        }
        let raw = rest.starts_with("r#");
        let skipped = if raw { 2 } else { 0 };
        let body = &rest[skipped..];
        let first = body.chars().next()?;
        let raw_first = raw && (first.is_alphanumeric() || ".+-".contains(first));
        if !(first == '_' || first.is_alphabetic() || raw_first) {
            return None;
        }
        let length = body
            .find(|c: char| !(c == '_' || c.is_alphanumeric() || (raw && ".+-".contains(c))))
            .unwrap_or(body.len());
        let start = self.at;
        self.at += skipped + length;
        Some(Name {
            text: &body[..length],
            range: start..self.at,
        })
    }

    fn value(&mut self) -> Split<Node<'s>> {
        self.skip_space()?;
        let start = self.at;
        let Some(first) = self.peek() else {
            return Err(self.error(start..start, "the text ends where a value should be", None));
        };
        let shape = match first {
            '(' => self.group(None)?,
            '[' => self.list()?,
            '{' => self.map()?,
            _ => match self.name() {
                Some(name) => {
                    let end = self.at;
                    self.skip_space()?;
                    if self.peek() == Some('(') {
                        self.group(Some(name))?
                    } else {
                        self.at = end;
                        Shape::Name(name.text)
                    }
                }
                None => self.literal()?,
            },
        };
        Ok(Node {
            source: self.source,
            range: start..self.at,
            shape,
        })
    }

    /// A literal, lexed by ron.
    fn literal(&mut self) -> Split<Shape<'s>> {
        let rest = self.rest();
        let first = self.peek().unwrap_or_default();
        if !(first.is_ascii_digit() || "+-.\"'".contains(first) || is_prefixed_literal(rest)) {
            let range = self.at..self.word_end();
            let found = clipped(&self.source.text()[range.clone()]);
            let help = match first {
                '=' => Some("write `name: value`, with a colon alone".to_owned()),
                ';' => Some("take the `;` away: a comma separates settings".to_owned()),
                _ => None,
            };
            return Err(self.error(range, format!("expected a value, found {found}"), help));
        }
        let lexed = ron::Deserializer::from_str(rest).and_then(|mut lexer| {
            ron::Value::deserialize(&mut lexer)
                .map_err(|error| lexer.span_error(error))
                .map(|value| (value, rest.len() - lexer.remainder().len()))
        });
        match lexed {
            Ok((value, length)) => {
                self.at += length;
                Ok(match value {
                    ron::Value::Number(_) => Shape::Number,
                    ron::Value::String(_) => Shape::Text,
                    _ => Shape::Other,
                })
            }
            Err(error) => {
                let range = self.at..self.word_end();
                let help = match first {
                    '"' => Some(escape_help(rest).unwrap_or_else(|| CLOSE_THE_TEXT.to_owned())),
                    'r' | '\'' => Some(CLOSE_THE_TEXT.to_owned()),
                    _ => None,
                };
                Err(self.error(
                    range,
                    format!("this value cannot be read: {}", error.code),
                    help,
                ))
            }
        }
    }

    /// Counts one more bracket, and refuses too many.
    fn descend(&mut self) -> Split<usize> {
        let open = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(
                open..open + 1,
                format!("more than {DEEPEST} brackets inside each other"),
                None,
            ));
        }
        self.at += 1;
        Ok(open)
    }

    /// After an item: a comma or `close`. `true` where the bracket is closed.
    fn separator(&mut self, open: usize, close: char, before: &Range<usize>) -> Split<bool> {
        self.skip_space()?;
        match self.peek() {
            Some(',') => {
                self.at += 1;
                self.closed(open, close)
            }
            Some(c) if c == close => self.closed(open, close),
            Some(next) => {
                let range = self.at..self.word_end();
                let text = self.source.text();
                let found = clipped(&text[range.clone()]);
                let touching = range.start == before.end;
                let bracket = &text[open..open + 1];
                let written = &text[before.clone()];
                let help = if next == '=' {
                    Some(self.colon_help(written))
                } else if next == ';' {
                    Some("write `,` instead of `;`: a comma separates settings".to_owned())
                } else if let Some(help) = escape_help(written).filter(|_| written.contains("\\\""))
                {
                    // The backslash before the closing quote made the text end at the next one.
                    Some(help)
                } else if matches!(next, ')' | ']' | '}') {
                    Some(format!("close the `{bracket}` with `{close}` first"))
                } else if touching {
                    // Names such as Pendulum-v1 and bc::clone look like words to the writer.
                    let word = before.start..range.end;
                    Some(format!("text needs quotes: \"{}\"", clipped(&text[word])))
                } else {
                    Some(format!(
                        "put a comma after `{}`",
                        clipped(&text[before.clone()])
                    ))
                };
                Err(self.error(
                    range,
                    format!("expected `,` or `{close}`, found {found}"),
                    help,
                ))
            }
            None => Err(self.never_closed(open, close)),
        }
    }

    /// The setting as it is written with a colon, for one that was written with `=`.
    fn colon_help(&self, name: &str) -> String {
        let value = self.rest().trim_start_matches(['=', '>', ' ']);
        let end = value
            .find(|c: char| c.is_control() || ",)]};".contains(c))
            .unwrap_or(value.len());
        match value[..end].trim() {
            "" => format!("write `{}: value`", clipped(name)),
            value => format!("write `{}: {}`", clipped(name), clipped(value)),
        }
    }

    fn never_closed(&self, open: usize, close: char) -> Box<Problem> {
        let bracket = &self.source.text()[open..open + 1];
        self.error(
            open..open + 1,
            format!("this `{bracket}` is never closed"),
            Some(format!("close it with `{close}`")),
        )
    }

    /// Whether the closing bracket is next; then the cursor moves behind it.
    fn closed(&mut self, open: usize, close: char) -> Split<bool> {
        self.skip_space()?;
        match self.peek() {
            Some(c) if c == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(self.never_closed(open, close)),
        }
    }

    fn group(&mut self, name: Option<Name<'s>>) -> Split<Shape<'s>> {
        let open = self.descend()?;
        let mut items = Vec::new();
        let mut done = self.closed(open, ')')?;
        while !done {
            let item = self.item()?;
            let range = item.value.range.clone();
            items.push(item);
            done = self.separator(open, ')', &range)?;
        }
        Ok(Shape::Group { name, items })
    }

    /// `key: value`, or a value alone.
    fn item(&mut self) -> Split<Item<'s>> {
        let start = self.at;
        if let Some(key) = self.name() {
            self.skip_space()?;
            if self.rest().starts_with(':') && !self.rest().starts_with("::") {
                self.at += 1;
                let value = self.value()?;
                return Ok(Item {
                    key: Some(key),
                    value,
                });
            }
            self.at = start;
        }
        Ok(Item {
            key: None,
            value: self.value()?,
        })
    }

    fn list(&mut self) -> Split<Shape<'s>> {
        let open = self.descend()?;
        let mut items = Vec::new();
        let mut done = self.closed(open, ']')?;
        while !done {
            let value = self.value()?;
            let range = value.range.clone();
            items.push(value);
            done = self.separator(open, ']', &range)?;
        }
        Ok(Shape::List(items))
    }

    fn map(&mut self) -> Split<Shape<'s>> {
        let open = self.descend()?;
        let mut entries = Vec::new();
        let mut done = self.closed(open, '}')?;
        while !done {
            let key = self.value()?;
            self.skip_space()?;
            if self.peek() != Some(':') {
                let message = "expected `:` and a value";
                return Err(self.error(self.at..self.word_end(), message, None));
            }
            self.at += 1;
            let value = self.value()?;
            let range = value.range.clone();
            entries.push((key, value));
            done = self.separator(open, '}', &range)?;
        }
        Ok(Shape::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Problem {
        *split(&Source::file("a.ron", text)).unwrap_err()
    }

    #[test]
    fn comments_raw_strings_extensions_and_trailing_commas_are_read() {
        let text = "#![enable(implicit_some)]\n// head\nScene( /* a /* nested */ one */ name: r#\"a \"quoted\" ) one\"#, seeds: [1_000, 0x1F,], )";
        let source = Source::file("a.ron", text);
        let (node, extensions) = split(&source).unwrap();
        assert!(extensions.contains(Extensions::IMPLICIT_SOME));
        let Shape::Group { name, items } = node.shape else {
            panic!("expected a group");
        };
        assert_eq!(name.unwrap().text, "Scene");
        assert_eq!(items[0].value.text(), "r#\"a \"quoted\" ) one\"#");
        assert_eq!(items[1].value.text(), "[1_000, 0x1F,]");
    }

    #[test]
    fn a_bare_value_and_a_named_one_stand_in_one_group() {
        let source = Source::file("a.ron", "Replace(Actor, with: \"bc::clone_behavior\")");
        let (node, _) = split(&source).unwrap();
        let Shape::Group { items, .. } = node.shape else {
            panic!("expected a group");
        };
        assert!(items[0].key.is_none());
        assert_eq!(items[1].key.as_ref().unwrap().text, "with");
    }

    #[test]
    fn a_bracket_that_is_never_closed_is_the_place_of_the_mistake() {
        let problem = refused("Scene(\n  plugins: [ Td3Bc(alpha: 1) \n");
        assert_eq!((problem.line, problem.column), (2, 12));
        assert_eq!(problem.message, "this `[` is never closed");
    }

    #[test]
    fn a_missing_comma_and_missing_quotes_are_named() {
        let problem = refused("Scene(alpha: 1.0 batch_size: 2)");
        assert_eq!(problem.message, "expected `,` or `)`, found batch_size:");
        assert_eq!(problem.help.unwrap(), "put a comma after `1.0`");
        let problem = refused("Evaluation(env: Pendulum-v1)");
        assert_eq!(problem.help.unwrap(), "text needs quotes: \"Pendulum-v1\"");
        let problem = refused("Replace(Actor, with: bc::clone)");
        assert_eq!(problem.help.unwrap(), "text needs quotes: \"bc::clone\"");
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let problem = refused("Scene(\n  näme: ?)");
        assert_eq!((problem.line, problem.column), (2, 9));
        let problem = refused("#![enable(wings)]\nScene()");
        assert_eq!(problem.line, 1);
        assert!(problem.message.contains("wings"), "{problem}");
    }

    #[test]
    fn deep_nesting_is_refused_instead_of_overflowing_the_stack() {
        let problem = refused(&"(".repeat(LARGEST));
        assert_eq!(problem.message, "more than 64 brackets inside each other");
        assert!(
            refused(&" ".repeat(LARGEST + 1))
                .message
                .contains("too many")
        );
    }

    #[test]
    fn whatever_ron_accepts_is_split_without_a_mistake() {
        let whole = "/* c */ Scene(name: \"a\\\"b\", seeds: [1, 2_0,], x: Some((1.5e-3, -4)), y: None, z: {\"k\": 1}, w: r\"\\\", v: 'c', u: (), t: -inf, s: b\"x\", r: Unit, q: [], p: T(1, (2,)),) // end";
        assert!(whole.parse::<ron::Value>().is_ok() && split(&Source::file("a", whole)).is_ok());
        // Cut and mutated: the splitter must accept at least what ron accepts, and panic on nothing.
        let marks = [
            "(", ")", "[", "]", ",", ":", "\"", "/*", "*/", "//", "\n", "r#", "'", "-", "é", "0",
        ];
        let boundaries: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        for at in boundaries {
            for mark in marks {
                let inserted = format!("{}{mark}{}", &whole[..at], &whole[at..]);
                let replaced = format!("{}{mark}{}", &whole[..at], &whole[at + 1..]);
                for text in [inserted, replaced, whole[..at].to_owned()] {
                    let by_ron = ron::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                    let by_us = split(&Source::file("a", &text)).is_ok();
                    assert!(by_us || !by_ron, "ron accepts and we refuse: {text}");
                }
            }
        }
    }
}
