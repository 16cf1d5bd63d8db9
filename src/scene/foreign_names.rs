//! What settings, plugins and metrics of other libraries, papers and older versions are called here.

use super::nearest::plain;
use super::setting_type::{Field, SettingType, Variant, struct_fields, variant_fields};
use super::settings::FieldProblems;

/// Settings: a foreign name, the names that it may have here, and what has it where that is neither this plugin nor a part of it.
const SETTINGS: &[(&str, &[&str], &str)] = &[
    ("gamma", &["discount"], ""),
    ("discount_factor", &["discount"], ""),
    ("lr", &["learning_rate"], ""),
    ("step_size", &["learning_rate"], ""),
    ("actor_lr", &["actor.learning_rate"], ""),
    ("actor_learning_rate", &["actor.learning_rate"], ""),
    ("policy_lr", &["actor.learning_rate"], ""),
    ("critic_lr", &["critic.learning_rate"], ""),
    ("critic_learning_rate", &["critic.learning_rate"], ""),
    ("q_lr", &["critic.learning_rate"], ""),
    ("qf_lr", &["critic.learning_rate"], ""),
    ("temp_learning_rate", &["temperature.learning_rate"], ""),
    ("batch", &["batch_size"], ""),
    ("minibatch_size", &["minibatches"], ""),
    ("num_minibatches", &["minibatches"], ""),
    ("tau", &["target_update.tau"], ""),
    ("polyak", &["target_update.tau"], ""),
    ("target_tau", &["target_update.tau"], ""),
    ("target_update_rate", &["target_update.tau"], ""),
    ("target_update_interval", &["target_update.every"], ""),
    ("target_network_frequency", &["target_update.every"], ""),
    ("policy_delay", &["update_freq"], ""),
    ("policy_freq", &["update_freq"], ""),
    ("policy_frequency", &["update_freq"], ""),
    ("update_actor_interval", &["update_freq"], ""),
    ("policy_noise", &["noise_std"], ""),
    ("target_policy_noise", &["noise_std"], ""),
    ("target_smoothing_sigma", &["noise_std"], ""),
    ("target_noise_clip", &["noise_clip"], ""),
    ("target_smoothing_clip", &["noise_clip"], ""),
    ("expl_noise", &["exploration_noise"], ""),
    ("action_noise", &["exploration_noise"], ""),
    ("warm_up", &["learning_starts"], ""),
    ("warmup_steps", &["learning_starts"], ""),
    ("start_timesteps", &["learning_starts"], ""),
    ("start_steps", &["learning_starts"], ""),
    ("random_steps", &["learning_starts"], ""),
    ("train_every", &["train_freq"], ""),
    ("train_frequency", &["train_freq"], ""),
    ("update_interval", &["train_freq"], ""),
    ("utd_ratio", &["gradient_steps"], ""),
    ("n_steps", &["n_step", "steps"], "Scene"),
    ("num_steps", &["steps", "n_step"], "Scene"),
    ("rollout_steps", &["steps"], "Scene"),
    ("n_epochs", &["epochs"], "Scene"),
    ("update_epochs", &["epochs"], "Scene"),
    ("num_epochs", &["epochs"], "Scene"),
    ("total_timesteps", &["steps"], "Scene"),
    ("max_timesteps", &["steps"], "Scene"),
    ("num_updates", &["steps"], "Scene"),
    ("seed", &["seed"], "Scene"),
    ("device", &["device"], "Scene"),
    ("buffer_size", &["capacity"], "Replay"),
    ("replay_size", &["capacity"], "Replay"),
    ("gae_lambda", &["lambda"], ""),
    ("lam", &["lambda"], ""),
    ("lmbda", &["lambda"], ""),
    ("ent_coef", &["entropy_coefficient", "temperature"], ""),
    ("entropy_coef", &["entropy_coefficient"], ""),
    ("entropy_coeff", &["entropy_coefficient"], ""),
    ("vf_coef", &["value_coefficient"], ""),
    ("value_coef", &["value_coefficient"], ""),
    ("value_loss_coef", &["value_coefficient"], ""),
    ("clip_range", &["clip"], ""),
    ("clip_coef", &["clip"], ""),
    ("clip_ratio", &["clip"], ""),
    ("clip_param", &["clip"], ""),
    ("eps_clip", &["clip"], ""),
    ("clip_range_vf", &["value_clip"], ""),
    ("clip_vloss", &["value_clip"], ""),
    ("normalize_advantage", &["normalize_advantages"], ""),
    ("norm_adv", &["normalize_advantages"], ""),
    ("normalise_advantages", &["normalize_advantages"], ""),
    ("normalise", &["normalize"], ""),
    ("normalize_observations", &["normalize"], ""),
    ("layers", &["hidden_sizes"], "encoder: Mlp"),
    ("hidden_layers", &["hidden_sizes"], "encoder: Mlp"),
    ("hidden_dims", &["hidden_sizes"], "encoder: Mlp"),
    ("hidden_dim", &["hidden_sizes"], "encoder: Mlp"),
    ("hidden_units", &["hidden_sizes"], "encoder: Mlp"),
    ("hidden_size", &["hidden_sizes"], "encoder: Mlp"),
    ("net_arch", &["hidden_sizes"], "encoder: Mlp"),
    ("layer_dims", &["hidden_sizes"], "encoder: Mlp"),
    ("activation_fn", &["activation"], "encoder: Mlp"),
    ("dropout_rate", &["dropout"], "encoder: Mlp"),
    ("optim", &["optimizer"], ""),
    ("l2", &["weight_decay"], ""),
    ("l2_regularization", &["weight_decay"], ""),
    ("max_grad_norm", &["max_gradient_norm"], ""),
    ("grad_clip", &["max_gradient_norm"], ""),
    ("gradient_clip", &["max_gradient_norm"], ""),
    ("clip_grad_norm", &["max_gradient_norm"], ""),
    ("n_critics", &["n"], ""),
    ("num_critics", &["n"], ""),
    ("num_qs", &["n"], ""),
    ("beta", &["temperature"], ""),
    ("cql_alpha", &["weight"], ""),
    ("min_q_weight", &["weight"], ""),
    ("conservative_weight", &["weight"], ""),
    ("n_action_samples", &["actions"], ""),
    ("num_samples", &["actions", "act_samples"], ""),
    ("frames", &["frame_stack"], "Dataset"),
    ("n_stack", &["frame_stack"], "Dataset"),
    ("count", &["num_envs"], "Environments"),
    ("n_envs", &["num_envs"], "Environments"),
    ("env_id", &["env"], "Environments"),
    ("environment", &["env"], "Environments"),
    ("max_episode_steps", &["time_limit"], "Environments"),
    ("eval_freq", &["every"], "Evaluation"),
    ("eval_every", &["every"], "Evaluation"),
    ("n_eval_episodes", &["episodes"], "Evaluation"),
    ("num_episodes", &["episodes"], "Evaluation"),
    ("save_freq", &["every"], "Checkpoints"),
    ("keep_last", &["keep"], "Checkpoints"),
    ("filename", &["path"], ""),
];

