//! How hosts are reached, variable by variable.

use std::path::Path;

use super::{import_as, load};
use crate::inventory::import::Note;
use crate::inventory::{Become, Hop, Host};

/// The one host of an inventory whose group `all` has these variables, and the notes about them.
fn reached(variables: &str) -> (Host, Vec<String>) {
    let text = format!("h ansible_host=10.0.0.1\n[all:vars]\n{variables}\n");
    let imported = import_as("x", &text).unwrap_or_else(|error| panic!("{error}"));
    let host = Host::clone(&load(&imported).hosts[0]);
    let said = |note: &&Note| note.line.is_some();
    (host, imported.notes.iter().filter(said).map(|note| note.text.clone()).collect())
}

#[test]
fn how_hosts_are_reached() {
    let (host, notes) = reached(
        "ansible_port=2222\nansible_user=me\nansible_ssh_private_key_file=~/.ssh/key\nansible_timeout=20",
    );
    assert_eq!(host.ssh.port.clone().unwrap().value, 2222);
    assert_eq!(host.ssh.user.clone().unwrap().value, "me");
    assert!(host.ssh.identity_files.clone().unwrap().value[0].ends_with(".ssh/key"));
    assert_eq!(host.ssh.connect_timeout.clone().unwrap().value.as_secs(), 20);
    assert_eq!(notes, [""; 0]);

    // Ansible's older names win over the newer ones.
    let (host, _) =
        reached("ansible_user=new\nansible_ssh_user=old\nansible_port=1\nansible_ssh_port=2");
    assert_eq!(
        (&*host.ssh.user.clone().unwrap().value, host.ssh.port.clone().unwrap().value),
        ("old", 2)
    );

    // What stands first on Ansible's command line of ssh counts; key files add up.
    let (host, _) = reached(
        "ansible_port=1\nansible_ssh_args=-p 2 -i /a\nansible_ssh_common_args=-p 3 -l me -i /c\n\
         ansible_ssh_private_key_file=/b\nansible_ssh_extra_args=-l you -i /a",
    );
    assert_eq!(
        (&*host.ssh.user.clone().unwrap().value, host.ssh.port.clone().unwrap().value),
        ("me", 2)
    );
    assert_eq!(host.ssh.identity_files.clone().unwrap().value, ["/a", "/b", "/c"].map(Path::new));

    let (host, notes) = reached(
        "ansible_ssh_common_args=-o IdentitiesOnly=yes -oUserKnownHostsFile=/k -o HostKeyAlias=alias \
         -o ConnectTimeout=5 -o ServerAliveInterval=7 -o StrictHostKeyChecking=accept-new \
         -o CertificateFile=/cert -o IdentityAgent=/agent",
    );
    assert!(host.ssh.identities_only.clone().unwrap().value);
    assert_eq!(host.ssh.known_hosts.clone().unwrap().value, [Path::new("/k")]);
    assert_eq!(host.ssh.host_key_alias.clone().unwrap().value, "alias");
    assert_eq!(host.ssh.connect_timeout.clone().unwrap().value.as_secs(), 5);
    assert_eq!(host.ssh.keepalive.clone().unwrap().value.as_secs(), 7);
    assert_eq!(host.ssh.host_key_policy.clone().unwrap().value.as_str(), "accept-new");
    assert_eq!(host.ssh.certificate_files.clone().unwrap().value, [Path::new("/cert")]);
    assert_eq!(host.ssh.identity_agent.clone().unwrap().value, Path::new("/agent"));
    assert_eq!(notes, [""; 0]);
}

#[test]
fn ways_through_other_hosts() {
    for (arguments, jump) in [
        ("-J a,b@c:2200", Some(&["a", "b@c:2200"][..])),
        ("-o ProxyJump=a", Some(&["a"])),
        ("-o 'ProxyCommand=ssh -W %h:%p -q ops@a'", Some(&["ops@a"])),
        ("-i /k -o 'ProxyCommand=ssh -i /k -p 2222 -W %h:%p ops@a'", Some(&["ops@a:2222"])),
        ("-J none", Some(&[])),
        ("-o ProxyCommand=none -J a", Some(&[])),
        ("-J %h", None),
        ("-o ProxyCommand='nc -x proxy %h %p'", None),
    ] {
        let (host, notes) = reached(&format!("ansible_ssh_common_args={arguments}"));
        let hops = host.ssh.jump.as_ref().map(|jump| {
            let text = |hop: &Hop| {
                let user = hop.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = hop.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{user}{}{port}", hop.host)
            };
            jump.value.iter().map(text).collect::<Vec<_>>()
        });
        let jump = jump.map(|jump| jump.iter().map(|hop| (*hop).to_owned()).collect::<Vec<_>>());
        assert_eq!(hops, jump, "{arguments}");
        assert_eq!(notes.is_empty(), hops.is_some(), "{arguments}: {notes:?}");
    }
}

