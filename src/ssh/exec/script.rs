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
//! - After `begin` comes standard output as it is (the terminal is raw), then `end STATUS`, standard error as far as it was
//!   kept, and `done`. Standard error comes late and without NUL bytes, which is what it costs not to need more than a
//!   shell, `base64`, `cat` and `head` on the host, and no place to write to.
//! - Wherever `more` comes in between, a piece of standard input is wanted: a line with the number of lines that follow,
//!   and so many lines of base64. A piece of no lines is the end.
//!
//! What a command leaves running on a terminal gets SIGHUP when it ends, and a command whose channel is closed too.
//!
//! A mark holds a number drawn for the connection and is put together by `printf`: the script itself, wherever it shows
//! up (`set -x`, `ps`), does not contain one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::inventory::Become;
use crate::ssh::privilege::{Becoming, Way};
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
    let body = if way.terminal { on_terminal(marks, input) } else { on_channel(marks) };
    let body = if way.administrator { format!("{ADMIN_PATH}\n{body}") } else { body };
    let Some(becoming) = &way.becoming else {
        return format!("set -- {}\n{body}", quote(command));
    };
    let missing = missing(marks, becoming.program());
    let run = become_command(becoming, way, marks);
    // In a fixed locale, because refusals are recognised by their words.
    format!(
        "{ADMIN_PATH}\nLC_ALL=C; export LC_ALL\n{missing}exec {run} -- sh -c {} sh {}",
        quote(&body),
        quote(command)
    )
}

fn become_command(becoming: &Becoming, way: &Way, marks: &Marks) -> String {
    let user = quote(&becoming.user);
    match becoming.by {
        // Quoted in two places, for the script not to contain the mark.
        Become::Sudo if way.password => {
            format!(r#"sudo -S -p "fleetadm-"{}"-password" -u {user}"#, marks.0)
        }
        Become::Doas if way.password => format!("doas -u {user}"),
        _ => format!("{} -n -u {user}", becoming.program()),
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

/// `$1` is the command. File descriptor 3 is the terminal, 4 takes the command's standard error and 5 its status. A piece of
/// input is read to its end even where the command does not want it: the next line has to be a number.
fn on_terminal(marks: &Marks, input: bool) -> String {
    let [begin, more, done] = ["begin", "more", "done"].map(|name| marks.print(name, "", ""));
    let end = marks.print("end", " %s", r#" "$status""#);
    let (missing, input) = if input {
        let input = format!(
            r#"while {more} >&3; read -r lines && [ "$lines" -gt 0 ]; do
head -n "$lines" | {{ base64 -d || cat >/dev/null; }}
done"#
        );
        (missing(marks, "base64"), input)
    } else {
        (String::new(), ":".to_owned())
    };
    format!(
        r#"{missing}{begin}
exec 3>&1 2>/dev/null
{input} | {{
status=$({{ {{ sh -c "$1" 2>&4 3>&- 4>&- 5>&-; printf %s "$?" >&5; }} | cat >&3; }} 5>&1)
{end} >&3
}} 4>&1 | {{
errors=$(head -c {TERMINAL_STDERR}; cat >/dev/null; printf .)
printf %s "${{errors%.}}"
{done}
}}"#
    )
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn way(by: Become, password: bool, terminal: bool) -> Way {
        let becoming = Some(Becoming { by, user: "root".to_owned() });
        Way { becoming, password, terminal, administrator: true, proven: true }
    }

    fn marks() -> Marks {
        Marks("17".to_owned())
    }

    #[test]
    fn the_login_user_runs_it() {
        let way = Way { becoming: None, administrator: false, ..way(Become::None, false, false) };
        insta::assert_snapshot!(script(&way, &marks(), "echo 'a b'", true), @r#"
        set -- 'echo '\''a b'\'''
        printf 'fleetadm-%s-begin\n' 17
        printf 'fleetadm-%s-begin\n' 17 >&2
        exec sh -c "$1"
        "#);
    }

    #[test]
    fn programs() {
        let first = |way: &Way| {
            let script = script(way, &marks(), "id", false);
            let line = script.lines().find(|line| line.starts_with("exec ")).unwrap_or_default();
            line.split(" -- ").next().unwrap_or_default().to_owned()
        };
        insta::assert_snapshot!(first(&way(Become::Sudo, false, false)), @"exec sudo -n -u root");
        insta::assert_snapshot!(first(&way(Become::Sudo, true, false)), @r#"exec sudo -S -p "fleetadm-"17"-password" -u root"#);
        insta::assert_snapshot!(first(&way(Become::Doas, false, false)), @"exec doas -n -u root");
        insta::assert_snapshot!(first(&way(Become::Doas, true, true)), @"exec doas -u root");
    }

    #[test]
    fn no_script_contains_a_mark() {
        for kind in [Become::Sudo, Become::Doas] {
            for terminal in [false, true] {
                let script = script(&way(kind, true, terminal), &marks(), "id", true);
                assert!(!script.contains(&marks().text("")), "{script}");
            }
        }
    }

    /// What a script prints that runs in place of a terminal's.
    fn on_a_pipe(shell: &str, command: &str) -> String {
        let way = Way { becoming: None, ..way(Become::None, false, true) };
        let child = Command::new(shell)
            .args(["-c", &script(&way, &marks(), command, true)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut input = child.stdin.take().unwrap();
        // On a pipe `head` reads more than it has to, so that there can be only one piece.
        std::io::Write::write_all(&mut input, b"2\naW4=\nCg==\n").unwrap();
        drop(input);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn the_protocol_of_a_terminal() {
        // When input is asked for depends on the order in which processes run.
        let said = |command: &str| {
            let printed = on_a_pipe("sh", command).replace("fleetadm-17-more\n", "");
            printed.replace("fleetadm-17-", "*")
        };
        insta::assert_snapshot!(said("cat; echo err >&2; exit 3"), @r#"
        *begin
        in
        *end 3
        err
        *done
        "#);
        insta::assert_snapshot!(said("echo no newline >&2; printf none"), @r#"
        *begin
        none*end 0
        no newline
        *done
        "#);
        // Some shells say so on standard error as well.
        assert!(said("kill -KILL $$").starts_with("*begin\n*end 137\n"));
        assert!(said("(").starts_with("*begin\n*end 2\nsh: "));
    }
}
