//! What a command's output means: marks told from output, as [`super::script`] says.
//!
//! Decides only; sending and waiting is for [`super::channel`]. Whatever a host prints is bounded here.

use crate::ssh::error::SshError;
use crate::ssh::privilege::Way;

use super::script::Marks;
use super::{Exit, Stream};

/// Most bytes a host may print on one stream before the command begins: a banner, or the whole command where a startup
/// file says `set -x`.
const PREAMBLE_LIMIT: usize = 256 * 1024;

/// `STATUS` of `end STATUS` is no longer.
const STATUS_LIMIT: usize = 8;

/// What is told apart from output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// A password is asked for.
    pub(super) prompt: bool,
    /// The command begins.
    pub(super) begun: bool,
    /// The command has ended, and all of its output is there.
    pub(super) exit: Option<Exit>,
}

/// Follows one run of one command.
#[derive(Debug)]
pub(super) struct Dialogue {
    prompt: Prompt,
    stdout: Preamble,
    stderr: Preamble,
    terminal: Option<Terminal>,
}

impl Dialogue {
    pub(super) fn new(way: &Way, marks: &Marks) -> Self {
        let prompt = match way.password {
            false => Prompt::Never,
            true if way.is_doas() => Prompt::Doas,
            true => Prompt::Mark(marks.text("password").into_bytes()),
        };
        let begin = format!("{}\n", marks.text("begin")).into_bytes();
        Self {
            prompt,
            stdout: Preamble::until(begin.clone()),
            stderr: Preamble::until(begin),
            terminal: way.terminal.then(|| Terminal::new(marks)),
        }
    }

    /// Whether the command has begun: the stream that asks for passwords has said so.
    pub(super) fn begun(&self) -> bool {
        if self.terminal.is_some() { self.stdout.passed } else { self.stderr.passed }
    }

    /// Whether all is there that has to be when the channel has been closed.
    pub(super) fn check_end(&self) -> Result<(), SshError> {
        match &self.terminal {
            Some(terminal) if terminal.exit.is_none() => Err(garbled()),
            _ => Ok(()),
        }
    }

    /// What was printed in place of the command's output, what concerns errors last. Untrusted.
    pub(super) fn preamble(&self) -> String {
        let text = |preamble: &Preamble| String::from_utf8_lossy(&preamble.text).into_owned();
        format!("{}\n{}", text(&self.stdout), text(&self.stderr))
    }

    /// Take what came on `stream`, and hand the command's own output to `sink`.
    pub(super) fn receive(
        &mut self,
        stream: Stream,
        data: &[u8],
        sink: &mut impl FnMut(Stream, &[u8]) -> Result<(), SshError>,
    ) -> Result<News, SshError> {
        let preamble = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        // Passwords are asked for on the terminal, or else on standard error.
        let leading = (stream == Stream::Stdout) == self.terminal.is_some();
        let mut news = News::default();
        let passed_before = preamble.passed;
        let output = if passed_before { data } else { preamble.push(data)? };
        if !preamble.passed {
            news.prompt = leading && self.prompt.is_in(preamble);
            return Ok(news);
        }
        news.begun = leading && !passed_before;
        match (&mut self.terminal, stream) {
            (Some(terminal), Stream::Stdout) => news.exit = terminal.push(output, sink)?,
            _ if output.is_empty() => {}
            _ => sink(stream, output)?,
        }
        Ok(news)
    }
}

/// How a password is asked for.
#[derive(Debug)]
enum Prompt {
    Never,
    /// sudo's `-p`; sudo-rs puts it in brackets.
    Mark(Vec<u8>),
    /// `doas (USER@HOST) password: `.
    Doas,
}

impl Prompt {
    /// Whether the last thing in the preamble is a prompt that nobody has noticed so far.
    fn is_in(&self, preamble: &mut Preamble) -> bool {
        let fresh = &preamble.text[preamble.noticed..];
        let found = match self {
            Self::Never => false,
            Self::Mark(mark) => {
                fresh.strip_suffix(b"] Password: ").unwrap_or(fresh).ends_with(mark)
            }
            Self::Doas => {
                let line = fresh.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next();
                line.is_some_and(|line| {
                    line.starts_with(b"doas (") && line.ends_with(b") password: ")
                })
            }
        };
        if found {
            preamble.noticed = preamble.text.len();
        }
        found
    }
}

