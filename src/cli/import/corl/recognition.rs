//! Which of CORL's scripts a configuration is of, as none says it.

use serde_json::Value;

use super::{ALGORITHMS, Algorithm};

/// Scripts that are not here and share keys with those that are, each with a key that tells it; of several the first counts.
const OTHERS: [(&str, &str); 4] = [
    ("ReBRAC", "actor_bc_coef"),
    ("SPOT", "actor_init_w"),
    (FINETUNING, "offline_iterations"),
    (FINETUNING, "online_iterations"),
];

const FINETUNING: &str = "finetuning (Cal-QL and others)";

/// How keys end that finetuning alone has.
const OF_FINETUNING: &str = "_online";

/// The script of a flat configuration with the key that tells it, which is one that this script alone has, or else `name`, where it is
/// the script's default. `None` where it is no such configuration.
///
/// # Errors
/// That it is of a script that is not here, or that keys tell two.
pub fn script_of(config: &Value) -> Result<Option<(&'static Algorithm, &'static str)>, String> {
    let has = |key: &str| config.get(key).is_some();
    if let Some((script, key)) = OTHERS.into_iter().find(|(_, key)| has(key)) {
        return Err(not_here(script, key));
    }
    let mut told = ALGORITHMS.iter().filter_map(|it| {
        let key = it.keys.iter().copied().find(|key| has(key))?;
        Some((it, key))
    });
    let by_key = told.next();
    if let (Some((one, key)), Some((other, its))) = (by_key, told.next()) {
        return Err(format!(
            "`{key}` is a key of CORL's `{}` alone and `{its}` of its `{}`: take out those of one of them",
            one.script, other.script
        ));
    }
    let name = config.get("name").and_then(Value::as_str);
    let by_name = || ALGORITHMS.iter().find(|it| name == Some(it.name));
    let found = by_key.or_else(|| Some((by_name()?, "name")));
    let mut keys = config.as_object().into_iter().flat_map(|them| them.keys());
    match keys.find(|key| key.ends_with(OF_FINETUNING)) {
        Some(key) if found.is_some() => Err(not_here(FINETUNING, key)),
        _ => Ok(found),
    }
}

fn not_here(script: &str, key: &str) -> String {
    format!("{key}: this is CORL's {script}, which is not here")
}

/// The keys by which a script is told, for a message.
pub fn told_apart_by() -> String {
    let of_each = |it: &Algorithm| format!("`{}` ({})", it.keys[0], it.script);
    ALGORITHMS.each_ref().map(of_each).join(", ")
}
