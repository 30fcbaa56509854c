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

/// What a mark says is no longer.
const MARK_LIMIT: usize = 16;

/// What is told apart from output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// A password is asked for.
    pub(super) prompt: bool,
    /// The command begins.
    pub(super) begun: bool,
    /// The next piece of standard input is asked for.
    pub(super) input_wanted: bool,
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
            (Some(terminal), Stream::Stdout) => terminal.push(output, &mut news, sink)?,
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

/// What comes from a terminal once the command has begun: its output, and marks in between.
#[derive(Debug)]
struct Terminal {
    /// How every mark begins.
    mark: Vec<u8>,
    /// What may be a mark, or the beginning of one.
    held: Vec<u8>,
    exit: Option<Exit>,
    done: bool,
}

impl Terminal {
    fn new(marks: &Marks) -> Self {
        let mark = marks.text("").into_bytes();
        Self { mark, held: Vec::new(), exit: None, done: false }
    }

    fn push(
        &mut self,
        data: &[u8],
        news: &mut News,
        sink: &mut impl FnMut(Stream, &[u8]) -> Result<(), SshError>,
    ) -> Result<(), SshError> {
        self.held.extend_from_slice(data);
        loop {
            let mark = find(&self.held, &self.mark);
            let output = mark.unwrap_or(self.held.len() - beginning(&self.held, &self.mark));
            if output > 0 {
                match (self.done, &self.exit) {
                    // Not the command's any more.
                    (true, _) => {}
                    (false, None) => sink(Stream::Stdout, &self.held[..output])?,
                    (false, Some(_)) => sink(Stream::Stderr, &self.held[..output])?,
                }
                self.held.drain(..output);
            }
            if mark.is_none() {
                return Ok(());
            }
            let line = &self.held[self.mark.len()..];
            let Some(length) = line.iter().position(|byte| *byte == b'\n') else {
                return if line.len() > MARK_LIMIT { Err(garbled()) } else { Ok(()) };
            };
            match (&line[..length], &self.exit) {
                (b"more", _) => news.input_wanted = true,
                // Input may be asked for once more after that.
                (b"done", Some(exit)) if !self.done => {
                    news.exit = Some(exit.clone());
                    self.done = true;
                }
                (mark, None) => self.exit = Some(status(mark).ok_or_else(garbled)?),
                _ => return Err(garbled()),
            }
            self.held.drain(..self.mark.len() + length + 1);
        }
    }
}

/// What `end STATUS` says.
fn status(mark: &[u8]) -> Option<Exit> {
    let status = std::str::from_utf8(mark.strip_prefix(b"end ")?).ok()?;
    status.parse::<u8>().ok().map(|status| Exit::Code(status.into()))
}

