//! Whose password goes where: several hosts, and an operator who mistypes.

use std::sync::Arc;

use fleetadm::inventory::Become;
use fleetadm::report::{NoAnswer, Prompter};
use fleetadm::ssh::{Connection, Connector, Environment, Input, Secrets};
use secrecy::SecretString;

use super::{SUDOERS, knowing, refusal};
use crate::machine::{Machine, PASSWORD};
use crate::sshd::said;

async fn connect(machine: &Machine, connector: &Connector, name: &str) -> Connection {
    let mut host = machine.host("ops");
    host.name = name.to_owned();
    host.ssh_mut().become_root = Some(said(Become::Sudo));
    connector.connect(&host).await.unwrap()
}

#[tokio::test]
async fn a_wrong_password_is_tried_on_one_host_of_all() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults passwd_tries=1\nops ALL=(ALL) ALL");
    let connector = knowing("wrong");
    let connect =
        async |index: usize| connect(&machine, &connector, &format!("node-{index}")).await;
    let connections = futures::future::join_all((0..8).map(connect)).await;
    let mut refusals = futures::future::join_all(connections.iter().map(refusal)).await;
    refusals.sort();
    let elsewhere = |text: &String| text.contains("and was not tried here");
    assert_eq!(refusals.iter().filter(|text| elsewhere(text)).count(), 7, "{refusals:#?}");
    assert_eq!(machine.logged(&["sudo", "authentication failure"]), 1, "{}", machine.log());
}

#[tokio::test]
async fn an_operator_may_mistype() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults timestamp_timeout=0\nops ALL=(ALL) ALL");
    let (prompter, mut questions) = Prompter::channel();
    let asked = tokio::spawn(async move {
        let mut asked = 0;
        while let Some(question) = questions.recv().await {
            let answer = ["mistyped", PASSWORD].get(asked).copied();
            asked += 1;
            let answer = answer.map(SecretString::from).ok_or(NoAnswer::Closed);
            question.reply.send(answer).unwrap();
        }
        asked
    });
    let connector =
        Connector::new(Environment::default()).with_secrets(Arc::new(Secrets::asking(prompter)));
    let connections = [
        connect(&machine, &connector, "node-1").await,
        connect(&machine, &connector, "node-2").await,
    ];
    let input = std::io::Cursor::new("input");
    for connection in &connections {
        let output = connection.run_as_root("id -u; cat", Input::reader(input.clone())).await;
        assert_eq!(output.unwrap().stdout_text(), "0\ninput");
    }
    assert_eq!(machine.logged(&["sudo", "authentication failure"]), 1, "{}", machine.log());
    drop((connections, connector));
    assert_eq!(asked.await.unwrap(), 2);
}
