//! Reads which plugins a Corefile names, with which options. Never says whether they are right.
//!
//! The form: server blocks in braces, a plugin with its arguments on each line of them, and options on each line of
//! a plugin's own braces. What lies deeper belongs to an option. A `#` begins a comment, quotes keep words together.
//! Snippets are read as server blocks, and `import` as a plugin, which is what kubeadm takes them for. A Corefile of
//! one block may leave out the outer braces; no plugin is seen in such a one, nor does kubeadm see any.

/// A plugin as it is used in one server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plugin {
    /// Its name.
    pub(super) name: String,
    /// The first word of each of its options.
    pub(super) options: Vec<String>,
}

/// The plugins of all server blocks, in the order of the text. Any text can be read.
pub(super) fn plugins(text: &str) -> Vec<Plugin> {
    let mut plugins: Vec<Plugin> = Vec::new();
    let mut depth = 0_usize;
    // Behind a brace, too, something new begins: `health { lameduck 5s }`.
    let mut begins = true;
    for token in (Tokens { rest: text }) {
        let began = std::mem::replace(&mut begins, !matches!(token, Token::Word(_)));
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word(name) if began && depth == 1 => {
                plugins.push(Plugin { name, options: Vec::new() });
            }
            Token::Word(option) if began && depth == 2 => {
                if let Some(plugin) = plugins.last_mut() {
                    plugin.options.push(option);
                }
            }
            Token::Word(_) | Token::EndOfLine => {}
        }
    }
    plugins
}

/// What the text consists of; spaces and comments are nothing.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    EndOfLine,
    Word(String),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.rest = self.rest.trim_start_matches(|c: char| c != '\n' && c.is_whitespace());
        if self.rest.starts_with('#') {
            self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
        }
        let first = self.rest.chars().next()?;
        match first {
            '\n' => {
                self.rest = &self.rest[1..];
                Some(Token::EndOfLine)
            }
            '"' => Some(Token::Word(self.quoted())),
            _ => {
                // Braces are words of their own: `{$NAME}` is one that stands for a variable.
                let end = self.rest.find(|c: char| c.is_whitespace() || c == '#');
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                Some(match word {
                    "{" => Token::Open,
                    "}" => Token::Close,
                    word => Token::Word(word.to_owned()),
                })
            }
        }
    }
}

impl Tokens<'_> {
    /// What stands in quotes, up to the end of the text where they are not closed.
    fn quoted(&mut self) -> String {
        let mut word = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return word;
                }
                '\\' => match chars.next() {
                    Some((_, '"')) => word.push('"'),
                    Some((_, other)) => word.extend(['\\', other]),
                    None => word.push('\\'),
                },
                _ => word.push(c),
            }
        }
        self.rest = "";
        word
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name: option option` of each plugin.
    fn lines(text: &str) -> String {
        let line = |plugin: &Plugin| match plugin.options.as_slice() {
            [] => plugin.name.clone(),
            options => format!("{}: {}", plugin.name, options.join(" ")),
        };
        plugins(text).iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn plugins_and_options_of_every_block() {
        let text = r#"
# all of it
(common) {
    errors { # in short
       consolidate 5m ".* i/o \"timeout\" {$"
    }
}
.:53 example.org {
    import common
    health { lameduck 5s }
    hosts {
        10.0.0.1 a.example.org#comment
        fallthrough
    }
    "log" . "{type} {name}
    two lines" {
        class {
            deeper
        }
    }
    forward . 9.9.9.9
}
example.com {
    cache
}
"#;
        insta::assert_snapshot!(lines(text), @r"
        errors: consolidate
        import
        health: lameduck
        hosts: 10.0.0.1 fallthrough
        log: class
        forward
        cache
        ");
    }

    #[test]
    fn what_is_no_corefile_has_no_plugins() {
        for text in ["", "}", "}}}} {", "errors", "\"", "\"\\", ".:53", "# {\n#"] {
            assert_eq!(plugins(text), [], "{text}");
        }
        assert_eq!(lines("} . {\r\n errors\r\n } }\n. {\n cache\n"), "errors\ncache");
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "([{}\"# \n\\\\]|\\PC){0,60}") {
            let words = text.split_whitespace().count();
            prop_assert!(plugins(&text).len() <= words);
        }

        #[test]
        fn every_plugin_that_is_written_is_read(names in prop::collection::vec("[a-z0-9_]{1,9}", 0..9)) {
            let body: String = names.iter().map(|name| format!("  {name} {{ # no\n a b\n }}\n")).collect();
            let read = plugins(&format!(". {{\n{body}}}\n"));
            let read: Vec<_> = read.into_iter().map(|plugin| plugin.name).collect();
            prop_assert_eq!(read, names);
        }
    }
}
