//! What documents become, and which are refused.

use insta::assert_snapshot;

use super::{Document, Format, convert, documents, import_as, load};
use crate::inventory::import::settled;

/// What is printed, and below it what is noted.
fn shown(name: &str, text: &str) -> String {
    let imported = import_as(name, text).unwrap_or_else(|error| panic!("{error}"));
    load(&imported);
    let notes: Vec<String> = imported.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{}\n{}", imported.document, notes.concat())
}

fn ini(text: &str) -> String {
    shown("hosts.ini", text)
}

fn refused(name: &str, text: &str) -> String {
    import_as(name, text).map(|imported| imported.document).unwrap_err().to_string()
}

#[test]
fn an_ini_inventory() {
    assert_snapshot!(ini(r#"
# The first lines are hosts of no group.
lonely ansible_host=192.0.2.99 rack=r9

[web]
web-[01:12].example.com:2222 http_port=80 label="a b"  # a comment
[db]
db-[1:5:2] ansible_user=postgres replica=True

[db:vars]
backup_hours=[1, 5]
version=1.10
ansible_password=hunter2

[prod:children]
web
db

[prod:vars]
env=prod
http_port=8080
ansible_ssh_common_args='-o StrictHostKeyChecking=no -o ProxyCommand="ssh -W %h:%p -q ops@bastion.example.com"'

[all:vars]
ansible_user=ops
ansible_become=yes
env=none
"#), @r#"
    # Imported from the Ansible inventory hosts.ini by `fleetadm inventory import`.
    # To make a cluster of these hosts, add [cluster] with a kubernetes_version.

    [ssh]
    become = "sudo"
    user = "ops"

    [groups.all-hosts.vars]
    env = "none"

    [groups.web]

    [groups.db.vars]
    backup_hours = [1, 5]
    version = 1.1

    [groups.prod.ssh]
    jump = ["ops@bastion.example.com"]

    [groups.prod.vars]
    env = "prod"
    http_port = 8080

    [[hosts]]
    name = "lonely"
    address = "192.0.2.99"
    groups = ["all-hosts"]

    [hosts.vars]
    rack = "r9"

    [[hosts]]
    name = "web-[01-12].example.com"
    groups = ["all-hosts", "prod", "web"]

    [hosts.ssh]
    port = 2222

    [hosts.vars]
    http_port = 80
    label = "a b"

    [[hosts]]
    name = "db-[1,3,5]"
    groups = ["all-hosts", "prod", "db"]

    [hosts.ssh]
    user = "postgres"

    [hosts.vars]
    replica = true

    note: hosts.ini:13: `ansible_password` is a secret and is not copied; use `password_command` in an `ssh` table
    note: hosts.ini:22: `-o StrictHostKeyChecking=no` in `ansible_ssh_common_args` is left out: host keys are always checked; add them with `fleetadm trust`
    note: no group says what a host is for: every host is a worker until it says `role = "control-plane"`
    "#);
}

#[test]
fn a_yaml_inventory() {
    assert_snapshot!(shown("hosts.yml", r#"
all:
  vars: &common
    ansible_user: ops
    ansible_become: yes
  children:
    kube_control_plane:
      hosts:
        "node[01:03]":
    etcd:
      hosts: {node01: , node02: , node03: }
    kube_node:
      hosts:
        "node[03:20]":
          ansible_host: "10.0.0.{{ inventory_hostname[4:] | int }}"
        gpu1: {ansible_host: 10.0.1.1, gpus: 4}
        gpu2: {ansible_host: 10.0.1.2, gpus: 4}
      vars:
        max_pods: 110
        motd: "{{ cluster }} node"
        token: !vault |
          $ANSIBLE_VAULT;1.1;AES256
          3132
    k8s_cluster:
      children: {kube_control_plane: , kube_node: }
      vars: {max_pods: 250, mode: 0644, sysctls: {net.ipv4.ip_forward: 1}}
    bastion:
      hosts: {gate: {ansible_host: 192.0.2.1}}
      colour: {blue: 1}
"#), @r#"
    # Imported from the Ansible inventory hosts.yml by `fleetadm inventory import`.
    # To make a cluster of these hosts, add [cluster] with a kubernetes_version.

    [ssh]
    become = "sudo"
    user = "ops"

    [groups.kube_control_plane]

    [groups.etcd-hosts]

    [groups.kube_node.vars]
    max_pods = 110

    [groups.k8s_cluster.vars]
    max_pods = 250
    mode = 420

    [groups.k8s_cluster.vars.sysctls]
    "net.ipv4.ip_forward" = 1

    [groups.bastion]

    [[hosts]]
    name = "node[01-02]"
    role = "control-plane"
    groups = ["etcd-hosts", "k8s_cluster", "kube_control_plane"]

    [[hosts]]
    name = "node03"
    address = "10.0.0.3"
    role = "control-plane"
    groups = ["etcd-hosts", "k8s_cluster", "kube_control_plane", "kube_node"]

    [[hosts]]
    name = "node[04-20]"
    address = "10.0.0.[4-20]"
    role = "worker"
    groups = ["k8s_cluster", "kube_node"]

    [[hosts]]
    name = "gpu[1-2]"
    address = "10.0.1.[1-2]"
    role = "worker"
    groups = ["k8s_cluster", "kube_node"]

    [hosts.vars]
    gpus = 4

    [[hosts]]
    name = "gate"
    address = "192.0.2.1"
    groups = ["bastion"]

    note: hosts.yml:10: group `etcd` is called `etcd-hosts` here: its name is a role's
    note: hosts.yml:20: `motd` is a template, which fleetadm does not render in `vars`; write its value
    note: hosts.yml:21: `token` is encrypted by ansible-vault and is not copied
    note: hosts.yml:29: `colour` is not a key of a group (`hosts`, `vars`, `children`); left out
    note: `gate` is in no group that says what it is for, so a worker; take out what is not to join
    note: `node[01-03]` is in groups of several roles, and a host has one: control-plane
    "#);
}

#[test]
fn hosts_that_cannot_be_carried_over_are_noted() {
    assert_snapshot!(ini(r#"
Web_[1:3]
web-2 ansible_host=10.0.0.2
a ansible_host=10.0.0.1
b ansible_host=10.0.0.1 ansible_port=22
c ansible_host=10.0.0.1 ansible_port=23
local ansible_connection=local
bad ansible_host=under_score
templated ansible_host='{{ nowhere }}'
[fd00::1]:22
[groups]
a
[all-hosts]
c
[c]
c
[worker]
a
[all:vars]
x=1
[groups:vars]
"#), @r#"
    # Imported from the Ansible inventory hosts.ini by `fleetadm inventory import`.
    # To make a cluster of these hosts, add [cluster] with a kubernetes_version.

    [groups.all-hosts-hosts.vars]
    x = 1

    [groups.groups]

    [groups.all-hosts]

    [groups.c-hosts]

    [[hosts]]
    name = "web-[1,3]"
    groups = ["all-hosts-hosts"]

    [[hosts]]
    name = "web-2"
    address = "10.0.0.2"
    groups = ["all-hosts-hosts"]

    [[hosts]]
    name = "a"
    address = "10.0.0.1"
    role = "worker"
    groups = ["all-hosts-hosts", "groups"]

    [[hosts]]
    name = "c"
    address = "10.0.0.1"
    groups = ["all-hosts-hosts", "all-hosts", "c-hosts"]

    [hosts.ssh]
    port = 23

    note: hosts.ini:2: `Web_[1,3]` is called `web-[1,3]` here: host names are node names
    note: hosts.ini:2: `Web_2` is left out: no host name can be made of it that is a node name (DNS-1123) and nobody else's
    note: hosts.ini:2: `Web_[1,3]` has no `ansible_host` and is no DNS name: SSH connects to its name here; say `address` where that is wrong
    note: hosts.ini:5: `b` is left out: the address and port are those of `a`, and a machine is one host
    note: hosts.ini:7: `local` is not reached by SSH (local); left out
    note: hosts.ini:8: `under_score` cannot be an address; `bad` is left out
    note: hosts.ini:9: `ansible_host` is left out: its template needs more than the inventory's variables
    note: hosts.ini:9: `templated` is left out: its address is not known
    note: hosts.ini:10: `fd00::1` is left out: no host name can be made of it that is a node name (DNS-1123) and nobody else's
    note: hosts.ini:15: group `c` is called `c-hosts` here: a host has its name
    note: `web-[1-3],c` is in no group that says what it is for, so a worker; take out what is not to join
    note: `web-[1-3],a,c` has no `ansible_become`, which playbooks may say instead; say `become = "sudo"` where the login user is not root
    "#);
}

#[test]
fn documents_that_are_not_inventories() {
    for (name, text, error) in [
        ("x", "[a b]\n", "x:1: `[a b]` is not the header of a section"),
        ("x", "h\n[a:b]\n", "x:2: `b` is not a kind of section; expected `children` or `vars`"),
        ("x", "[a:vars]\nx=1\n", "x:1: there is no group `a` for these variables"),
        ("x", "[a]\n[b:children]\nc\na\n", "x:3: there is no group `c`"),
        (
            "x",
            "[a:children]\nb\n[b:children]\na\n",
            "x:4: group `a` cannot be in `b`: that is a circle",
        ),
        ("x", "[a:children]\nb c\n", "x:2: expected the name of a group, found `b c`"),
        ("x", "[a]\n[a:vars]\nx\n", "x:3: expected `variable=value`, found `x`"),
        ("x", "h y\n", "x:1: expected `variable=value` after the host, found `y`"),
        ("x", "h x='\n", "x:1: a quote is not closed"),
        ("x", "h[1\n", "x:1: bad host pattern `h[1`: `[` without `]`"),
        (
            "x",
            "[all:vars]\nansible_group_priority=x\n",
            "x:2: `ansible_group_priority` has to be a number",
        ),
        ("x", "# nothing\n", "x: no host can be carried over"),
        (
            "x",
            "#!/bin/sh\n",
            "x: it is a program; import what `ansible-inventory -i x --list --yaml` prints",
        ),
        ("x.yml", "- a\n", "x.yml: expected a mapping of groups"),
        ("x.yml", "a:\n  hosts: [b]\n", "x.yml:2: expected a mapping under `hosts`"),
        ("x.yml", "a:\n  hosts:\n    b: 1\n", "x.yml:3: expected a mapping under `b`"),
        ("x.yml", "a: [1\n", "x.yml:1: not valid YAML: unclosed bracket '['"),
        ("x.yml", "a:\n---\nb:\n", "x.yml: expected one YAML document, found several"),
        (
            "x.yml",
            "plugin: aws_ec2\n",
            "x.yml:1: this configures an inventory plugin; import what `ansible-inventory --list --yaml` prints with it",
        ),
        (
            "x.json",
            "{\"_meta\": {}}",
            "x.json:1: this is the JSON of a dynamic inventory; import what `ansible-inventory --list --yaml` prints",
        ),
        (
            "x.yml",
            "$ANSIBLE_VAULT;1.1;AES256\n31\n",
            "x.yml: it is encrypted; decrypt it with ansible-vault first",
        ),
        (
            "x.yml",
            "a: {children: {b: {children: {a: }}}}",
            "x.yml:1: group `b` cannot be in `a`: that is a circle",
        ),
    ] {
        assert_eq!(refused(name, text), error);
    }
    // YAML that is said to be INI.
    let error = convert(&documents("x", "---\na:\n"), Format::Ini, "x").unwrap_err();
    assert_eq!(error.to_string(), "x:1: this looks like YAML; say --format yaml");
}

#[test]
fn the_format_is_guessed() {
    let format = |name: &str, text: &str| {
        let document = Document { name: name.into(), text: text.to_owned() };
        settled(Format::Auto, &document)
    };
    for (name, text) in [
        ("x.yml", ""),
        ("x.json", ""),
        ("x", "---\n"),
        ("x", "# c\n\nall:\n"),
        ("x", "{\"all\": {}}"),
        ("x", "all: {hosts: {a: }}\n"),
    ] {
        assert_eq!(format(name, text), Format::Yaml, "{name} {text}");
    }
    for (name, text) in [
        ("x.ini", "all:\n"),
        ("x", "host:22\n"),
        ("x", "[a]\n"),
        ("x", "host x=\"a: b\"\n"),
        ("x", ""),
    ] {
        assert_eq!(format(name, text), Format::Ini, "{name} {text}");
    }
}

#[test]
fn thousands_of_hosts_are_nothing() {
    let text = "[web]\nweb-[00001:10000].example.com x=1\n[web:vars]\ny=2\nansible_user=me\n";
    let imported = import_as("x", text).unwrap();
    assert!(imported.document.contains("name = \"web-[00001-10000].example.com\""));
    assert_eq!(load(&imported).hosts.len(), 10_000);
}
