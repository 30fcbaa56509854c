//! Text for shells on hosts: quoting, and requests that any login shell carries out.
//!
//! sshd gives the request to the login shell of the user, and that may be anything: bash, fish, tcsh. They agree on
//! little: a backslash inside single quotes is something else to fish, `!` and the end of a line are to csh. So a script
//! travels with those characters written as octal numbers, and `sh` takes the place of the login shell before it reads
//! the script.

use super::error::SshError;

/// The longest word of a request in bytes, without quotes. csh ends at 1024.
const WORD: usize = 900;

/// The longest request in bytes. Linux takes no longer argument, and sshd makes the request one.
const MAX_REQUEST: usize = 128 * 1024 - 1;

/// `text` as one word of a POSIX shell command.
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The request that makes a login shell of any kind become `sh` and run `script`.
pub(super) fn request(script: &str) -> Result<String, SshError> {
    let unsendable = |reason: String| Err(SshError::Unsendable { reason });
    if script.contains('\0') {
        return unsendable("it contains a NUL byte".to_owned());
    }
    let mut request = String::from(r#"exec sh -c 'eval "$(printf %b "$@")"' sh"#);
    let mut word = String::new();
    for byte in script.bytes() {
        let letter = char::from(byte);
        match letter {
            '\\' | '\'' | '!' => push_octal(&mut word, byte),
            ' '..='~' => word.push(letter),
            _ => push_octal(&mut word, byte),
        }
        if word.len() >= WORD {
            push_word(&mut request, &mut word);
        }
    }
    push_word(&mut request, &mut word);
    if request.len() > MAX_REQUEST {
        return unsendable(format!(
            "it is too long ({} bytes as it is sent, {MAX_REQUEST} at most); put it into a script",
            request.len()
        ));
    }
    Ok(request)
}

/// As `printf %b` reads it back.
fn push_octal(word: &mut String, byte: u8) {
    word.push_str("\\0");
    word.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| char::from(b'0' + digit)));
}

fn push_word(request: &mut String, word: &mut String) {
    request.push_str(" '");
    request.push_str(word);
    request.push('\'');
    word.clear();
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(quote("/etc/kubernetes/admin.conf"), "/etc/kubernetes/admin.conf");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("$(x)\n"), "'$(x)\n'");
        assert_eq!(quote("~"), "'~'");
    }

    #[test]
    fn requests() {
        insta::assert_snapshot!(
            request("echo 'it is!'\n\texit 3").unwrap(),
            @r#"exec sh -c 'eval "$(printf %b "$@")"' sh 'echo \0047it is\0041\0047\0012\0011exit 3'"#
        );
        let words = request(&"x".repeat(2000)).unwrap();
        assert!(words.split(' ').all(|word| word.len() < 1000));
    }

    #[test]
    fn requests_that_cannot_be() {
        let error = |script: &str| request(script).unwrap_err().to_string();
        insta::assert_snapshot!(error("a\0b"), @"the command cannot be sent: it contains a NUL byte");
        insta::assert_snapshot!(error(&"x".repeat(200_000)), @"the command cannot be sent: it is too long (200709 bytes as it is sent, 131071 at most); put it into a script");
    }

    fn output(shell: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(shell).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    proptest! {
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\0]{0,30}") {
            let printed = output("sh", &["-c", &format!("printf %s {}", quote(&text))]);
            prop_assert_eq!(String::from_utf8(printed).unwrap(), text);
        }

        #[test]
        fn a_shell_runs_what_was_requested(text in "([^\0]|['\\\\!\n$%]){0,30}") {
            let request = request(&format!("printf %s {}", quote(&text))).unwrap();
            prop_assert!(request.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let printed = output("sh", &["-c", &request]);
            prop_assert_eq!(String::from_utf8(printed).unwrap(), text);
        }
    }
}
