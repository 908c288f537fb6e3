//! What is embedded: sentences of our own.

/// Eight subjects of eight themes of four sentences: a statement, a paraphrase of it, one about the same that says
/// something else, and one that only shares words with it. So similarities of pairs go from unrelated over neighbouring to
/// nearly the same.
const TEXT: &str = include_str!("../sentences.txt");

const PER_THEME: usize = 4;
const THEMES_OF_SUBJECT: usize = 8;

/// All sentences, subject by subject.
pub fn all() -> Vec<&'static str> {
    let of_ours = |line: &&str| !line.is_empty() && !line.starts_with('#');
    TEXT.lines().filter(of_ours).collect()
}

/// An eighth of them: two themes of every other subject.
pub fn few() -> Vec<&'static str> {
    let subjects = all();
    let subjects = subjects.chunks(PER_THEME * THEMES_OF_SUBJECT).step_by(2);
    subjects
        .flat_map(|subject| subject.iter().copied().take(2 * PER_THEME))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{PER_THEME, TEXT, THEMES_OF_SUBJECT, all, few};
    use std::collections::HashSet;

    #[test]
    fn there_are_256_different_ones_in_themes_of_subjects() {
        assert_eq!(all().len(), 256, "sentences");
        assert_eq!(
            all().iter().collect::<HashSet<_>>().len(),
            256,
            "different ones"
        );
        assert_eq!(few().len(), 32, "for a quick look");
        for subject in TEXT.trim().split("# ").skip(1) {
            let themes: Vec<&str> = subject.trim().split("\n\n").skip(1).collect();
            assert_eq!(themes.len(), THEMES_OF_SUBJECT, "{subject}");
            for theme in themes {
                assert_eq!(theme.lines().count(), PER_THEME, "{theme}");
            }
        }
    }

    #[test]
    fn they_are_of_all_lengths() {
        let words = |sentence: &&str| sentence.split_whitespace().count();
        let mut lengths: Vec<usize> = all().iter().map(words).collect();
        lengths.sort_unstable();
        assert!(lengths[0] >= 5 && lengths[255] <= 60, "{lengths:?}");
        assert!(lengths[8] <= 8 && lengths[247] >= 30, "{lengths:?}");
    }
}
