//! How hosts are reached: every key of `[ssh]`, jump hosts, and the command line above them.

use std::path::Path;
use std::sync::Arc;

use fleetadm::inventory::{self, Hop, HostKeyPolicy, Place, Written};
use insta::assert_snapshot;

use super::{EXAMPLES, host, mistakes_with, parse};

fn value<T>(written: &Option<Written<T>>) -> &T {
    &written.as_ref().expect("somebody says it").value
}

fn place<T>(written: &Option<Written<T>>) -> String {
    written.as_ref().expect("somebody says it").place.to_string()
}

/// As a jump host is written.
fn shown(hop: &Hop) -> String {
    let port = hop.port.map(|port| format!(":{port}"));
    format!("{}@{}{}", hop.user.as_deref().unwrap_or(""), hop.host, port.unwrap_or_default())
}

#[test]
fn behind_a_bastion() {
    let inventory = inventory::load(&Path::new(EXAMPLES).join("behind-a-bastion.toml")).unwrap();
    let ssh = &host(&inventory, "node-2").ssh;
    assert!(*value(&ssh.identities_only));
    assert!(value(&ssh.identity_files)[0].ends_with(".ssh/fleet_ed25519"));
    assert!(value(&ssh.certificate_files)[0].is_absolute());
    assert!(value(&ssh.known_hosts)[0].starts_with(EXAMPLES));
    assert_eq!(*value(&ssh.host_key_policy), HostKeyPolicy::AcceptNew);
    assert_eq!(value(&ssh.become_user), "root");
    assert_eq!(value(&ssh.become_password_command), "pass show fleet/sudo");
    assert!(ssh.password_command.is_none() && ssh.host_key_alias.is_none());
    let [bastion] = value(&ssh.jump).as_slice() else { panic!("one jump host") };
    assert_eq!(shown(bastion), "@bastion.example.com");
    assert_eq!(value(&bastion.ssh.user), "gatekeeper");
    assert_eq!(*value(&bastion.ssh.port), 2222);
    assert_eq!(place(&bastion.ssh.user), "[jump_hosts.bastion.ssh], line 32");

    let old = &host(&inventory, "old-1").ssh;
    assert_eq!(value(&old.host_key_alias), "10.2.0.30");
    assert_eq!(value(&old.password_command), "pass show fleet/basement");
    assert_eq!(place(&old.password_command), "[groups.basement.ssh], line 39");
    let hops: Vec<String> = value(&old.jump).iter().map(shown).collect();
    assert_eq!(hops, ["@bastion.example.com", "ops@basement.example.com:2200"]);
    // Only what the table of the same name says, and only about that hop.
    assert!(value(&old.jump)[1].ssh.user.is_none());
}

#[test]
fn an_empty_list_of_jump_hosts_is_a_direct_connection() {
    let text = r#"
        [ssh]
        jump = "bastion"
        [[hosts]]
        name = "a"
        [[hosts]]
        name = "b"
        ssh = { jump = [] }
    "#;
    let inventory = parse(text).unwrap();
    assert_eq!(value(&host(&inventory, "a").ssh.jump).len(), 1);
    assert_eq!(value(&host(&inventory, "b").ssh.jump).len(), 0);
}

#[test]
fn what_holds_on_the_way() {
    let inventory = inventory::load(&Path::new(EXAMPLES).join("behind-a-bastion.toml")).unwrap();
    let on_the_way = host(&inventory, "old-1").ssh.for_hop();
    assert!(on_the_way.identity_files.is_some() && on_the_way.identities_only.is_some());
    assert!(on_the_way.known_hosts.is_some() && on_the_way.host_key_policy.is_some());
    assert!(on_the_way.user.is_none() && on_the_way.port.is_none() && on_the_way.jump.is_none());
    assert!(on_the_way.host_key_alias.is_none() && on_the_way.password_command.is_none());
}

#[test]
fn the_command_line_is_laid_over_every_host() {
    let mut inventory =
        inventory::load(&Path::new(EXAMPLES).join("behind-a-bastion.toml")).unwrap();
    let assignments = ["user=root", "identities_only = false", "jump=bastion", "host_key_alias=x"];
    inventory.override_ssh(&assignments.map(str::to_owned)).unwrap();
    for host in &inventory.hosts {
        assert_eq!(value(&host.ssh.user), "root");
        assert!(!value(&host.ssh.identities_only));
        assert_eq!(host.ssh.user.as_ref().unwrap().place, Place::CommandLine);
        let [bastion] = value(&host.ssh.jump).as_slice() else { panic!("one jump host") };
        assert_eq!(
            (bastion.host.as_str(), *value(&bastion.ssh.port)),
            ("bastion.example.com", 2222)
        );
        // What is not overridden stays.
        assert_eq!(value(&host.ssh.become_user), "root");
    }
    for wrong in
        ["user", "user=", "port=0", "port=a b", "nothing=1", "a.b=1", "user=a\nport=1", "user=[]"]
    {
        assert!(inventory.override_ssh(&[wrong.to_owned()]).is_err(), "{wrong}");
    }
}

