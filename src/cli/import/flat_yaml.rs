//! The YAML of flat configurations, lines `key: value`, and nothing else of YAML.
//!
//! Anchors, tags, lists, blocks and whatever else makes YAML a language is refused by its line and column, and so is a value that
//! YAML's versions read differently, such as `yes` and `010`. That is less than a crate, and leaves no input with two meanings.

use std::str;

use serde_json::{Map, Value};

const KEY: &str = "expected `key: value`, the key of letters, digits and underscores at the beginning of the line";
const QUOTED: &str = "expected a text that ends on its line with the quote that opens it, without a backslash in double quotes and \
    with nothing behind";
const PLAIN: &str = "expected one number, text, true, false or null, and a text with a colon in quotes: lists, blocks, anchors and \
    tags are not read";
const FLAG: &str = "expected true or false, or quotes around a text";
const NUMBER: &str =
    "expected a finite decimal number, such as 10, -0.5 or 3e-4, or quotes around a text";

/// The values by key. Infinity, which JSON does not have, is the text `.inf` or `-.inf`.
///
/// # Errors
/// The first line that is something else, with its column, both from 1.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let text = str::from_utf8(bytes).map_err(|error| format!("this is not UTF-8: {error}"))?;
    let mut all = Map::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |bytes: usize, expected: &str| {
            let column = line[..bytes].chars().count() + 1;
            format!("line {}, column {column}: {expected}", index + 1)
        };
        if let Some(place) = line.find(is_no_text) {
            return Err(wrong(place, "expected no tab and no control character"));
        }
        if matches!(line.trim_start().chars().next(), None | Some('#')) {
            continue;
        }
        let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (key, after) = line.split_at(line.find(|c| !is_of_key(c)).unwrap_or(line.len()));
        let after = after.strip_prefix(':').filter(|_| !key.is_empty());
        let after = after.filter(|after| after.is_empty() || after.starts_with(' '));
        let written = after.ok_or_else(|| wrong(key.len(), KEY))?.trim_start();
        let value = value(written.trim_end());
        let value = value.map_err(|expected| wrong(line.len() - written.len(), expected))?;
        if all.insert(key.to_owned(), value).is_some() {
            return Err(wrong(0, "this key is there twice"));
        }
    }
    Ok(all.into())
}

