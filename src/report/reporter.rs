//! The way of events from logic to the renderer.
//!
//! Whoever sends an event never waits. What hosts print is the one thing that can come faster than a terminal or a pipe takes
//! it, and without end: [`Reporter::paced`] holds up whoever passes it on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};

use super::Event;

/// How much of hosts' output may wait to be shown, in bytes.
const BACKLOG: usize = 8 * 1024 * 1024;

/// Where logic sends events. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Reporter {
    events: mpsc::UnboundedSender<(OffsetDateTime, Event)>,
    backlog: Arc<Backlog>,
}

/// Where the renderer takes events from.
#[derive(Debug)]
pub struct Events {
    events: mpsc::UnboundedReceiver<(OffsetDateTime, Event)>,
    backlog: Arc<Backlog>,
}

/// Output that has been sent and not been taken.
#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    shrunk: Notify,
}

impl Reporter {
    /// A reporter and the receiving end for the renderer.
    pub fn channel() -> (Self, Events) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let backlog = Arc::new(Backlog::default());
        (
            Self { events: sender, backlog: Arc::clone(&backlog) },
            Events { events: receiver, backlog },
        )
    }

    /// Send an event. A renderer that is gone is not an error: the run goes on.
    pub fn emit(&self, event: Event) {
        self.backlog.bytes.fetch_add(size(&event), Ordering::Relaxed);
        // Fails only when the renderer has ended, and then nobody is left to tell.
        let _ = self.events.send((OffsetDateTime::now_utc(), event));
    }

    /// `work`, which passes on what hosts print, held up while too much of that waits to be shown.
    pub async fn paced<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            self.room().await;
            let outcome = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if self.is_behind() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            if let Some(outcome) = outcome.await {
                return outcome;
            }
        }
    }

    async fn room(&self) {
        loop {
            // It has to be listened to before the look that says there is reason to.
            let shrunk = self.backlog.shrunk.notified();
            if !self.is_behind() {
                return;
            }
            shrunk.await;
        }
    }

    fn is_behind(&self) -> bool {
        self.backlog.bytes.load(Ordering::Relaxed) > BACKLOG && !self.events.is_closed()
    }
}

impl Events {
    /// The next event; `None` when every reporter is gone.
    pub async fn recv(&mut self) -> Option<Event> {
        self.next().await.map(|(_, event)| event)
    }

    /// The next event, and when it was sent: whoever shows events may be late, for example while a question is open.
    pub(super) async fn next(&mut self) -> Option<(OffsetDateTime, Event)> {
        let (at, event) = self.events.recv().await?;
        let size = size(&event);
        let before = self.backlog.bytes.fetch_sub(size, Ordering::Relaxed);
        if before > BACKLOG && before - size <= BACKLOG {
            self.backlog.shrunk.notify_waiters();
        }
        Some((at, event))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.events.close();
        self.backlog.shrunk.notify_waiters();
    }
}

/// What an event counts for: output only, as bytes, and none is free.
fn size(event: &Event) -> usize {
    match event {
        Event::Output { line, .. } => line.len() + 100,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn line() -> Event {
        Event::Output { host: "node".to_owned(), stderr: false, line: "x".repeat(1024 * 1024) }
    }

    async fn print(reporter: &Reporter, lines: usize) {
        for _ in 0..lines {
            reporter.emit(line());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_prints_waits_for_whoever_shows() {
        let (reporter, mut events) = Reporter::channel();
        let printing = {
            let reporter = reporter.clone();
            tokio::spawn(async move { reporter.paced(print(&reporter, 100)).await })
        };
        let mut most = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            most = most.max(reporter.backlog.bytes.load(Ordering::Relaxed));
            events.recv().await.unwrap();
        }
        printing.await.unwrap();
        assert!((BACKLOG..BACKLOG + 2 * 1024 * 1024).contains(&most), "{most}");
        assert_eq!(reporter.backlog.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_renderer_that_is_gone() {
        let (reporter, events) = Reporter::channel();
        let printing = {
            let reporter = reporter.clone();
            tokio::spawn(async move { reporter.paced(print(&reporter, 100)).await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!printing.is_finished());
        drop(events);
        timeout(Duration::from_secs(5), printing).await.unwrap().unwrap();
    }
}