/// Plugins, by names without case and underscores.
const PLUGINS: &[(&str, &str)] = &[
    ("ppo2", "Ppo"),
    ("proximalpolicyoptimization", "Ppo"),
    ("advantageactorcritic", "A2c"),
    ("a3c", "A2c"),
    ("vpg", "Reinforce"),
    ("policygradient", "Reinforce"),
    ("td3bc", "Td3Bc"),
    ("td3plusbc", "Td3Bc"),
    ("twindelayedddpg", "Td3"),
    ("softactorcritic", "Sac"),
    ("behaviorcloning", "Bc"),
    ("behaviourcloning", "Bc"),
    ("behavioralcloning", "Bc"),
    ("implicitqlearning", "Iql"),
    ("conservativeqlearning", "Cql"),
    ("batchconstrainedqlearning", "Bcq"),
    ("deepqnetwork", "Dqn"),
    ("doubledqn", "Dqn"),
    ("ddqn", "Dqn"),
    ("qlearning", "Dqn"),
    ("rollouts", "Evaluation"),
    ("rollout", "Evaluation"),
    ("eval", "Evaluation"),
    ("evaluate", "Evaluation"),
    ("evalcallback", "Evaluation"),
    ("checkpointcallback", "Checkpoints"),
    ("checkpoint", "Checkpoints"),
    ("replaybuffer", "Replay"),
    ("env", "Environments"),
    ("environment", "Environments"),
    ("vecenv", "Environments"),
    ("normaliseobservations", "NormalizeObservations"),
    ("normalizeobservation", "NormalizeObservations"),
    ("vecnormalize", "NormalizeObservations"),
    ("normalisereturns", "NormalizeReturns"),
    ("normalizereward", "NormalizeReturns"),
    ("normalizerewards", "NormalizeReturns"),
    ("hdf5", "Dataset"),
];

