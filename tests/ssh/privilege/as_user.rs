//! Becoming others than root.

use fleetadm::inventory::Become;
use fleetadm::ssh::{Connection, Input, RunAs, RunOptions};

use super::{SUDOERS, knowing, refusal};
use crate::machine::{Machine, PASSWORD};
use crate::sshd::said;

async fn connect(machine: &Machine, by: Become) -> Connection {
    let mut host = machine.host("ops");
    host.ssh_mut().become_root = Some(said(by));
    host.ssh_mut().become_user = Some(said("app".to_owned()));
    knowing(PASSWORD).connect(&host).await.unwrap()
}

async fn output(connection: &Connection, command: &str, run_as: RunAs) -> String {
    let options = RunOptions { run_as, ..RunOptions::default() };
    connection.run_with(command, Input::None, &options).await.unwrap().stdout_text()
}

#[tokio::test]
async fn whom_the_inventory_names() {
    let machine = machine!();
    machine.add_user("app", "/bin/sh");
    machine.write(SUDOERS, "ops ALL=(app) ALL");
    machine.write("/etc/doas.conf", "permit ops as app");
    for by in [Become::Sudo, Become::Doas] {
        let connection = connect(&machine, by).await;
        assert_eq!(output(&connection, "id -un", RunAs::BecomeUser).await, "app\n");
        assert_eq!(output(&connection, "id -un", RunAs::LoginUser).await, "ops\n");
        // What needs root does not make do with somebody else.
        assert_eq!(
            refusal(&connection).await,
            "this has to be done by root, but become_user is app; leave that key out here"
        );
    }
}

#[tokio::test]
async fn a_user_who_does_not_exist() {
    let machine = machine!();
    machine.write(SUDOERS, "ops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine, Become::Sudo).await;
    let options = RunOptions { run_as: RunAs::BecomeUser, ..RunOptions::default() };
    let error = connection.run_with("id", Input::None, &options).await.unwrap_err();
    insta::assert_snapshot!(error, @"sudo did not run the command: it said `sudo: unknown user app; sudo: error initializing audit plugin sudoers_audit`");
}
