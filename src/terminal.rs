//! What is shown on a terminal or kept in a log: no character in it steers the terminal, and nobody has to read it.
//!
//! Names come out of files, folders and command lines of other people, and end up in messages. So every text is cleaned where it
//! is written ([`shown`]), not where it is made. A line break in a name is the one thing that cannot be seen there, as messages have
//! line breaks of their own: whoever reads names hands them to [`heed`] first.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

/// Writes a message to standard error. A closed one is no failure: a run goes on although nobody reads along.
pub(crate) fn message(text: &str) {
    let _ = io::stderr().write_all(format!("{}\n", shown(text)).as_bytes());
}

/// A text as it may be shown: characters that steer a terminal, and line breaks of names, as JSON writes them, such as `\u001b`.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let breaks = BREAKS.read().unwrap_or_else(PoisonError::into_inner);
    let is_foreign = |at: usize| breaks.are_at(text, at);
    let is_bad = |(at, c): (usize, char)| steers(c) || (c == '\n' && is_foreign(at));
    if !text.char_indices().any(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_bad((at, c)) {
            // None of them needs more than four digits.
            clean.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// Whether a character does something else than to be seen in its place: controls, and what turns the direction of a line.
fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        c => c.is_control(),
    }
}

/// Takes notice of a name that somebody else chose, before it is part of a message: its line breaks are no line breaks there.
pub(crate) fn heed(name: &str) {
    if !name.contains('\n') {
        return;
    }
    let mut breaks = BREAKS.write().unwrap_or_else(PoisonError::into_inner);
    // Of a path, messages may show a part.
    for part in name.split('/') {
        for (at, _) in part.match_indices('\n') {
            breaks.add(&part[..at], &part[at + 1..]);
        }
    }
}

/// The same for all names and texts of a JSON value.
pub(crate) fn heed_json(value: &Value) {
    match value {
        Value::String(text) => heed(text),
        Value::Array(values) => values.iter().for_each(heed_json),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            heed(name);
            heed_json(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

static BREAKS: RwLock<Breaks> = RwLock::new(Breaks {
    around: Vec::new(),
    are_all: false,
});

/// Line breaks of names.
struct Breaks {
    /// What stands before each, and behind it.
    around: Vec<(String, String)>,
    /// There were so many that no line break is believed any more.
    are_all: bool,
}

impl Breaks {
    /// Characters on either side by which a break is known again.
    const SIDE: usize = 16;
    /// More are made on purpose, to be slow.
    const MOST: usize = 256;

    fn add(&mut self, before: &str, behind: &str) {
        let start = before.char_indices().rev().nth(Self::SIDE - 1);
        let end = behind.char_indices().nth(Self::SIDE);
        let pair = (
            before[start.map_or(0, |(at, _)| at)..].to_owned(),
            behind[..end.map_or(behind.len(), |(at, _)| at)].to_owned(),
        );
        if self.around.contains(&pair) {
            return;
        }
        if self.around.len() < Self::MOST {
            self.around.push(pair);
        } else {
            self.are_all = true;
        }
    }

    /// Whether the line break at a byte of a text is one of them.
    fn are_at(&self, text: &str, at: usize) -> bool {
        let is_there = |(before, behind): &(String, String)| {
            text[..at].ends_with(before.as_str()) && text[at + 1..].starts_with(behind.as_str())
        };
        self.are_all || self.around.iter().any(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_json_writes_it() {
        for (text, clean) in [
            ("a\u{1b}[2Jb", "a\\u001b[2Jb"),
            ("100%\rdone\u{7}", "100%\\u000ddone\\u0007"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f"),
            ("runs/\u{202e}nor\u{2069}", "runs/\\u202enor\\u2069"),
        ] {
            assert_eq!(shown(text), clean);
            let json = format!("\"{clean}\"");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
        let plain = "± 3.1 — é\n\tnext `line`";
        assert!(matches!(shown(plain), Cow::Borrowed(text) if text == plain));
    }

    #[test]
    fn line_breaks_of_names_are_told_from_those_of_messages() {
        heed("data/odd\nerror: all is lost/obs\nx");
        let text = shown("2 parts:\n  `odd\nerror: all is lost` of `data`\n  `obs\nx`\nend");
        assert_eq!(
            text,
            "2 parts:\n  `odd\\u000aerror: all is lost` of `data`\n  `obs\\u000ax`\nend"
        );
    }

    #[test]
    fn names_that_are_nothing_but_line_breaks_cost_no_more_than_the_lines() {
        let mut breaks = Breaks {
            around: Vec::new(),
            are_all: false,
        };
        for number in 0..100_000 {
            breaks.add("", &number.to_string());
        }
        assert!(breaks.around.len() == Breaks::MOST && breaks.are_at("a\nb", 1));
    }
}
