//! Tables: every row as wide as the widest, every cell one line, as Markdown needs them.

use dom_query::{Document, NodeRef};

const MAX_COLUMNS: usize = 60;
const MAX_ROWS: usize = 2000;
/// How far a cell may span.
const MAX_SPAN: usize = 50;

/// Puts tables of data into the form that is written well, and takes tables apart that only lay out a page.
pub(super) fn tidy(document: &Document) {
    // The innermost first: a table that holds others only lays them out.
    for table in document.select("table").nodes().iter().rev() {
        let is_layout = table.descendants_it().any(|node| node.has_name("table") || node.has_name("pre"));
        if is_layout {
            take_apart(table);
            continue;
        }
        let caption = table.descendants().into_iter().find(|node| node.has_name("caption")).map(|caption| caption.inner_html());
        let rows = grid(table);
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        if columns == 0 {
            continue;
        }
        let mut html = caption.map(|caption| format!("<p><strong>{caption}</strong></p>")).unwrap_or_default();
        if columns == 1 {
            rows.iter().flatten().for_each(|cell| html.push_str(&format!("<p>{cell}</p>")));
        } else {
            html.push_str(&written(&rows, columns));
        }
        table.replace_with_html(html);
    }
}

fn take_apart(table: &NodeRef<'_>) {
    for node in table.descendants() {
        let is_part = node.node_name().is_some_and(|name| matches!(&*name, "tbody" | "thead" | "tfoot" | "tr" | "td" | "th"));
        let owner = node.ancestors_it(None).find(|ancestor| ancestor.has_name("table"));
        if is_part && owner.is_some_and(|owner| owner.id == table.id) {
            node.rename("div");
        }
    }
    table.rename("div");
}

/// The cells by row and column, those that span several repeated in each place.
fn grid(table: &NodeRef<'_>) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    // What cells of rows above still fill: column, rows to go, text.
    let mut hanging: Vec<(usize, usize, String)> = Vec::new();
    for row in table.descendants().into_iter().filter(|node| node.has_name("tr")).take(MAX_ROWS) {
        let mut cells: Vec<String> = Vec::new();
        let mut next: Vec<(usize, usize, String)> = Vec::new();
        let fill = |cells: &mut Vec<String>, hanging: &[(usize, usize, String)]| {
            while let Some((_, _, text)) = hanging.iter().find(|(column, ..)| *column == cells.len()) {
                cells.push(text.clone());
            }
        };
        for cell in row.children().into_iter().filter(|node| node.has_name("td") || node.has_name("th")) {
            fill(&mut cells, &hanging);
            let text = one_line(&cell);
            let rows_down = span(&cell, "rowspan");
            for _ in 0..span(&cell, "colspan") {
                if cells.len() == MAX_COLUMNS {
                    break;
                }
                if rows_down > 1 {
                    next.push((cells.len(), rows_down - 1, text.clone()));
                }
                cells.push(text.clone());
            }
        }
        fill(&mut cells, &hanging);
        hanging =
            hanging.into_iter().map(|(column, rows, text)| (column, rows - 1, text)).filter(|(_, rows, _)| *rows > 0).chain(next).collect();
        if !cells.is_empty() {
            rows.push(cells);
        }
    }
    rows
}

fn span(cell: &NodeRef<'_>, name: &str) -> usize {
    cell.attr(name).and_then(|span| span.trim().parse().ok()).unwrap_or(1_usize).clamp(1, MAX_SPAN)
}

/// The content of a cell without blocks, which no cell of Markdown holds: their ends become breaks.
fn one_line(cell: &NodeRef<'_>) -> String {
    for node in cell.descendants() {
        let Some(name) = node.node_name() else { continue };
        match &*name {
            "li" => {
                node.prepend_html("• ");
                node.append_html("<br>");
                node.rename("span");
            }
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                node.append_html("<br>");
                node.rename("span");
            }
            "ul" | "ol" => node.rename("span"),
            _ => {}
        }
    }
    let html = cell.inner_html();
    html.trim().trim_end_matches("<br>").trim_end_matches("<br></span>").trim().replace('\n', " ")
}

fn written(rows: &[Vec<String>], columns: usize) -> String {
    let row = |tag: &str, cells: &[String]| {
        let padded = cells.iter().map(String::as_str).chain(std::iter::repeat("")).take(columns);
        let cells: String = padded.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows[1..].iter().map(|cells| row("td", cells)).collect();
    format!("<table><thead>{}</thead><tbody>{body}</tbody></table>", row("th", &rows[0]))
}

#[cfg(test)]
mod tests {
    use super::super::markdown;

    fn check(html: &str, expected: &str) {
        let plain =
            |line: &str| line.split_whitespace().map(|word| if word.starts_with("--") { "-" } else { word }).collect::<Vec<_>>().join(" ");
        let written: Vec<String> = markdown(html).lines().filter(|line| !line.is_empty()).map(plain).collect();
        assert_eq!(written.join("\n"), expected, "{html}");
    }

    #[test]
    fn tables_keep_their_cells_apart() {
        check("<table><tr><th>A<th>B<th>C<tr><td>1<tr><td>1<td>2<td>3</table>", "| A | B | C |\n| - | - | - |\n| 1 | | |\n| 1 | 2 | 3 |");
        check("<table><tr><th>A<th>B<tr><td rowspan=2>x<td>1<tr><td>2</table>", "| A | B |\n| - | - |\n| x | 1 |\n| x | 2 |");
        check("<table><tr><th>A<th>B<tr><td colspan=2>both<tr><td>1<td>2</table>", "| A | B |\n| - | - |\n| both | both |\n| 1 | 2 |");
        check(
            "<table><caption>Sizes</caption><tr><td>a<td>b<tr><td><ul><li>l1<li>l2</ul><td>c</table>",
            "**Sizes**\n| a | b |\n| - | - |\n| • l1 <br>• l2 | c |",
        );
        check("<table><tr><td><p>layout</p><table><tr><td>in<td>ner</table></table>", "layout\n| in | ner |\n| - | - |");
        check("<table><tr><td>only</table>", "only");
    }
}
