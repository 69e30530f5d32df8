//! Sentiment by VADER (Hutto and Gilbert, 2014): a lexicon of valences, and rules for what stands around a word. Scores
//! equal those of the reference implementation, 3.3.2, quirks included, so that they can be compared.

use super::segment;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// From this compound score on, a text is positive, and below its negative, negative: the thresholds of the paper.
const THRESHOLD: f64 = 0.05;
const INCREASE: f64 = 0.293;
const CAPITALS: f64 = 0.733;
const NEGATION: f64 = -0.74;
const MAX_EVIDENCE: usize = 50;
const MAX_SENTENCES: usize = 200;

static VALENCES: LazyLock<HashMap<&'static str, f64>> = LazyLock::new(|| {
    table(include_str!("data/valence.tsv")).map(|(word, mean)| (word, mean.parse().expect("the lexicon holds numbers"))).collect()
});

static EMOJI: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    table(include_str!("data/emoji.tsv")).filter_map(|(emoji, description)| Some((emoji.chars().next()?, description))).collect()
});

static NEGATIONS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "aint arent cannot cant couldnt darent didnt doesnt ain't aren't can't couldn't daren't didn't doesn't dont hadnt hasnt havent isnt mightnt \
     mustnt neither don't hadn't hasn't haven't isn't mightn't mustn't neednt needn't never none nope nor not nothing nowhere oughtnt shant \
     shouldnt uhuh wasnt werent oughtn't shan't shouldn't uh-uh wasn't weren't without wont wouldnt won't wouldn't rarely seldom despite"
        .split_whitespace()
        .collect()
});

/// Adverbs of degree, those that strengthen and those that weaken.
static BOOSTERS: LazyLock<HashMap<&'static str, f64>> = LazyLock::new(|| {
    let strengthening = "absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous enormously entirely \
        especially exceptional exceptionally extreme extremely fabulously flipping flippin frackin fracking fricking frickin frigging friggin fully \
        fuckin fucking fuggin fugging greatly hella highly hugely incredible incredibly intensely major majorly more most particularly purely quite \
        really remarkably so substantially thoroughly total totally tremendous tremendously uber unbelievably unusually utter utterly very";
    let weakening = "almost barely hardly kinda kindof kind-of less little marginal marginally occasional occasionally partly scarce scarcely slight \
        slightly somewhat sorta sortof sort-of";
    let pairs = ["just enough", "kind of", "sort of"].map(|pair| (pair, -INCREASE));
    let weighed = |words: &'static str, weight: f64| words.split_whitespace().map(move |word| (word, weight));
    weighed(strengthening, INCREASE).chain(weighed(weakening, -INCREASE)).chain(pairs).collect()
});

const IDIOMS: &[(&str, f64)] = &[
    ("the shit", 3.0),
    ("the bomb", 3.0),
    ("bad ass", 1.5),
    ("badass", 1.5),
    ("bus stop", 0.0),
    ("yeah right", -2.0),
    ("kiss of death", -1.5),
    ("to die for", 3.0),
    ("beating heart", 3.5),
];

/// How positive or negative a text is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Sentiment {
    /// Characters in the text.
    text_length: usize,
    /// The sentiment: positive from a compound score of 0.05 on, negative from -0.05 down.
    sentiment: Label,
    /// How many words speak for a positive sentiment, what stands around them considered.
    positive_indicators: usize,
    /// How many words speak for a negative one.
    negative_indicators: usize,
    /// The scores behind the label.
    scores: Scores,
    /// The compound score of each sentence, up to 200: long texts drift to the ends of the scale, their sentences do not.
    sentence_scores: Vec<f64>,
    /// The words that decided, up to 50, with their weights.
    evidence: Vec<Evidence>,
}

/// One word for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Label {
    /// Mostly positive.
    Positive,
    /// Mostly negative.
    Negative,
    /// Neither.
    Neutral,
}

/// VADER's scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Scores {
    /// From -1, most negative, to 1, most positive.
    pub(super) compound: f64,
    /// The share of the text that is positive.
    pub(super) positive: f64,
    /// The share that is neutral.
    pub(super) neutral: f64,
    /// The share that is negative.
    pub(super) negative: f64,
}

/// A word that speaks for a sentiment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Evidence {
    /// The word.
    word: String,
    /// Its weight where it stands, from some -5 to 5.
    weight: f64,
}

