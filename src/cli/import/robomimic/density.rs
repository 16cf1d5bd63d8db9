//! Policies with a density, which several of robomimic's algorithms have.

use crate::cli::import::table::{Form, Translation};

/// The keys of a Gaussian.
pub struct Gaussian {
    /// Whether the deviation is always the initial one.
    pub fixed: &'static str,
    /// The initial deviation.
    pub initial_std: &'static str,
    /// What makes deviations of outputs.
    pub activation: &'static str,
    /// Whether the mean acts at evaluation.
    pub low_noise: &'static str,
}

/// The keys of a mixture.
pub struct Mixture {
    /// How many Gaussians.
    pub modes: &'static str,
    /// What is added to each deviation.
    pub min_std: &'static str,
    /// What makes deviations of outputs.
    pub activation: &'static str,
    /// Whether the deviations are small at evaluation.
    pub low_noise: &'static str,
}

/// A Gaussian's deviation. robomimic's greatest is no key.
pub fn gaussian(translation: &mut Translation, keys: &Gaussian) {
    let fixed = translation.flag(keys.fixed);
    let activation = translation.text(keys.activation);
    let both = [keys.fixed, keys.activation];
    match (fixed, activation.as_deref()) {
        (true, _) => translation.set(".gaussian.deviation", "Fixed", &both),
        (false, Some("softplus")) => translation.set(".gaussian.deviation", "Softplus", &both),
        (false, Some("exp")) => {
            translation.set(".gaussian.deviation", "Exp", &both);
            translation.list(keys.initial_std, "e to the output begins at 1, about");
        }
        _ => translation.refuse(keys.activation, DEVIATIONS),
    }
    if fixed || activation.as_deref() != Some("exp") {
        translation.write(".gaussian.initial_std", Form::Same, keys.initial_std);
    }
    translation.set(".gaussian.max_std", "7.5", &[]);
    let why = match translation.flag(keys.low_noise) {
        true => "the mean acts",
        false => {
            "the mean acts, where robomimic's draws: returns differ, and what is learned does not"
        }
    };
    translation.list(keys.low_noise, why);
}

/// A mixture.
pub fn mixture(translation: &mut Translation, keys: &Mixture) {
    translation.write(".mixture.modes", Form::Same, keys.modes);
    translation.write(".mixture.min_std", Form::Same, keys.min_std);
    let exponential = match translation.text(keys.activation).as_deref() {
        Some("softplus") => "false",
        Some("exp") => "true",
        _ => return translation.refuse(keys.activation, DEVIATIONS),
    };
    translation.set(".mixture.exponential", exponential, &[keys.activation]);
    let why = match translation.flag(keys.low_noise) {
        true => "the mean of the likeliest Gaussian acts, where robomimic's draws one of them",
        false => {
            "the mean of the likeliest Gaussian acts, where robomimic's draws: returns differ, and what is learned does not"
        }
    };
    translation.list(keys.low_noise, why);
}

const DEVIATIONS: &str = "expected \"softplus\" or \"exp\"";
