//! Passwords and keyboard-interactive against a real server, alone and after a key.

use std::fs;
use std::time::Duration;

use fleetadm::inventory::Host;
use fleetadm::ssh::{Connector, Environment, Exit, Input, SshConfig, SshError};
use futures::future::join_all;

use crate::account::{PAM, PASSWORD, USER};
use crate::sshd::{Sshd, connector, keygen, said};
use crate::typist::{Typist, given, secrets};

const AT_ONCE: Duration = Duration::ZERO;

/// sshd's own check of passwords.
const PLAIN: &str = "PasswordAuthentication yes\nKbdInteractiveAuthentication no";

/// PAM asks.
const INTERACTIVE: &str = "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes";

async fn works(connector: &Connector, host: &Host) {
    let connection = connector.connect(host).await.unwrap();
    let output = connection.run("id -un", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
    assert_eq!(output.stdout_text(), format!("{USER}\n"));
}

async fn fails(connector: &Connector, host: &Host) -> String {
    let error = connector.connect(host).await.unwrap_err();
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    assert!(error.could_not_reach());
    error.to_string()
}

/// What follows the address and the user in an error.
async fn reason(connector: &Connector, host: &Host) -> String {
    let error = fails(connector, host).await;
    error.split_once(": ").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_password() {
    let server = server!(account PAM, PLAIN);
    let host = server.account_host("node");
    works(&given(PASSWORD), &host).await;

    insta::assert_snapshot!(reason(&given("wrong"), &host).await, @"tried password (the password was refused)");
    insta::assert_snapshot!(reason(&connector(), &host).await, @"tried password (no password: there is no terminal to ask on; set password_command, or give it with --password-fd)");

    let mut by_command = host.clone();
    fs::write(server.path("password-of-node"), PASSWORD).unwrap();
    let command = format!("cat {}/password-of-$FLEETADM_HOST", server.directory.path().display());
    by_command.ssh_mut().password_command = Some(said(command));
    works(&connector(), &by_command).await;
    by_command.name = "other".to_owned();
    let reason = reason(&connector(), &by_command).await;
    assert!(
        reason.contains("password_command gave no password: it ended with exit status: 1: cat:"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_password_that_pam_asks_for() {
    let server = server!(account PAM, INTERACTIVE);
    let host = server.account_host("node");
    works(&given(PASSWORD), &host).await;
    insta::assert_snapshot!(reason(&given("wrong"), &host).await, @"tried password (the password was refused)");
    insta::assert_snapshot!(reason(&connector(), &host).await, @"no password: there is no terminal to ask on; set password_command, or give it with --password-fd");

    let (connector, typist) = Typist::typing(AT_ONCE, &["wrong", PASSWORD]);
    works(&connector, &host).await;
    assert_eq!(typist.asked().len(), 2);
    insta::assert_snapshot!(typist.asked()[1], @r"
    The password was refused.
    Password of fleet (node wants it; used on every host that does): 
    ");
}

#[tokio::test]
async fn a_password_that_has_to_be_changed() {
    let server = server!(account PAM, INTERACTIVE);
    let host = server.account_host("node");
    let shadow = server.path("etc/shadow");
    let text = fs::read_to_string(&shadow).unwrap();
    // Changed last on the first day there was: that is how an administrator orders a change.
    let ordered: String = text
        .lines()
        .map(|line| match line.strip_prefix(USER) {
            Some(rest) => format!("{USER}{}\n", rest.replace(":19000:", ":0:")),
            None => format!("{line}\n"),
        })
        .collect();
    fs::write(&shadow, ordered).unwrap();
    let reason = reason(&given(PASSWORD), &host).await;
    assert!(reason.starts_with("the server asks \"Current password:\", and there is"), "{reason}");

    let new = "a new battery staple";
    let (connector, typist) = Typist::typing(AT_ONCE, &[PASSWORD, PASSWORD, new, new]);
    works(&connector, &host).await;
    let asked = typist.asked();
    let last: Vec<&str> = asked.iter().filter_map(|text| text.lines().last()).collect();
    insta::assert_snapshot!(last.join("\n"), @r"
    Password of fleet (node wants it; used on every host that does): 
    (fleet@node) Current password: 
    (fleet@node) New password: 
    (fleet@node) Retype new password: 
    ");
    works(&given(new), &host).await;
}

#[tokio::test]
async fn a_key_and_a_password() {
    for (methods, config) in
        [("publickey,password", PLAIN), ("publickey,keyboard-interactive", INTERACTIVE)]
    {
        let server = server!(account PAM, &format!("{config}\nLogLevel VERBOSE\nAuthenticationMethods {methods}"));
        let with_key = |name: &str| {
            let mut host = server.account_host("node");
            host.ssh_mut().identity_files = Some(said(vec![server.path(name)]));
            host
        };
        works(&given(PASSWORD), &with_key("id_ed25519")).await;

        let refused = fails(&given("wrong"), &with_key("id_ed25519")).await;
        let expected = "id_ed25519, which was not enough, password (the password was refused)";
        assert!(refused.ends_with(expected), "{refused}");
        keygen(&server.path("stranger"), &["-t", "ed25519", "-N", ""]);
        let refused = fails(&given(PASSWORD), &with_key("stranger")).await;
        assert!(refused.ends_with("stranger"), "{refused}");
        // The right password is of no use without the key, and is not even sent.
        let tried = ["password", "keyboard-interactive/pam"];
        let failed: usize =
            tried.iter().map(|method| server.logged(&format!("Failed {method}"))).sum();
        assert_eq!(failed, 1);
    }
}

#[tokio::test]
async fn a_password_and_then_a_key() {
    let server =
        server!(account PAM, &format!("{PLAIN}\nAuthenticationMethods password,publickey"));
    let mut host = server.account_host("node");
    host.ssh_mut().identity_files = Some(said(vec![server.path("id_ed25519")]));
    works(&given(PASSWORD), &host).await;
}

#[tokio::test]
async fn two_keys() {
    let server = server!(account PAM, "AuthenticationMethods publickey,publickey");
    let second = server.authorize("second", &["-t", "ecdsa", "-N", ""]);
    keygen(&server.path("stranger"), &["-t", "ed25519", "-N", ""]);
    let with = |keys: &[&str]| {
        let mut host = server.account_host("node");
        let paths = keys.iter().map(|name| server.path(name)).collect();
        host.ssh_mut().identity_files = Some(said(paths));
        host
    };
    works(&connector(), &with(&["id_ed25519", "stranger", "second"])).await;
    let reason = fails(&connector(), &with(&["id_ed25519"])).await;
    assert!(reason.ends_with("id_ed25519, which was not enough"), "{reason}");
    assert!(second.exists());
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_on_all_hosts_together() {
    let server = server!(account PAM, &format!("{PLAIN}\nMaxStartups 100"));
    let hosts: Vec<Host> =
        (0..20).map(|index| server.account_host(&format!("node-{index:02}"))).collect();
    let connector = given("wrong");
    let reasons = join_all(hosts.iter().map(|host| reason(&connector, host))).await;
    let refused = |text: &str| reasons.iter().filter(|reason| reason.contains(text)).count();
    assert_eq!(refused("tried password (the password was refused)"), 1);
    assert_eq!(refused("and was not tried here"), 19);
    assert_eq!(server.logged("Failed password for fleet"), 1);
}

#[tokio::test]
async fn twenty_hosts_ask_once() {
    let server = server!(account PAM, &format!("{PLAIN}\nMaxStartups 100"));
    let hosts: Vec<Host> =
        (0..20).map(|index| server.account_host(&format!("node-{index:02}"))).collect();
    let (connector, typist) = Typist::typing(Duration::from_millis(200), &["wrong", PASSWORD]);
    join_all(hosts.iter().map(|host| works(&connector, host))).await;
    assert_eq!(typist.asked().len(), 2);
    assert_eq!(server.logged("Failed password for fleet"), 1);
    assert_eq!(server.logged("Accepted password for fleet"), 20);
}

#[tokio::test]
async fn the_operator_may_take_longer_than_the_connection() {
    let server = server!(account PAM, PLAIN);
    let mut host = server.account_host("node");
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(4)));
    let (connector, typist) = Typist::typing(Duration::from_secs(6), &[PASSWORD]);
    works(&connector, &host).await;
    assert_eq!(typist.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_connected_to_again() {
    let server = server!(account PAM, &format!("{PLAIN}\nLoginGraceTime 5"));
    let host = server.account_host("node");
    let (connector, typist) = Typist::typing(Duration::from_secs(8), &[PASSWORD]);
    works(&connector, &host).await;
    assert_eq!(typist.asked().len(), 1);
    assert_eq!(server.logged("Failed password"), 0);
}

#[tokio::test]
async fn a_jump_host_is_asked_for_by_itself() {
    let bastion = server!(account PAM, PLAIN);
    let server = server!(account PAM, PLAIN);
    let through = |name: &str| {
        let mut hop = bastion.hop();
        hop.user = Some(USER.to_owned());
        hop.ssh.identity_files = Some(said(Vec::new()));
        let mut host = server.account_host(name);
        host.ssh_mut().jump = Some(said(vec![hop]));
        host
    };
    let hosts = [through("a"), through("b")];
    let (connector, typist) = Typist::typing(AT_ONCE, &[PASSWORD, PASSWORD]);
    join_all(hosts.iter().map(|host| works(&connector, host))).await;
    let asked = typist.asked();
    assert_eq!(asked[0], "Password of fleet@127.0.0.1: ");
    assert!(asked[1].starts_with("Password of fleet ("), "{asked:?}");
    assert_eq!(bastion.logged("Accepted password"), 1);
}

#[tokio::test]
async fn no_method_in_common() {
    let server = server!(account PAM, "PubkeyAuthentication no\nHostbasedAuthentication yes\nKbdInteractiveAuthentication no");
    let reason = reason(&given(PASSWORD), &server.account_host("node")).await;
    insta::assert_snapshot!(reason, @"the server accepts only hostbased, which fleetadm does not do");
}

#[tokio::test]
async fn methods_that_the_configuration_turns_off() {
    let server = server!(account PAM, PLAIN);
    let mut host = server.account_host("node");
    let with = |keywords: &str| {
        let file = server.path("ssh_config");
        fs::write(&file, keywords).unwrap();
        let ssh_config = SshConfig::File(file);
        Connector::new(Environment { ssh_config, ..Environment::default() })
            .with_secrets(secrets(PASSWORD))
    };
    works(&with("PubkeyAuthentication no"), &host).await;
    let reason = fails(&with("PasswordAuthentication no\n"), &host).await;
    assert!(reason.contains("there is no key to offer"), "{reason}");
    host.ssh_mut().identity_files = Some(said(vec![server.path("id_ed25519")]));
    works(&with("PasswordAuthentication no\n"), &host).await;
    let reason = fails(&with("PasswordAuthentication no\nPubkeyAuthentication no\n"), &host).await;
    assert!(
        reason.contains("OpenSSH's configuration on this workstation does not allow"),
        "{reason}"
    );
}