pub(super) fn of(text: &str) -> Sentiment {
    let words = Words::of(text);
    let weights = words.weights();
    let scores = score(&weights, &words.text);
    let sentiment = match scores.compound {
        compound if compound >= THRESHOLD => Label::Positive,
        compound if compound <= -THRESHOLD => Label::Negative,
        _ => Label::Neutral,
    };
    let sentences = segment::sentences(text);
    let evidence = words.plain.iter().zip(&weights).filter(|(_, weight)| **weight != 0.0).take(MAX_EVIDENCE);
    Sentiment {
        text_length: text.chars().count(),
        sentiment,
        positive_indicators: weights.iter().filter(|weight| **weight > 0.0).count(),
        negative_indicators: weights.iter().filter(|weight| **weight < 0.0).count(),
        scores,
        sentence_scores: sentences.iter().take(MAX_SENTENCES).map(|sentence| scores_of(sentence.text).compound).collect(),
        evidence: evidence.map(|(word, weight)| Evidence { word: word.clone(), weight: rounded(*weight, 3) }).collect(),
    }
}

pub(super) fn scores_of(text: &str) -> Scores {
    let words = Words::of(text);
    score(&words.weights(), &words.text)
}

/// The words of a text, as VADER takes them: what stands between blanks, without the punctuation around it.
struct Words {
    /// The text with emoji put into words.
    text: String,
    plain: Vec<String>,
    lower: Vec<String>,
    /// Whether some words, but not all, are in capitals: only then do capitals mean anything.
    has_emphasis: bool,
}

impl Words {
    fn of(text: &str) -> Self {
        let text = in_words(text);
        let plain: Vec<String> = text.split_whitespace().map(|token| stripped(token).to_owned()).collect();
        let capitals = plain.iter().filter(|word| is_in_capitals(word)).count();
        let lower = plain.iter().map(|word| word.to_lowercase()).collect();
        Self { has_emphasis: capitals > 0 && capitals < plain.len(), text, plain, lower }
    }

    fn weights(&self) -> Vec<f64> {
        let mut weights: Vec<f64> = (0..self.plain.len()).map(|index| self.weight(index)).collect();
        self.contrast(&mut weights);
        weights
    }

    /// The word so many places before another, if there are as many.
    fn before(&self, index: usize, distance: usize) -> Option<&str> {
        index.checked_sub(distance).map(|index| self.lower[index].as_str())
    }

    fn is(&self, index: usize, distance: usize, words: &[&str]) -> bool {
        self.before(index, distance).is_some_and(|word| words.contains(&word))
    }

