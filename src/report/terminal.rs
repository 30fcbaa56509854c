//! Reading an answer from the terminal, whatever standard input and output are. Only the renderer does that, and
//! only while nothing else is shown.

use std::fs::File;
use std::io::{self, Read, Write};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::question::NoAnswer;
use super::text::printable;

/// The terminal that the process belongs to.
const TERMINAL: &str = "/dev/tty";

/// How often the terminal is looked at while nothing is typed.
const INTERVAL: Duration = Duration::from_millis(50);

/// Longer than what terminals take as one line.
const LINE_LIMIT: usize = 8192;

/// Show `text`, read one line. Gives up when `give_up` says so; the terminal is then as it was before.
///
/// Blocks; the line is edited by the terminal itself, with its own keys.
pub(super) fn ask(
    text: &str,
    echo: bool,
    give_up: impl Fn() -> bool,
) -> Result<SecretString, NoAnswer> {
    if give_up() {
        return Err(NoAnswer::Interrupted);
    }
    // Not blocking, because a read that blocks cannot be given up.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let terminal = open(TERMINAL, flags, Mode::empty()).map_err(|_| NoAnswer::NoTerminal)?;
    let terminal = &File::from(terminal);
    let mut stream = terminal;
    let broken = |error: io::Error| NoAnswer::Broken(error.to_string());
    let saved = Echo::set(terminal, echo).map_err(broken)?;
    let answer = write!(stream, "{}", printable(text))
        .map_err(broken)
        .and_then(|()| read_line(terminal, give_up));
    drop(saved);
    if !echo || answer.is_err() {
        // The newline that was typed was not shown. Without a terminal nobody misses it.
        let _ = stream.write_all(b"\n");
    }
    answer
}

fn read_line(
    mut terminal: impl Read,
    give_up: impl Fn() -> bool,
) -> Result<SecretString, NoAnswer> {
    // As long as it gets, so that no half of a secret stays behind where a shorter one was.
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_LIMIT));
    let mut part = Zeroizing::new([0; 1024]);
    loop {
        if give_up() {
            return Err(NoAnswer::Interrupted);
        }
        match terminal.read(part.as_mut_slice()) {
            // The key for the end of input (Ctrl-D), or a terminal that is gone.
            Ok(0) => return Err(NoAnswer::Closed),
            Ok(length) => {
                let room = LINE_LIMIT - line.len();
                line.extend_from_slice(&part[..length.min(room)]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(INTERVAL),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(NoAnswer::Broken(error.to_string())),
        }
        let end = line.iter().position(|byte| *byte == b'\n');
        if let Some(end) = end.or_else(|| (line.len() == LINE_LIMIT).then_some(LINE_LIMIT)) {
            let text = std::str::from_utf8(&line[..end])
                .map_err(|_| NoAnswer::Broken("the answer is not UTF-8".to_owned()))?;
            return Ok(SecretString::from(text));
        }
    }
}

/// The terminal's modes while it is asked, put back when dropped.
struct Echo<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Echo<'a> {
    fn set(terminal: &'a File, echo: bool) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        // Lines with editing, and signals from Ctrl-C: another program may have left it otherwise.
        modes.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
        modes.local_modes.set(LocalModes::ECHO, echo);
        // Flushed, so that what was typed before the question is not taken for its answer.
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Echo<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}
