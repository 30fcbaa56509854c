//! What sudo, sudo-rs and doas say in place of running a command.
//!
//! Only what was printed before the command begins is looked at, so a command cannot be taken for a refusal.

use crate::report::printable_line;
use crate::ssh::exec::Exit;

/// The most that an error repeats of what a host said: lines, and characters of each.
const LINES: usize = 3;
const WORDS: usize = 200;

/// Why a command did not begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A password is wanted, and the program was told not to ask.
    PasswordRequired,
    /// The password that was sent is wrong.
    WrongPassword,
    /// A terminal is wanted.
    TerminalRequired,
    /// The user may not do that.
    NotAllowed,
    /// A program is not installed.
    Missing(String),
    /// Something else.
    Other,
}

/// Read what was `said` before whatever ran in place of the command ended. `answered` tells whether a password was sent.
pub(super) fn read(exit: &Exit, said: &str, answered: bool) -> Refusal {
    let lines = || said.lines().map(str::trim_end);
    let says = |words: &[&str]| lines().any(|line| words.iter().any(|words| line.contains(words)));
    let missing = lines().find_map(|line| {
        let (mark, program) = line.rsplit_once("-missing ")?;
        (mark.starts_with("fleetadm-") && !program.is_empty()).then(|| printable_line(program, 32))
    });
    if let Some(program) = missing {
        return Refusal::Missing(program);
    }
    if *exit != Exit::Code(1) {
        return Refusal::Other;
    }
    const NOT_ALLOWED: [&str; 5] = [
        "is not in the sudoers file",
        "may not run sudo on",
        "is not allowed to execute",
        "I'm afraid I can't do that",
        "doas: Operation not permitted",
    ];
    const WRONG: [&str; 4] = [
        "incorrect password attempt",
        "incorrect authentication attempt",
        "Authentication failed",
        "Authentication failure",
    ];
    // sudo says the same when the user may not run it at all but might have a password.
    const PASSWORD: [&str; 3] =
        ["a password is required", "authentication is required", "doas: Authentication required"];
    const TERMINAL: [&str; 2] = ["you must have a tty", "a terminal is required"];
    if says(&NOT_ALLOWED) {
        Refusal::NotAllowed
    } else if says(&TERMINAL) {
        Refusal::TerminalRequired
    } else if answered && says(&WRONG) {
        Refusal::WrongPassword
    } else if !answered && (says(&PASSWORD) || says(&WRONG)) {
        // Where it allows one attempt only, sudo-rs counts not being allowed to ask as a wrong one.
        Refusal::PasswordRequired
    } else {
        Refusal::Other
    }
}

/// The last lines that say something, or else how it ended.
pub(super) fn last_words(exit: Option<&Exit>, said: &str) -> String {
    let lines = said.lines().rev().map(|line| printable_line(line.trim(), WORDS));
    let mut lines: Vec<_> = lines.filter(|line| !line.is_empty()).take(LINES).collect();
    lines.reverse();
    match exit {
        _ if !lines.is_empty() => format!("it said `{}`", lines.join("; ")),
        Some(exit) => exit.to_string(),
        None => "it said nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let cases = [
            (1, "sudo: a password is required\n", false, Refusal::PasswordRequired),
            (
                1,
                "sudo: unable to resolve host n1: Name or service not known\nsudo: a password is required\n",
                false,
                Refusal::PasswordRequired,
            ),
            (
                1,
                "sudo-rs: interactive authentication is required\n",
                false,
                Refusal::PasswordRequired,
            ),
            (1, "doas: Authentication required\r\n", false, Refusal::PasswordRequired),
            (1, "sudo: sorry, you must have a tty to run sudo\n", false, Refusal::TerminalRequired),
            (1, "ops is not in the sudoers file.\n", true, Refusal::NotAllowed),
            (
                1,
                "Sorry, user ops is not allowed to execute '/bin/sh -c id' as root on n1.\n",
                true,
                Refusal::NotAllowed,
            ),
            (1, "sudo-rs: I'm sorry ops. I'm afraid I can't do that\n", false, Refusal::NotAllowed),
            (1, "doas: Operation not permitted\n", false, Refusal::NotAllowed),
            (
                1,
                "fleetadm-1-passwordsudo: 1 incorrect password attempt\n",
                true,
                Refusal::WrongPassword,
            ),
            (
                1,
                "[sudo: fleetadm-1-password] Password: \nsudo-rs: Maximum 1 incorrect authentication attempts\n",
                true,
                Refusal::WrongPassword,
            ),
            (
                1,
                "sudo-rs: Maximum 1 incorrect authentication attempts\n",
                false,
                Refusal::PasswordRequired,
            ),
            (
                1,
                "\rdoas (ops@n1) password: \r\ndoas: Authentication failed\r\n",
                true,
                Refusal::WrongPassword,
            ),
            (127, "fleetadm-1-missing sudo\n", false, Refusal::Missing("sudo".to_owned())),
            (127, "fleetadm-1-missing base64\n", true, Refusal::Missing("base64".to_owned())),
            (1, "sudo: unknown user nosuch\n", false, Refusal::Other),
            (255, "sudo: a password is required\n", false, Refusal::Other),
            (1, "", false, Refusal::Other),
        ];
        for (code, said, answered, expected) in cases {
            assert_eq!(read(&Exit::Code(code), said, answered), expected, "{said}");
        }
    }

    #[test]
    fn last_words_are_short_and_harmless() {
        let words = |said: &str| last_words(Some(&Exit::Code(1)), said);
        insta::assert_snapshot!(words("zero\none\n\x1b[31mtwo\x07\n\nthree"), @"it said `one; two; three`");
        insta::assert_snapshot!(words(" \n"), @"exit status 1");
        assert!(words(&"x".repeat(10_000)).len() < 400);
    }
}
