//! `[cluster.load_balancer]`, right and wrong.

use insta::assert_snapshot;

use super::{inventory_of, mistakes};

/// Two control planes and two workers, with this endpoint and this load balancer.
fn document(endpoint: &str, balancer: &str) -> String {
    format!(
        r#"
[cluster]
kubernetes_version = "1.36.2"
{endpoint}
[cluster.load_balancer]
{balancer}
[[hosts]]
name = "cp-[1-2]"
address = "10.0.0.1[1-2]"
role = "control-plane"
[[hosts]]
name = "node-[1-2]"
address = "10.0.0.2[1-2]"
"#
    )
}

const ENDPOINT: &str = "control_plane_endpoint = \"10.0.0.10:8443\"";

#[test]
fn haproxy_runs_on_the_control_planes_unless_told_otherwise() {
    use fleetadm::inventory::LoadBalancerKind;
    let balancer = |endpoint: &str, text: &str| {
        inventory_of(&document(endpoint, text)).cluster.unwrap().load_balancer.unwrap()
    };
    let usual = balancer(ENDPOINT, "kind = \"haproxy\"\naddress = \"10.0.0.10\"");
    assert_eq!(usual.hosts, ["cp-1", "cp-2"]);
    assert_eq!(usual.kind, LoadBalancerKind::Haproxy { virtual_router_id: 51 });
    let elsewhere = balancer(
        "control_plane_endpoint = \"k8s.example.com\"",
        "kind = \"haproxy\"\naddress = \"10.0.0.10\"\nhosts = \"worker\"\ninterface = \"eth1\"\nvirtual_router_id = 7",
    );
    assert_eq!(elsewhere.hosts, ["node-1", "node-2"]);
    assert_eq!(elsewhere.interface.as_deref(), Some("eth1"));
    assert_eq!(elsewhere.kind, LoadBalancerKind::Haproxy { virtual_router_id: 7 });
    let alone = balancer(
        "control_plane_endpoint = \"10.0.0.21\"",
        "kind = \"haproxy\"\nhosts = \"node-1\"",
    );
    assert_eq!((alone.address, alone.hosts.len()), (None, 1));
    let image = "ghcr.io/kube-vip/kube-vip:v1.0.0";
    let kube_vip = balancer(
        "control_plane_endpoint = \"10.0.0.10\"",
        &format!("kind = \"kube-vip\"\naddress = \"10.0.0.10\"\nimage = \"{image}\""),
    );
    assert_eq!(kube_vip.kind, LoadBalancerKind::KubeVip { image: image.to_owned() });
    assert_eq!(kube_vip.hosts, ["cp-1", "cp-2"]);
}