/// Metrics, of Stable-Baselines3 (`train/`, `rollout/`, `eval/`), CleanRL (`losses/`, `charts/`) and older versions.
const METRICS: &[(&str, &str)] = &[
    ("rate/actor", "learning_rate/actor"),
    ("rate/critic", "learning_rate/critic"),
    ("rate/value", "learning_rate/value"),
    ("rate/temperature", "learning_rate/temperature"),
    ("train/learning_rate", "learning_rate/actor"),
    ("charts/learning_rate", "learning_rate/actor"),
    ("collect/return", "rollout/episodic_return"),
    ("collect/length", "rollout/episodic_length"),
    ("rollout/ep_rew_mean", "rollout/episodic_return"),
    ("rollout/ep_len_mean", "rollout/episodic_length"),
    ("charts/episodic_return", "rollout/episodic_return"),
    ("charts/episodic_length", "rollout/episodic_length"),
    ("episodic_return", "rollout/episodic_return"),
    ("eval/mean_reward", "evaluate/return"),
    ("eval/mean_ep_length", "evaluate/length"),
    ("eval/return", "evaluate/return"),
    ("evaluation/return", "evaluate/return"),
    ("return", "evaluate/return"),
    ("normalized_score", "evaluate/normalized_score"),
    ("d4rl_score", "evaluate/normalized_score"),
    ("entropy", "actor/entropy"),
    ("losses/entropy", "actor/entropy"),
    ("train/entropy_loss", "actor/entropy"),
    ("explained_variance", "critic/explained_variance"),
    ("train/explained_variance", "critic/explained_variance"),
    ("losses/explained_variance", "critic/explained_variance"),
    ("approx_kl", "actor/approx_kl"),
    ("train/approx_kl", "actor/approx_kl"),
    ("losses/approx_kl", "actor/approx_kl"),
    ("clip_fraction", "actor/clip_fraction"),
    ("train/clip_fraction", "actor/clip_fraction"),
    ("losses/clipfrac", "actor/clip_fraction"),
    ("actor_loss", "actor/loss"),
    ("policy_loss", "actor/loss"),
    ("train/actor_loss", "actor/loss"),
    ("train/policy_gradient_loss", "actor/loss"),
    ("losses/actor_loss", "actor/loss"),
    ("losses/policy_loss", "actor/loss"),
    ("critic_loss", "critic/loss"),
    ("value_loss", "critic/loss"),
    ("train/critic_loss", "critic/loss"),
    ("train/value_loss", "critic/loss"),
    ("losses/qf_loss", "critic/loss"),
    ("losses/value_loss", "critic/loss"),
    ("critic/done_share", "critic/terminated_fraction"),
    ("critic/gap", "critic/conservative_gap"),
    ("conservatism/loss", "lagrange_multiplier/loss"),
    ("conservatism/weight", "lagrange_multiplier/weight"),
    ("train/ent_coef", "temperature/alpha"),
    ("losses/alpha", "temperature/alpha"),
    ("train/ent_coef_loss", "temperature/loss"),
    ("losses/alpha_loss", "temperature/loss"),
    ("time/fps", "time/steps_per_second"),
    ("charts/SPS", "time/steps_per_second"),
    ("SPS", "time/steps_per_second"),
];