#[test]
fn ways_to_become_root() {
    for (variables, way, user) in [
        ("ansible_become=yes", Some(Become::Sudo), None),
        (
            "ansible_become=True\nansible_become_method=community.general.doas",
            Some(Become::Doas),
            None,
        ),
        ("ansible_become=1\nansible_become_user=root", Some(Become::Sudo), None),
        ("ansible_become=yes\nansible_become_user=admin", Some(Become::Sudo), Some("admin")),
        ("ansible_become=no\nansible_become_method=su", Some(Become::None), None),
    ] {
        let (host, notes) = reached(variables);
        assert_eq!(host.ssh.become_root.as_ref().map(|way| way.value), way, "{variables}");
        assert_eq!(host.ssh.become_user.as_ref().map(|user| &*user.value), user, "{variables}");
        assert_eq!(notes, [""; 0], "{variables}");
    }
    for variables in [
        "ansible_become=yes\nansible_become_method=su",
        "ansible_become=maybe",
        "ansible_become_user=admin",
        "ansible_become=yes\nansible_become_user=a b",
    ] {
        let (host, notes) = reached(variables);
        let unsaid = host.ssh.become_root.is_none() || host.ssh.become_user.is_none();
        assert!(unsaid && notes.len() == 1, "{variables}: {notes:?}");
    }
}

#[test]
fn what_has_no_counterpart_is_noted() {
    for (variable, note) in [
        ("ansible_port=x", "`ansible_port` is left out: it is not a port"),
        ("ansible_user=a b", "`ansible_user` is left out: it is not a user name"),
        ("ansible_user=[1]", "`ansible_user` is left out: it is no text"),
        ("ansible_timeout=0", "`ansible_timeout` is left out: expected 1 to 86400 seconds"),
        (
            "ansible_private_key_file=~you/key",
            "`ansible_private_key_file` is left out: it is not a plain path",
        ),
        (
            "ansible_private_key_file=key",
            "`ansible_private_key_file`: relative paths start at the directory of fleetadm's inventory",
        ),
        (
            "ansible_user={{ nobody }}",
            "`ansible_user` is left out: its template needs more than the inventory's variables",
        ),
        (
            "ansible_user=$ANSIBLE_VAULT;1.1;AES256",
            "`ansible_user` is encrypted by ansible-vault; left out",
        ),
        (
            "ansible_become_pass=x",
            "`ansible_become_pass` is a secret and is not copied; use `become_password_command` in an `ssh` table",
        ),
        (
            "ansible_ssh_pass=x",
            "`ansible_ssh_pass` is a secret and is not copied; use `password_command` in an `ssh` table",
        ),
        (
            "ansible_ssh_private_key_passphrase=x",
            "`ansible_ssh_private_key_passphrase` is a secret and is not copied; fleetadm asks for passphrases once per run",
        ),
        (
            "ansible_private_key=x",
            "`ansible_private_key` is a secret and is not copied; put it into a file and use `identity_file`",
        ),
        (
            "ansible_host_key_checking=False",
            "`ansible_host_key_checking` is left out: host keys are always checked; add them with `fleetadm trust`",
        ),
        ("ansible_shell_type=csh", "`ansible_shell_type` is left out: fleetadm has no counterpart"),
        (
            "ansible_ssh_args=-C",
            "`-C` in `ansible_ssh_args` is left out: fleetadm does not compress",
        ),
        (
            "ansible_ssh_args=-o ControlMaster=auto",
            "`-o ControlMaster=auto` in `ansible_ssh_args` is left out: fleetadm keeps its one connection to a host open by itself",
        ),
        (
            "ansible_ssh_args=-oUserKnownHostsFile=/dev/null",
            "`-o UserKnownHostsFile=/dev/null` in `ansible_ssh_args` is left out: host keys are always checked; add them with `fleetadm trust`",
        ),
        ("ansible_ssh_args=word", "`word` in `ansible_ssh_args` is left out: it is not an option"),
        ("ansible_ssh_args='", "`ansible_ssh_args` is left out: a quote is not closed"),
        (
            "ansible_ssh_args=-o 'ProxyCommand=ssh -i k -W %h:%p me@a:22'",
            "`-i k` in `ansible_ssh_args` is left out: for the jump host, say it as `identity_file` of `[jump_hosts.\"a\".ssh]`",
        ),
        (
            "ansible_ssh_args=-o 'ProxyCommand=sshpass -p secret ssh a'",
            "`ProxyCommand` in `ansible_ssh_args` is left out: only `ssh -W %h:%p [user@]host` is a jump host; leave it to ~/.ssh/config",
        ),
    ] {
        assert_eq!(reached(variable).1, [note]);
    }
}
