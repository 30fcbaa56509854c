//! Mistakes in keys, values and the cluster section, word for word.

use insta::assert_snapshot;

use super::{mistakes, mistakes_with};

#[test]
fn an_unknown_key() {
    assert_snapshot!(mistakes(r#"
[cluster]
kubernetes_version = "1.36.2"
podSubnet = "10.244.0.0/16"
[ssh]
usr = "root"
[[hosts]]
name = "cp1"
adress = "10.0.0.1"
colour = "blue"
user = "root"
"#), @r#"
    error: unknown key `podSubnet`
     --> fleet.toml:4:1
      |
    4 | podSubnet = "10.244.0.0/16"
      | ^^^^^^^^^ not a key of this table
      |
      = help: `pod_subnet` belongs in `[cluster.networking]`

    error: unknown key `usr`
     --> fleet.toml:6:1
      |
    6 | usr = "root"
      | ^^^ not a key of this table
      |
      = help: did you mean `user`?

    error: unknown key `adress`
     --> fleet.toml:9:1
      |
    9 | adress = "10.0.0.1"
      | ^^^^^^ not a key of this table
      |
      = help: did you mean `address`?

    error: unknown key `colour`
      --> fleet.toml:10:1
       |
    10 | colour = "blue"
       | ^^^^^^ not a key of this table
       |
       = help: known keys here: name, address, advertise_address, role, groups, labels, taints, vars, ssh, kubelet_extra_args

    error: unknown key `user`
      --> fleet.toml:11:1
       |
    11 | user = "root"
       | ^^^^ not a key of this table
       |
       = help: `user` belongs in an `ssh` table
    "#);
}

#[test]
fn a_wrong_type() {
    assert_snapshot!(mistakes(r#"
[cluster]
kubernetes_version = 1.36
[cluster.kubelet_configuration]
started = 2026-01-01
[hosts]
name = "cp1"
"#), @r#"
    error: floating point `1.36` is not of the right type
     --> fleet.toml:3:22
      |
    3 | kubernetes_version = 1.36
      |                      ^^^^ expected a string
      |
      = help: put it in quotes

    error: datetime `2026-01-01` is not of the right type
     --> fleet.toml:5:11
      |
    5 | started = 2026-01-01
      |           ^^^^^^^^^^ expected a value that JSON has (put dates in quotes)

    error: a table is not of the right type
     --> fleet.toml:6:1
      |
    6 | [hosts]
      | ^^^^^^^ expected an array of tables, each under its own `[[...]]` header
    "#);
}

#[test]
fn a_syntax_error() {
    assert_snapshot!(mistakes(r#"
[cluster]
name = "a
kubernetes_version = "1.36.2"
"#), @r#"
    error: not valid TOML: invalid basic string
     --> fleet.toml:3:10
      |
    3 | name = "a
      |          ^ expected `"`
    "#);
}

#[test]
fn a_key_given_twice() {
    assert_snapshot!(mistakes(r#"
[ssh]
user = "a"
user = "b"
"#), @r#"
    error: not valid TOML: duplicate key
     --> fleet.toml:4:1
      |
    4 | user = "b"
      | ^^^^ this table has the key already
    "#);
}

#[test]
fn an_empty_document() {
    assert_snapshot!(mistakes(""), @r#"
    error: the inventory has no hosts
     --> fleet.toml:1:1
      |
    1 |
      | ^ expected at least one `[[hosts]]`
      |
      = help: add `[[hosts]]` with a `name`
    "#);
}

#[test]
fn a_missing_version() {
    assert_snapshot!(mistakes(r#"
[cluster]
name = "prod"
[[hosts]]
name = "cp1"
role = "control-plane"
"#), @r#"
    error: missing key `kubernetes_version`
     --> fleet.toml:2:1
      |
    2 | [cluster]
      | ^^^^^^^^^ `kubernetes_version` is required here
    "#);
}

#[test]
fn a_bad_version() {
    assert_snapshot!(mistakes(r#"
[cluster]
kubernetes_version = "1.37.0"
[[hosts]]
name = "cp1"
role = "control-plane"
"#), @r#"
    error: Kubernetes 1.37 is not supported
     --> fleet.toml:3:22
      |
    3 | kubernetes_version = "1.37.0"
      |                      ^^^^^^^^ expected 1.20 to 1.36
    "#);
}

#[test]
fn overlapping_subnets() {
    assert_snapshot!(mistakes_with(r#"
[cluster.networking]
pod_subnet = "10.96.0.0/16"
"#), @r#"
    error: pod subnet 10.96.0.0/16 overlaps service subnet 10.96.0.0/12
     --> fleet.toml:9:14
      |
    2 | [cluster]
      | --------- 10.96.0.0/12 is the default service subnet here
    ...
    9 | pod_subnet = "10.96.0.0/16"
      |              ^^^^^^^^^^^^^^ the pod subnet
      |
      = help: pods and services need networks of their own
    "#);
}

#[test]
fn subnets_that_cannot_work() {
    assert_snapshot!(mistakes_with(r#"
[cluster.networking]
pod_subnet = ["10.244.0.0/26", "10.245.0.1/16", "fd00::/40"]
service_subnet = "10.0.0.0/8"
"#), @r#"
    error: pod subnet 10.244.0.0/26 is smaller than one node's part of it
     --> fleet.toml:9:15
      |
    9 | pod_subnet = ["10.244.0.0/26", "10.245.0.1/16", "fd00::/40"]
      |               ^^^^^^^^^^^^^^^ expected a mask of /24 or shorter
      |
      = help: see `node-cidr-mask-size` of the controller manager

    error: 10.245.0.1/16 is an address inside a network
     --> fleet.toml:9:32
      |
    9 | pod_subnet = ["10.244.0.0/26", "10.245.0.1/16", "fd00::/40"]
      |                                ^^^^^^^^^^^^^^^ expected a network
      |
      = help: did you mean `10.245.0.0/16`?

    error: pod subnet fd00::/40 is too large for node networks of /64
     --> fleet.toml:9:49
      |
    9 | pod_subnet = ["10.244.0.0/26", "10.245.0.1/16", "fd00::/40"]
      |                                                 ^^^^^^^^^^^ expected a mask of /48 or longer
      |
      = help: see `node-cidr-mask-size` of the controller manager

    error: service subnet 10.0.0.0/8 is too large
      --> fleet.toml:10:18
       |
    10 | service_subnet = "10.0.0.0/8"
       |                  ^^^^^^^^^^^^ expected a mask of /12 or longer
    "#);
}

#[test]
fn bad_values() {
    assert_snapshot!(mistakes_with(r#"
[cluster.api_server]
bind_port = 70000
cert_sans = ["https://k8s.example.com"]
extra_args = { --v = 4 }
[cluster.kubelet_configuration]
max_pods = 100
kind = "KubeletConfig"
[ssh]
connect_timeout = "15 seconds"
become = "su"
[groups.gpu]
taints = ["gpu:NoSchedul"]
labels = { "a/b/c" = "d e" }
"#), @r#"
    error: 70000 is not a port
     --> fleet.toml:9:13
      |
    9 | bind_port = 70000
      |             ^^^^^ expected 1 to 65535

    error: `https://k8s.example.com` cannot stand in a certificate
      --> fleet.toml:10:14
       |
    10 | cert_sans = ["https://k8s.example.com"]
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^ expected an IP address, a DNS name or `*.domain`

    error: `--v` is not an argument's name
      --> fleet.toml:11:16
       |
    11 | extra_args = { --v = 4 }
       |                ^^^ expected the name without leading dashes
       |
       = help: did you mean `v`?

    error: `max_pods` is not a field of KubeletConfiguration
      --> fleet.toml:13:1
       |
    13 | max_pods = 100
       | ^^^^^^^^ fields are written as the Kubernetes API has them, in camelCase
       |
       = help: did you mean `maxPods`?

    error: `kind` cannot be changed here
      --> fleet.toml:14:8
       |
    14 | kind = "KubeletConfig"
       |        ^^^^^^^^^^^^^^^ expected `KubeletConfiguration`
       |
       = help: leave it out

    error: `15 seconds` is not a duration
      --> fleet.toml:16:19
       |
    16 | connect_timeout = "15 seconds"
       |                   ^^^^^^^^^^^^ expected seconds (`15`) or a number with a unit (`"500ms"`, `"15s"`, `"2m"`)

    error: `su` is not a way to become root
      --> fleet.toml:17:10
       |
    17 | become = "su"
       |          ^^^^ expected `none`, `sudo` or `doas`

    error: `gpu:NoSchedul` is not a taint: unknown effect `NoSchedul`
      --> fleet.toml:19:11
       |
    19 | taints = ["gpu:NoSchedul"]
       |           ^^^^^^^^^^^^^^^ the effects are `NoSchedule`, `PreferNoSchedule` and `NoExecute`
       |
       = help: did you mean `NoSchedule`?

    error: `a/b/c` cannot be a label key
      --> fleet.toml:20:12
       |
    20 | labels = { "a/b/c" = "d e" }
       |            ^^^^^^^ expected `name` or `prefix.example.com/name`, the name at most 63 letters, digits, `-`, `_`, `.`

    error: `d e` cannot be a label value
      --> fleet.toml:20:22
       |
    20 | labels = { "a/b/c" = "d e" }
       |                      ^^^^^ expected at most 63 letters, digits, `-`, `_`, `.`, with a letter or digit at both ends
    "#);
}
