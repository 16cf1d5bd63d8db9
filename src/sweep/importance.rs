//! How much a setting has to do with the objective: Spearman's rank correlation, plain enough to be explained in a line.

use super::state::State;

/// A setting with its rank correlation, from -1 to 1.
pub(super) struct Importance {
    pub name: String,
    /// Positive where larger values of the setting came with larger values of the metric; for a setting that is no number, of its place
    /// in the order of first use.
    pub correlation: f64,
}

/// All settings, the strongest first. Trials are compared at the end of the first round, which all of them have reached alike; those
/// without a value do not count.
pub(super) fn importance(state: &State) -> Vec<Importance> {
    let ended: Vec<(usize, f64)> = state
        .progress
        .iter()
        .enumerate()
        .filter_map(|(trial, progress)| Some((trial, progress.reached.first()?.value?)))
        .collect();
    let values: Vec<f64> = ended.iter().map(|(_, value)| *value).collect();
    let names = state.lineages.first().map(|it| &it.settings);
    let mut found: Vec<Importance> = (0..names.map_or(0, Vec::len))
        .map(|index| {
            let texts = ended
                .iter()
                .map(|(trial, _)| &*state.lineages[*trial].settings[index].value);
            Importance {
                name: state.lineages[0].settings[index].name(),
                correlation: correlation(&ranks(&numbers(texts)), &ranks(&values)),
            }
        })
        .collect();
    found.sort_by(|one, other| other.correlation.abs().total_cmp(&one.correlation.abs()));
    found
}

/// The values as numbers; where one is none, all as their places in the order of first use.
pub(super) fn numbers<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<f64> {
    let texts: Vec<&str> = texts.collect();
    let numbers = texts
        .iter()
        .map(|text| text.replace('_', "").parse::<f64>().ok());
    if let Some(numbers) = numbers.collect::<Option<Vec<_>>>() {
        return numbers;
    }
    let mut seen: Vec<&str> = Vec::new();
    let mut places = Vec::new();
    for text in texts {
        let place = seen.iter().position(|it| *it == text);
        places.push(place.unwrap_or(seen.len()) as f64);
        if place.is_none() {
            seen.push(text);
        }
    }
    places
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|it| *it < value).count();
        let equal = values.iter().filter(|it| *it == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Pearson's correlation; 0 where one of both does not vary.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let count = one.len().max(1) as f64;
    let [one, other] = [one, other].map(|values| {
        let mean = values.iter().sum::<f64>() / count;
        values.iter().map(|it| it - mean).collect::<Vec<_>>()
    });
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (product(&one, &one) * product(&other, &other)).sqrt();
    match scale > 0.0 {
        true => product(&one, &other) / scale,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_together_correlates_and_words_have_places() {
        let of = |one: &[f64], other: &[f64]| correlation(&ranks(one), &ranks(other));
        assert!((of(&[1.0, 10.0, 100.0], &[-3.0, -2.0, 9.0]) - 1.0).abs() < 1e-12);
        assert!((of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
        // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]) = 0.9486832980505138
        assert!(
            (of(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.9486832980505138).abs() < 1e-12
        );
        assert_eq!(numbers(["1_000", "2e-1"].into_iter()), [1000.0, 0.2]);
        assert_eq!(numbers(["Relu", "1", "Relu"].into_iter()), [0.0, 1.0, 0.0]);
    }
}
