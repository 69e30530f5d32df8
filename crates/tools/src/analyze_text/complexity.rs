//! How hard a text is to read: counts, and the usual indices over them.
//!
//! Sources: Flesch 1948 (reading ease), Kincaid 1975 (grade), Gunning 1952 (fog), McLaughlin 1969 (SMOG), Smith and Senter
//! 1967 (ARI), Coleman and Liau 1975, Björnsson 1968 (LIX). All but LIX and ARI are made for English.

use super::{
    segment::{sentences, words},
    sentiment::rounded,
};
use schemars::JsonSchema;
use serde::Serialize;

/// Above so many words a sentence a text is complex.
const HIGH: f64 = 20.0;
/// Above so many, somewhat.
const MEDIUM: f64 = 10.0;
/// From so many letters on a word is long, for LIX.
const LONG_WORD: usize = 7;

/// How hard a text is to read.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Complexity {
    /// Sentences.
    sentences: usize,
    /// Words.
    words: usize,
    /// Words in an average sentence.
    avg_words_per_sentence: f64,
    /// high above 20 words a sentence, medium above 10, else low.
    complexity_score: Score,
    /// Characters other than blanks, for each word.
    avg_characters_per_word: f64,
    /// Syllables, by a rule for English.
    syllables: usize,
    /// Words of three syllables and more.
    polysyllables: usize,
    /// Different words, whatever their case, as a share of all.
    lexical_diversity: f64,
    /// Words in the longest sentence.
    longest_sentence_words: usize,
    /// The usual indices.
    readability: Readability,
}

/// How complex, in a word.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Score {
    /// Up to 10 words a sentence.
    #[default]
    Low,
    /// Up to 20.
    Medium,
    /// More.
    High,
}

/// Readability indices.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Readability {
    /// 100 is very easy, 0 very hard.
    flesch_reading_ease: f64,
    /// The school year (US) that reads it with ease.
    flesch_kincaid_grade: f64,
    /// As years of schooling.
    gunning_fog: f64,
    /// As years of schooling; made for 30 sentences and more.
    smog: f64,
    /// As a school year, from characters and words.
    automated_readability_index: f64,
    /// As a school year, from letters and words.
    coleman_liau: f64,
    /// Below 30 very easy, above 60 very hard; for any language with blanks between words.
    lix: f64,
}

