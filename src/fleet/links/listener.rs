//! A listener on a host, for as long as somebody tries whether it can be reached.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ssh::{Connection, Input, Program, RunAs, RunOptions, Stream};

/// What listens: it sends back what it is sent.
const LISTENER: &str = include_str!("../../../templates/listen.sh");

/// How long a host may take to listen.
const START: Duration = Duration::from_secs(8);
/// The listener's own limit is shorter.
const LIMIT: Duration = Duration::from_secs(150);
/// How long it may take to end.
const END: Duration = Duration::from_secs(2);

/// What became of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Port {
    /// The listener has it.
    Ours,
    /// Something listens there already.
    Busy,
    /// It cannot be listened to, because of this.
    Closed(String),
}

/// A running listener. It ends with [`Self::stop`], and on the host also when the connection is lost.
pub(super) struct Listener {
    ports: BTreeMap<u16, Port>,
    /// The listener's standard input, which never carries anything.
    lifeline: DuplexStream,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listen on these ports of the host, as the login user.
    pub(super) async fn start(connection: Connection, ports: &[u16]) -> Self {
        let words: Vec<String> = ports.iter().map(u16::to_string).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let program = Program::new("fleetadm-listen", LISTENER, &words);
        let (lifeline, input) = tokio::io::duplex(64);
        let head = std::io::Cursor::new(program.text());
        let input = Input::reader(tokio::io::AsyncReadExt::chain(head, input));
        let (sender, mut lines) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let options = RunOptions {
                run_as: RunAs::LoginUser,
                timeout: Some(LIMIT),
                ..RunOptions::default()
            };
            let on_line = |stream, line: &str| {
                if stream == Stream::Stdout {
                    // Nobody waits for it any more where that fails.
                    let _ = sender.send(line.chars().take(200).collect::<String>());
                }
            };
            let ended = connection.run_lines(&program.command(), input, &options, on_line).await;
            if let Err(error) = ended {
                let _ = sender.send(format!("unable {error}"));
            }
        });
        let mut found = BTreeMap::new();
        let mut reason = "the listener ended at once".to_owned();
        let listening = async {
            // A host that never stops talking has said enough by then.
            for _ in 0..ports.len() * 2 + 10 {
                let Some(line) = lines.recv().await else { return };
                match understand(&line) {
                    Said::Port(port, state) => drop(found.insert(port, state)),
                    Said::Unable(why) => reason = why,
                    Said::Ready => return,
                    Said::Other => {}
                }
            }
        };
        if timeout(START, listening).await.is_err() {
            reason = "the listener did not start in time".to_owned();
        }
        let ports = ports
            .iter()
            .map(|port| (*port, found.remove(port).unwrap_or_else(|| Port::Closed(reason.clone()))))
            .collect();
        Self { ports, lifeline, task }
    }

    /// What became of the ports.
    pub(super) fn port(&self, port: u16) -> Option<&Port> {
        self.ports.get(&port)
    }

    /// End it.
    pub(super) async fn stop(self) {
        drop(self.lifeline);
        // One that does not end ends with the connection.
        let _ = timeout(END, self.task).await;
    }
}

/// A line of the listener.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Port(u16, Port),
    Unable(String),
    Ready,
    /// Nothing that the listener says: a startup file's greeting.
    Other,
}

fn understand(line: &str) -> Said {
    let mut words = line.splitn(3, ' ');
    let (word, port) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let rest = words.next().unwrap_or_default();
    let state = match word {
        "ready" => return Said::Ready,
        "unable" => return Said::Unable(format!("{port} {rest}").trim_end().to_owned()),
        "listening" => Port::Ours,
        "busy" => Port::Busy,
        "failed" => Port::Closed(rest.to_owned()),
        _ => return Said::Other,
    };
    port.parse().map_or(Said::Other, |port| Said::Port(port, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_says() {
        assert_eq!(understand("listening 6443"), Said::Port(6443, Port::Ours));
        assert_eq!(understand("busy 22"), Said::Port(22, Port::Busy));
        let failed = Said::Port(80, Port::Closed("Permission denied".to_owned()));
        assert_eq!(understand("failed 80 Permission denied"), failed);
        assert_eq!(
            understand("unable none is installed"),
            Said::Unable("none is installed".into())
        );
        assert_eq!(understand("ready"), Said::Ready);
        for other in ["", "Welcome to n1", "listening many", "busy 99999"] {
            assert_eq!(understand(other), Said::Other, "{other}");
        }
    }
}
