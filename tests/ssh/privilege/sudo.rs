//! sudo, as Debian has it.

use std::time::{Duration, Instant};

use fleetadm::inventory::Become;
use fleetadm::ssh::{Input, PrivilegeError, SecretError, SshError};

use super::{SUDOERS, at_once, connect, knowing, much, refusal, works};
use crate::machine::PASSWORD;
use crate::sshd::connector;

#[tokio::test]
async fn without_a_password() {
    let machine = machine!();
    machine.write(SUDOERS, "ops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine, &knowing("unused"), Become::Sudo).await;
    works(&connection).await;
    at_once(&connection).await;
    assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
}

#[tokio::test]
async fn with_a_password() {
    // Asked again for each command, or remembered; on a terminal of sudo's own; with a lecture before it.
    let settings = ["timestamp_timeout=0", "use_pty,timestamp_timeout=0", "lecture=always"];
    for defaults in settings {
        eprintln!("{defaults}");
        let machine = machine!();
        machine.write(SUDOERS, &format!("Defaults {defaults}\nops ALL=(ALL) ALL"));
        let connection = connect(&machine, &knowing(PASSWORD), Become::Sudo).await;
        works(&connection).await;
        at_once(&connection).await;
        much(&connection, 8).await;
        assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
    }
}

#[tokio::test]
async fn a_terminal_is_wanted() {
    for (rule, password) in [("NOPASSWD: ALL", "unused"), ("ALL", PASSWORD)] {
        for defaults in ["requiretty", "requiretty,use_pty,timestamp_timeout=0"] {
            eprintln!("{rule} {defaults}");
            let machine = machine!();
            machine.write(SUDOERS, &format!("Defaults {defaults}\nops ALL=(ALL) {rule}"));
            let connection = connect(&machine, &knowing(password), Become::Sudo).await;
            works(&connection).await;
            at_once(&connection).await;
            much(&connection, 8).await;
            assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
        }
    }
}

#[tokio::test]
async fn sixty_four_mebibytes_through_a_terminal() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine, &knowing("unused"), Become::Sudo).await;
    much(&connection, 64).await;
}

#[tokio::test]
async fn no_terminal_is_to_be_had() {
    let machine = machine!("PermitTTY no");
    machine.write(SUDOERS, "Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine, &knowing("unused"), Become::Sudo).await;
    insta::assert_snapshot!(refusal(&connection).await, @"sudo or doas on this host wants a terminal, which sshd does not give; set `PermitTTY yes` in its sshd_config and look for `restrict` and `no-pty` in authorized_keys, or remove `requiretty` from its sudoers");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    for defaults in ["passwd_tries=3", "passwd_tries=1", "requiretty"] {
        eprintln!("{defaults}");
        let machine = machine!();
        machine.write(SUDOERS, &format!("Defaults {defaults}\nops ALL=(ALL) ALL"));
        let connector = knowing("wrong");
        let connection = connect(&machine, &connector, Become::Sudo).await;
        let refused = "ops cannot use sudo on this host: the password was refused";
        assert_eq!(refusal(&connection).await, refused);
        // Not even on a new connection.
        assert_eq!(refusal(&connection).await, refused);
        let another = connect(&machine, &connector, Become::Sudo).await;
        assert_eq!(refusal(&another).await, refused);
        // sudo notices a moment later that nobody types another.
        let deadline = Instant::now() + Duration::from_secs(10);
        while machine.logged(&["incorrect password attempt"]) == 0 {
            assert!(Instant::now() < deadline, "{}", machine.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(machine.logged(&["1 incorrect password attempt"]), 1, "{}", machine.log());
        assert_eq!(machine.logged(&["sudo", "authentication failure"]), 1, "{}", machine.log());
    }
}

#[tokio::test]
async fn nobody_knows_the_password() {
    let machine = machine!();
    machine.write(SUDOERS, "ops ALL=(ALL) ALL");
    let connection = connect(&machine, &connector(), Become::Sudo).await;
    let error = connection.run_as_root("id", Input::None).await.unwrap_err();
    let SshError::Privilege(PrivilegeError::Password { reason, .. }) = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(reason, SecretError::NotGiven { .. }));
    insta::assert_snapshot!(error, @"ops cannot use sudo on this host: no password: there is no terminal to ask on; set become_password_command, or give it with --become-password-fd");
    // The login user's own commands need none.
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
    assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
}

#[tokio::test]
async fn refusals() {
    let machine = machine!();
    let connector = knowing(PASSWORD);
    let mut messages = String::new();
    for (change, text) in [
        ("not in sudoers", "root ALL=(ALL) ALL"),
        ("another command", "ops ALL=(ALL) /bin/true"),
        ("another user", "ops ALL=(daemon) ALL"),
    ] {
        machine.write(SUDOERS, text);
        let connection = connect(&machine, &connector, Become::Sudo).await;
        messages.push_str(&format!("{change}: {}\n", refusal(&connection).await));
    }
    for (change, script) in [
        ("rules anybody may write", "chmod 0777 /etc/sudoers"),
        ("not setuid", "chmod u-s /usr/bin/sudo"),
        ("not installed", "rm /usr/bin/sudo"),
    ] {
        machine.run(script);
        let connection = connect(&machine, &connector, Become::Sudo).await;
        messages.push_str(&format!("{change}: {}\n", refusal(&connection).await));
    }
    insta::assert_snapshot!(messages, @r#"
    not in sudoers: ops may not do this by sudo on this host; allow it in /etc/sudoers.d, or log in as root with become = "none"
    another command: ops may not do this by sudo on this host; allow it in /etc/sudoers.d, or log in as root with become = "none"
    another user: ops may not do this by sudo on this host; allow it in /etc/sudoers.d, or log in as root with become = "none"
    rules anybody may write: sudo did not run the command: it said `sudo: /etc/sudoers is world writable; sudo: no valid sudoers sources found, quitting; sudo: error initializing audit plugin sudoers_audit`
    not setuid: sudo did not run the command: it said `sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set`
    not installed: sudo is not installed on this host; install it, or log in as root with become = "none"
    "#);
}
