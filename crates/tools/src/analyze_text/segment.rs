//! Sentences and words, by the boundaries of Unicode (UAX 29), mended where those know no language: after abbreviations,
//! at wrapped lines, before a tag that closes.

use unicode_segmentation::UnicodeSegmentation;

/// A sentence and where it begins, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

/// Abbreviations after which a sentence goes on, whatever comes.
const TITLES: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "gen", "col", "capt", "lt", "sgt", "rev", "hon", "sen", "rep", "gov", "pres", "fig", "vs", "no",
    "nos", "vol", "pp", "ed", "eds", "e.g", "i.e", "cf", "al", "approx", "dept", "mt", "ft",
];
/// Abbreviations after which a sentence goes on if a number comes.
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "p", "art", "sec", "ch"];

/// The sentences of a text, without the blanks around them.
pub(super) fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (offset, piece) in text.split_sentence_bound_indices().flat_map(|(offset, piece)| after_tags(offset, piece)) {
        let end = offset + piece.len();
        match spans.last_mut() {
            Some((start, last)) if goes_on(&text[*start..*last], piece) => *last = end,
            _ => spans.push((offset, end)),
        }
    }
    let trimmed = spans.into_iter().map(|(start, end)| {
        let whole = &text[start..end];
        let text = whole.trim();
        Sentence { text, offset: start + (whole.len() - whole.trim_start().len()) }
    });
    trimmed.filter(|sentence| sentence.text.chars().any(char::is_alphanumeric)).collect()
}

/// Whether a piece belongs to the sentence before it.
fn goes_on(before: &str, piece: &str) -> bool {
    let next = piece.trim_start();
    if before.trim().is_empty() {
        return true;
    }
    if !next.chars().any(char::is_alphanumeric) {
        return next.is_empty() || !is_paragraph_end(before);
    }
    // A line that was wrapped ends nothing; an empty line does.
    if before.ends_with('\n') {
        let begins_small = next.chars().next().is_some_and(char::is_lowercase);
        return begins_small && !is_paragraph_end(before) && !ends_with_stop(before);
    }
    let Some(stem) = before.trim_end().strip_suffix('.') else { return false };
    let word = stem.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“')).next().unwrap_or_default();
    let lower = word.to_lowercase();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let begins_with_digit = next.chars().next().is_some_and(char::is_numeric);
    is_initial || TITLES.contains(&lower.as_str()) || (begins_with_digit && MONTHS.contains(&lower.as_str()))
}

/// Parts a piece where a sentence ends before tags that close: to Unicode the letters in the tag go on with it.
fn after_tags(offset: usize, piece: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (place, _) in piece.match_indices("</") {
        let end = place + closing_tags(&piece[place..]);
        let is_end = ends_with_stop(&piece[start..place]) && piece[end..].starts_with(char::is_whitespace);
        if place >= start && is_end {
            parts.push((offset + start, &piece[start..end]));
            start = end;
        }
    }
    parts.push((offset + start, &piece[start..]));
    parts
}

/// The length of the closing tags at the beginning of a text.
fn closing_tags(text: &str) -> usize {
    let mut length = 0;
    while let Some(end) = text[length..].strip_prefix("</").and_then(|rest| rest.find('>')) {
        length += end + 3;
    }
    length
}

fn is_paragraph_end(text: &str) -> bool {
    text.chars().rev().take_while(|c| c.is_whitespace()).filter(|c| *c == '\n').count() > 1
}

fn ends_with_stop(text: &str) -> bool {
    text.trim_end().ends_with(['.', '!', '?', '…', '。', '！', '？', '।', ':'])
}

/// The words of a text. What stands between blanks is one word (`mother-in-law`, `don't`); where a script sets no blanks,
/// Unicode's boundaries decide.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|token| {
        let has_no_blanks = token.chars().any(is_unspaced);
        let whole = (!has_no_blanks).then(|| token.trim_matches(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
        let parts = has_no_blanks.then(|| token.unicode_words());
        whole.into_iter().chain(parts.into_iter().flatten())
    })
}

/// Characters of scripts that are written without blanks between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = sentences(text);
        assert_eq!(found.iter().map(|sentence| sentence.text).collect::<Vec<_>>(), expected, "{text:?}");
        for sentence in found {
            assert!(text[sentence.offset..].starts_with(sentence.text));
        }
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        check("One. Two! Three?", &["One.", "Two!", "Three?"]);
        check(
            "Mrs. Gray saw Dr. A. B. Chen at 9 a.m. on Feb. 4. It rained.",
            &["Mrs. Gray saw Dr. A. B. Chen at 9 a.m. on Feb. 4.", "It rained."],
        );
        check("It cost 3.50 in the U.S. market, e.g. Ohio. Fine.", &["It cost 3.50 in the U.S. market, e.g. Ohio.", "Fine."]);
        check("We left at 5 p.m. Nobody came.", &["We left at 5 p.m.", "Nobody came."]);
        check("Nails\nScrews\nBolts", &["Nails", "Screws", "Bolts"]);
        check("This line was\nwrapped by hand.\n\nThis one is new.", &["This line was\nwrapped by hand.", "This one is new."]);
        check("A.\r\n\r\nB is next.", &["A.", "B is next."]);
        check("<p>Read <b>this</b>.</p> Then rest.", &["<p>Read <b>this</b>.</p>", "Then rest."]);
        check("雨が降った。家にいた！", &["雨が降った。", "家にいた！"]);
        check("वह आया। वह गया।", &["वह आया।", "वह गया।"]);
        check("", &[]);
        check(" \n ... \n", &[]);
    }

    #[test]
    fn words_are_what_stands_between_blanks() {
        let found = |text: &'static str| words(text).collect::<Vec<_>>();
        assert_eq!(found("My mother-in-law's dog — don't ask!"), ["My", "mother-in-law's", "dog", "don't", "ask"]);
        assert_eq!(found("3.5 km, (ok)"), ["3.5", "km", "ok"]);
        assert!(found("今日は雨").len() > 1);
        assert!(found("-- !! 🙂").is_empty());
    }
}
