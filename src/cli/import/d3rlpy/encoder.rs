//! An `EncoderFactory` of rows of numbers: `models/encoders.py`.

use serde_json::Value;

use super::{at, type_of};
use crate::cli::import::table::{Fate, Form, Row, Translation, only, row};

/// The rows of the factory `name`, of the type that the file gives it.
#[rustfmt::skip]
pub fn rows(config: &Value, name: &str) -> Vec<Row> {
    let params = at(&format!("{name}.params"));
    let taken = |key: &str, default| row(format!("{params}.{key}"), default, Fate::Rule);
    let single = |key: &str, default, why| only(&format!("{params}.{key}"), default, why);
    let mut rows = vec![row(at(&format!("{name}.type")), "\"default\"", Fate::Rule)];
    let kind = type_of(config, name, "default");
    if !["default", "vector"].contains(&kind) {
        rows.push(taken("*", ""));
        return rows;
    }
    rows.extend([
        taken("activation", "\"relu\""),
        taken("dropout_rate", "null"),
        single("use_batch_norm", "false", "batches are not normalized"),
    ]);
    if kind == "vector" {
        rows.extend([
            taken("hidden_units", "[256, 256]"),
            single("use_layer_norm", "false", "`Mlp(layer_norm: true)` normalizes in front of the activation, and d3rlpy behind it"),
            single("exclude_last_activation", "false", "every hidden layer has the activation"),
            single("last_activation", "null", "every hidden layer has the activation"),
        ]);
    }
    rows
}

/// The factory `name`, into the encoder of the network at `setting`.
pub fn translate(translation: &mut Translation, name: &str, setting: &str) {
    let key = |name_of: &str| at(&format!("{name}.params.{name_of}"));
    let (kind, units) = (at(&format!("{name}.type")), key("hidden_units"));
    let (activation, dropout) = (key("activation"), key("dropout_rate"));
    let encoder = format!("{setting}.encoder");
    translation.name(&encoder, "Mlp");
    let widths = format!("{encoder}.hidden_sizes");
    match translation.text(&kind).as_deref() {
        Some("default") => translation.set(&widths, "[256, 256]", &[&kind]),
        Some("vector") => match translation.value(&units).is_array() {
            true => translation.write(&widths, Form::Same, &units),
            false => translation.refuse(&units, "expected a list of widths"),
        },
        _ => {
            let message = "expected \"default\" or \"vector\": d3rlpy's other encoders are not here, and another thing would be learned";
            return translation.refuse(&kind, message);
        }
    }
    translation.use_up(&[&kind]);
    let name_here = match translation.text(&activation).as_deref() {
        Some("relu") => "Relu",
        Some("gelu") => "Gelu",
        Some("tanh") => "Tanh",
        Some("none") => "Identity",
        _ => {
            let message =
                "expected \"relu\", \"gelu\", \"tanh\" or \"none\": the others are not here";
            return translation.refuse(&activation, message);
        }
    };
    match name_here {
        // It is that of every perceptron that says nothing.
        "Relu" => translation.use_up(&[&activation]),
        other => translation.set(&format!("{encoder}.activation"), other, &[&activation]),
    }
    let share = translation.value(&dropout);
    let drops = !share.is_null() && share.as_f64() != Some(0.0);
    if drops && !["Relu", "Identity"].contains(&name_here) {
        let message = "`Mlp(dropout: ..)` drops in front of the activation, and d3rlpy behind it, which is the same with \"relu\" and \"none\" \
            alone: another thing would be learned";
        return translation.refuse(&dropout, message);
    }
    translation.write(&format!("{encoder}.dropout"), Form::Same, &dropout);
    if !share.is_null() {
        let why = "translated; here a network drops in its own steps alone, and d3rlpy's targets drop, too";
        translation.list(&dropout, why);
    }
}
