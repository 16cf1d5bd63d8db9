//! Generalized advantage estimation.

/// What happened to the environments of a rollout, one row a step of an environment: all environments' first steps, then all
/// their second ones, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Experienced<'a> {
    /// How many environments there are: the row after `i` in time is `i + environments`.
    pub environments: usize,
    /// r, `[rows]`.
    pub reward: &'a [f32],
    /// V(s), `[rows]`.
    pub value: &'a [f32],
    /// V(s') of the true next state, and 0 after a terminal step, `[rows]`.
    pub next_value: &'a [f32],
    /// Whether the episode ended with this step, in whatever way, or the row is no step at all: nothing that comes after
    /// counts for it. `[rows]`
    pub ended: &'a [bool],
}

/// A(s, a) of each row by GAE(λ): δ = r + γ V(s') − V(s), A = δ + γ λ A', with A' = 0 where the episode ended and after the last
/// row (Schulman et al. 2016, equation 16, <https://arxiv.org/abs/1506.02438>). With λ = 0 it is TD(0)'s error, with λ = 1 the
/// return less the value. `out` is `[rows]`.
///
/// ```
/// use yarak::data::{Experienced, generalized_advantages};
///
/// // A truncated step, which bootstraps, and a terminated one, which does not.
/// let experienced = Experienced {
///     environments: 1,
///     reward: &[1.0, 1.0],
///     value: &[0.5, 0.5],
///     next_value: &[2.0, 0.0],
///     ended: &[true, true],
/// };
/// let mut advantage = [0.0; 2];
/// generalized_advantages(experienced, 0.99, 0.95, &mut advantage);
/// assert_eq!(advantage, [2.48, 0.5]);
/// ```
pub fn generalized_advantages(
    experienced: Experienced<'_>,
    discount: f32,
    lambda: f32,
    out: &mut [f32],
) {
    let Experienced {
        environments,
        reward,
        value,
        next_value,
        ended,
    } = experienced;
    for row in (0..reward.len()).rev() {
        let later = match out.get(row + environments) {
            Some(later) if !ended[row] => *later,
            _ => 0.0,
        };
        let delta = reward[row] + discount * next_value[row] - value[row];
        out[row] = delta + discount * lambda * later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Noise, Random, Seed};

    /// The definition, in float64: the sum over all later steps of the episode.
    fn by_the_sum(experienced: Experienced<'_>, discount: f64, lambda: f64, row: usize) -> f64 {
        let (mut at, mut factor, mut sum) = (row, 1.0, 0.0);
        loop {
            let wide = |values: &[f32]| f64::from(values[at]);
            let value = wide(experienced.value);
            let next = wide(experienced.next_value);
            sum += factor * (wide(experienced.reward) + discount * next - value);
            factor *= discount * lambda;
            let after = at + experienced.environments;
            if experienced.ended[at] || after >= experienced.reward.len() {
                return sum;
            }
            at = after;
        }
    }

    #[test]
    fn advantages_are_the_weighted_sums_of_later_errors_within_the_episode() {
        let (steps, environments) = (40, 3);
        let rows = steps * environments;
        let mut random = Random::<Noise>::new(Seed(5));
        let (reward, value) = (random.normals(rows), random.normals(rows));
        let next_value = random.normals(rows);
        let ended: Vec<bool> = random
            .uniforms(rows, 0.0, 1.0)
            .iter()
            .map(|draw| *draw < 0.1)
            .collect();
        let experienced = Experienced {
            environments,
            reward: &reward,
            value: &value,
            next_value: &next_value,
            ended: &ended,
        };
        for lambda in [0.0, 0.95, 1.0] {
            let mut found = vec![0.0; rows];
            generalized_advantages(experienced, 0.99, lambda, &mut found);
            for (row, found) in found.iter().enumerate() {
                // The settings' own rounding is not what is compared.
                let (discount, lambda) = (f64::from(0.99_f32), f64::from(lambda));
                let expected = by_the_sum(experienced, discount, lambda, row);
                let off = (f64::from(*found) - expected).abs();
                assert!(
                    off < 1e-5 * (1.0 + expected.abs()),
                    "{row}: {found} {expected}"
                );
            }
        }
    }
}
