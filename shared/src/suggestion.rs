//! "Did you mean …?": the known word nearest to an unknown one.

/// The known word that `word` most likely stands for, if one is near enough: the same letters in another case or with
/// other separators, a beginning of at least three letters, or one edit for every three letters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = plain(word);
    known
        .into_iter()
        .filter_map(|candidate| {
            let letters = plain(candidate);
            let is_beginning = word.len().min(letters.len()) >= 3
                && (letters.starts_with(&word) || word.starts_with(&letters));
            let distance = if is_beginning {
                1
            } else {
                distance(&word, &letters)
            };
            let allowed = word.len().max(letters.len()).div_euclid(3).max(1);
            (distance <= allowed && letters.len() < 64).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// A message without the [`hint`] that it ends with, and the hint as a sentence of its own.
pub fn part(text: &str) -> (&str, Option<&str>) {
    let at = text
        .ends_with("`?")
        .then(|| text.rfind("; did you mean `"))
        .flatten();
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((said, hint)) => (said, hint.strip_prefix("; ")),
        None => (text, None),
    }
}

/// Letters and digits in lower case. Longer words than any of ours are cut: the table below grows with their product.
fn plain(word: &str) -> Vec<char> {
    word.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Edit distance with swapped neighbours counted once (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&above, column).saturating_add(usize::from(letter != other));
            let removed = at(&above, column.saturating_add(1)).saturating_add(1);
            let added = at(&current, column).saturating_add(1);
            let mut best = changed.min(removed).min(added);
            let previous =
                |letters: &[char], at: usize| at.checked_sub(1).and_then(|at| letters.get(at).copied());
            if previous(left, row) == Some(*other)
                && previous(right, column) == Some(*letter)
                && let Some(two_before) = column.checked_sub(1)
            {
                best = best.min(at(&before, two_before).saturating_add(1));
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "required",
        "unique",
        "min_length",
        "max_length",
        "integer",
        "uuid",
    ];

    #[test]
    fn slips_of_the_finger_find_their_word() {
        for (word, wanted) in [
            ("requierd", "required"),
            ("uniqe", "unique"),
            ("maxLenght", "max_length"),
            ("MIN-LENGTH", "min_length"),
            ("int", "integer"),
            ("uudi", "uuid"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(wanted), "{word}");
        }
    }

    #[test]
    fn strangers_find_none() {
        for word in ["", "x", "colour", "geometry", &"é".repeat(10_000)] {
            assert_eq!(nearest(word, KNOWN), None, "{word}");
        }
        assert_eq!(hint("colour", KNOWN), "");
        assert_eq!(hint("uniq", KNOWN), "; did you mean `unique`?");
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("abcd"), &letters("acbd")), 1);
        assert_eq!(distance(&letters("abcd"), &letters("bcda")), 2);
        assert_eq!(distance(&[], &letters("abc")), 3);
    }
}
