//! Tables of numbers for people to read.

use std::fmt::{self, Write as _};

/// Numbers in columns, right-aligned, each written with the digits that tell it apart.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned)],
        }
    }

    pub(super) fn row(&mut self, name: String, values: &[f64]) {
        let mut cells = [const { String::new() }; N];
        cells[0] = name;
        for (cell, value) in cells[1..].iter_mut().zip(values) {
            *cell = number(*value);
        }
        self.rows.push(cells);
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].len())
                .max()
                .unwrap_or(0)
        };
        let names = width(0).max(16);
        let numbers = (1..N).map(width).max().unwrap_or(0).max(9);
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "  {:names$}", row[0])?;
            for cell in &row[1..] {
                write!(f, "  {cell:>numbers$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Whole numbers as such, others with three decimals, very large and very small ones in powers of ten.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(5e-4..1e7).contains(&size) => format!("{value:.2e}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

/// With a space between thousands.
pub(super) fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

pub(super) fn size(bytes: u64) -> String {
    let mut text = String::new();
    let exact = grouped(bytes as usize);
    // Writing to a string cannot fail.
    let _ = match bytes {
        0..1_000 => write!(text, "{exact} bytes"),
        1_000..1_000_000 => write!(text, "{:.1} kB ({exact} bytes)", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => write!(text, "{:.1} MB ({exact} bytes)", bytes as f64 / 1e6),
        _ => write!(text, "{:.1} GB ({exact} bytes)", bytes as f64 / 1e9),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        for (value, text) in [
            (0.0, "0"),
            (200.0, "200"),
            (-137.4567, "-137.457"),
            (1e-9, "1.00e-9"),
            (-2.5e8, "-2.50e8"),
            (0.5, "0.500"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(123), "123");
        assert_eq!(size(1_283_673), "1.3 MB (1 283 673 bytes)");
    }
}
