//! Which modules the environments of a scene may import: those that this command line names.

use clap::Args;

use super::error::CliError;
use crate::env::gymnasium::module_of;
use crate::scene::{ForeignCode, Problems, Scene};

/// Leave to run other people's code.
#[derive(Args, Default)]
pub struct Modules {
    /// Let environments in Python import this module, which the scene names, as in gymnasium:NAME:Env-v0; once for each, and again
    /// where a run is resumed. It runs with all that you may do, so allow what you know
    #[arg(long = "allow-module", value_name = "NAME")]
    allowed: Vec<String>,
}

impl Modules {
    /// The names, with the module of an environment that the command line asks for.
    pub fn with_env(&self, env: Option<&str>) -> Vec<String> {
        let asked = env.and_then(module_of).map(str::to_owned);
        self.allowed.iter().cloned().chain(asked).collect()
    }
}

/// What the plugins of a scene may import: the given modules, and those of environments that `--set` put into it.
///
/// # Errors
/// Every other module that the scene names, at its place.
pub fn check(scene: &Scene, given: &[String]) -> Result<ForeignCode, CliError> {
    let named = || {
        scene.plugins.iter().flat_map(|plugin| {
            let modules = plugin.imported_modules().into_iter();
            modules.map(|(field, module)| (format!("{}.{field}", plugin.scene_name()), module))
        })
    };
    let asked = named().filter(|(setting, _)| scene.is_overridden(setting));
    let asked = asked.map(|(_, module)| module);
    let allowed: Vec<String> = given.iter().cloned().chain(asked).collect();
    let mut problems = Problems::default();
    for (setting, module) in named().filter(|(_, module)| !allowed.contains(module)) {
        let message = format!(
            "this imports the Python module `{module}`, whose code could do whatever you can"
        );
        let help = format!(
            "where you know that module, add `--allow-module {module}` to this command, each time that it is run or resumed"
        );
        problems.push(scene.problem(&setting, message, Some(help)));
    }
    problems.into_result()?;
    Ok(ForeignCode::Modules(allowed))
}