#[test]
fn hosts_that_are_reached_alike_share_what_says_so() {
    let text = r#"
        [ssh]
        user = "ops"
        [[hosts]]
        name = "a-[1-2]"
        [[hosts]]
        name = "a-3"
        [[hosts]]
        name = "b"
        ssh = { port = 2222 }
    "#;
    let mut inventory = parse(text).unwrap();
    let share = |inventory: &inventory::Inventory, left: &str, right: &str| {
        Arc::ptr_eq(&host(inventory, left).ssh, &host(inventory, right).ssh)
    };
    for assignments in [vec![], vec!["keepalive=5s".to_owned()]] {
        inventory.override_ssh(&assignments).unwrap();
        assert!(share(&inventory, "a-1", "a-2") && share(&inventory, "a-2", "a-3"));
        assert!(!share(&inventory, "a-3", "b"));
    }
    assert_eq!(*value(&host(&inventory, "b").ssh.port), 2222);
    assert_eq!(value(&host(&inventory, "a-3").ssh.keepalive).as_secs(), 5);
    inventory.override_ssh(&["port=23".to_owned()]).unwrap();
    assert_eq!(*value(&host(&inventory, "b").ssh.port), 23);
}

#[test]
fn wrong_values() {
    assert_snapshot!(mistakes_with(r#"
[ssh]
identities_only = "yes"
certificate_file = true
"#), @r#"
    error: string "yes" is not of the right type
     --> fleet.toml:9:19
      |
    9 | identities_only = "yes"
      |                   ^^^^^ expected a boolean

    error: boolean `true` is not of the right type
      --> fleet.toml:10:20
       |
    10 | certificate_file = true
       |                    ^^^^ expected a string or an array of strings
    "#);
    assert_snapshot!(mistakes_with(r#"
[ssh]
host_key_policy = "off"
host_key_alias = "a b"
password_command = " "
become_password_command = "two\nlines"
become_user = "-root"
jump = ["bastion", "ops@", "bastion:0"]
"#), @r#"
    error: `off` is not a host key policy
     --> fleet.toml:9:19
      |
    9 | host_key_policy = "off"
      |                   ^^^^^ expected `strict` or `accept-new`; host keys are always checked

    error: `a b` cannot be an address
      --> fleet.toml:10:18
       |
    10 | host_key_alias = "a b"
       |                  ^^^^^ expected an IP address or a DNS name

    error: ` ` is not a command
      --> fleet.toml:11:20
       |
    11 | password_command = " "
       |                    ^^^ expected one line

    error: `two\nlines` is not a command
      --> fleet.toml:12:27
       |
    12 | become_password_command = "two\nlines"
       |                           ^^^^^^^^^^^^ expected one line

    error: `-root` is not a user name
      --> fleet.toml:13:15
       |
    13 | become_user = "-root"
       |               ^^^^^^^ expected a login name

    error: `ops@` is not a jump host
      --> fleet.toml:14:20
       |
    14 | jump = ["bastion", "ops@", "bastion:0"]
       |                    ^^^^^^ expected `host`, `user@host` or `user@host:port`

    error: `bastion:0` is not a jump host
      --> fleet.toml:14:28
       |
    14 | jump = ["bastion", "ops@", "bastion:0"]
       |                            ^^^^^^^^^^^ expected `host`, `user@host` or `user@host:port`
    "#);
}

#[test]
fn wrong_jump_hosts() {
    assert_snapshot!(mistakes_with(r#"
[jump_hosts.bastion]
adress = "10.9.0.1"
"#), @r#"
    error: unknown key `adress`
     --> fleet.toml:9:1
      |
    9 | adress = "10.9.0.1"
      | ^^^^^^ not a key of this table
      |
      = help: did you mean `address`?
    "#);
    assert_snapshot!(mistakes_with(r#"
[jump_hosts.bastion]
address = "not an address"
ssh = { jump = "other", port = 0 }
[jump_hosts."a b"]
"#), @r#"
    error: `not an address` cannot be an address
     --> fleet.toml:9:11
      |
    9 | address = "not an address"
      |           ^^^^^^^^^^^^^^^^ expected an IP address or a DNS name

    error: a jump host has no `jump` of its own
      --> fleet.toml:10:16
       |
    10 | ssh = { jump = "other", port = 0 }
       |                ^^^^^^^ not here
       |
       = help: list every host on the way in the `jump` of the hosts behind it

    error: 0 is not a port
      --> fleet.toml:10:32
       |
    10 | ssh = { jump = "other", port = 0 }
       |                                ^ expected 1 to 65535

    error: `a b` cannot be an address
      --> fleet.toml:11:13
       |
    11 | [jump_hosts."a b"]
       |             ^^^^^ expected an IP address or a DNS name
    "#);
}
