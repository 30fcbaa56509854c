//! Becoming root, with real sudo, sudo-rs and doas.

mod as_user;
mod doas;
mod hidden;

mod passwords;
mod sudo;
mod sudo_rs;
mod terminal;

use std::sync::Arc;

use bytes::Bytes;
use fleetadm::inventory::Become;
use fleetadm::ssh::{
    Connection, Connector, Environment, Exit, Input, RunAs, RunOptions, Secrets, SshError,
};
use secrecy::SecretString;

use crate::machine::Machine;
use crate::sshd::said;

const SUDOERS: &str = "/etc/sudoers.d/test";

/// A connector that knows what to say to sudo and doas.
pub fn knowing(password: &str) -> Connector {
    let secrets = Secrets::default().with_given(None, Some(SecretString::from(password)));
    Connector::new(Environment::default()).with_secrets(Arc::new(secrets))
}

async fn connect(machine: &Machine, connector: &Connector, by: Become) -> Connection {
    let mut host = machine.host("ops");
    host.ssh_mut().become_root = Some(said(by));
    connector.connect(&host).await.unwrap()
}

/// Why a command is not run as root.
async fn refusal(connection: &Connection) -> String {
    match connection.run_as_root("id", Input::None).await {
        Err(error @ SshError::Privilege(_)) => {
            assert!(!error.could_not_reach());
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// Run commands of which every part matters: input, both outputs, status.
pub async fn works(connection: &Connection) {
    let command = "id -u; cat; echo \"it's $0\" >&2; exit 3";
    let output = connection.run_as_root(command, "in\nput".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "0\nin\nput");
    assert_eq!(output.stderr_text(), "it's sh\n");
    assert_eq!(output.exit, Exit::Code(3));

    let output = connection.run_as_root("cat; printf err >&2", Input::None).await.unwrap();
    assert_eq!((output.stdout_text().as_str(), output.stderr_text().as_str()), ("", "err"));

    // Not one of the three is ever a terminal: programs print otherwise on one.
    let command = "[ -t 0 ] || [ -t 1 ] || [ -t 2 ] || kill -TERM $$";
    let output = connection.run_as_root(command, "".into()).await.unwrap();
    assert!(!output.exit.success(), "{output:?}");

    // Lengths that base64 has to pad, and that come in several pieces.
    for length in [1, 2, 300_001] {
        let reader = std::io::Cursor::new(every_byte(length));
        let output = connection.run_as_root("cat", Input::reader(reader)).await.unwrap();
        assert!(output.stdout == every_byte(length));
    }

    // A command that leaves most of its input alone, and one that cannot be parsed.
    let input = Bytes::from(vec![b'x'; 4 << 20]);
    let output = connection.run_as_root("head -c 5", input.into()).await.unwrap();
    assert_eq!(output.stdout_text(), "xxxxx");
    let output = connection.run_as_root("echo (", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(2));
    assert!(output.stderr_text().contains("yntax error"), "{}", output.stderr_text());
}

fn every_byte(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8 ^ (index / 7919) as u8).collect()
}

/// Many bytes in both directions.
pub async fn much(connection: &Connection, mebibytes: usize) {
    let data = every_byte(mebibytes << 20);
    let options =
        RunOptions { run_as: RunAs::Root, stdout_limit: data.len(), ..RunOptions::default() };
    let output = connection.run_with("cat", data.clone().into(), &options).await.unwrap();
    assert!(output.stdout == data);
    assert_eq!(output.stderr, b"");
}

/// Many commands at once on one connection.
async fn at_once(connection: &Connection) {
    let run = async |number: usize| {
        let input = Input::from(number.to_string());
        connection.run_as_root("cat", input).await.unwrap().stdout_text()
    };
    let outputs = futures::future::join_all((0..20).map(run)).await;
    for (number, output) in outputs.iter().enumerate() {
        assert_eq!(*output, number.to_string());
    }
}
