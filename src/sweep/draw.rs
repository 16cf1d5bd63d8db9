//! The trials' settings, drawn from the space: a function of the space, the sampler and the seed alone.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::file::{Sampler, SweepSettings};
use super::space::{Dimension, Setting, Values, number};

/// The most trials of a sweep: each has a folder, and is checked before the first begins.
pub(super) const MOST_TRIALS: u64 = 100_000;

/// How many trials there are; `None` where no machine could count them.
pub(super) fn count(space: &[Dimension], settings: &SweepSettings) -> Option<u64> {
    let mut lists = space.iter().filter_map(grid);
    lists.try_fold(settings.samples, |count, list| {
        count.checked_mul(list.len() as u64)
    })
}

/// The settings of each trial: every point of the grid, the last dimension first, once for each sample. There are
/// at most [`MOST_TRIALS`], as a file with more is not read.
pub(super) fn draw(space: &[Dimension], settings: &SweepSettings) -> Vec<Vec<Setting>> {
    let lists: Vec<&Vec<String>> = space.iter().filter_map(grid).collect();
    let points: usize = lists.iter().map(|list| list.len()).product();
    let drawn = space
        .iter()
        .filter(|dimension| dimension.is_drawn())
        .count();
    let mut trials = Vec::new();
    for sample in 0..settings.samples {
        let numbers = numbers(settings, drawn, sample);
        for point in 0..points {
            let mut numbers = numbers.iter();
            let mut rest = points;
            let mut left = point;
            let trial = space.iter().map(|dimension| {
                let value = match grid(dimension) {
                    Some(list) => {
                        rest /= list.len();
                        let index = left / rest;
                        left %= rest;
                        list[index].clone()
                    }
                    None => value_at(&dimension.values, *numbers.next().unwrap_or(&0.0)),
                };
                dimension.setting(value)
            });
            trials.push(trial.collect());
        }
    }
    trials
}

fn grid(dimension: &Dimension) -> Option<&Vec<String>> {
    match &dimension.values {
        Values::Grid(list) => Some(list),
        _ => None,
    }
}

/// Sample number `sample` as numbers in [0, 1), one for each drawn dimension.
fn numbers(settings: &SweepSettings, dimensions: usize, sample: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    match settings.sampler {
        Sampler::Random => {
            random.set_stream(sample + 1);
            (0..dimensions).map(|_| random.random()).collect()
        }
        Sampler::Quasi => {
            // Martin Roberts' R sequence: steps of 1/φ, 1/φ², ..., where φ is the root above 1 of x^(d+1) = x + 1.
            let degree = dimensions as i32 + 1;
            let root = (0..64).fold(2.0_f64, |x, _| (1.0 + x).powf(1.0 / f64::from(degree)));
            (1..degree)
                .map(|power| {
                    let shift: f64 = random.random();
                    (shift + (sample + 1) as f64 / root.powi(power)).fract()
                })
                .collect()
        }
    }
}

/// The value at a place in [0, 1).
fn value_at(values: &Values, place: f64) -> String {
    match values {
        Values::Grid(list) | Values::Choice(list) => {
            let index = (place * list.len() as f64) as usize;
            list[index.min(list.len() - 1)].clone()
        }
        Values::Uniform(low, high) => number(low + (high - low) * place),
        Values::LogUniform(low, high) => number(
            (low.ln() + (high / low).ln() * place)
                .exp()
                .clamp(*low, *high),
        ),
        Values::Int(low, high) => {
            let count = high.abs_diff(*low).saturating_add(1) as f64;
            low.saturating_add((place * count) as i64)
                .min(*high)
                .to_string()
        }
    }
}

