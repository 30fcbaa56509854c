//! Rows of cells as text: in columns for people, as CSV for programs. Must never know what is in them.

use std::borrow::Cow;

/// Rows of cells below each other, two blanks between columns; no header where it is empty. A row may be shorter than
/// the others.
pub fn aligned<R: AsRef<[String]>>(header: &[String], rows: &[R]) -> String {
    let all = || std::iter::once(header).chain(rows.iter().map(AsRef::as_ref));
    let mut widths: Vec<usize> = Vec::new();
    for row in all() {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().filter(|row| !row.is_empty()).map(line).collect()
}

/// A header and rows as RFC 4180 has them, but that lines end as everywhere on Unix, with a line feed alone.
pub fn csv<R: AsRef<[String]>>(header: &[String], rows: &[R]) -> String {
    let all = std::iter::once(header).chain(rows.iter().map(AsRef::as_ref));
    let line = |row: &[String]| match row {
        // As an empty line it would be none.
        [only] if only.is_empty() => "\"\"\n".to_owned(),
        row => {
            let cells: Vec<Cow<'_, str>> = row.iter().map(|cell| quoted(cell)).collect();
            cells.join(",") + "\n"
        }
    };
    all.map(line).collect()
}

/// A cell of CSV.
fn quoted(cell: &str) -> Cow<'_, str> {
    let special = cell.contains([',', '"', '\n', '\r']);
    let padded = cell.starts_with(' ') || cell.ends_with(' ');
    if special || padded {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(row: &[&str]) -> Vec<String> {
        row.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let (header, rows) = (cells(&["A", "LONGER"]), [cells(&["ä b", "1"]), cells(&["c", "2"])]);
        insta::assert_snapshot!(aligned(&header, &rows), @r"
        A    LONGER
        ä b  1
        c    2
        ");
        assert_eq!(aligned(&[], &rows), "ä b  1\nc    2\n");
        assert_eq!(aligned(&header, &[["x"].map(str::to_owned)]), "A  LONGER\nx\n");
    }

    #[test]
    fn csv_quotes_what_has_to_be() {
        let rows =
            [cells(&["a,b", "say \"x\""]), cells(&["", " =1+1"]), cells(&["-", "two\nlines"])];
        insta::assert_snapshot!(csv(&cells(&["host", "os.id"]), &rows), @r#"
        host,os.id
        "a,b","say ""x"""
        ," =1+1"
        -,"two
        lines"
        "#);
    }

    /// A reader of RFC 4180, for one document.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
        let mut chars = text.chars().peekable();
        let mut inside = false;
        while let Some(c) = chars.next() {
            match c {
                '"' if inside && chars.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' => inside = !inside,
                ',' if !inside => row.push(std::mem::take(&mut cell)),
                '\n' if !inside => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                c => cell.push(c),
            }
        }
        rows
    }

    proptest! {
        #[test]
        fn csv_can_be_read_again(rows in proptest::collection::vec(
            proptest::collection::vec("[a\",\r\n =ü]{0,6}", 1..3), 1..5)) {
            let text = csv(&rows[0], &rows[1..]);
            prop_assert_eq!(read(&text), rows);
        }
    }
}
