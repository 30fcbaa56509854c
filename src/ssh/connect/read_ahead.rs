//! Reading ahead of a session, which reads every packet in two pieces, its length and the rest: most packets are small, and
//! several of them come with one read of the socket.
//!
//! It takes memory only while there is something that the session has not read: most connections wait most of the time.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes. Whoever has room for as many reads past it.
const SIZE: usize = 1024;

/// What has been read and not been asked for.
#[derive(Default)]
pub(super) struct ReadAhead {
    bytes: Vec<u8>,
    /// How many of them have been asked for since.
    taken: usize,
}

impl ReadAhead {
    /// As `poll_read` of `inner`, which must not be read in any other way.
    pub(super) fn poll_read(
        &mut self,
        inner: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            if buffer.remaining() >= SIZE {
                return inner.poll_read(cx, buffer);
            }
            let mut space = [MaybeUninit::uninit(); SIZE];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(inner.poll_read(cx, &mut read))?;
            let (now, later) = read.filled().split_at(read.filled().len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.bytes = later.to_vec();
        } else {
            let later = &self.bytes[self.taken..];
            let now = &later[..later.len().min(buffer.remaining())];
            buffer.put_slice(now);
            self.taken += now.len();
            if self.taken == self.bytes.len() {
                *self = Self::default();
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    /// What one read of so many bytes gives.
    async fn read(
        ahead: &mut ReadAhead,
        inner: &mut (impl AsyncRead + Unpin),
        size: usize,
    ) -> Vec<u8> {
        let mut space = vec![0; size];
        let mut buffer = ReadBuf::new(&mut space);
        poll_fn(|cx| ahead.poll_read(Pin::new(inner), cx, &mut buffer)).await.unwrap();
        buffer.filled().to_vec()
    }

    #[tokio::test]
    async fn nothing_is_lost_and_nothing_is_kept() {
        let (mut near, mut far) = duplex(10 * SIZE);
        let sent: Vec<u8> =
            (0..10 * SIZE).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut ahead = ReadAhead::default();
        let mut got = Vec::new();
        for size in [4, 60, 4, 1, SIZE - 1, SIZE, 3 * SIZE, 4].into_iter().cycle() {
            let piece = read(&mut ahead, &mut near, size).await;
            assert!(piece.len() <= size);
            if piece.is_empty() {
                break;
            }
            got.extend(piece);
        }
        assert_eq!(got, sent);
        assert_eq!(ahead.bytes.capacity(), 0);
    }

    #[tokio::test]
    async fn small_pieces_come_with_one_read() {
        let (mut near, mut far) = duplex(SIZE);
        far.write_all(b"lengthpacket").await.unwrap();
        let mut ahead = ReadAhead::default();
        assert_eq!(read(&mut ahead, &mut near, 6).await, b"length");
        // It has been read by now.
        far.write_all(b"next").await.unwrap();
        assert_eq!(read(&mut ahead, &mut near, 60).await, b"packet");
        assert_eq!(read(&mut ahead, &mut near, 60).await, b"next");
    }
}
