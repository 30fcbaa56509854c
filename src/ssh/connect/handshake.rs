//! What a handshake that failed means, told by how it failed and what the server had said by then. Pure.

use super::dial::Deadline;
use super::wire::Heard;
use crate::report::printable_line;
use crate::ssh::connection::{CLOSED, ClientError, Ending, QUOTED};
use crate::ssh::error::{Fault, SshError};

/// What OpenSSH's server says instead of its version when it does not take a connection now.
const TURNED_AWAY: [&str; 2] = ["Exceeded MaxStartups", "Not allowed at this time"];

/// Why there is no session after `error`.
pub(in crate::ssh) fn error(
    endpoint: String,
    error: ClientError,
    ending: &Ending,
    heard: &Heard,
) -> SshError {
    let (reason, fault) = match error {
        ClientError::HostKey(error) => return error.into(),
        ClientError::Protocol(error) => explain(&error, ending.reason(), heard),
    };
    SshError::Unreachable { endpoint, reason, fault }
}

/// There was none in time.
pub(in crate::ssh) fn late(endpoint: String, deadline: Deadline, heard: &Heard) -> SshError {
    let reason = deadline.passed("no SSH handshake");
    let reason = match heard.complaints.as_deref().and_then(last_line) {
        Some(last) => format!("{reason}; its ProxyCommand says: {last}"),
        None => format!("{reason}; is it an SSH server, and is it overloaded?"),
    };
    SshError::Unreachable { endpoint, reason, fault: Fault::Silent }
}

fn last_line(text: &str) -> Option<String> {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map(|line| printable_line(line, QUOTED))
}

fn explain(error: &russh::Error, ending: Option<&str>, heard: &Heard) -> (String, Fault) {
    use russh::Error;
    match error {
        Error::NoCommonAlgo { kind, theirs, .. } => {
            let kind = format!("{kind:?}").to_lowercase();
            let theirs = printable_line(&theirs.join(", "), QUOTED);
            let reason = format!("no common {kind} algorithm; the server offers only {theirs}");
            (reason, Fault::Lasting)
        }
        Error::Disconnect | Error::HUP | Error::IO(_) | Error::Version => closed(ending, heard),
        error => {
            let error = printable_line(&error.to_string(), QUOTED);
            (format!("the SSH handshake failed: {error}"), Fault::Lasting)
        }
    }
}

/// The server closed the connection, or it had to be closed because what came was not SSH.
fn closed(ending: Option<&str>, heard: &Heard) -> (String, Fault) {
    let is_ssh = heard.greeting.lines().any(|line| line.starts_with("SSH-"));
    let said = heard.greeting.lines().map(str::trim).find(|line| !line.is_empty());
    match (said, ending) {
        (Some(said), _) if TURNED_AWAY.iter().any(|words| said.starts_with(words)) => {
            let said = printable_line(said, QUOTED);
            (format!("the server takes no connections now: {said}"), Fault::Dropped)
        }
        (Some(said), _) if !is_ssh => {
            let said = printable_line(said, 60);
            let reason = format!("no SSH server answers there but something that says {said:?}");
            (reason, Fault::Lasting)
        }
        // It said goodbye properly, so it knows why.
        (_, Some(reason)) if reason != CLOSED => (reason.to_owned(), Fault::Lasting),
        (None, _) if let Some(complaints) = &heard.complaints => {
            let last = last_line(complaints).unwrap_or_else(|| "it does not say why".to_owned());
            (
                format!("its ProxyCommand ended before the server said anything: {last}"),
                Fault::Refused,
            )
        }
        _ => {
            let reason = "the server closed the connection during the handshake; is it overloaded (sshd's \
                          MaxStartups), or does it block this workstation?";
            (reason.to_owned(), Fault::Dropped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed_after(greeting: &str) -> (String, Fault) {
        let heard = Heard { greeting: greeting.to_owned(), complaints: None };
        explain(&russh::Error::Disconnect, None, &heard)
    }

    #[test]
    fn a_busy_server_is_worth_another_attempt() {
        for greeting in ["", "\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "hello\nSSH-2.0-OpenSSH_9.2\r\n"] {
            assert_eq!(closed_after(greeting).1, Fault::Dropped, "{greeting}");
        }
        let (reason, fault) = closed_after("Exceeded MaxStartups\r\n");
        assert_eq!(fault, Fault::Dropped);
        assert_eq!(reason, "the server takes no connections now: Exceeded MaxStartups");
    }

    #[test]
    fn something_else_than_ssh_is_not() {
        let (reason, fault) = closed_after("HTTP/1.1 400 Bad\u{1b}[31m Request\r\nServer: x\r\n");
        assert_eq!(fault, Fault::Lasting);
        assert_eq!(
            reason,
            "no SSH server answers there but something that says \"HTTP/1.1 400 Bad Request\""
        );
    }

    #[test]
    fn a_reason_given_is_the_reason() {
        let after = |ending| {
            let heard = Heard { greeting: "SSH-2.0-x\r\n".to_owned(), complaints: None };
            explain(&russh::Error::Disconnect, Some(ending), &heard)
        };
        let goodbye = "the server closed it: go away";
        assert_eq!(after(goodbye), (goodbye.to_owned(), Fault::Lasting));
        assert_eq!(after(CLOSED).1, Fault::Dropped);
    }

    #[test]
    fn a_proxy_command_says_why() {
        let after = |greeting: &str, complaints: &str| {
            let heard =
                Heard { greeting: greeting.to_owned(), complaints: Some(complaints.to_owned()) };
            explain(&russh::Error::Disconnect, None, &heard)
        };
        let (reason, fault) = after("", "warning\nnc: \u{1b}[1mrefused\n\n");
        assert!(reason.ends_with(": nc: refused"), "{reason}");
        assert_eq!(fault, Fault::Refused);
        assert!(after("", "").0.ends_with("does not say why"));
        // The server was there, so it is the server that hung up.
        assert_eq!(after("SSH-2.0-x\r\n", "warning\n").1, Fault::Dropped);
    }
}
