//! A piece of a long text, cut where a reader would cut it.

/// A piece of a text, and where the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) total_chars: usize,
    pub(super) next_offset: Option<usize>,
}

/// At most `max_chars` characters from `offset` on: up to the last end of a paragraph, a line or a word in the latter half.
pub(super) fn piece(text: &str, offset: usize, max_chars: usize) -> Piece {
    let total_chars = text.chars().count();
    let start = text.char_indices().nth(offset).map_or(text.len(), |(index, _)| index);
    let rest = &text[start..];
    let Some((hard_end, _)) = rest.char_indices().nth(max_chars) else {
        return Piece { text: rest.to_owned(), total_chars, next_offset: None };
    };
    let whole = &rest[..hard_end];
    let half = whole.char_indices().nth(max_chars / 2).map_or(0, |(index, _)| index);
    let boundary = ["\n\n", "\n", ". ", " "].iter().find_map(|mark| whole[half..].rfind(mark).map(|index| half + index + mark.len()));
    let cut = without_last_heading(&rest[..boundary.unwrap_or(hard_end)]);
    Piece { text: cut.to_owned(), total_chars, next_offset: Some(offset + cut.chars().count()) }
}

/// A heading belongs to what follows it, so that it begins the next piece.
fn without_last_heading(piece: &str) -> &str {
    let last = piece.trim_end().rfind('\n').map_or(0, |index| index + 1);
    let is_heading = piece[last..].starts_with('#') && piece[last..].trim_start_matches('#').starts_with(' ');
    if is_heading && last > 0 { &piece[..last] } else { piece }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole_again() {
        let text = "Ä first paragraph.\n\nA second, that is longer. It has two sentences.\n\nThird:\n- one\n- two".repeat(20);
        for max_chars in [1, 7, 50, 1000, 100_000] {
            let (mut whole, mut offset) = (String::new(), Some(0));
            while let Some(from) = offset {
                let piece = piece(&text, from, max_chars);
                assert!(piece.text.chars().count() <= max_chars && piece.total_chars == text.chars().count());
                whole.push_str(&piece.text);
                offset = piece.next_offset;
            }
            assert_eq!(whole, text, "{max_chars}");
        }
        assert_eq!(piece("one two three", 0, 9).text, "one two ");
        assert_eq!(piece("Some text here.\n\n## Next\n\nIt goes on and on.", 0, 27).text, "Some text here.\n\n");
        assert_eq!(piece("abc", 99, 5), Piece { text: String::new(), total_chars: 3, next_offset: None });
    }
}
