//! Becoming root: the command that does it, and recognising that it was refused.

use super::error::PrivilegeError;
use super::exec::Exit;
use crate::inventory::Become;

/// `text` as one word of a POSIX shell command.
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The command line that runs `command` as root.
pub(super) fn root_command(become_root: Become, command: &str) -> String {
    match become_root {
        Become::None => command.to_owned(),
        // A fixed locale, because the refusals below are recognised by their words.
        Become::Sudo => format!("env LC_ALL=C sudo -n -- sh -c {}", quote(command)),
        Become::Doas => format!("env LC_ALL=C doas -n -- sh -c {}", quote(command)),
    }
}

/// Whether a command under sudo ended because sudo refused, told by how it ended and what it printed.
pub(super) fn refusal(exit: &Exit, stderr: &str, user: &str) -> Option<PrivilegeError> {
    let user = || user.to_owned();
    let says = |text: &str| stderr.lines().any(|line| line.contains(text));
    let sudo_says =
        |text: &str| stderr.lines().any(|line| line.starts_with("sudo: ") && line.contains(text));
    match exit {
        Exit::Code(1) => {
            if sudo_says("password is required") || sudo_says("authentication is required") {
                // sudo says the same when the user may not run it at all but might have a password.
                Some(PrivilegeError::PasswordRequired { user: user() })
            } else if sudo_says("must have a tty") || sudo_says("terminal is required") {
                Some(PrivilegeError::TerminalRequired { user: user() })
            } else if says("is not in the sudoers file")
                || says("may not run sudo on")
                || (says("Sorry, user ") && says("is not allowed to execute"))
                || sudo_says("I'm afraid I can't do that")
            {
                Some(PrivilegeError::NotAllowed { user: user() })
            } else {
                None
            }
        }
        Exit::Code(126 | 127) => {
            let missing = stderr.lines().any(|line| {
                line.starts_with("env: ") && line.contains("sudo") && line.contains("No such file")
            });
            missing.then_some(PrivilegeError::Missing)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
    fn root_commands() {
        assert_eq!(root_command(Become::None, "id -u"), "id -u");
        assert_eq!(
            root_command(Become::Sudo, "echo 'a' \"$b\""),
            r#"env LC_ALL=C sudo -n -- sh -c 'echo '\''a'\'' "$b"'"#
        );
    }

    #[test]
    fn refusals() {
        let user = || "ops".to_owned();
        let cases = [
            (
                1,
                "sudo: a password is required\n",
                Some(PrivilegeError::PasswordRequired { user: user() }),
            ),
            (
                1,
                "sudo: unable to resolve host n1: Name or service not known\nsudo: a password is required\n",
                Some(PrivilegeError::PasswordRequired { user: user() }),
            ),
            (
                1,
                "sudo: interactive authentication is required\n",
                Some(PrivilegeError::PasswordRequired { user: user() }),
            ),
            (
                1,
                "sudo: sorry, you must have a tty to run sudo\n",
                Some(PrivilegeError::TerminalRequired { user: user() }),
            ),
            (
                1,
                "ops is not in the sudoers file.\n",
                Some(PrivilegeError::NotAllowed { user: user() }),
            ),
            (
                1,
                "Sorry, user ops is not allowed to execute '/bin/sh -c id' as root on n1.\n",
                Some(PrivilegeError::NotAllowed { user: user() }),
            ),
            (127, "env: 'sudo': No such file or directory\n", Some(PrivilegeError::Missing)),
            (
                127,
                "env: can't execute 'sudo': No such file or directory\n",
                Some(PrivilegeError::Missing),
            ),
            (127, "sh: 1: kubectl: not found\n", None),
            (1, "grep: no match\n", None),
            (0, "sudo: a password is required\n", None),
        ];
        for (code, stderr, expected) in cases {
            assert_eq!(refusal(&Exit::Code(code), stderr, "ops"), expected, "{stderr}");
        }
    }

    proptest! {
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\0]{0,30}") {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quote(&text))])
                .output()
                .unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