/// A setting a little different from `value`: a number times or divided by `factor`, one of a list for its neighbor.
pub(super) fn perturbed(
    dimension: &Dimension,
    value: &str,
    factor: f64,
    random: &mut ChaCha8Rng,
) -> String {
    let is_up: bool = random.random();
    let scaled = |value: f64| {
        if is_up {
            value * factor
        } else {
            value / factor
        }
    };
    match &dimension.values {
        Values::Uniform(low, high) | Values::LogUniform(low, high) => {
            let value: f64 = value.parse().unwrap_or(*low);
            number(scaled(value).clamp(*low, *high))
        }
        Values::Int(low, high) => {
            let value: i64 = value.parse().unwrap_or(*low);
            let step = ((scaled(value as f64)).round() as i64).saturating_sub(value);
            // One at least, or a small number would never move.
            let step = match step {
                0 if is_up => 1,
                0 => -1,
                step => step,
            };
            value.saturating_add(step).clamp(*low, *high).to_string()
        }
        Values::Grid(list) | Values::Choice(list) => {
            let at = list.iter().position(|it| it == value).unwrap_or(0);
            let next = if is_up { at + 1 } else { at.saturating_sub(1) };
            list[next.min(list.len() - 1)].clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::SweepFile;
    use super::*;

    fn trials(more: &str, space: &str) -> Vec<Vec<String>> {
        let text = format!("Sweep(scene: \"a\", {more} space: {{ {space} }})");
        let file = SweepFile::parse("a.ron", &text).unwrap();
        let trials = draw(&file.space, &file.settings).into_iter();
        trials
            .map(|trial| trial.into_iter().map(|setting| setting.value).collect())
            .collect()
    }

    #[test]
    fn a_grid_has_each_point_once_and_every_sample_has_the_whole_grid() {
        let grid = trials("", "\"A.a\": Grid([1, 2]), \"A.b\": Grid([x, \"y\", Z(1)])");
        let flat: Vec<String> = grid.iter().map(|it| it.join(" ")).collect();
        assert_eq!(
            flat,
            ["1 x", "1 \"y\"", "1 Z(1)", "2 x", "2 \"y\"", "2 Z(1)"]
        );
        let both = trials(
            "samples: 3,",
            "\"A.a\": Grid([1, 2]), \"A.b\": Uniform(0, 1)",
        );
        assert_eq!(both.len(), 6);
        assert!(both.chunks(2).all(|pair| pair[0][1] == pair[1][1]));
    }

    #[test]
    fn draws_stay_within_their_ends_and_hang_on_the_seed_alone() {
        let space = "\"A.a\": LogUniform(1e-4, 1e-2), \"A.b\": Int(-2, 2), \"A.c\": Choice([p, q]), \"A.d\": Uniform(5, 6)";
        for sampler in ["Quasi", "Random"] {
            let drawn = |seed: u32| {
                trials(
                    &format!("samples: 200, sampler: {sampler}, seed: {seed},"),
                    space,
                )
            };
            let first = drawn(0);
            assert_eq!(first, drawn(0));
            assert_ne!(first, drawn(1));
            let mut ints = [0; 5];
            for trial in &first {
                let a: f64 = trial[0].parse().unwrap();
                let d: f64 = trial[3].parse().unwrap();
                assert!((1e-4..=1e-2).contains(&a) && (5.0..=6.0).contains(&d));
                ints[(trial[1].parse::<i64>().unwrap() + 2) as usize] += 1;
            }
            assert!(
                ints.iter().all(|count| (20..=60).contains(count)),
                "{ints:?}"
            );
            let below = first
                .iter()
                .filter(|it| it[0].parse::<f64>().unwrap() < 1e-3);
            assert!((80..=120).contains(&below.count()), "half of the decades");
        }
    }

    #[test]
    fn quasi_random_draws_are_spread_more_evenly_than_random_ones() {
        // The largest gap between 64 sorted draws.
        let gap = |sampler: &str| {
            let drawn = trials(
                &format!("samples: 64, sampler: {sampler},"),
                "\"A.a\": Uniform(0, 1)",
            );
            let mut drawn: Vec<f64> = drawn.iter().map(|it| it[0].parse().unwrap()).collect();
            drawn.sort_by(f64::total_cmp);
            drawn.windows(2).map(|it| it[1] - it[0]).fold(0.0, f64::max)
        };
        assert!(gap("Quasi") < 0.03 && gap("Random") > 0.04);
    }

    #[test]
    fn a_perturbed_value_moves_and_stays_within_its_ends() {
        let text = "Sweep(scene: \"a\", space: { \"A.a\": LogUniform(1, 4), \"A.b\": Int(1, 3), \"A.c\": Choice([p, q, r]) })";
        let file = SweepFile::parse("a.ron", text).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            for (dimension, value) in file.space.iter().zip(["2.0", "2", "q"]) {
                seen.insert(perturbed(dimension, value, 1.5, &mut random));
            }
            seen.insert(perturbed(&file.space[0], "4.0", 1.5, &mut random));
        }
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        assert_eq!(
            seen,
            ["1", "1.33333", "2.66667", "3", "3.0", "4.0", "p", "r"]
        );
    }
}
