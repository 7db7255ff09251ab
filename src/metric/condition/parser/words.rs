//! Words for messages: counts of arguments, and the known names nearest to an unknown one.

/// `len takes 1 argument, got 2`.
pub(super) fn count(name: &str, (min, max): (usize, usize), got: usize) -> String {
    let wanted = match (min, max) {
        (1, 1) => "1 argument".to_owned(),
        (min, max) if min == max => format!("{min} arguments"),
        (min, usize::MAX) => format!("at least {min} argument"),
        (min, max) => format!("{min} to {max} arguments"),
    };
    format!("{name} takes {wanted}, got {got}")
}

/// `: did you mean a, b?` for the names that differ least; nothing where none is near.
pub(super) fn near<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let most = 1 + name.chars().count() / 4;
    let mut close: Vec<(usize, &str)> = known
        .into_iter()
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .collect();
    close.sort_unstable();
    let names: Vec<&str> = close
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(": did you mean {}?", names.join(", "))
    }
}

/// How many characters must be put in, taken out or changed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
