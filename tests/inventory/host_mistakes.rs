//! Mistakes about hosts, and about what is meant for them, word for word.

use insta::assert_snapshot;

use super::mistakes_with;

#[test]
fn a_duplicate_name() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "node-[1-3]"
[[hosts]]
name = "node-3"
"#), @r#"
    error: host name `node-3` is used twice
      --> fleet.toml:11:8
       |
     9 | name = "node-[1-3]"
       |        ------------ first used here
    10 | [[hosts]]
    11 | name = "node-3"
       |        ^^^^^^^^ used again here
    "#);
}

#[test]
fn a_duplicate_address() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "a"
address = "10.0.0.7"
[[hosts]]
name = "b-[1-2]"
address = "10.0.0.[6-7]"
"#), @r#"
    error: address `10.0.0.7` is used twice
      --> fleet.toml:13:11
       |
    10 | address = "10.0.0.7"
       |           ---------- first used here
    ...
    13 | address = "10.0.0.[6-7]"
       |           ^^^^^^^^^^^^^^ used again here
    "#);
}

#[test]
fn unequal_ranges() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "node-[1-3]"
address = "10.0.0.1[1-2]"
[[hosts]]
name = "edge-[1-3]"
address = "10.0.0.20"
"#), @r#"
    error: `address` stands for 2, `name` for 3
      --> fleet.toml:10:11
       |
     9 | name = "node-[1-3]"
       |        ------------ 3 here
    10 | address = "10.0.0.1[1-2]"
       |           ^^^^^^^^^^^^^^^ 2 here
       |
       = help: every host needs its own: write a range of the same length

    error: `address` stands for 1, `name` for 3
      --> fleet.toml:13:11
       |
    12 | name = "edge-[1-3]"
       |        ------------ 3 here
    13 | address = "10.0.0.20"
       |           ^^^^^^^^^^^ 1 here
       |
       = help: every host needs its own: write a range of the same length
    "#);
}

#[test]
fn bad_ranges_and_names() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "node-[3-1]"
[[hosts]]
name = "Node_1"
[[hosts]]
name = "a"
address = "10.0.0.1:22"
"#), @r#"
    error: bad range `node-[3-1]`: it ends before it starts
     --> fleet.toml:9:8
      |
    9 | name = "node-[3-1]"
      |        ^^^^^^^^^^^^ expected one range such as `node-[001-200]` or `node-[1-3,7]`

    error: `Node_1` cannot be a host name
      --> fleet.toml:11:8
       |
    11 | name = "Node_1"
       |        ^^^^^^^^ expected lower-case letters, digits, `-` and `.`, as node names are (DNS-1123)
       |
       = help: did you mean `node-1`?

    error: `10.0.0.1:22` cannot be an address
      --> fleet.toml:14:11
       |
    14 | address = "10.0.0.1:22"
       |           ^^^^^^^^^^^^^ expected an IP address or a DNS name
       |
       = help: the port goes into `ssh.port`
    "#);
}

