//! The temperature of SAC and its descendants.

use serde_json::Value;

use super::{at, optimizer, param};
use crate::cli::import::table::{Row, Translation, rule};

const RATE: &str = "config.params.temp_learning_rate";
const FACTORY: &str = "temp_optim_factory";

/// The rows of the temperature; `rate` is the default of its learning rate.
pub fn rows(config: &Value, rate: &'static str) -> Vec<Row> {
    let mut rows = optimizer::rows(config, FACTORY);
    rows.extend([
        rule(RATE, rate),
        param("initial_temperature", "1.0", ".temperature.initial"),
    ]);
    rows
}

/// It is learned where its rate is above 0.
pub fn rules(translation: &mut Translation) {
    let learned = translation.number(RATE) > 0.0;
    translation.set(".temperature.learned", learned.to_string(), &[RATE]);
    if learned {
        optimizer::translate(translation, FACTORY, RATE, ".temperature.optimizer");
        return;
    }
    let factory = at(FACTORY);
    for below in translation.below(&factory) {
        translation.list(
            &format!("{factory}.{below}"),
            "the temperature is not learned",
        );
    }
}