fn garbled() -> SshError {
    SshError::Nonsense { reason: "the terminal garbles what the command prints".to_owned() }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::Become;
    use crate::ssh::privilege::Becoming;

    fn way(by: Become, password: bool, terminal: bool) -> Way {
        let becoming = Some(Becoming { by, user: "root".to_owned() });
        Way { becoming, password, terminal, administrator: true, proven: true }
    }

    /// What became of a dialogue.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Heard {
        prompts: usize,
        begun: usize,
        exit: Option<Exit>,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    }

    /// Let a host say these things one after the other; `{}` stands for what all marks have in common.
    fn hear(way: &Way, said: &[(Stream, &[u8])]) -> Result<Heard, SshError> {
        let marks = Marks::random();
        let common = marks.text("");
        let mut dialogue = Dialogue::new(way, &marks);
        let mut heard = Heard::default();
        for (stream, text) in said {
            let mut data = text.to_vec();
            while let Some(at) = find(&data, b"{}") {
                data.splice(at..at + 2, common.bytes());
            }
            let mut sink = |stream, data: &[u8]| {
                let output =
                    if stream == Stream::Stdout { &mut heard.stdout } else { &mut heard.stderr };
                output.extend_from_slice(data);
                Ok(())
            };
            let news = dialogue.receive(*stream, &data, &mut sink)?;
            heard.prompts += usize::from(news.prompt);
            heard.begun += usize::from(news.begun);
            heard.exit = news.exit.or(heard.exit);
        }
        Ok(heard)
    }

    #[test]
    fn banners_are_no_output() {
        let login = Way { becoming: None, ..way(Become::None, false, false) };
        let heard = hear(
            &login,
            &[
                (Stream::Stdout, b"Welcome!\nno newline{}begin\nout"),
                (Stream::Stderr, b"stty: not a terminal\n"),
                (Stream::Stderr, b"{}beg"),
                (Stream::Stderr, b"in\nerr"),
                (Stream::Stdout, b" and {}begin\n more"),
            ],
        )
        .unwrap();
        assert_eq!((heard.begun, heard.prompts), (1, 0));
        assert!(heard.stdout.starts_with(b"out and fleetadm-"));
        assert_eq!(heard.stderr, b"err");
    }

    #[test]
    fn prompts_are_answered_where_they_are_the_last_word() {
        let prompts = |way: &Way, said: &[&[u8]]| {
            let stream = if way.terminal { Stream::Stdout } else { Stream::Stderr };
            let said: Vec<_> = said.iter().map(|text| (stream, *text)).collect();
            let heard = hear(way, &said).unwrap();
            (heard.prompts, heard.begun)
        };
        let (sudo, doas) = (way(Become::Sudo, true, false), way(Become::Doas, true, true));
        assert_eq!(prompts(&sudo, &[b"We trust you...\n{}password", b"{}begin\n"]), (1, 1));
        assert_eq!(prompts(&sudo, &[b"[sudo: {}password] Password: ", b"\n{}begin\n"]), (1, 1));
        assert_eq!(prompts(&sudo, &[b"[sudo: {}password", b"] Password: "]), (1, 0));
        assert_eq!(prompts(&sudo, &[b"{}password", b"Sorry, try again.\n{}password"]), (2, 0));
        // A trace of the command is no prompt, and neither is anything the command prints.
        assert_eq!(prompts(&sudo, &[b"+ sudo -S -p {}password -u root\n"]), (0, 0));
        assert_eq!(prompts(&sudo, &[b"{}begin\n", b"{}password"]), (0, 1));
        assert_eq!(prompts(&sudo, &[b"doas (ops@n1) password: "]), (0, 0));
        assert_eq!(prompts(&way(Become::Sudo, false, false), &[b"{}password"]), (0, 0));

        assert_eq!(prompts(&doas, &[b"\rdoas (ops@n1) password: ", b"\r\n{}begin\n"]), (1, 1));
        assert_eq!(prompts(&doas, &[b"doas (ops@n1) pass", b"word: "]), (1, 0));
        assert_eq!(prompts(&doas, &[b"my password: "]), (0, 0));
        assert_eq!(prompts(&doas, &[b"{}begin\n", b"doas (ops@n1) password: "]), (0, 1));
        // Without a terminal nobody listens on standard output.
        let heard = hear(&sudo, &[(Stream::Stdout, b"{}password")]).unwrap();
        assert_eq!(heard.prompts, 0);
    }

    #[test]
    fn endless_preambles() {
        let line = [b'x'; 1000];
        let said = vec![(Stream::Stdout, &line[..]); PREAMBLE_LIMIT / 1000 + 2];
        let error = hear(&way(Become::Sudo, false, false), &said).unwrap_err();
        assert!(matches!(error, SshError::Nonsense { .. }), "{error:?}");
        assert!(hear(&way(Become::Sudo, false, false), &said[2..]).is_ok());
    }

    #[test]
    fn terminals_that_garble() {
        for said in ["end x\n", "end 256\n", "end 1", "done\n", "end 0\n{}end 0\n", "something\n"] {
            let said = format!("{{}}begin\n{{}}{said}0000000000000000000");
            let heard = hear(&way(Become::Sudo, false, true), &[(Stream::Stdout, said.as_bytes())]);
            assert!(matches!(heard, Err(SshError::Nonsense { .. })), "{said}: {heard:?}");
        }
    }

    proptest! {
        #[test]
        fn how_a_terminal_is_cut_into_pieces_does_not_matter(
            stdout in "[a{}\n]{0,20}", stderr in "[b{}\n]{0,20}", cuts in prop::collection::vec(0usize..200, 0..6)
        ) {
            let marks = Marks::random();
            let mark = marks.text("");
            let text = format!(
                "noise{mark}begin\n{mark}more\n{stdout}{mark}more\n{mark}end 3\n{stderr}{mark}done\n{mark}more\n"
            );
            let mut dialogue = Dialogue::new(&way(Become::Doas, true, true), &marks);
            let (mut out, mut err, mut begun, mut wanted, mut exit) = (vec![], vec![], 0, false, None);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            for piece in cuts.windows(2) {
                let mut sink = |stream, data: &[u8]| {
                    if stream == Stream::Stdout { &mut out } else { &mut err }.extend_from_slice(data);
                    Ok(())
                };
                let piece = &text.as_bytes()[piece[0]..piece[1]];
                let news = dialogue.receive(Stream::Stdout, piece, &mut sink).unwrap();
                begun += usize::from(news.begun);
                wanted |= news.input_wanted;
                exit = news.exit.or(exit);
            }
            prop_assert_eq!((begun, wanted, exit), (1, true, Some(Exit::Code(3))));
            prop_assert_eq!((out, err), (stdout.into_bytes(), stderr.into_bytes()));
            prop_assert!(dialogue.check_end().is_ok());
        }
    }
}
