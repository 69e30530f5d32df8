//! Rows as a Markdown table, and as CSV.

use crate::database::Column;
use std::borrow::Cow;
use toolcrib_contract::Json;

/// The longest cell of a Markdown table, in characters.
pub(super) const MAX_CELL: usize = 300;

/// A Markdown table (GitHub Flavored Markdown, "Tables"), and whether long values of it are cut.
pub(super) fn markdown(columns: &[Column], rows: &[Vec<Json>]) -> (String, bool) {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(|column| cell(&column.name)).collect());
    text.push_str(&line(vec!["---".to_owned(); columns.len()]));
    let mut is_cut = false;
    for row in rows {
        let cells = row.iter().map(|value| {
            let text = plain(value);
            is_cut |= text.chars().nth(MAX_CELL).is_some();
            cell(&text)
        });
        text.push_str(&line(cells.collect()));
    }
    text.truncate(text.trim_end().len());
    (text, is_cut)
}

/// CSV (RFC 4180), with a line of names.
pub(super) fn csv(columns: &[Column], rows: &[Vec<Json>]) -> String {
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    };
    line(&mut columns.iter().map(|column| field(&column.name)));
    for row in rows {
        line(&mut row.iter().map(|value| if is_null(value) { String::new() } else { field(&plain(value)) }));
    }
    text
}

/// A text without its quotes; anything else as JSON writes it.
fn plain(value: &Json) -> Cow<'_, str> {
    match value.read::<String>() {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(value.as_str()),
    }
}

fn is_null(value: &Json) -> bool {
    value.as_bytes() == b"null"
}

fn cell(text: &str) -> String {
    let mut cell: String = text.chars().take(MAX_CELL).collect();
    if cell.len() < text.len() {
        cell.push('…');
    }
    cell.replace('\\', "\\\\").replace('|', "\\|").replace("\r\n", "<br>").replace(['\n', '\r'], "<br>")
}

/// A field, in quotes where it needs them. An empty text is `""`, so that it differs from null.
fn field(text: &str) -> String {
    let needs_quotes = text.is_empty() || text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ');
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_so_that_they_can_be_read_back() {
        let column = |name: &str| Column { name: name.into(), kind: String::new() };
        let json = |text: &str| Json::parse(text.to_owned()).unwrap();
        let columns = [column("id"), column("a|b")];
        let rows =
            vec![vec![json("1"), json(r#""x, \"y\"""#)], vec![json("null"), json(r#""""#)], vec![json("[1,2]"), json(r#""two\nlines|""#)]];
        assert_eq!(csv(&columns, &rows), "id,a|b\r\n1,\"x, \"\"y\"\"\"\r\n,\"\"\r\n\"[1,2]\",\"two\nlines|\"\r\n");
        let table = "| id | a\\|b |\n| --- | --- |\n| 1 | x, \"y\" |\n| null |  |\n| [1,2] | two<br>lines\\| |";
        assert_eq!(markdown(&columns, &rows), (table.to_owned(), false));
        let long = vec![vec![json("1"), json(&format!("\"{}\"", "ä".repeat(MAX_CELL + 1)))]];
        let (table, is_cut) = markdown(&columns, &long);
        assert!(is_cut && table.ends_with("ä… |"), "{table}");
    }
}