pub(super) fn of(text: &str) -> Complexity {
    let words_of_sentences: Vec<usize> =
        sentences(text).iter().map(|sentence| words(sentence.text).count()).filter(|count| *count > 0).collect();
    let all: Vec<&str> = words(text).collect();
    if all.is_empty() {
        return Complexity::default();
    }
    let counts = Counts::of(text, &all, words_of_sentences.len().max(1));
    let average = counts.words / counts.sentences;
    let mut distinct: Vec<String> = all.iter().map(|word| word.to_lowercase()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    Complexity {
        sentences: words_of_sentences.len().max(1),
        words: all.len(),
        avg_words_per_sentence: rounded(average, 2),
        complexity_score: match average {
            average if average > HIGH => Score::High,
            average if average > MEDIUM => Score::Medium,
            _ => Score::Low,
        },
        avg_characters_per_word: rounded(counts.characters / counts.words, 2),
        syllables: counts.syllables as usize,
        polysyllables: counts.polysyllables as usize,
        lexical_diversity: rounded(distinct.len() as f64 / counts.words, 3),
        longest_sentence_words: words_of_sentences.into_iter().max().unwrap_or_default(),
        readability: counts.readability(),
    }
}

/// What the indices are made of.
struct Counts {
    sentences: f64,
    words: f64,
    characters: f64,
    letters: f64,
    syllables: f64,
    polysyllables: f64,
    long_words: f64,
}

impl Counts {
    fn of(text: &str, words: &[&str], sentences: usize) -> Self {
        let characters = text.chars().filter(|c| !c.is_whitespace()).count() as f64;
        let total = |count: &dyn Fn(&str) -> usize| words.iter().map(|word| count(word)).sum::<usize>() as f64;
        let letters = |word: &str| word.chars().filter(|c| c.is_alphabetic()).count();
        Self {
            sentences: sentences as f64,
            words: words.len() as f64,
            characters,
            letters: total(&letters),
            syllables: total(&syllables),
            polysyllables: total(&|word| usize::from(syllables(word) >= 3)),
            long_words: total(&|word| usize::from(letters(word) >= LONG_WORD)),
        }
    }

    fn readability(&self) -> Readability {
        let words_per_sentence = self.words / self.sentences;
        let syllables_per_word = self.syllables / self.words;
        let polysyllabic_share = self.polysyllables / self.words;
        Readability {
            flesch_reading_ease: rounded(206.835 - 1.015 * words_per_sentence - 84.6 * syllables_per_word, 2),
            flesch_kincaid_grade: rounded(0.39 * words_per_sentence + 11.8 * syllables_per_word - 15.59, 2),
            gunning_fog: rounded(0.4 * (words_per_sentence + 100.0 * polysyllabic_share), 2),
            smog: rounded(1.043 * (self.polysyllables * 30.0 / self.sentences).sqrt() + 3.1291, 2),
            automated_readability_index: rounded(4.71 * self.characters / self.words + 0.5 * words_per_sentence - 21.43, 2),
            coleman_liau: rounded(5.88 * self.letters / self.words - 29.6 * self.sentences / self.words - 15.8, 2),
            lix: rounded(words_per_sentence + 100.0 * self.long_words / self.words, 2),
        }
    }
}

/// Counts groups of vowels, less those that are silent in English.
fn syllables(word: &str) -> usize {
    let letters: Vec<char> = word.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    if letters.is_empty() {
        // A number is said in words, of which we know only that there is one.
        return 1;
    }
    let is_vowel =
        |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'ä' | 'ö' | 'ü' | 'é' | 'è' | 'ê' | 'á' | 'à' | 'í' | 'ó' | 'ú');
    let mut count = 0;
    let mut was_vowel = false;
    for (index, letter) in letters.iter().enumerate() {
        let is_now = is_vowel(*letter);
        // "io" and "ia" are said apart, except where they soften what stands before ("nation", "special").
        let is_apart = was_vowel && matches!((letters[index - 1], *letter), ('i', 'a' | 'o' | 'u') | ('u', 'a'));
        let is_softened = index >= 2 && matches!(letters[index - 2], 't' | 'c' | 's' | 'g' | 'x' | 'q');
        // "idea", "video": but not "sea", "plea".
        let ends_apart = was_vowel && index + 1 == letters.len() && count >= 2 && matches!((letters[index - 1], *letter), ('e', 'a' | 'o'));
        if is_now && (!was_vowel || ends_apart || (is_apart && !is_softened)) {
            count += 1;
        }
        was_vowel = is_now;
    }
    let ends = |ending: &str| letters.iter().rev().copied().take(ending.len()).eq(ending.chars().rev());
    let before_last = |back: usize| letters.len().checked_sub(back).map(|index| letters[index]);
    let is_silent_e =
        ends("e") && !(ends("le") && before_last(3).is_some_and(|c| !is_vowel(c))) && before_last(2).is_some_and(|c| !is_vowel(c));
    let is_silent_ed = ends("ed") && before_last(3).is_some_and(|c| !is_vowel(c) && !matches!(c, 't' | 'd'));
    let is_silent_es = ends("es") && before_last(3).is_some_and(|c| !is_vowel(c) && !matches!(c, 's' | 'x' | 'z' | 'c' | 'g' | 'h' | 'l'));
    if count > 1 && (is_silent_e || is_silent_ed || is_silent_es) {
        count -= 1;
    }
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_those_of_a_dictionary() {
        for (word, expected) in [
            ("cat", 1),
            ("table", 2),
            ("make", 1),
            ("jumped", 1),
            ("wanted", 2),
            ("nation", 2),
            ("special", 2),
            ("idea", 3),
            ("readability", 5),
            ("people", 2),
            ("the", 1),
            ("houses", 2),
            ("video", 3),
            ("rhythm", 1),
            ("42", 1),
            ("queue", 1),
            ("radio", 3),
        ] {
            assert_eq!(syllables(word), expected, "{word}");
        }
    }
}
