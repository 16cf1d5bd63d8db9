//! How good a finished run's policies are: what `train` says at its end, and leaves in `scores.json`.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::error::CliError;
use super::playing::Played;
use crate::checkpoint::{Best, write_whole};

/// The scores of one learner.
#[derive(Default)]
pub struct Scores {
    /// The policy at the end, on the evaluation's episodes.
    pub last: Option<Played>,
    /// The metric by which the best checkpoint was chosen; `evaluate/return` if not given.
    pub watched: Option<String>,
    /// Its best value.
    pub best: Best,
    /// That checkpoint on episodes that it was not chosen by.
    pub fresh: Option<Played>,
}

impl Scores {
    /// One line about them; `None` where nothing was evaluated.
    pub fn line(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        let mut line = format!("evaluate/return {} at step {}", with_error(last), last.step);
        if let Some(best) = self.best.value {
            let step = self.best.step;
            line.push_str(&match self.watched() {
                "evaluate/return" => format!(", best {best:.1} at step {step}"),
                metric => format!("; best {metric} {best} at step {step}"),
            });
        }
        if let Some(fresh) = &self.fresh {
            let episodes = counted(fresh.episodes.0.len(), "fresh ");
            line.push_str(&format!(
                "; the best checkpoint on {episodes} {}",
                with_error(fresh)
            ));
        }
        Some(line)
    }

    fn watched(&self) -> &str {
        self.watched.as_deref().unwrap_or("evaluate/return")
    }

    /// Leaves them in a run's folder, in place of those of an earlier end of the run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, run: &Path) -> Result<(), CliError> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let best = self.best.value.map(
            |value| json!({ "metric": self.watched(), "value": value, "step": self.best.step }),
        );
        let scores = json!({
            "last": object(last),
            "best": best,
            "best_on_fresh_episodes": self.fresh.as_ref().map(object),
        });
        let path = run.join("scores.json");
        let written = write_whole(&path, true, |out| {
            out.write_all(format!("{scores:#}\n").as_bytes())
        });
        written.map_err(|error| CliError::failed(format!("{}: {error}", path.display())))
    }
}

fn object(played: &Played) -> Value {
    json!({
        "step": played.step,
        "return": played.episodes.mean_return(),
        "standard_error": played.episodes.standard_error(),
        "success_rate": played.episodes.success_rate(),
        "episodes": played.episodes.0.len(),
        "seed": played.seed,
    })
}

/// `50 fresh episodes`.
pub fn counted(episodes: usize, which: &str) -> String {
    let s = if episodes == 1 { "" } else { "s" };
    format!("{episodes} {which}episode{s}")
}

/// `-160.2 ± 3.1`; the mean alone of one episode. Where it is known who succeeded, how many did.
fn with_error(played: &Played) -> String {
    let mean = played.episodes.mean_return().unwrap_or(f64::NAN);
    let error = played.episodes.standard_error();
    let error = error.map_or(String::new(), |error| format!(" ± {error:.1}"));
    let rate = played.episodes.success_rate();
    let rate = rate.map_or(String::new(), |rate| format!(" (success rate {rate:.2})"));
    format!("{mean:.1}{error}{rate}")
}

/// The learners of several seeds together: one line for each kind of score that more than one of them has.
pub fn over_seeds(scores: &[&Scores]) -> Vec<String> {
    let lines = [
        (
            "evaluate/return",
            means(scores, |scores| scores.last.as_ref()),
        ),
        (
            "the best checkpoints on fresh episodes",
            means(scores, |scores| scores.fresh.as_ref()),
        ),
    ];
    let several = lines.into_iter().filter(|(_, means)| means.len() > 1);
    several
        .map(|(what, mut means)| {
            means.sort_by(f64::total_cmp);
            let n = means.len();
            let mean = means.iter().sum::<f64>() / n as f64;
            let squares = means.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
            let error = (squares / (n - 1) as f64 / n as f64).sqrt();
            let median = (means[(n - 1) / 2] + means[n / 2]) / 2.0;
            format!(
                "{what} over {n} seeds: mean {mean:.1} ± {error:.1}, median {median:.1}, worst {:.1}",
                means[0]
            )
        })
        .collect()
}

fn means(scores: &[&Scores], of: impl Fn(&Scores) -> Option<&Played>) -> Vec<f64> {
    let played = scores.iter().filter_map(|scores| of(scores));
    played
        .filter_map(|played| played.episodes.mean_return())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Episodes, Score};

    fn played(step: u64, returns: &[f64]) -> Played {
        let score = |total_reward: &f64| Score {
            total_reward: *total_reward,
            length: 1,
            is_cut: false,
            success: None,
        };
        Played {
            step,
            seed: 100,
            episodes: Episodes(returns.iter().map(score).collect()),
        }
    }

    #[test]
    fn a_line_says_last_best_and_the_best_on_fresh_episodes() {
        let mut scores = Scores {
            last: Some(played(20, &[1.0, 2.0, 3.0, 4.0])),
            ..Default::default()
        };
        assert_eq!(
            scores.line().unwrap(),
            "evaluate/return 2.5 ± 0.6 at step 20"
        );
        scores.best = Best {
            value: Some(9.0),
            step: 10,
        };
        scores.fresh = Some(played(10, &[5.0]));
        assert_eq!(
            scores.line().unwrap(),
            "evaluate/return 2.5 ± 0.6 at step 20, best 9.0 at step 10; the best checkpoint on 1 fresh episode 5.0"
        );
        assert_eq!(Scores::default().line(), None);
    }

    #[test]
    fn seeds_come_to_a_mean_a_median_and_the_worst() {
        let seeds = [4.0, 1.0, 2.0].map(|mean| Scores {
            last: Some(played(20, &[mean])),
            ..Default::default()
        });
        let seeds: Vec<&Scores> = seeds.iter().collect();
        assert_eq!(
            over_seeds(&seeds),
            ["evaluate/return over 3 seeds: mean 2.3 ± 0.9, median 2.0, worst 1.0"]
        );
        assert_eq!(over_seeds(&seeds[..1]), [""; 0]);
    }
}
