//! A script of the workstation, run on hosts by the interpreter it names and left on none.

use bytes::Bytes;

use crate::ssh::Program;

/// What runs a script on the host.
const RUNNER: &str = include_str!("../../templates/run-script.sh");

/// Where the interpreter finds the script; see [`RUNNER`].
const PLACE: &str = "/proc/self/fd/3";

/// The interpreter of scripts without a `#!` line.
const DEFAULT_INTERPRETER: &str = "/bin/sh";

/// The most a script may be, in bytes: hosts take it in one byte at a time.
const MAX_SIZE: usize = 1 << 20;

/// A script that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} bytes are more than the 1 MiB a script may have; copy it to the hosts and run it there"
)]
pub struct TooLarge(usize);

/// A script with its arguments, ready to be sent.
#[derive(Debug, Clone)]
pub struct Script {
    program: Program,
    content: Bytes,
}

impl Script {
    /// A script as it lies on the workstation.
    ///
    /// # Errors
    /// It is too large.
    pub fn new(content: impl Into<Bytes>, arguments: &[String]) -> Result<Self, TooLarge> {
        let content = content.into();
        if content.len() > MAX_SIZE {
            return Err(TooLarge(content.len()));
        }
        let (size, interpreter) = (content.len().to_string(), Interpreter::of(&content));
        let mut words = vec![size.as_str()];
        words.extend(interpreter.words());
        words.push(PLACE);
        words.extend(arguments.iter().map(String::as_str));
        Ok(Self { program: Program::new("fleetadm-script", RUNNER, &words), content })
    }

    /// The command line that runs it.
    pub fn command(&self) -> String {
        self.program.command()
    }

    /// What standard input begins with; what follows is the script's own.
    pub fn input(&self) -> Bytes {
        [self.program.text(), self.content.clone()].concat().into()
    }
}

/// What a script is run by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    program: String,
    argument: Option<String>,
}

impl Interpreter {
    /// What the `#!` line names; `/bin/sh` without one.
    pub fn of(script: &[u8]) -> Self {
        let first = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = first.strip_prefix(b"#!").map(|line| String::from_utf8_lossy(line));
        let line = line.as_deref().map(str::trim).filter(|line| !line.is_empty());
        // As the kernel does: what follows the program is one argument.
        let line = line.unwrap_or(DEFAULT_INTERPRETER);
        let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = Some(argument.trim().to_owned()).filter(|argument| !argument.is_empty());
        Self { program: program.to_owned(), argument }
    }

    /// The program, and its argument where it has one.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.argument.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        for (script, words) in [
            (&b"#!/usr/bin/env python3\nprint()"[..], &["/usr/bin/env", "python3"][..]),
            (b"#! /bin/sh -e -u\r\n", &["/bin/sh", "-e -u"]),
            (b"#!\t/bin/bash", &["/bin/bash"]),
            (b"#!\n", &["/bin/sh"]),
            (b"echo hello\n", &["/bin/sh"]),
            (b"", &["/bin/sh"]),
        ] {
            assert_eq!(Interpreter::of(script).words().collect::<Vec<_>>(), words);
        }
    }

    #[test]
    fn large_scripts_are_refused() {
        assert!(Script::new(vec![b'#'; MAX_SIZE], &[]).is_ok());
        let error = Script::new(vec![b'#'; MAX_SIZE + 1], &[]).unwrap_err();
        insta::assert_snapshot!(error, @"1048577 bytes are more than the 1 MiB a script may have; copy it to the hosts and run it there");
    }
}
