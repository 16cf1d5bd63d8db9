//! `yarak scene import`: the configurations of other trainers as scenes.
//!
//! `table` is how a table of keys is followed. Each trainer has a folder with the keys that all its algorithms have and, in the files
//! that are called as its algorithms are, theirs. Whose a configuration is, is found out by its keys.

mod corl;
mod d3rlpy;
mod flat_yaml;
mod robomimic;
mod scene_text;
mod strict_json;
mod table;
#[cfg(test)]
mod table_tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::building::{For, Program};
use super::error::CliError;
use crate::env::registry;
use strict_json::Strict;
use table::{Row, Translated, Translation};

/// Bytes of a configuration that are read at most.
const LARGEST: u64 = 1 << 20;

/// Why no weights are loaded.
const NO_WEIGHTS: &str = "weights of PyTorch's are not loaded";

/// Why a key of W&B's has no counterpart.
const NO_WANDB: &str = "W&B is not here: metrics.jsonl has the numbers";

/// What the command line says in the place of the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instead<'a> {
    /// The dataset.
    pub dataset: Option<&'a str>,
    /// The environment.
    pub env: Option<&'a str>,
}

/// How a configuration that was recognized becomes a scene.
struct Plan<'a> {
    /// Whose it is, for the comment in front of the scene, such as "robomimic's `td3_bc`".
    title: String,
    /// Why it was taken for that, where it does not say whose it is: it ends the line of an unknown key, and is empty elsewhere.
    taken_for: String,
    /// The algorithm's plugin here.
    plugin: &'static str,
    /// The plugins of the scene, in their order.
    plugins: Vec<&'static str>,
    /// The table of keys.
    rows: Vec<Row>,
    /// What keys say together.
    rules: Box<dyn Fn(&mut Translation) + 'a>,
}

/// A scene that says what another trainer's configuration does, and lines for what of it has no counterpart.
///
/// # Errors
/// Every key that cannot be translated and on which hangs what is learned, and every value that the scene refuses.
pub fn import(
    program: &Program,
    file: &Path,
    instead: Instead<'_>,
) -> Result<(String, Vec<String>), CliError> {
    if let Some(env) = instead.env {
        registry::check_name(env).map_err(CliError::input)?;
    }
    let name = file.display().to_string();
    let config = read(file).map_err(|what| {
        CliError::input(format!(
            "{name}: {what}; name a configuration of robomimic's, a `params.json` of d3rlpy's or a YAML of CORL's"
        ))
    })?;
    let translated = translate(&config, instead, file, &name)?;
    check(program, &translated, &name)?;
    Ok((translated.scene, translated.listed))
}

fn read(file: &Path) -> Result<Value, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the configuration cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err("this is larger than a configuration".to_owned());
    }
    parse(&bytes)
}

/// JSON where it begins as JSON, or else the lines `key: value` of CORL's YAML.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    // The mark that some editors on Windows put in front.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match text.trim_ascii_start().first() {
        None => Err("this is empty".to_owned()),
        Some(b'{' | b'[') => {
            let read = serde_json::from_slice(text).map(|Strict(value)| value);
            read.map_err(|error| format!("this cannot be read as JSON: {error}"))
        }
        Some(_) => flat_yaml::read(text).map_err(|error| {
            format!("this is no JSON, and cannot be read as lines `key: value` of YAML: {error}")
        }),
    }
}

/// Whose configuration it is and what becomes of it.
///
/// # Errors
/// That it is nobody's, or of an algorithm that is not here.
fn plan<'a>(config: &Value, instead: Instead<'a>) -> Result<Plan<'a>, String> {
    if config.get("algo_name").is_some() {
        return robomimic::plan(config, instead);
    }
    if d3rlpy::is_one(config) {
        return d3rlpy::plan(config, instead);
    }
    if let Some(plan) = corl::plan(config, instead)? {
        return Ok(plan);
    }
    if config.get("algorithm").is_some() {
        return Err(
            "there is an `algorithm` and no `config`, as in the `params.json` of d3rlpy 1: that of d3rlpy 2 is read".to_owned(),
        );
    }
    Err(format!(
        "this is nobody's configuration that is known here: robomimic's has an `algo_name`, d3rlpy's `params.json` a `config` with a \
         `type`, and CORL's YAML, which does not name its algorithm, has {}",
        corl::told_apart_by()
    ))
}

fn translate(
    config: &Value,
    instead: Instead<'_>,
    file: &Path,
    name: &str,
) -> Result<Translated, CliError> {
    let plan = plan(config, instead).map_err(|what| CliError::input(format!("{name}: {what}")))?;
    let mut translation = Translation::new(
        config,
        plan.rows,
        plan.plugin,
        &plan.plugins,
        &plan.taken_for,
    );
    (plan.rules)(&mut translation);
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let comment = format!("{} of {file}, translated.", plan.title);
    let comment = comment.replace(char::is_control, " ");
    let translated = translation.finish(name, &comment);
    translated.map_err(|refused| CliError::as_said(refused.join("\n")))
}

/// Whether the scene is good, but for data that are not there.
fn check(program: &Program, translated: &Translated, name: &str) -> Result<(), CliError> {
    let of_scene = format!("the scene of {name}");
    let scene = program.parse_checked(&of_scene, &translated.scene);
    let scene =
        scene.map_err(|problems| CliError::as_said(translated.said_of_keys(name, &problems)))?;
    let looked_at = program.app(&scene, scene.seed, Vec::new(), For::Looking);
    looked_at.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_configuration_is_refused_and_nothing_panics() {
        let deep = "[".repeat(100_000);
        let anchors = "a: &a [x]\nb: *a\n";
        for (bytes, said) in [
            (&b""[..], "this is empty"),
            (b" \n\t ", "this is empty"),
            (b"\xff\xfe{\0}\0", "not UTF-8"),
            (b"{\"a\": \"\xff\"}", "as JSON"),
            (b"{\"a\": \"\x07\"}", "control character"),
            (b"{\"a\": 1, \"a\": 2}", "is there twice"),
            (b"{\"a\": 1e999}", "out of range"),
            (b"{\"a\": NaN}", "as JSON"),
            (deep.as_bytes(), "recursion limit"),
            (anchors.as_bytes(), "line 1, column 4"),
        ] {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for text in [
            "[]",
            "{}",
            "{\"config\": 3}",
            "env: pen-human-v1",
            "{\"config\": {\"type\": 3}}",
        ] {
            let config = parse(text.as_bytes()).unwrap();
            assert!(plan(&config, Instead::default()).is_err(), "{text}");
        }
    }
}
