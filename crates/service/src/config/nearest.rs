//! The word that was meant by one that was mistyped.

/// The most letters that are compared: nobody means a key by a longer word.
const LONGEST: usize = 64;

/// Which of `known` is nearest to `word`, if any is near: one or two letters apart, or one the beginning of the other.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    if word.len() > LONGEST {
        return None;
    }
    let begins = |key: &&&str| word.len() > 2 && (word.starts_with(**key) || key.starts_with(&word));
    let near = known.iter().map(|key| (distance(&word, key), *key)).min();
    let near = near.filter(|(distance, key)| *distance <= 2 && *distance < key.len().max(2) - 1);
    near.map(|(_, key)| key).or_else(|| known.iter().find(begins).copied())
}

/// How many letters must be put in, left out, changed, or changed with their neighbours to make `one` of `other`.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, (with, pair)) in other.iter().zip(last.windows(2)).enumerate() {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            let mut least = (diagonal + usize::from(letter != with)).min(above + 1).min(left + 1);
            let swapped = |at: usize| one.get(at) == Some(with) && other.get(column.wrapping_sub(1)) == Some(letter);
            if row > 0 && column > 0 && swapped(row - 1) {
                least = least.min(before.get(column - 1).copied().unwrap_or(usize::MAX - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_as_far_as_its_letters_differ() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("keep", "keep", 0),
            ("kep", "keep", 1),
            ("kepe", "keep", 1),
            ("shcedule", "schedule", 1),
            ("äöü", "aou", 3),
            ("ab", "ba", 1),
            ("name", "zone", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_was_meant_is_found_and_what_is_far_is_not() {
        let known = ["at_once", "every", "keep", "name", "password", "schedule", "to"];
        for (word, expected) in [
            ("shcedule", Some("schedule")),
            ("Name", Some("name")),
            ("at-once", Some("at_once")),
            ("password_file", Some("password")),
            ("sched", Some("schedule")),
            ("keeep", Some("keep")),
            ("frobnicate", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
        assert_eq!(nearest(&"k".repeat(1 << 20), &known), None);
    }
}
