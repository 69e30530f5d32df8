use super::*;

fn analyzed(text: &str, analysis_type: AnalysisType) -> serde_json::Value {
    let args = Args { text: text.into(), analysis_type, max_sentences: None };
    serde_json::to_value(analyze(&args)).unwrap()
}

/// Expected scores were computed with the reference implementation, vaderSentiment 3.3.2 for Python.
#[test]
fn sentiment_scores_equal_the_reference() {
    for (text, compound, positive, neutral, negative) in [
        ("The bread was fresh and the staff were kind.", 0.6908, 0.449, 0.551, 0.0),
        ("The bread was NOT fresh, and the staff were rude!!!", -0.7039, 0.0, 0.578, 0.422),
        ("It was very, very good but the wait was horrible.", -0.5445, 0.149, 0.534, 0.317),
        ("I never said it was this good.", 0.5228, 0.36, 0.64, 0.0),
        ("No problem, no worries, nothing bad happened.", 0.8089, 0.757, 0.243, 0.0),
        ("The soup is kind of bland, sort of sad.", -0.5256, 0.0, 0.702, 0.298),
        ("Without a doubt the best trip ever :)", 0.8523, 0.651, 0.349, 0.0),
        ("AMAZING coffee and terrible cake???", 0.4539, 0.454, 0.269, 0.277),
        ("She is at least honest; he is least helpful.", 0.2425, 0.261, 0.554, 0.185),
        ("A pump and a hose.", 0.0, 0.0, 1.0, 0.0),
        ("😀 what a day", 0.3612, 0.385, 0.615, 0.0),
        ("hardly a bad result, barely any good news", -0.1531, 0.221, 0.507, 0.272),
        ("The play was the bomb and the actors are to die for.", -0.6908, 0.13, 0.486, 0.384),
        ("They were so happy but sad but happy and SAD.", -0.4356, 0.334, 0.253, 0.413),
    ] {
        assert_eq!(sentiment::scores_of(text), sentiment::Scores { compound, positive, neutral, negative }, "{text}");
    }
}

#[test]
fn a_sentiment_comes_with_its_evidence() {
    let found = analyzed("The bread was not good. The soup was great!", AnalysisType::Sentiment);
    assert_eq!(found["sentiment"], "positive");
    assert_eq!((&found["positive_indicators"], &found["negative_indicators"]), (&1.into(), &1.into()));
    assert_eq!(found["text_length"], 43);
    assert_eq!(found["evidence"][0]["word"], "good");
    assert!(found["evidence"][0]["weight"].as_f64().unwrap() < 0.0, "it is negated");
    assert_eq!(found["sentence_scores"].as_array().unwrap().len(), 2);
}

#[test]
fn complexity_follows_the_length_of_sentences() {
    let text = |words: usize| format!("{}.", vec!["word"; words].join(" "));
    for (words, score) in [(1, "low"), (10, "low"), (11, "medium"), (20, "medium"), (21, "high")] {
        let found = analyzed(&text(words), AnalysisType::Complexity);
        assert_eq!((&found["complexity_score"], &found["words"]), (&score.into(), &words.into()), "{words} words");
    }
    // Worked by hand: 2 sentences, 11 words, 15 syllables, one of three, 57 characters, one word of seven letters.
    let found = analyzed("The cat sat on the mat. An animal may be content there.", AnalysisType::Complexity);
    assert_eq!((&found["sentences"], &found["words"], &found["syllables"]), (&2.into(), &12.into(), &15.into()));
    let ease = 206.835 - 1.015 * 6.0 - 84.6 * 15.0 / 12.0;
    assert!((found["readability"]["flesch_reading_ease"].as_f64().unwrap() - ease).abs() < 0.01);
    assert!((found["readability"]["lix"].as_f64().unwrap() - (6.0 + 100.0 / 12.0)).abs() < 0.01);
}

#[test]
fn a_summary_is_made_of_the_central_sentences_in_their_order() {
    let text = "The harbour reopened on Monday. Ships had waited outside the harbour for nine days. A baker in the old town sold out of rolls. \
                The storm had filled the harbour entrance with sand, and ships could not pass. My cousin likes blue shoes. \
                Dredging the harbour entrance took a week, and now ships may enter again.";
    let found = analyzed(text, AnalysisType::Summary);
    let summary = found["summary"].as_str().unwrap();
    assert!(summary.contains("harbour") && !summary.contains("shoes") && !summary.contains("rolls"), "{summary}");
    let places: Vec<u64> = found["key_sentences"].as_array().unwrap().iter().map(|sentence| sentence["offset"].as_u64().unwrap()).collect();
    assert!(places.is_sorted() && places.len() == 2, "{places:?}");
    assert_eq!(found["original_length"], text.chars().count());
    let ratio = summary.chars().count() as f64 / text.chars().count() as f64;
    assert!((found["compression_ratio"].as_f64().unwrap() - ratio).abs() < 1e-4);

    let twice = "The pump is broken again. The pump is broken again. Nobody ordered the spare parts for it.";
    let found = summary::of(twice, Some(2));
    assert!(serde_json::to_value(found).unwrap()["summary"].as_str().unwrap().contains("spare parts"), "what was said is not said again");
}

#[test]
fn texts_without_words_are_answered() {
    for text in ["", " \n\t", "...", "🙂🙃", "\u{200b}"] {
        for kind in [AnalysisType::Sentiment, AnalysisType::Complexity, AnalysisType::Summary] {
            let found = analyzed(text, kind);
            assert_eq!(found["note"], "the text has no words", "{text:?}");
            assert!(!found.to_string().contains("null"), "{found}");
        }
    }
    assert_eq!(analyzed("", AnalysisType::Sentiment)["sentiment"], "neutral");
    assert_eq!(analyzed("", AnalysisType::Complexity)["complexity_score"], "low");
    assert_eq!(analyzed("", AnalysisType::Summary)["compression_ratio"], 0.0);
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        for kind in [AnalysisType::Sentiment, AnalysisType::Complexity, AnalysisType::Summary] {
            analyzed(&text, kind);
        }
    }
}
