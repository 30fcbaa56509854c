//! The scripts that carry a command to a host, and the marks they print on the way.
//!
//! Whatever else prints (a banner in `.bashrc`, sudo's lecture), the marks tell where the command begins:
//!
//! - `begin`, on both outputs, printed by the target user's shell right before the command. What came before it is not
//!   the command's. Standard input may be sent once it was seen.
//! - `password`, where sudo asks for one. `doas` has a prompt of its own.
//! - `missing PROGRAM`, in place of `begin`, where the host lacks something.
//!
//! Usually the channel's three streams are the command's own. Some hosts want a terminal, though: `requiretty`, and doas
//! that asks for a password. A terminal has one stream each way, which has no end, so more is said in between:
//!
//! - Standard input goes as lines of base64; a line with a dot ends it.
//! - After `begin` comes standard output as it is (the terminal is raw), then `end STATUS` on a line, standard error as
//!   far as it was kept, and `done`. Standard error comes late and without NUL bytes, which is what it costs not to need
//!   more than a shell, `base64`, `cat`, `head` and `sed` on the host, and no place to write to.
//!
//! A mark holds a number drawn for the connection and is put together by `printf`: the script itself, wherever it shows
//! up (`set -x`, `ps`), does not contain one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::inventory::Become;
use crate::ssh::privilege::{Program, Way};
use crate::ssh::shell::quote;

/// How much of standard error is kept on a host's terminal, in bytes.
const TERMINAL_STDERR: usize = 1024 * 1024;

/// Where administrators' commands are; not always in the `PATH` of whoever logs in.
const ADMIN_PATH: &str =
    "PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH";

/// What the marks of one connection have in common.
#[derive(Debug, Clone)]
pub(in crate::ssh) struct Marks(String);

impl Marks {
    /// Marks that nothing else prints by accident.
    pub(in crate::ssh) fn random() -> Self {
        Self(format!("{:016x}", RandomState::new().hash_one(0)))
    }

    /// A mark as it is printed.
    pub(super) fn text(&self, name: &str) -> String {
        format!("fleetadm-{}-{name}", self.0)
    }

    /// The command that prints a mark, and whatever `rest` of a format makes of `arguments`.
    fn print(&self, name: &str, rest: &str, arguments: &str) -> String {
        format!(r"printf 'fleetadm-%s-{name}{rest}\n' {}{arguments}", self.0)
    }
}

/// The script for `sh` that runs `command` the way it has to be run. `input` tells whether there is standard input.
pub(super) fn script(way: &Way, marks: &Marks, command: &str, input: bool) -> String {
    let admin_path = if way.administrator { ADMIN_PATH } else { ":" };
    let body = if way.terminal { on_terminal(marks, input) } else { on_channel(marks) };
    let body = format!("{admin_path}\n{body}");
    let Some(program) = &way.program else {
        return format!("set -- {}\n{body}", quote(command));
    };
    let missing = missing(marks, program.name());
    let run = program_command(program, way, marks);
    // In a fixed locale, because refusals are recognised by their words.
    format!(
        "{ADMIN_PATH}\nLC_ALL=C; export LC_ALL\n{missing}exec {run} -- sh -c {} sh {}",
        quote(&body),
        quote(command)
    )
}

fn program_command(program: &Program, way: &Way, marks: &Marks) -> String {
    let user = quote(&program.user);
    match program.kind {
        // Quoted in two places, for the script not to contain the mark.
        Become::Sudo if way.password => {
            format!(r#"sudo -S -p "fleetadm-"{}"-password" -u {user}"#, marks.0)
        }
        Become::Doas if way.password => format!("doas -u {user}"),
        _ => format!("{} -n -u {user}", program.name()),
    }
}

fn missing(marks: &Marks, program: &str) -> String {
    let print = marks.print("missing", " %s", &format!(" {program}"));
    format!("command -v {program} >/dev/null || {{ {print} >&2; exit 127; }}\n")
}

/// `$1` is the command.
fn on_channel(marks: &Marks) -> String {
    let begin = marks.print("begin", "", "");
    format!("{begin}\n{begin} >&2\nexec sh -c \"$1\"")
}

/// `$1` is the command. File descriptor 3 is the terminal, 4 takes the command's standard error and 5 its status. What the
/// command leaves of its input is read all the same: a sudo that cannot get rid of it spins for ever.
fn on_terminal(marks: &Marks, input: bool) -> String {
    let begin = marks.print("begin", "", "");
    let end = marks.print("end", " %s", r#" "$status""#);
    let done = marks.print("done", "", "");
    let (missing, input) = if input {
        (missing(marks, "base64"), r"sed -n '/^\.$/q;p' | base64 -d | ")
    } else {
        (String::new(), ": | ")
    };
    format!(
        r#"{missing}{begin}
exec 3>&1 2>/dev/null
{input}{{
status=$({{ {{ sh -c "$1" 2>&4 3>&- 4>&- 5>&-; printf %s "$?" >&5; }} | cat >&3; }} 5>&1)
{end} >&3
exec >/dev/null 4>&-
cat
}} 4>&1 | {{
errors=$(head -c {TERMINAL_STDERR}; cat >/dev/null; printf .)
printf %s "${{errors%.}}"
{done}
}}"#
    )
}