/// What comes on a stream before the command's output.
#[derive(Debug)]
struct Preamble {
    mark: Vec<u8>,
    text: Vec<u8>,
    /// How much of the text has been looked at for prompts.
    noticed: usize,
    /// The mark has been seen.
    passed: bool,
}

impl Preamble {
    fn until(mark: Vec<u8>) -> Self {
        Self { mark, text: Vec::new(), noticed: 0, passed: false }
    }

    /// Add `data`. Gives what comes behind the mark.
    fn push<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], SshError> {
        let before = self.text.len();
        let room = PREAMBLE_LIMIT + self.mark.len() - before;
        self.text.extend_from_slice(&data[..room.min(data.len())]);
        // The mark may have begun in what came earlier.
        let from = before.saturating_sub(self.mark.len());
        if let Some(at) = find(&self.text[from..], &self.mark) {
            let end = from + at + self.mark.len();
            self.passed = true;
            self.text.truncate(from + at);
            return Ok(&data[end - before..]);
        }
        if self.text.len() > PREAMBLE_LIMIT {
            return Err(SshError::Nonsense {
                reason: format!(
                    "more than {PREAMBLE_LIMIT} bytes before the command; what do the startup files of the login \
                     shell print?"
                ),
            });
        }
        Ok(&[])
    }
}

/// What comes from a terminal once the command has begun.
#[derive(Debug)]
struct Terminal {
    stdout: Until,
    status: Vec<u8>,
    exit: Option<Exit>,
    stderr: Until,
}

impl Terminal {
    fn new(marks: &Marks) -> Self {
        Self {
            stdout: Until::new(format!("{} ", marks.text("end"))),
            status: Vec::new(),
            exit: None,
            stderr: Until::new(format!("{}\n", marks.text("done"))),
        }
    }

    /// Gives how the command ended, once that is known and all of its output is there.
    fn push(
        &mut self,
        data: &[u8],
        sink: &mut impl FnMut(Stream, &[u8]) -> Result<(), SshError>,
    ) -> Result<Option<Exit>, SshError> {
        let Some(data) = self.stdout.push(data, |piece| sink(Stream::Stdout, piece))? else {
            return Ok(None);
        };
        let data = if self.exit.is_none() {
            self.status.extend_from_slice(&data);
            let Some(end) = self.status.iter().position(|byte| *byte == b'\n') else {
                // Whoever prints the mark prints a number behind it.
                return if self.status.len() > STATUS_LIMIT { Err(garbled()) } else { Ok(None) };
            };
            let rest = self.status.split_off(end);
            let status = std::str::from_utf8(&self.status).ok().and_then(|text| text.parse().ok());
            self.exit =
                Some(Exit::Code(status.map(|status: u8| i32::from(status)).ok_or_else(garbled)?));
            rest[1..].to_vec()
        } else {
            data
        };
        match self.stderr.push(&data, |piece| sink(Stream::Stderr, piece))? {
            Some(_) => Ok(self.exit.clone()),
            None => Ok(None),
        }
    }
}

fn garbled() -> SshError {
    SshError::Nonsense { reason: "no exit status where one has to be".to_owned() }
}

/// A stream up to a mark.
#[derive(Debug)]
struct Until {
    mark: Vec<u8>,
    /// What may be the beginning of the mark.
    held: Vec<u8>,
    passed: bool,
}

impl Until {
    fn new(mark: String) -> Self {
        Self { mark: mark.into_bytes(), held: Vec::new(), passed: false }
    }

    /// Hand on what is certainly not the mark. Gives what comes behind it.
    fn push(
        &mut self,
        data: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), SshError>,
    ) -> Result<Option<Vec<u8>>, SshError> {
        if self.passed {
            return Ok(Some(data.to_vec()));
        }
        self.held.extend_from_slice(data);
        if let Some(at) = find(&self.held, &self.mark) {
            self.passed = true;
            let rest = self.held.split_off(at + self.mark.len());
            self.held.truncate(at);
            if at > 0 {
                sink(&self.held)?;
            }
            return Ok(Some(rest));
        }
        let certain = self.held.len() - beginning(&self.held, &self.mark);
        if certain > 0 {
            sink(&self.held[..certain])?;
            self.held.drain(..certain);
        }
        Ok(None)
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

/// How many bytes at the end of `text` may be the beginning of `mark`.
fn beginning(text: &[u8], mark: &[u8]) -> usize {
    (1..mark.len().min(text.len() + 1))
        .rev()
        .find(|length| text.ends_with(&mark[..*length]))
        .unwrap_or(0)
}
