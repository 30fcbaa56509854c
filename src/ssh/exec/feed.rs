//! Standard input on its way to a command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::ssh::error::SshError;

use super::Input;

/// Bytes in the first piece: most commands read little, and there may be thousands of them.
const FIRST_PIECE: usize = 8 * 1024;
/// Most bytes in one piece.
const PIECE: usize = 128 * 1024;
/// Bytes on one line to a terminal, whose lines may be limited to 4095 characters.
const LINE: usize = 2304;
/// Lines in one piece to a terminal, so that it has room for them all before anybody reads: a sudo that cannot get rid of
/// what is typed when its command ends, or the connection, spins for ever.
const LINES: usize = 16;

/// Write `input` and end it. A connection that fails meanwhile is noticed by whoever reads from it.
pub(super) async fn to_channel(
    writer: &ChannelWriteHalf<Msg>,
    mut input: Input,
) -> Result<(), SshError> {
    let mut size = FIRST_PIECE;
    loop {
        let piece = input.piece(size).await?;
        let end = piece.is_empty();
        if piece.len() == size {
            size = (size * 4).min(PIECE);
        }
        let sent = if end { writer.eof().await } else { writer.data_bytes(piece).await };
        if end || sent.is_err() {
            return Ok(());
        }
    }
}

/// Write `input` as [`super::script`] says, and end it early where the command has ended. Failures as above.
pub(super) async fn to_terminal(
    writer: &ChannelWriteHalf<Msg>,
    mut input: Input,
    turns: &Turns,
) -> Result<(), SshError> {
    loop {
        turns.wait().await;
        // Only here may it be interrupted: half a piece would be waited for on the host.
        let piece = tokio::select! {
            biased;
            () = turns.ended.cancelled() => Bytes::new(),
            piece = input.piece(LINES * LINE) => piece?,
        };
        if writer.data_bytes(lines(&piece)).await.is_err() || piece.is_empty() {
            return Ok(());
        }
    }
}

/// A piece for a terminal: the number of lines, and the lines.
fn lines(piece: &[u8]) -> String {
    let lines = piece.chunks(LINE);
    let mut text = format!("{}\n", lines.len());
    for line in lines {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text
}

/// When the next piece may go to a terminal.
#[derive(Debug)]
pub(super) struct Turns {
    asked: Semaphore,
    ended: CancellationToken,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { asked: Semaphore::new(0), ended: CancellationToken::new() }
    }

    /// The host asks for a piece.
    pub(super) fn ask(&self) {
        // A host that asks again before it has got anything gains nothing by it.
        if self.asked.available_permits() == 0 {
            self.asked.add_permits(1);
        }
    }

    /// The command wants no more: the next piece is the end.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    async fn wait(&self) {
        // The semaphore is never closed.
        if let Ok(turn) = self.asked.acquire().await {
            turn.forget();
        }
    }
}

impl Input {
    /// The next bytes, at most `limit`; none at the end.
    async fn piece(&mut self, limit: usize) -> Result<Bytes, SshError> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::Bytes(bytes) => Ok(bytes.split_to(bytes.len().min(limit))),
            Self::Reader(reader) => {
                let mut piece = BytesMut::with_capacity(limit);
                let read = reader.take(limit as u64).read_buf(&mut piece).await;
                read.map_err(|error| SshError::Input { reason: error.to_string() })?;
                Ok(piece.freeze())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_for_a_terminal() {
        insta::assert_snapshot!(lines(b"some input\n"), @r"
        1
        c29tZSBpbnB1dAo=
        ");
        assert_eq!(lines(b""), "0\n");
        let full = lines(&vec![0; LINES * LINE]);
        assert!(full.starts_with("16\n") && full.len() < 64 * 1024, "{}", full.len());
        assert!(full.lines().all(|line| line.len() < 4095));
    }

    #[tokio::test]
    async fn pieces_of_every_input() {
        assert_eq!(Input::None.piece(2).await.unwrap(), "");
        for mut input in [Input::from("abc"), Input::reader(&b"abc"[..])] {
            assert_eq!(input.piece(2).await.unwrap(), "ab");
            assert_eq!(input.piece(2).await.unwrap(), "c");
            assert_eq!(input.piece(2).await.unwrap(), "");
        }
    }

    #[tokio::test]
    async fn turns_do_not_add_up() {
        let turns = Turns::new();
        turns.ask();
        turns.ask();
        turns.wait().await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), turns.wait());
        assert!(second.await.is_err());
    }
}