/// What a setting of others may be called here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    name: &'static str,
    /// The names here, likeliest first; with the part of the settings that has them where the foreign name says it.
    pub(crate) here: &'static [&'static str],
    /// The plugin that has it, or the scene; empty where it is the plugin that the foreign name was written in.
    owner: &'static str,
}

/// What a setting is called here.
pub(crate) fn setting(foreign: &str) -> Option<Foreign> {
    let found = SETTINGS.iter().find(|(name, ..)| *name == foreign);
    found.map(|&(name, here, owner)| Foreign { name, here, owner })
}

impl Foreign {
    /// The message and the help where the fields, those further down or another plugin have it; `None` where nobody has.
    pub(crate) fn among(self, fields: &[Field]) -> Option<(String, Option<String>)> {
        let is_there = |name: &&&str| fields.iter().any(|field| field.name == **name);
        if let Some(here) = self.here.iter().find(is_there) {
            return Some((is_called(self.name, here), None));
        }
        let inside = if self.owner.is_empty() {
            self.here
        } else {
            &[]
        };
        for here in inside {
            let (part, name) = here.split_once('.').unwrap_or(("", here));
            let mut places = Vec::new();
            find(name, part, fields, 4, &|inner| inner, &mut places);
            if !places.is_empty() {
                let help = format!("it belongs further in: {}", places.join(" or "));
                return Some((self.message(name), Some(help)));
            }
        }
        let several = format!("{}s", self.name);
        if fields.iter().any(|field| field.name == several) {
            let message = format!("no field is called `{}`", self.name);
            return Some((message, Some(format!("did you mean `{several}`?"))));
        }
        let here = self.here[0];
        (!self.owner.is_empty()).then(|| {
            let owner = self.owner;
            (
                self.message(here),
                Some(format!("it belongs in {owner}({here}: ..)")),
            )
        })
    }

    fn message(self, here: &str) -> String {
        match here == self.name {
            true => format!("no field is called `{here}`"),
            false => is_called(self.name, here),
        }
    }
}