    fn weight(&self, index: usize) -> f64 {
        let word = self.lower[index].as_str();
        let next = self.lower.get(index + 1).map(String::as_str);
        if BOOSTERS.contains_key(word) || (word == "kind" && next == Some("of")) {
            return 0.0;
        }
        let Some(valence) = VALENCES.get(word).copied() else { return 0.0 };
        let negates_next = word == "no" && next.is_some_and(|next| VALENCES.contains_key(next));
        let mut weight = if negates_next { 0.0 } else { valence };
        if self.is(index, 1, &["no"]) || self.is(index, 2, &["no"]) || (self.is(index, 3, &["no"]) && self.is(index, 1, &["or", "nor"])) {
            weight = valence * NEGATION;
        }
        if self.has_emphasis && is_in_capitals(&self.plain[index]) {
            weight += if weight > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for distance in 1..=3 {
            let Some(earlier) = self.before(index, distance) else { break };
            if VALENCES.contains_key(earlier) {
                continue;
            }
            // The farther away, the weaker.
            let fading = [1.0, 0.95, 0.9][distance - 1];
            weight += self.degree(index - distance, weight) * fading;
            weight = self.negated(index, distance, weight);
            if distance == 3 {
                weight = self.idiomatic(index, weight);
            }
        }
        self.least(index, weight)
    }

    /// How much an adverb of degree adds to a weight.
    fn degree(&self, index: usize, weight: f64) -> f64 {
        let Some(degree) = BOOSTERS.get(self.lower[index].as_str()) else { return 0.0 };
        let degree = if weight < 0.0 { -degree } else { *degree };
        match self.has_emphasis && is_in_capitals(&self.plain[index]) {
            true if weight > 0.0 => degree + CAPITALS,
            true => degree - CAPITALS,
            false => degree,
        }
    }

    /// What a negation so many words before does to a weight. "Never so good" is praise, "without doubt" no negation.
    fn negated(&self, index: usize, distance: usize, weight: f64) -> f64 {
        const PRAISE: f64 = 1.25;
        let is_so = |distance| self.is(index, distance, &["so", "this"]);
        let is_negation = self.before(index, distance).is_some_and(|word| NEGATIONS.contains(word) || word.contains("n't"));
        let is_never = self.is(index, distance, &["never"]);
        let is_without = self.is(index, distance, &["without"]);
        match distance {
            2 if is_never && is_so(1) => weight * PRAISE,
            2 if is_without && self.is(index, 1, &["doubt"]) => weight,
            3 if (is_never && is_so(2)) || is_so(1) => weight * PRAISE,
            3 if is_without && (self.is(index, 2, &["doubt"]) || self.is(index, 1, &["doubt"])) => weight,
            _ if is_negation => weight * NEGATION,
            _ => weight,
        }
    }

    /// Idioms around a word that mean something else than their words.
    fn idiomatic(&self, index: usize, weight: f64) -> f64 {
        let run = |from: usize, to: usize| self.lower[from..=to].join(" ");
        let idiom = |phrase: &str| IDIOMS.iter().find(|(idiom, _)| *idiom == phrase).map(|(_, weight)| *weight);
        let before =
            [run(index - 1, index), run(index - 2, index), run(index - 2, index - 1), run(index - 3, index - 1), run(index - 3, index - 2)];
        let mut weight = before.iter().find_map(|phrase| idiom(phrase)).unwrap_or(weight);
        for ahead in 1..=2 {
            if index + ahead < self.lower.len()
                && let Some(meant) = idiom(&run(index, index + ahead))
            {
                weight = meant;
            }
        }
        let pairs = [run(index - 3, index - 1), run(index - 3, index - 2), run(index - 2, index - 1)];
        weight + pairs.iter().filter_map(|pair| BOOSTERS.get(pair.as_str())).sum::<f64>()
    }

    fn least(&self, index: usize, weight: f64) -> f64 {
        let is_least = self.is(index, 1, &["least"]) && !VALENCES.contains_key("least");
        if is_least && !self.is(index, 2, &["at", "very"]) { weight * NEGATION } else { weight }
    }

    /// After "but" counts what comes, not what was. As in the reference, of equal weights only the first is found.
    fn contrast(&self, weights: &mut [f64]) {
        let Some(but) = self.lower.iter().position(|word| word == "but") else { return };
        for index in 0..weights.len() {
            let weight = weights[index];
            let first = weights.iter().position(|other| *other == weight).unwrap_or(index);
            match first.cmp(&but) {
                std::cmp::Ordering::Less => weights[first] = weight * 0.5,
                std::cmp::Ordering::Greater => weights[first] = weight * 1.5,
                std::cmp::Ordering::Equal => {}
            }
        }
    }
}

fn score(weights: &[f64], text: &str) -> Scores {
    if weights.is_empty() {
        return Scores { compound: 0.0, positive: 0.0, neutral: 0.0, negative: 0.0 };
    }
    let emphasis = punctuation(text);
    let mut sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        sum += emphasis;
    } else if sum < 0.0 {
        sum -= emphasis;
    }
    // Each word that carries weight counts one more, as a neutral one counts one.
    let mut positive: f64 = weights.iter().filter(|weight| **weight > 0.0).map(|weight| weight + 1.0).sum();
    let mut negative: f64 = weights.iter().filter(|weight| **weight < 0.0).map(|weight| weight - 1.0).sum();
    let neutral = weights.iter().filter(|weight| **weight == 0.0).count() as f64;
    if positive > negative.abs() {
        positive += emphasis;
    } else if positive < negative.abs() {
        negative -= emphasis;
    }
    let total = positive + negative.abs() + neutral;
    let share = |part: f64| rounded((part / total).abs(), 3);
    Scores {
        compound: rounded((sum / (sum * sum + 15.0).sqrt()).clamp(-1.0, 1.0), 4),
        positive: share(positive),
        neutral: share(neutral),
        negative: share(negative),
    }
}

/// What exclamation and question marks add.
fn punctuation(text: &str) -> f64 {
    let exclamations = text.matches('!').count().min(4) as f64 * 0.292;
    let questions = match text.matches('?').count() {
        0 | 1 => 0.0,
        few @ 2..=3 => few as f64 * 0.18,
        _ => 0.96,
    };
    exclamations + questions
}

/// Puts emoji into words.
fn in_words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut is_after_blank = true;
    for c in text.chars() {
        if let Some(description) = EMOJI.get(&c) {
            if !is_after_blank {
                words.push(' ');
            }
            words.push_str(description);
            is_after_blank = false;
        } else {
            words.push(c);
            is_after_blank = c == ' ';
        }
    }
    words.trim().to_owned()
}

/// Without the punctuation around it, unless hardly anything is left: then it was an emoticon.
fn stripped(token: &str) -> &str {
    let word = token.trim_matches(|c: char| c.is_ascii_punctuation());
    if word.chars().count() <= 2 { token } else { word }
}

fn is_in_capitals(word: &str) -> bool {
    word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase)
}

/// To so many places, ties to even, as the reference prints them.
pub(super) fn rounded(value: f64, places: usize) -> f64 {
    let text = format!("{value:.places$}");
    let rounded: f64 = text.parse().unwrap_or(value);
    if rounded == 0.0 { 0.0 } else { rounded }
}

fn table(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines().filter_map(|line| line.rsplit_once('\t'))
}
