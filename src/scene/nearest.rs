//! The valid name that somebody most likely meant.

/// Most names that a help line lists.
const MOST_LISTED: usize = 24;

/// The valid names near enough to `written` to be what was meant, nearest first, at most three.
///
/// Near is: equal but for case and underscores, or few edits (a third of the length, at least one) apart, or beginning alike.
pub(crate) fn nearest<'n>(written: &str, valid: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    // An absurdly long name is near nothing, and edit distance is quadratic.
    if written.len() > 100 {
        return Vec::new();
    }
    let sought = plain(written);
    let mut near: Vec<(usize, &str)> = valid
        .into_iter()
        .filter_map(|name| {
            let candidate = plain(name);
            let edits = strsim::damerau_levenshtein(&sought, &candidate);
            let most = (sought.chars().count().max(candidate.chars().count()) / 3).max(1);
            let begins = sought.len() >= 3
                && (candidate.starts_with(&sought) || sought.starts_with(&candidate));
            (edits <= most || begins).then_some((edits, name))
        })
        .collect();
    near.sort();
    near.dedup();
    let best = near.first().map_or(0, |(edits, _)| *edits);
    near.into_iter()
        .filter(|(edits, _)| *edits <= best + 1)
        .take(3)
        .map(|(_, name)| name)
        .collect()
}

/// The name without case, underscores and hyphens.
pub(crate) fn plain(name: &str) -> String {
    name.replace(['_', '-'], "").to_lowercase()
}

/// A help line: ``did you mean `alpha`? the fields are: alpha, batch``.
///
/// `what` is the plural of what the names are, such as `fields`.
pub(crate) fn suggestion<'n>(
    written: &str,
    valid: impl IntoIterator<Item = &'n str> + Clone,
    what: &str,
) -> Option<String> {
    let names: Vec<&str> = valid.clone().into_iter().collect();
    if names.is_empty() {
        return Some(format!("there are no {what} here"));
    }
    let mut list = names
        .iter()
        .take(MOST_LISTED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST_LISTED {
        list.push_str(&format!(", and {} more", names.len() - MOST_LISTED));
    }
    let near: Vec<String> = nearest(written, valid)
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect();
    Some(if near.is_empty() {
        format!("the {what} are: {list}")
    } else {
        format!("did you mean {}? the {what} are: {list}", near.join(" or "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] = ["alpha", "batch", "discount", "learning_rate", "n_step"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        assert_eq!(nearest("alhpa", FIELDS), ["alpha"]);
        assert_eq!(nearest("learningRate", FIELDS), ["learning_rate"]);
        assert_eq!(nearest("nstep", FIELDS), ["n_step"]);
        assert_eq!(nearest("disc", FIELDS), ["discount"]);
    }

    #[test]
    fn a_name_like_no_other_suggests_nothing_but_lists_all() {
        assert!(nearest("wombat_size", FIELDS).is_empty());
        let help = suggestion("wombat_size", FIELDS, "fields").unwrap();
        assert_eq!(
            help,
            "the fields are: alpha, batch, discount, learning_rate, n_step"
        );
    }

    #[test]
    fn an_absurdly_long_name_costs_no_time() {
        assert!(nearest(&"a".repeat(1_000_000), FIELDS).is_empty());
    }
}