#[test]
fn an_unknown_group() {
    assert_snapshot!(mistakes_with(r#"
[groups.storage]
[[hosts]]
name = "a"
groups = ["storag", "gpu"]
"#), @r#"
    error: unknown group `storag`
      --> fleet.toml:11:11
       |
    11 | groups = ["storag", "gpu"]
       |           ^^^^^^^^ no `[groups.NAME]` table has this name
       |
       = help: did you mean `storage`?

    error: unknown group `gpu`
      --> fleet.toml:11:21
       |
    11 | groups = ["storag", "gpu"]
       |                     ^^^^^ no `[groups.NAME]` table has this name
       |
       = help: define it, as `[groups.NAME]` for `gpu`
    "#);
}

#[test]
fn an_unknown_role() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "a"
role = "master"
"#), @r#"
    error: `master` is not a role
      --> fleet.toml:10:8
       |
    10 | role = "master"
       |        ^^^^^^^^ expected `control-plane`, `worker` or `etcd`
       |
       = help: did you mean `control-plane`?
    "#);
}

#[test]
fn a_host_inside_the_pod_network() {
    assert_snapshot!(mistakes_with(r#"
[cluster.networking]
pod_subnet = "10.0.0.0/16"
service_subnet = "10.96.0.0/16"
[[hosts]]
name = "node-[1-3]"
address = "10.0.0.1[1-3]"
"#), @r#"
    error: host `node-1` has address 10.0.0.11 inside the pod subnet 10.0.0.0/16
      --> fleet.toml:13:11
       |
     9 | pod_subnet = "10.0.0.0/16"
       |              ------------- the pod subnet
    ...
    13 | address = "10.0.0.1[1-3]"
       |           ^^^^^^^^^^^^^^^ the host's address
       |
       = help: hosts, pods and services need networks of their own
    "#);
}

#[test]
fn a_host_inside_the_default_service_network() {
    assert_snapshot!(mistakes_with(r#"
[[hosts]]
name = "a"
address = "10.100.0.1"
"#), @r#"
    error: host `a` has address 10.100.0.1 inside the service subnet 10.96.0.0/12
      --> fleet.toml:10:11
       |
    10 | address = "10.100.0.1"
       |           ^^^^^^^^^^^^ the host's address
       |
       = help: this is the default; set `service_subnet` in `[cluster.networking]`
    "#);
}

#[test]
fn files_and_hooks() {
    assert_snapshot!(mistakes_with(r#"
[[files]]
source = "files/99-kubernetes.conf"
dest = "etc/sysctl.d"
mode = 644
hosts = ["worker"]
[[manifests]]
[[hooks]]
script = "hooks/mount-data-disk.sh"
after = "kubelet-start"
[[hooks]]
script = "hooks/mount-data-disk.sh"
[preflight]
ignore = ["all", "Swap"]
"#), @r#"
    error: `etc/sysctl.d` is not an absolute path
      --> fleet.toml:10:8
       |
    10 | dest = "etc/sysctl.d"
       |        ^^^^^^^^^^^^^^ expected an absolute path without `..`

    error: `644` is not a file mode
      --> fleet.toml:11:8
       |
    11 | mode = 644
       |        ^^^ expected an octal mode: `"0644"` or `0o644`

    error: `worker` matches no host, group or role
      --> fleet.toml:12:10
       |
    12 | hosts = ["worker"]
       |          ^^^^^^^^ expected host names, globs, ranges, groups or roles

    error: missing key `path`
      --> fleet.toml:13:1
       |
    13 | [[manifests]]
       | ^^^^^^^^^^^^^ `path` is required here

    error: unknown phase `kubelet-start`
      --> fleet.toml:16:9
       |
    16 | after = "kubelet-start"
       |         ^^^^^^^^^^^^^^^ expected `workflow/phase`, as `init/kubelet-start`
       |
       = help: did you mean `init/kubelet-start`?

    error: missing key `before` or `after`
      --> fleet.toml:17:1
       |
    17 | [[hooks]]
       | ^^^^^^^^^ when does it run?
       |
       = help: name a phase, as `before = "init/kubelet-start"`

    error: `all` stands with other checks
      --> fleet.toml:20:11
       |
    20 | ignore = ["all", "Swap"]
       |           ^^^^^ expected it alone, or not at all
    "#);
}

#[test]
fn two_files_for_one_place() {
    assert_snapshot!(mistakes_with(r#"
[[files]]
source = "files/99-kubernetes.conf"
dest = "/etc/motd"
[[files]]
source = "files/motd.j2"
dest = "/etc/motd"
template = true
hosts = ["cp*"]
"#), @r#"
    error: two files for `/etc/motd` on host `cp1`
      --> fleet.toml:13:8
       |
    10 | dest = "/etc/motd"
       |        ----------- first here
    ...
    13 | dest = "/etc/motd"
       |        ^^^^^^^^^^^ again here
    "#);
}
