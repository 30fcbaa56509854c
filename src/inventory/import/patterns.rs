//! Host patterns of Ansible's inventories: `node[01:50:2].example.com:2222`.

/// More hosts than this from one pattern is a typing mistake, not a fleet.
const LIMIT: usize = 100_000;

/// The names a pattern stands for, and the port it says.
pub(super) fn expand(pattern: &str) -> Result<(Vec<String>, Option<u16>), String> {
    let wrong = |why: &str| format!("bad host pattern `{pattern}`: {why}");
    let (names, port) = match with_port(pattern) {
        Some((names, digits)) => (names, Some(digits.parse().map_err(|_| wrong("not a port"))?)),
        None => (pattern, None),
    };
    if names.is_empty() || names.ends_with(':') && !names.ends_with("::") {
        return Err(wrong("expected a host's name"));
    }
    let mut done = Vec::new();
    // Prefixes whose rest is still to be expanded, the next one last.
    let mut open = vec![(String::new(), names)];
    while let Some((prefix, rest)) = open.pop() {
        let Some((before, range)) = rest.split_once('[') else {
            done.push(prefix + rest);
            continue;
        };
        let (range, after) = range.split_once(']').ok_or_else(|| wrong("`[` without `]`"))?;
        let items = items(range).map_err(|why| wrong(&why))?;
        if items.len() + open.len() + done.len() > LIMIT {
            return Err(wrong(&format!("more than {LIMIT} hosts")));
        }
        let names = items.into_iter().rev().map(|item| (format!("{prefix}{before}{item}"), after));
        open.extend(names);
    }
    Ok((done, port))
}

/// Takes `:PORT` from the end. An IPv6 address needs brackets to have one.
fn with_port(pattern: &str) -> Option<(&str, &str)> {
    let (name, digits) = pattern.rsplit_once(':')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if let Some(inner) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return Some((inner, digits));
    }
    let mut inside = false;
    let colon = name.chars().any(|c| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        c == ':' && !inside
    });
    // A colon inside an open bracket belongs to a range, and so do the digits after it.
    (!colon && !inside).then_some((name, digits))
}

/// `01:50`, `a:f` or `1:10:2`.
fn items(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (start, end, step) = match *bounds.as_slice() {
        [start, end] => (start, end, "1"),
        [start, end, step] => (start, end, step),
        _ => return Err("expected `[first:last]` or `[first:last:step]`".to_owned()),
    };
    let start = if start.is_empty() { "0" } else { start };
    let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or("not a step")?;
    if let (Some(first), Some(last)) = (letter(start), letter(end)) {
        if first > last {
            return Err("it ends before it starts".to_owned());
        }
        let letters = ('a'..='z').chain('A'..='Z').skip(first).take(last - first + 1);
        return Ok(letters.step_by(step).map(String::from).collect());
    }
    let number = |digits: &str| {
        let plain = digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain).ok_or("not a range")
    };
    let (first, last) = (number(start)?, number(end)?);
    let width = if start.len() > 1 && start.starts_with('0') { start.len() } else { 0 };
    if width > 0 && end.len() != width {
        return Err("both ends need the same number of digits".to_owned());
    }
    if first > last {
        return Err("it ends before it starts".to_owned());
    }
    if (last - first) / step as u64 >= LIMIT as u64 {
        return Err(format!("more than {LIMIT} hosts"));
    }
    Ok((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

/// The place of a letter in `a` to `z`, `A` to `Z`.
fn letter(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let (Some(c), None) = (chars.next(), chars.next()) else { return None };
    ('a'..='z').chain('A'..='Z').position(|letter| letter == c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expands() {
        let cases: [(&str, &[&str], Option<u16>); 13] = [
            ("web", &["web"], None),
            ("web:2222", &["web"], Some(2222)),
            ("web[1:3]", &["web1", "web2", "web3"], None),
            (
                "web[08:10].example:22",
                &["web08.example", "web09.example", "web10.example"],
                Some(22),
            ),
            ("web[1:6:2]", &["web1", "web3", "web5"], None),
            ("db-[a:c]", &["db-a", "db-b", "db-c"], None),
            ("db-[y:B]", &["db-y", "db-z", "db-A", "db-B"], None),
            ("r[1:2]n[a:b]", &["r1na", "r1nb", "r2na", "r2nb"], None),
            ("n[:2]", &["n0", "n1", "n2"], None),
            ("10.0.0.[1:2]", &["10.0.0.1", "10.0.0.2"], None),
            ("fd00::1", &["fd00::1"], None),
            ("[fd00::1]:22", &["fd00::1"], Some(22)),
            ("a[1:2]:1", &["a1", "a2"], Some(1)),
        ];
        for (pattern, names, port) in cases {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(expand(pattern), Ok((names, port)), "{pattern}");
        }
    }

    #[test]
    fn refuses() {
        for pattern in [
            "",
            "a:",
            "a[1:3",
            "a[1]",
            "a[1:]",
            "a[3:1]",
            "a[c:a]",
            "a[01:100]",
            "a[1:3:0]",
            "a[a:10]",
            "a[1:2:3:4]",
            "a[x1:3]",
            "a[1:9999999]",
            "a[1:1000]b[1:1000]",
            "[::1]",
            "a:99999",
            "a[-1:2]",
            "a[1:99999999999999999999]",
            ":22",
        ] {
            assert!(expand(pattern).is_err(), "{pattern}: {:?}", expand(pattern));
        }
    }

    proptest! {
        #[test]
        fn anything_is_answered(pattern in "[a-c0-3:\\[\\].ä-]{0,16}") {
            let _ = expand(&pattern);
        }
    }
}
