//! A summary out of the text's own sentences: the most central by continuous LexRank (Erkan and Radev, 2004), chosen so that
//! they do not repeat each other (maximal marginal relevance, Carbonell and Goldstein 1998), in the order of the text.

use super::{
    segment::{Sentence, sentences, words},
    sentiment::rounded,
};
use rust_stemmers::{Algorithm, Stemmer};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

/// Of longer texts only the sentences with the most telling words are compared: comparing all takes the square of them.
const MAX_COMPARED: usize = 500;
/// The most sentences of a summary whose length was not said.
const DEFAULT_MOST: usize = 5;
/// The share of a random reader who follows similarity; the others begin anywhere.
const DAMPING: f64 = 0.85;
/// How much being central counts beside being new.
const CENTRALITY: f64 = 0.8;
/// From this likeness on, a sentence says again what another said.
const REPETITION: f64 = 0.9;
const ROUNDS: usize = 100;
const SETTLED: f64 = 1e-9;

static STOP_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "a about above after again against all am an and any are as at be because been before being below between both but by can could did do does \
     doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more most \
     my myself no nor not now of off on once only or other our ours out over own same she should so some such than that the their theirs them then \
     there these they this those through to too under until up very was we were what when where which while who whom why will with would you your \
     yours"
        .split_whitespace()
        .collect()
});

/// The most central sentences.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Summary {
    /// Characters in the text.
    original_length: usize,
    /// The sentences, in their order.
    summary: String,
    /// Characters in the summary, as a share of those in the text.
    compression_ratio: f64,
    /// Characters in the summary.
    summary_length: usize,
    /// Each sentence of the summary with its place and weight.
    key_sentences: Vec<KeySentence>,
}

/// One sentence of a summary.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeySentence {
    /// The number of the sentence in the text, from 0.
    index: usize,
    /// Where it begins in the text, in bytes of UTF-8.
    offset: usize,
    /// How central it is, 1 for the most central.
    score: f64,
}

pub(super) fn of(text: &str, max_sentences: Option<usize>) -> Summary {
    let all = sentences(text);
    let wanted = max_sentences.unwrap_or_else(|| all.len().div_ceil(3).min(DEFAULT_MOST)).max(1);
    let chosen = choose(&all, wanted);
    let summary = chosen.iter().map(|(index, _)| all[*index].text).collect::<Vec<_>>().join(" ");
    let (original_length, summary_length) = (text.chars().count(), summary.chars().count());
    let ratio = if original_length == 0 { 0.0 } else { summary_length as f64 / original_length as f64 };
    let key_sentences = chosen.into_iter().map(|(index, score)| KeySentence { index, offset: all[index].offset, score: rounded(score, 4) });
    Summary { original_length, compression_ratio: rounded(ratio, 4), summary_length, key_sentences: key_sentences.collect(), summary }
}

/// The numbers of the chosen sentences in their order, with their scores.
fn choose(all: &[Sentence<'_>], wanted: usize) -> Vec<(usize, f64)> {
    let vectors = vectors(all);
    let compared = most_telling(&vectors);
    let similarity: Vec<Vec<f64>> =
        compared.iter().map(|a| compared.iter().map(|b| cosine(&vectors[*a], &vectors[*b])).collect()).collect();
    let scores = centrality(&similarity);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < wanted.min(compared.len()) {
        let worth = |candidate: usize| {
            let repeated = chosen.iter().map(|earlier| similarity[candidate][*earlier]).fold(0.0, f64::max);
            if repeated > REPETITION {
                return -1.0;
            }
            CENTRALITY * scores[candidate] - (1.0 - CENTRALITY) * repeated
        };
        let open = (0..compared.len()).filter(|candidate| !chosen.contains(candidate));
        // Of equals the earlier: a text says first what matters.
        let Some(best) = open.max_by(|a, b| worth(*a).total_cmp(&worth(*b)).then(b.cmp(a))) else { break };
        chosen.push(best);
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|place| (compared[place], scores[place])).collect()
}

type Vector = BTreeMap<usize, f64>;

/// Each sentence by the weights of its stems: often here and seldom elsewhere weighs much (TF-IDF).
fn vectors(all: &[Sentence<'_>]) -> Vec<Vector> {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut counts: Vec<Vector> = Vec::with_capacity(all.len());
    for sentence in all {
        let mut vector = Vector::new();
        for word in words(sentence.text).map(str::to_lowercase).filter(|word| !STOP_WORDS.contains(word.as_str())) {
            let next = numbers.len();
            let number = *numbers.entry(stemmer.stem(&word).into_owned()).or_insert(next);
            *vector.entry(number).or_default() += 1.0;
        }
        counts.push(vector);
    }
    let mut spread = vec![0_usize; numbers.len()];
    counts.iter().flat_map(Vector::keys).for_each(|number| spread[*number] += 1);
    for vector in &mut counts {
        for (number, weight) in vector.iter_mut() {
            *weight *= ((1.0 + all.len() as f64) / (1.0 + spread[*number] as f64)).ln() + 1.0;
        }
    }
    counts
}

fn most_telling(vectors: &[Vector]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..vectors.len()).collect();
    if order.len() > MAX_COMPARED {
        let weight = |index: &usize| vectors[*index].values().sum::<f64>();
        order.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.cmp(b)));
        order.truncate(MAX_COMPARED);
        order.sort_unstable();
    }
    order
}

fn cosine(a: &Vector, b: &Vector) -> f64 {
    let length = |vector: &Vector| vector.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    let shared: f64 = a.iter().filter_map(|(number, weight)| Some(weight * b.get(number)?)).sum();
    if shared == 0.0 { 0.0 } else { shared / (length(a) * length(b)) }
}

/// Where a reader ends up who goes on from each sentence to a similar one, never to itself: that would make a sentence
/// central which nothing resembles. Scaled, so that the most central has 1.
fn centrality(similarity: &[Vec<f64>]) -> Vec<f64> {
    let count = similarity.len();
    let likeness = |from: usize, to: usize| if from == to { 0.0 } else { similarity[from][to] };
    let totals: Vec<f64> = (0..count).map(|from| (0..count).map(|to| likeness(from, to)).sum()).collect();
    let mut scores = vec![1.0 / count.max(1) as f64; count];
    for _ in 0..ROUNDS {
        let next: Vec<f64> = (0..count)
            .map(|to| {
                let arriving: f64 =
                    (0..count).filter(|from| totals[*from] > 0.0).map(|from| scores[from] * likeness(from, to) / totals[from]).sum();
                (1.0 - DAMPING) / count as f64 + DAMPING * arriving
            })
            .collect();
        let moved: f64 = next.iter().zip(&scores).map(|(a, b)| (a - b).abs()).sum();
        scores = next;
        if moved < SETTLED {
            break;
        }
    }
    let most = scores.iter().copied().fold(0.0, f64::max);
    scores.iter().map(|score| if most > 0.0 { score / most } else { 0.0 }).collect()
}
