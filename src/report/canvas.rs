//! The sheet that a picture is drawn on: texts and lines, placed in CSS pixels.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The backend knows whole pixels alone: it draws this much larger, and the picture is scaled down by its view box.
const FINE: f64 = 10.0;
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

pub(crate) const INK: RGBColor = RGBColor(31, 35, 40);
pub(crate) const GREY: RGBColor = RGBColor(89, 99, 110);
pub(crate) const AXIS: RGBColor = RGBColor(140, 149, 159);
pub(crate) const GRID: RGBColor = RGBColor(230, 233, 237);

/// What every drawing function returns.
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The whole picture, in CSS pixels.
pub(crate) struct Canvas<'a>(pub(crate) DrawingArea<SVGBackend<'a>, Shift>);

/// Where a text is to its point, and whether it is bold.
#[derive(Clone, Copy)]
pub(crate) struct Anchor(HPos, FontStyle);

impl Anchor {
    pub(crate) const TITLE: Self = Self(HPos::Left, FontStyle::Bold);
    pub(crate) const LEFT: Self = Self(HPos::Left, FontStyle::Normal);
    pub(crate) const MIDDLE: Self = Self(HPos::Center, FontStyle::Normal);
    pub(crate) const RIGHT: Self = Self(HPos::Right, FontStyle::Normal);
}

impl Canvas<'_> {
    pub(crate) fn write(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        color: &RGBColor,
        Anchor(side, weight): Anchor,
    ) -> Drawn {
        // The backend divides a font's size by 1.24.
        let font = FontDesc::new(FontFamily::Name(FONT), size * FINE * 1.24, weight);
        let style = TextStyle::from(font)
            .color(color)
            .pos(Pos::new(side, VPos::Center));
        self.0.draw_text(text, &style, fine(at.0, at.1))
    }

    pub(crate) fn line(&self, points: [(f64, f64); 2], style: ShapeStyle) -> Drawn {
        self.0.draw(&PathElement::new(
            points.map(|point| fine(point.0, point.1)).to_vec(),
            style,
        ))
    }
}

pub(crate) fn fine(across: f64, down: f64) -> (i32, i32) {
    ((across * FINE).round() as i32, (down * FINE).round() as i32)
}

pub(crate) fn thick(pixels: f64) -> u32 {
    (pixels * FINE) as u32
}

/// What the backend drew, as an SVG element with its name space: a file of its own, or a part of an HTML page.
pub(crate) fn element(drawn: &str, (width, height): (f64, f64), label: &str) -> String {
    let elements = drawn.split_once('>').map_or("", |(_, elements)| elements);
    let (fine_width, fine_height) = fine(width, height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {fine_width} {fine_height}\" role=\"img\" aria-label=\"{}\" \
         stroke-linejoin=\"round\" stroke-linecap=\"round\">{elements}",
        escaped(label)
    )
}

/// The text as it may be in SVG and HTML, in an element or in a quoted attribute. Control characters, which XML has
/// no way to write, become spaces.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push(' '),
            // Not characters, to XML.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A label of at most `most` characters on one line. Of a longer one the end is kept, which distinguishes the runs of one folder
/// apart.
pub(crate) fn fitting(label: &str, most: usize) -> String {
    let label: Vec<_> = label
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    if label.len() <= most {
        return label.into_iter().collect();
    }
    std::iter::once('…')
        .chain(label[label.len() - most + 1..].iter().copied())
        .collect()
}

/// A guess that is rather too wide: the font is the reader's.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_cannot_leave_its_element_or_attribute() {
        assert_eq!(
            escaped("<a href=\"x\">&'\u{0}\n"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39; \n"
        );
    }

    #[test]
    fn a_label_that_is_too_long_keeps_its_end() {
        assert_eq!(fitting("runs/a/seed_0", 7), "…seed_0");
        assert_eq!(fitting("runs\n", 5), "runs ");
    }
}
