//! Files as a host sends them: framed by the script, bounded, and refused at the first thing that is not as asked for.

use super::CopyError;
use crate::node::NodeError;
use crate::node::transport::Flow;

/// Longest line between files, in bytes: a path, and what stands before it.
const MAX_LINE: usize = 8 << 10;

/// Where the content of files goes.
pub(super) trait Store {
    /// The file with this index begins.
    fn begin(&mut self, index: usize) -> Result<(), CopyError>;

    /// More of it.
    fn write(&mut self, data: &[u8]) -> Result<(), CopyError>;
}

/// Small files, by index.
#[derive(Default)]
pub(super) struct Memory(pub(super) Vec<Vec<u8>>);

impl Store for Memory {
    fn begin(&mut self, _: usize) -> Result<(), CopyError> {
        self.0.push(Vec::new());
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), CopyError> {
        if let Some(file) = self.0.last_mut() {
            file.extend_from_slice(data);
        }
        Ok(())
    }
}

enum State {
    /// A line is expected: the next file, or the end.
    Line,
    /// So many bytes of a file are left.
    Content(u64),
    /// The newline behind a file.
    Newline,
    End,
}

/// A file that a host is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// As the script is asked.
    pub(super) path: String,
    /// In bytes.
    pub(super) size: u64,
}

impl Expected {
    /// The line that asks for it.
    pub(super) fn line(&self) -> String {
        format!("{}\t{}", self.size, self.path)
    }
}

/// Takes a stream of files apart as it arrives.
pub(super) struct Incoming<'a, S> {
    files: &'a [Expected],
    /// How many have begun.
    begun: usize,
    state: State,
    line: Vec<u8>,
    store: S,
    error: Option<CopyError>,
}

impl<'a, S: Store> Incoming<'a, S> {
    /// These files are expected, in this order.
    pub(super) fn new(files: &'a [Expected], store: S) -> Self {
        Self { files, begun: 0, state: State::Line, line: Vec::new(), store, error: None }
    }

    /// Take what has arrived. After a refusal nothing more is wanted; [`Self::finish`] says why.
    pub(super) fn push(&mut self, data: &[u8]) -> Flow {
        match self.take(data) {
            Ok(()) => Flow::GoOn,
            Err(error) => {
                self.error.get_or_insert(error);
                Flow::Stop
            }
        }
    }

    /// The store with all files, once the transfer has ended with `result`.
    pub(super) fn finish(self, result: Result<(), NodeError>) -> Result<S, CopyError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        result?;
        match self.state {
            State::End => Ok(self.store),
            _ => Err(refused("less than the files asked for")),
        }
    }

    fn take(&mut self, mut data: &[u8]) -> Result<(), CopyError> {
        while !data.is_empty() {
            data = match self.state {
                State::Line => self.take_line(data)?,
                State::Content(left) => self.take_content(data, left)?,
                State::Newline => {
                    let rest = data.strip_prefix(b"\n");
                    let rest = rest.ok_or_else(|| {
                        refused(
                            "a file of another size than it announced; \
                        does it change while it is read?",
                        )
                    })?;
                    self.state = State::Line;
                    rest
                }
                State::End => return Err(refused("more than the files asked for")),
            };
        }
        Ok(())
    }

    fn take_line<'d>(&mut self, data: &'d [u8]) -> Result<&'d [u8], CopyError> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let (line, rest) = data.split_at(end.unwrap_or(data.len()));
        if self.line.len() + line.len() > MAX_LINE {
            return Err(refused("an endless line between two files"));
        }
        self.line.extend_from_slice(line);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.state = self.begin(&String::from_utf8_lossy(&line))?;
            return Ok(&rest[1..]);
        }
        Ok(rest)
    }

    fn begin(&mut self, line: &str) -> Result<State, CopyError> {
        if line == "end" && self.begun == self.files.len() {
            return Ok(State::End);
        }
        let expected = self.files.get(self.begun);
        match expected.filter(|file| line == format!("file {} {}", file.size, file.path)) {
            Some(file) => {
                self.store.begin(self.begun)?;
                self.begun += 1;
                Ok(if file.size == 0 { State::Newline } else { State::Content(file.size) })
            }
            None => Err(refused(&format!(
                "`{line}` between two files; does one change while it is read?"
            ))),
        }
    }

    fn take_content<'d>(&mut self, data: &'d [u8], left: u64) -> Result<&'d [u8], CopyError> {
        let most = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
        let (content, rest) = data.split_at(most);
        self.store.write(content)?;
        let left = left - most as u64;
        self.state = if left == 0 { State::Newline } else { State::Content(left) };
        Ok(rest)
    }
}

fn refused(what: &str) -> CopyError {
    CopyError::Refused(what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn receive(stream: &[u8], chunk: usize) -> Result<Vec<Vec<u8>>, String> {
        let file = |path: &str, size| Expected { path: path.to_owned(), size };
        let files = [file("/a b", 6), file("./c", 0)];
        let mut incoming = Incoming::new(&files, Memory::default());
        for data in stream.chunks(chunk) {
            if incoming.push(data) == Flow::Stop {
                break;
            }
        }
        incoming.finish(Ok(())).map(|store| store.0).map_err(|error| error.to_string())
    }

    const STREAM: &[u8] = b"file 6 /a b\nend\nx\n\nfile 0 ./c\n\nend\n";

    #[test]
    fn files_arrive_whatever_the_pieces() {
        for chunk in 1..=STREAM.len() {
            let files = receive(STREAM, chunk).unwrap();
            assert_eq!(files, [b"end\nx\n".to_vec(), Vec::new()], "{chunk}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        for (stream, words) in [
            (&STREAM[..20], "less than the files"),
            (b"", "less than the files"),
            (b"end\n", "`end` between two files"),
            (b"file 6 /etc/passwd\nx\n", "`file 6 /etc/passwd` between"),
            (b"file 7 /a b\n", "`file 7 /a b` between"),
            (b"file 06 /a b\n", "between two files"),
            (b"file 6 /a b\nabcdefg\n", "of another size"),
            (b"file 6 /a b\nabcdef\nfile 0 ./c\n\nfile 0 ./d\n\n", "`file 0 ./d` between"),
            (b"file 6 /a b\nabcdef\nfile 0 ./c\n\nend\nmore", "more than the files"),
            (b"\x1b[2Jhello\n", "`hello` between"),
        ] {
            let error = receive(stream, 7).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let endless = vec![b'x'; MAX_LINE + 1];
        assert!(receive(&endless, 1000).unwrap_err().contains("endless"));
    }

    proptest! {
        #[test]
        fn any_stream_is_taken_or_refused(
            noise in prop::collection::vec(any::<u8>(), 0..60),
            at in 0usize..STREAM.len(),
            chunk in 1usize..20,
        ) {
            let mut stream = STREAM[..at].to_vec();
            stream.extend(noise);
            if let Ok(files) = receive(&stream, chunk) {
                prop_assert_eq!(files.len(), 2);
            }
        }
    }
}
