//! Lists of checksums as sha256sum prints them.

use std::collections::BTreeMap;

/// A line of a list that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::inventory) struct BadLine {
    /// Its number, from 1.
    pub(in crate::inventory) number: usize,
    /// What is wrong with it.
    pub(in crate::inventory) reason: &'static str,
}

/// SHA-256 in lower-case hex by name: a line has 64 hex digits, a blank, a blank or `*`, and a name, of which a leading
/// `./` is not a part. Lines of blanks count for nothing.
pub(in crate::inventory) fn checksums(text: &str) -> Result<BTreeMap<String, String>, BadLine> {
    let mut sums = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let bad = |reason| BadLine { number, reason };
        let (sum, name) =
            entry(line).ok_or_else(|| bad("expected a SHA-256 sum, two blanks and a name"))?;
        match sums.insert(name.to_owned(), sum.clone()) {
            Some(earlier) if earlier != sum => return Err(bad("another sum for the same name")),
            _ => {}
        }
    }
    Ok(sums)
}

fn entry(line: &str) -> Option<(String, &str)> {
    let (sum, rest) = line.split_once(' ')?;
    let name = rest.strip_prefix([' ', '*'])?.trim_start_matches("./");
    let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_sum && !name.is_empty()).then(|| (sum.to_ascii_lowercase(), name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn lists_are_read_as_sha256sum_prints_them() {
        let text = format!(
            "{}  kubelet\r\n\n{} *./kubectl\n{}  with  blanks \n{}  kubelet\n",
            sum("a"),
            sum("B"),
            sum("0"),
            sum("A"),
        );
        let sums = checksums(&text).unwrap();
        let names: Vec<(&str, &str)> =
            sums.iter().map(|(name, sum)| (&**name, &sum[..2])).collect();
        assert_eq!(names, [("kubectl", "bb"), ("kubelet", "aa"), ("with  blanks ", "00")]);
        assert!(checksums("").unwrap().is_empty());
    }

    #[test]
    fn bad_lines_have_their_number() {
        let good = format!("{}  kubelet\n", sum("a"));
        for line in [
            sum("a"),
            "a".repeat(63) + "  kubelet",
            sum("g") + "  kubelet",
            sum("a") + "  ",
            sum("a") + " kubelet",
            sum("a") + "\tkubelet",
            format!("\\{}  kube\\nlet", sum("a")),
            format!(" {}  kubelet", sum("a")),
            format!("SHA256 (kubelet) = {}", sum("a")),
            sum("b") + "  kubelet",
            "# comment".to_owned(),
        ] {
            let bad = checksums(&format!("{good}\n{line}\n{good}")).unwrap_err();
            assert_eq!(bad.number, 3, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read_or_refused(text in "([0-9a-g]{60,66}( [ *]|.)[ -~]{0,6}\n?|.{0,80}\n?){0,8}") {
            for (name, sum) in checksums(&text).unwrap_or_default() {
                prop_assert!(!name.is_empty() && sum.len() == 64);
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            sums in proptest::collection::btree_map("[a-z][a-z0-9._-]{0,12}", "[0-9a-f]{64}", 0..8),
            binary in any::<bool>(),
        ) {
            let mode = if binary { '*' } else { ' ' };
            let text: String =
                sums.iter().map(|(name, sum)| format!("{sum} {mode}{name}\n")).collect();
            prop_assert_eq!(checksums(&text), Ok(sums));
        }
    }
}
