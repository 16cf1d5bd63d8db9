//! Actions drawn from a policy, in host memory: one pass of the network for all environments, and no tensor besides.

use super::Exploring;
use crate::data::{SampledActions, ScaleError};
use crate::nn::{ActorHead, ActorNetwork};
use crate::transfer::download;

impl Exploring<'_> {
    /// Draws an action of the policy for each environment, and takes it.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width.
    pub fn draw(&mut self, actor: &ActorNetwork) -> Result<SampledActions, ScaleError> {
        let observation = self.observation()?;
        let mut drawn = match (actor.head(), actor.log_std()) {
            (ActorHead::Categorical, _) => {
                let logits = actor.outputs(observation.clone());
                let [batch, n] = logits.dims();
                sample_discrete(&download(logits), n, &self.random.uniforms(batch, 0.0, 1.0))
            }
            (ActorHead::UnboundedGaussian { .. }, Some(log_std)) => {
                let means = actor.outputs(observation.clone());
                let draws = self.random.normals(means.shape().num_elements());
                draw_numbers(&download(means), &download(log_std), &draws)
            }
            _ => {
                let distribution = actor.distribution(observation.clone());
                let drawn = distribution.draw(&mut *self.random);
                SampledActions {
                    action: download(drawn.action),
                    log_probability: download(drawn.log_probability),
                    ..SampledActions::default()
                }
            }
        };
        drawn.observation = download(observation);
        self.actions.values.clone_from(&drawn.action);
        Ok(drawn)
    }
}

/// The choice of each row of logits that a uniform draw in [0, 1) falls on.
fn sample_discrete(logits: &[f32], discrete_actions: usize, draws: &[f32]) -> SampledActions {
    let mut drawn = SampledActions::default();
    for (logits, draw) in logits.chunks_exact(discrete_actions.max(1)).zip(draws) {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
        let mut left = draw * total;
        let passed = |logit: &f32| {
            left -= (logit - most).exp();
            left < 0.0
        };
        // Rounding may leave a little behind the last.
        let choice = logits
            .iter()
            .position(passed)
            .unwrap_or(discrete_actions - 1);
        drawn.action.push(choice as f32);
        drawn
            .log_probability
            .push(logits[choice] - most - total.ln());
    }
    drawn
}

/// μ + σ ε for each row of means.
fn draw_numbers(means: &[f32], log_std: &[f32], draws: &[f32]) -> SampledActions {
    let half_log_tau = 0.5 * std::f32::consts::TAU.ln();
    let mut drawn = SampledActions::default();
    let rows = means.chunks_exact(log_std.len().max(1));
    for (means, draws) in rows.zip(draws.chunks_exact(log_std.len().max(1))) {
        let mut log_probability = 0.0;
        for ((mean, log_std), draw) in means.iter().zip(log_std).zip(draws) {
            drawn.action.push(mean + log_std.exp() * draw);
            log_probability -= 0.5 * draw * draw + log_std + half_log_tau;
        }
        drawn.log_probability.push(log_probability);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use bevy_ecs::system::RunSystemOnce;
    use burn::tensor::Tensor;

    use super::*;
    use crate::collect::{Actions, Exploration, Observations, SampledActions};
    use crate::data::{ActionScale, Normalizer};
    use crate::prelude::*;

    const ROWS: usize = 20_000;

    /// What a policy with preferences draws for observations, and the distribution that it draws from.
    fn drawn(head: ActorHead, action: usize, alike: bool) -> (SampledActions, ActionDistribution) {
        let device = ComputeDevice::cpu().plain();
        let init = &mut Random::<Init>::new(Seed(3));
        let layers = Layers::from(&[8]).orthogonal(0.01);
        let policy = ActorNetwork::new(layers, head, 4, action, &device, init).unwrap();
        let mut app = App::new();
        app.insert_resource(ComputeDevice::cpu())
            .insert_resource(Preprocessing::new(
                Normalizer::identity(4),
                ActionScale::identity(1),
            ));
        let mut observations = Observations::new(ROWS, 4);
        // Far from 0, so that the outputs of a fresh policy differ.
        let rows = if alike { 1 } else { ROWS };
        let values = init.normals(rows * 4).into_iter().map(|x| 50.0 * x);
        observations.values = values.collect::<Vec<_>>().repeat(ROWS / rows);
        let seen = TensorData::new(observations.values.clone(), [ROWS, 4]);
        let distribution = policy.distribution(Tensor::from_data(seen, &device));
        app.insert_resource(observations)
            .insert_resource(Actions::new(ROWS, 1))
            .add_random::<Exploration>();
        let draw = move |mut exploring: Exploring| exploring.draw(&policy);
        let drawn = app.world_mut().run_system_once(draw).unwrap().unwrap();
        assert_eq!(app.world().resource::<Actions>().values, drawn.action);
        (drawn, distribution)
    }

    #[test]
    fn what_is_drawn_has_the_log_probability_that_the_distribution_gives_it() {
        let unbounded = ActorHead::UnboundedGaussian { log_std: -0.5 };
        let gaussian = ActorHead::Gaussian(GaussianSettings::default());
        for (head, action) in [(ActorHead::Categorical, 3), (unbounded, 2), (gaussian, 2)] {
            let (drawn, distribution) = drawn(head, action, false);
            let action = TensorData::new(drawn.action.clone(), [ROWS, drawn.action.len() / ROWS]);
            let action = Tensor::from_data(action, &ComputeDevice::cpu().plain());
            let log_p = download(distribution.log_probability(action));
            for (drawn, log_p) in drawn.log_probability.iter().zip(log_p) {
                assert!((drawn - log_p).abs() < 2e-5, "{drawn} {log_p}");
            }
        }
    }

    #[test]
    fn discrete_actions_are_drawn_as_often_as_they_are_probable() {
        let (drawn, distribution) = drawn(ActorHead::Categorical, 3, true);
        let ActionDistribution::Categorical(categorical) = distribution else {
            panic!("discrete actions were asked for")
        };
        let log_p = download(categorical.log_probabilities);
        assert!((log_p[0] - log_p[1]).abs() > 0.05, "the test sees nothing");
        for (choice, log_p) in log_p[..3].iter().enumerate() {
            let found = drawn.action.iter().filter(|it| **it == choice as f32);
            let (found, expected) = (found.count() as f32 / ROWS as f32, log_p.exp());
            assert!(
                (found - expected).abs() < 0.012,
                "{choice}: {found} {expected}"
            );
        }
    }

    #[test]
    fn a_draw_at_either_end_is_a_choice_and_never_beyond_the_last() {
        let logits = [0.0, 1.0, -1.0];
        let drawn = sample_discrete(&logits.repeat(2), 3, &[0.0, 0.999_999_94]);
        assert_eq!(drawn.action, [0.0, 2.0]);
    }
}
