//! Shell programs that travel on standard input, ahead of what they read there themselves.
//!
//! Nothing has to be kept on the host for them, and neither their text nor their arguments are on a
//! command line. The command line itself is plain enough for any login shell, POSIX or not.

use bytes::Bytes;

use super::shell::quote;

/// A program with its arguments, ready to be sent.
#[derive(Debug, Clone)]
pub struct Program {
    name: &'static str,
    text: Bytes,
}

impl Program {
    /// A POSIX shell program whose last line is `main "$@"`, so that one that was cut off on the way does
    /// nothing. `name` is what the host's process list shows, a plain word.
    pub fn new(name: &'static str, text: &str, arguments: &[&str]) -> Self {
        let arguments: String = arguments.iter().map(|text| format!(" {}", quote(text))).collect();
        Self { name, text: format!("{{ set --{arguments}; }}\n{text}").into() }
    }

    /// The command line that runs it.
    pub fn command(&self) -> String {
        // One byte at a time is how dd leaves the rest to the program.
        let size = self.text.len();
        format!("sh -c 'eval \"$(dd ibs=1 count={size} 2>/dev/null)\"' {}", self.name)
    }

    /// What standard input begins with.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn run(shell: &str, command: &str, input: &[u8]) -> Option<String> {
        let (program, first) = shell.split_once(' ').unwrap_or((shell, ""));
        let mut child = Command::new(program)
            .args(Some(first).filter(|first| !first.is_empty()))
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(input).unwrap();
        Some(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
    }

    #[test]
    fn arguments_and_the_rest_of_the_input_arrive() {
        let text = "main() {\n\tprintf '%s|' \"$0\" \"$@\"\n\tcat\n}\nmain \"$@\"\n";
        let program = Program::new("fleetadm-test", text, &["a b", "it's", "\\n$x!", ""]);
        let mut input = program.text().to_vec();
        input.extend(b"the \\ rest\n");
        for shell in ["dash", "bash", "busybox sh"] {
            let Some(printed) = run(shell, &program.command(), &input) else {
                eprintln!("SKIPPED: needs {shell}");
                continue;
            };
            assert_eq!(printed, "fleetadm-test|a b|it's|\\n$x!||the \\ rest\n", "{shell}");
        }
    }

    #[test]
    fn a_program_that_was_cut_off_does_nothing() {
        let program =
            Program::new("fleetadm-test", "main() { echo \"$#\"; }\nmain \"$@\"\n", &["a", "b"]);
        let text = program.text();
        // Without its newline the last line is whole; without its last quote it is not.
        for length in 0..text.len() - 2 {
            let printed = run("sh", &program.command(), &text[..length]).unwrap();
            assert!(["", "0\n"].contains(&printed.as_str()), "{length}: {printed}");
        }
        assert_eq!(run("sh", &program.command(), &text).unwrap(), "2\n");
    }
}
