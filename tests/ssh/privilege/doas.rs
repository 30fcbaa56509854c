//! doas, as Debian has it.

use fleetadm::inventory::Become;

use super::{at_once, connect, knowing, much, refusal, works};
use crate::machine::PASSWORD;

const RULES: &str = "/etc/doas.conf";

#[tokio::test]
async fn without_a_password() {
    let machine = machine!();
    machine.write(RULES, "permit nopass ops as root");
    let connection = connect(&machine, &knowing("unused"), Become::Doas).await;
    works(&connection).await;
    at_once(&connection).await;
    much(&connection, 8).await;
    assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
}

#[tokio::test]
async fn with_a_password() {
    let machine = machine!();
    machine.write(RULES, "permit ops");
    let connection = connect(&machine, &knowing(PASSWORD), Become::Doas).await;
    works(&connection).await;
    at_once(&connection).await;
    much(&connection, 8).await;
    assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let machine = machine!();
    machine.write(RULES, "permit ops");
    let connection = connect(&machine, &knowing("wrong"), Become::Doas).await;
    let refused = "ops cannot use doas on this host: the password was refused";
    assert_eq!(refusal(&connection).await, refused);
    assert_eq!(refusal(&connection).await, refused);
    assert_eq!(machine.logged(&["doas", "authentication failure"]), 1, "{}", machine.log());
}

#[tokio::test]
async fn refusals() {
    let machine = machine!();
    let mut messages = String::new();
    for (change, script) in [
        ("denied", "echo 'deny ops' >/etc/doas.conf"),
        ("another user", "echo 'permit ops as daemon' >/etc/doas.conf"),
        ("no rules", "rm /etc/doas.conf"),
        ("not installed", "rm /usr/bin/doas"),
    ] {
        machine.run(script);
        let connection = connect(&machine, &knowing(PASSWORD), Become::Doas).await;
        messages.push_str(&format!("{change}: {}\n", refusal(&connection).await));
    }
    insta::assert_snapshot!(messages, @r#"
    denied: ops may not do this by doas on this host; allow it in /etc/doas.conf, or log in as root with become = "none"
    another user: ops may not do this by doas on this host; allow it in /etc/doas.conf, or log in as root with become = "none"
    no rules: doas did not run the command: it said `doas: doas is not enabled, /etc/doas.conf: No such file or directory`
    not installed: doas is not installed on this host; install it, or log in as root with become = "none"
    "#);
}
