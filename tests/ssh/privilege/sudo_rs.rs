//! sudo-rs, which Ubuntu has in sudo's place.

use fleetadm::inventory::Become;

use super::{at_once, connect, knowing, much, refusal, works};
use crate::machine::{Machine, PASSWORD};

fn install(machine: &Machine, rules: &str) {
    machine.run("ln -sf /usr/lib/cargo/bin/sudo /usr/bin/sudo");
    machine.write("/etc/sudoers-rs", rules);
}

#[tokio::test]
async fn lets_the_user_in() {
    for (rule, password) in [("NOPASSWD: ALL", "unused"), ("ALL", PASSWORD)] {
        for defaults in ["!use_pty", "use_pty", "timestamp_timeout=0"] {
            eprintln!("{rule} {defaults}");
            let machine = machine!();
            install(&machine, &format!("Defaults {defaults}\nops ALL=(ALL) {rule}"));
            let connection = connect(&machine, &knowing(password), Become::Sudo).await;
            works(&connection).await;
            at_once(&connection).await;
            much(&connection, 8).await;
            assert_eq!(machine.logged(&["authentication failure"]), 0, "{}", machine.log());
        }
    }
}

#[tokio::test]
async fn refusals() {
    let machine = machine!();
    install(&machine, "root ALL=(ALL) ALL");
    let connection = connect(&machine, &knowing(PASSWORD), Become::Sudo).await;
    insta::assert_snapshot!(refusal(&connection).await, @r#"ops may not do this by sudo on this host; allow it in /etc/sudoers.d, or log in as root with become = "none""#);

    for defaults in ["passwd_tries=3", "passwd_tries=1"] {
        let machine = machine!();
        install(&machine, &format!("Defaults {defaults}\nops ALL=(ALL) ALL"));
        let connection = connect(&machine, &knowing("wrong"), Become::Sudo).await;
        let refused = "ops cannot use sudo on this host: the password was refused";
        assert_eq!(refusal(&connection).await, refused);
        assert_eq!(refusal(&connection).await, refused);
        assert_eq!(machine.logged(&["sudo", "authentication failure"]), 1, "{}", machine.log());
    }
}