/// Control characters, and the separators of lines and paragraphs, at which YAML begins a line, too.
fn is_no_text(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A value as all versions of YAML read it, or what was expected instead.
fn value(written: &str) -> Result<Value, &'static str> {
    if let Some(mark) = ['\'', '"']
        .into_iter()
        .find(|mark| written.starts_with(*mark))
    {
        let within = written[1..].strip_suffix(mark).ok_or(QUOTED)?;
        let (plain, escapes) = match mark {
            '"' => (within.to_owned(), within.contains(['"', '\\'])),
            _ => (
                within.replace("''", "'"),
                within.replace("''", "").contains(mark),
            ),
        };
        return if escapes {
            Err(QUOTED)
        } else {
            Ok(plain.into())
        };
    }
    let written = match written.starts_with('#') {
        true => "",
        false => written.split(" #").next().unwrap_or_default().trim_end(),
    };
    let begins = |marks: &str| written.starts_with(|c| marks.contains(c));
    let is_list = written == "-" || written.starts_with("- ");
    if is_list || begins("&*!|>%@`{}[],?:") || written.contains(": ") || written.ends_with(':') {
        return Err(PLAIN);
    }
    match written {
        "" | "null" | "Null" | "NULL" | "~" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(true.into()),
        "false" | "False" | "FALSE" => return Ok(false.into()),
        _ => {}
    }
    match written.to_ascii_lowercase().as_str() {
        infinite @ (".inf" | "-.inf") => Ok(infinite.into()),
        "y" | "yes" | "on" | "n" | "no" | "off" => Err(FLAG),
        number if begins("0123456789+-.") => {
            let read = serde_json::from_str(number).ok();
            read.filter(Value::is_number).ok_or(NUMBER)
        }
        _ => Ok(written.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_of_keys_and_values_are_read_as_yaml_reads_them() {
        let text = "# a comment\n\na: 1\nb: -0.5\nc: 3e-4\nd: 3.0e-05\ne: true\nf: null\ng:\nh: ''\ni: 'it''s: #1'\r\n\
                    j: \"two words\"\nk: walker2d-medium-v2 # the task\nl: .inf\nm: -.inf\nn: ~/runs/a b\no: -200\np: # nothing\n";
        let expected = json!({
            "a": 1, "b": -0.5, "c": 3e-4, "d": 3e-5, "e": true, "f": null, "g": null, "h": "", "i": "it's: #1",
            "j": "two words", "k": "walker2d-medium-v2", "l": ".inf", "m": "-.inf", "n": "~/runs/a b", "o": -200, "p": null,
        });
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
        assert_eq!(read(b"").unwrap(), json!({}));
        let words = "a: True\nb: TRUE\nc: tRUE\nd: False\ne: FALSE\nf: fAlse\ng: Null\nh: NULL\ni: nUll\nj: ~";
        let expected = json!({
            "a": true, "b": true, "c": "tRUE", "d": false, "e": false, "f": "fAlse", "g": null, "h": null, "i": "nUll", "j": null,
        });
        assert_eq!(read(words.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn all_else_of_yaml_is_refused_by_line_and_column() {
        for (text, said) in [
            (
                "a: 1\nb: 2\na: 3",
                "line 3, column 1: this key is there twice",
            ),
            ("a: 1\n  b: 2", "line 2, column 1: expected `key: value`"),
            ("a:1", "line 1, column 2: expected `key: value`"),
            ("a", "line 1, column 2: expected `key: value`"),
            (": 1", "line 1, column 1: expected `key: value`"),
            ("a.b: 1", "line 1, column 2: expected `key: value`"),
            ("ключ: 1", "line 1, column 1: expected `key: value`"),
            ("---\na: 1", "line 1, column 1: expected `key: value`"),
            ("- 1", "line 1, column 1: expected `key: value`"),
            ("<<: *a", "line 1, column 1: expected `key: value`"),
            ("a:\t1", "line 1, column 3: expected no tab"),
            ("a: 'b\u{2028}c'", "line 1, column 6: expected no tab"),
            ("# b\u{2029}a: 1", "line 1, column 4: expected no tab"),
            ("a: b\u{85}c: 1", "line 1, column 5: expected no tab"),
            (
                "a: \u{1b}[2J",
                "line 1, column 4: expected no tab and no control",
            ),
            (
                "a: 1\rb: 2",
                "line 1, column 5: expected no tab and no control",
            ),
            ("a: &x 1", "line 1, column 4: expected one number"),
            ("a: *x", "line 1, column 4: expected one number"),
            (
                "a: !!python/object:os.system x",
                "line 1, column 4: expected one number",
            ),
            ("a: |", "line 1, column 4: expected one number"),
            ("a: [1, 2]", "line 1, column 4: expected one number"),
            ("a: {b: 1}", "line 1, column 4: expected one number"),
            ("a: - b", "line 1, column 4: expected one number"),
            ("a: b: c", "line 1, column 4: expected one number"),
            ("a:   'b", "line 1, column 6: expected a text that ends"),
            ("a: '", "line 1, column 4: expected a text that ends"),
            ("a: 'b' c", "line 1, column 4: expected a text that ends"),
            ("a: 'b' c'", "line 1, column 4: expected a text that ends"),
            ("a: \"b\\n\"", "line 1, column 4: expected a text that ends"),
            ("é: 'é\\", "line 1, column 1: expected `key: value`"),
            ("a: yes", "line 1, column 4: expected true or false"),
            ("a: 010", "line 1, column 4: expected a finite decimal"),
            ("a: 0x10", "line 1, column 4: expected a finite decimal"),
            ("a: 1_000", "line 1, column 4: expected a finite decimal"),
            ("a: 1:30", "line 1, column 4: expected a finite decimal"),
            (
                "a: 2021-01-01",
                "line 1, column 4: expected a finite decimal",
            ),
            ("a: 1e999", "line 1, column 4: expected a finite decimal"),
            ("a: .nan", "line 1, column 4: expected a finite decimal"),
            ("a: +1", "line 1, column 4: expected a finite decimal"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(said), "{text}\n{error}");
        }
        assert!(read(b"a: \xff").unwrap_err().contains("not UTF-8"));
    }
}