/// Where fields further down have the name, as they are written: `actor: (encoder: Mlp(hidden_sizes: ..))`. `part` is the field at
/// the top that has it; empty for any.
fn find(
    name: &str,
    part: &str,
    fields: &[Field],
    depth: usize,
    written: &dyn Fn(String) -> String,
    places: &mut Vec<String>,
) {
    if depth == 0 {
        return;
    }
    for field in fields {
        if !part.is_empty() && field.name != part {
            continue;
        }
        let mut look = |variant: &str, inner: &[Field]| {
            let around = |inside: String| written(format!("{}: {variant}({inside})", field.name));
            if inner.iter().any(|inner| inner.name == name) {
                places.push(format!("`{}`", around(format!("{name}: .."))));
            } else {
                find(name, "", inner, depth - 1, &around, places);
            }
        };
        match SettingType::of(field.info) {
            Some(SettingType::Struct(info)) => look("", &struct_fields(info)),
            Some(SettingType::Enum(info)) => {
                for variant in info.iter() {
                    if let Variant::Struct(inner) = variant_fields(variant) {
                        look(variant.name(), &inner);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a plugin is called here, whatever the case and the underscores of the foreign name.
pub(crate) fn plugin(foreign: &str) -> Option<&'static str> {
    let foreign = plain(foreign);
    let found = PLUGINS.iter().find(|(name, _)| *name == foreign);
    found.map(|(_, here)| *here)
}

/// What a metric is called here.
pub(crate) fn metric(foreign: &str) -> Option<&'static str> {
    let found = METRICS.iter().find(|(name, _)| *name == foreign);
    found.map(|(_, here)| *here)
}

/// Refuses a metric of others in the field `field`.
pub(crate) fn check_metric(field: &str, written: &str, problems: &mut FieldProblems) {
    if let Some(here) = metric(written) {
        problems.refuse(field, is_called(written, here));
    }
}

/// `` `gamma` is called `discount` here ``.
pub(crate) fn is_called(foreign: &str, here: &str) -> String {
    format!("`{foreign}` is called `{here}` here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_name_is_listed_twice_or_is_its_own_translation() {
        let settings = SETTINGS.iter().map(|(name, ..)| *name);
        let plugins = PLUGINS.iter().map(|(name, _)| *name);
        let metrics = METRICS.iter().map(|(name, _)| *name);
        for mut names in [
            settings.collect::<Vec<_>>(),
            plugins.collect(),
            metrics.collect(),
        ] {
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
        assert!(METRICS.iter().all(|(foreign, here)| foreign != here));
        assert!(METRICS.iter().all(|(_, here)| metric(here).is_none()));
        assert!(
            PLUGINS
                .iter()
                .all(|(foreign, _)| plain(foreign) == *foreign)
        );
    }

    #[test]
    fn a_foreign_setting_is_refused_with_its_name_and_place_here() {
        use crate::scene::test_settings::messages;
        let told = |text: &str| messages(text).remove(0);
        assert_eq!(
            told("Td3Bc(gamma: 0.9)"),
            "Td3Bc: `gamma` is called `discount` here | "
        );
        assert_eq!(
            told("Td3Bc(critic: (l2: 0.1))"),
            "Td3Bc.critic: `l2` is called `weight_decay` here | "
        );
        assert_eq!(
            told("Td3Bc(critic_lr: 1e-3)"),
            "Td3Bc: `critic_lr` is called `learning_rate` here | it belongs further in: `critic: (learning_rate: ..)`"
        );
        assert_eq!(
            told("Td3Bc(buffer_size: 1000)"),
            "Td3Bc: `buffer_size` is called `capacity` here | it belongs in Replay(capacity: ..)"
        );
        assert_eq!(
            told("Td3Bc(seed: 1)"),
            "Td3Bc: no field is called `seed` | it belongs in Scene(seed: ..)"
        );
        // Nobody has it here, so that its translation would not help.
        assert!(
            told("Td3Bc(gae_lambda: 0.9)").starts_with("Td3Bc: no field is called `gae_lambda` | ")
        );
    }

    #[test]
    fn overrides_of_foreign_names_are_refused_with_the_right_ones() {
        use crate::scene::Scene;
        use crate::scene::test_settings::registry;
        let text = "Scene(steps: 1, plugins: [Td3Bc()])";
        let refused = |argument: &str| {
            let problems = Scene::parse("a.ron", text, &registry(), &[argument.to_owned()]);
            problems.unwrap_err().to_string()
        };
        assert!(refused("Td3Bc.gamma=0.9").contains("`gamma` is called `discount` here"));
        assert!(refused("TD3_BC.alpha=1").contains("`TD3_BC` is called `Td3Bc` here"));
        assert!(refused("total_timesteps=5").contains("`total_timesteps` is called `steps` here"));
        assert!(refused("gamma=0.9").contains("--set PLUGIN.discount=.."));
    }

    #[test]
    fn plugins_are_found_whatever_their_case() {
        assert_eq!(plugin("PPO2"), Some("Ppo"));
        assert_eq!(plugin("TD3_BC"), Some("Td3Bc"));
        assert_eq!(plugin("BehaviorCloning"), Some("Bc"));
        assert_eq!(plugin("Rollouts"), Some("Evaluation"));
        assert_eq!(plugin("Wombat"), None);
    }
}