#[test]
fn keys_and_values() {
    assert_snapshot!(mistakes(&document(ENDPOINT, "kind = \"haproxy\"\nvrid = 5")), @r#"
    error: unknown key `vrid`
     --> fleet.toml:7:1
      |
    7 | vrid = 5
      | ^^^^ not a key of this table
      |
      = help: known keys here: kind, address, interface, image, hosts, virtual_router_id
    "#);
    assert_snapshot!(mistakes(&document(
        ENDPOINT,
        "kind = \"ha-proxy\"\naddress = \"vip\"\ninterface = \"eth 0\"",
    )), @r#"
    error: `ha-proxy` is not a load balancer
     --> fleet.toml:6:8
      |
    6 | kind = "ha-proxy"
      |        ^^^^^^^^^^ expected `haproxy` or `kube-vip`
      |
      = help: did you mean `haproxy`?

    error: `vip` is not an IP address
     --> fleet.toml:7:11
      |
    7 | address = "vip"
      |           ^^^^^ expected the IP address other nodes reach this host at

    error: `eth 0` is not a network interface
     --> fleet.toml:8:13
      |
    8 | interface = "eth 0"
      |             ^^^^^^^ expected its name, as `eth0`
    "#);
    assert_snapshot!(mistakes(&document(ENDPOINT, "address = \"10.0.0.10\"")), @r#"
    error: missing key `kind`
     --> fleet.toml:5:1
      |
    5 | [cluster.load_balancer]
      | ^^^^^^^^^^^^^^^^^^^^^^^ `kind` is required here
    "#);
}

#[test]
fn what_belongs_to_the_other_kind() {
    assert_snapshot!(mistakes(&document(
        ENDPOINT,
        "kind = \"haproxy\"\nimage = \"ghcr.io/kube-vip/kube-vip:v1.0.0\"\nvirtual_router_id = 0\nhosts = \"cp-1\"",
    )), @r#"
    error: `image` goes with kube-vip only
     --> fleet.toml:7:9
      |
    7 | image = "ghcr.io/kube-vip/kube-vip:v1.0.0"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ haproxy comes from the host's packages

    error: `virtual_router_id` needs `address`
     --> fleet.toml:8:21
      |
    8 | virtual_router_id = 0
      |                     ^ there is no virtual address that it could be about

    error: 0 is not a virtual router id
     --> fleet.toml:8:21
      |
    8 | virtual_router_id = 0
      |                     ^ expected 1 to 255
    "#);
    assert_snapshot!(mistakes(&document(
        ENDPOINT,
        "kind = \"kube-vip\"\nimage = \"kube-vip\"\nvirtual_router_id = 5\nhosts = \"cp-1\"",
    )), @r#"
    error: missing key `address`
     --> fleet.toml:5:1
      |
    5 | [cluster.load_balancer]
      | ^^^^^^^^^^^^^^^^^^^^^^^ `address` is required here

    error: `kube-vip` is not an image
     --> fleet.toml:7:9
      |
    7 | image = "kube-vip"
      |         ^^^^^^^^^^ expected `registry.example.com/path:tag`

    error: `virtual_router_id` goes with haproxy only
     --> fleet.toml:8:21
      |
    8 | virtual_router_id = 5
      |                     ^ kube-vip has no virtual router: it elects a leader in the cluster

    error: `hosts` goes with haproxy only
     --> fleet.toml:9:9
      |
    9 | hosts = "cp-1"
      |         ^^^^^^ kube-vip runs on every control plane, beside its API server
    "#);
}

#[test]
fn the_endpoint_leads_to_it() {
    let haproxy = "kind = \"haproxy\"\naddress = \"10.0.0.10\"";
    assert_snapshot!(mistakes(&document("", haproxy)), @r#"
    error: a load balancer needs `control_plane_endpoint`
     --> fleet.toml:5:1
      |
    5 | [cluster.load_balancer]
      | ^^^^^^^^^^^^^^^^^^^^^^^ this is what serves it
      |
      = help: set it in `[cluster]`, as `control_plane_endpoint = "10.0.0.10:8443"`

    error: several control planes need `control_plane_endpoint`
     --> fleet.toml:9:8
      |
    9 | name = "cp-[1-2]"
      |        ^^^^^^^^^^ this is not the only control plane
      |
      = help: set it to a name or an address that leads to whichever of them is up, as "k8s.example.com:6443"
    "#);
    assert_snapshot!(mistakes(&document("control_plane_endpoint = \"10.0.0.9:6443\"", haproxy)), @r#"
    error: the endpoint is 10.0.0.9, the load balancer serves 10.0.0.10
     --> fleet.toml:4:26
      |
    4 | control_plane_endpoint = "10.0.0.9:6443"
      |                          ^^^^^^^^^^^^^^^ leads elsewhere
    ...
    7 | address = "10.0.0.10"
      |           ----------- served here
      |
      = help: use the same address in both, or a name for it in `control_plane_endpoint`

    error: port 6443 is taken on `cp-1` by its API server
     --> fleet.toml:4:26
      |
    4 | control_plane_endpoint = "10.0.0.9:6443"
      |                          ^^^^^^^^^^^^^^^ haproxy runs there, too, and needs another port
      |
      = help: give the endpoint another port, as `10.0.0.9:8443`, or the API servers another `bind_port`
    "#);
    let kube_vip = "kind = \"kube-vip\"\naddress = \"10.0.0.10\"\nimage = \"r.io/kube-vip:v1\"";
    assert_snapshot!(mistakes(&document(ENDPOINT, kube_vip)), @r#"
    error: kube-vip cannot lead from port 8443 to 6443
     --> fleet.toml:4:26
      |
    4 | control_plane_endpoint = "10.0.0.10:8443"
      |                          ^^^^^^^^^^^^^^^^ expected the API servers' port, 6443
      |
      = help: its address leads straight to an API server: leave the port out, or set `bind_port` in `[cluster.api_server]`
    "#);
}

#[test]
fn the_address_is_free_and_needed_for_several_hosts() {
    assert_snapshot!(mistakes(&document(
        "control_plane_endpoint = \"10.0.0.21\"",
        "kind = \"haproxy\"\naddress = \"10.0.0.21\"\nhosts = \"worker\"",
    )), @r#"
    error: 10.0.0.21 is the address of host `node-1`
     --> fleet.toml:7:11
      |
    7 | address = "10.0.0.21"
      |           ^^^^^^^^^^^ expected a free address of the hosts' network
    "#);
    assert_snapshot!(mistakes(&document(
        "control_plane_endpoint = \"k8s.example.com\"",
        "kind = \"haproxy\"\nhosts = \"worker\"",
    )), @r#"
    error: a load balancer of 2 hosts needs `address`
     --> fleet.toml:7:9
      |
    7 | hosts = "worker"
      |         ^^^^^^^^ without it only one of them could be reached
      |
      = help: a free address of their network, which one of them has at a time
    "#);
    assert_snapshot!(mistakes(&document(
        "control_plane_endpoint = \"10.96.0.9\"",
        "kind = \"haproxy\"\naddress = \"10.96.0.9\"\nhosts = \"worker\"",
    )), @r#"
    error: the load balancer's address 10.96.0.9 is inside the service subnet 10.96.0.0/12
     --> fleet.toml:7:11
      |
    7 | address = "10.96.0.9"
      |           ^^^^^^^^^^^ expected a free address of the hosts' network
      |
      = help: this is the default; set `service_subnet` in `[cluster.networking]`
    "#);
    assert_snapshot!(mistakes(&document(
        "control_plane_endpoint = \"k8s.example.com\"",
        "kind = \"haproxy\"\nhosts = \"nodes\"",
    )), @r#"
    error: `nodes` matches no host, group or role; did you mean `node-1`?
     --> fleet.toml:7:9
      |
    7 | hosts = "nodes"
      |         ^^^^^^^ expected host names, globs, ranges, groups or roles
    "#);
}
