//! Where a component answers health checks, read off its command line. The manifest's probes and whoever waits for
//! the component use the same reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::core::v1::{HTTPGetAction, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Component;
use super::command::flag;
use crate::cluster::release::Release;

/// Name of the port that probes refer to.
pub(super) const PORT_NAME: &str = "probe-port";

/// kubeadm allows four minutes for a start, in steps of ten seconds.
const STARTUP_FAILURES: i32 = 24;

/// Where a component listens for probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// Which paths are probed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths {
    pub(super) live: &'static str,
    pub(super) ready: Option<&'static str>,
    pub(super) start: &'static str,
}

/// The probes of a container.
pub(super) struct Probes {
    pub(super) live: Probe,
    pub(super) ready: Option<Probe>,
    pub(super) start: Probe,
}

pub(super) fn build(address: &Address, paths: Paths, named_port: bool) -> Probes {
    let unspecified = address.host.parse::<IpAddr>().is_ok_and(|host| host.is_unspecified());
    let get = |path: &str| HTTPGetAction {
        // Without a host the kubelet takes the pod's address, which an unspecified one includes.
        host: (!unspecified).then(|| address.host.clone()),
        path: Some(path.to_owned()),
        port: if named_port {
            IntOrString::String(PORT_NAME.to_owned())
        } else {
            IntOrString::Int(address.port.into())
        },
        scheme: Some(if address.tls { "HTTPS" } else { "HTTP" }.to_owned()),
        ..HTTPGetAction::default()
    };
    let slow = |path: &str, failures| Probe {
        http_get: Some(get(path)),
        initial_delay_seconds: Some(10),
        timeout_seconds: Some(15),
        period_seconds: Some(10),
        failure_threshold: Some(failures),
        ..Probe::default()
    };
    Probes {
        live: slow(paths.live, 8),
        ready: paths.ready.map(|path| Probe {
            http_get: Some(get(path)),
            timeout_seconds: Some(15),
            period_seconds: Some(1),
            failure_threshold: Some(3),
            ..Probe::default()
        }),
        start: slow(paths.start, STARTUP_FAILURES),
    }
}

/// Reads the address off a command line; flags that are missing or make no sense give way to kubeadm's defaults.
pub(super) fn address(component: Component, command: &[String]) -> Address {
    let (host_flag, port) = match component {
        Component::Etcd => return etcd_address(command),
        Component::KubeApiserver => ("advertise-address", 6443),
        Component::KubeControllerManager => ("bind-address", 10257),
        Component::KubeScheduler => ("bind-address", 10259),
    };
    Address {
        host: flag(command, host_flag).unwrap_or("127.0.0.1").to_owned(),
        port: flag(command, "secure-port").and_then(|port| port.parse().ok()).unwrap_or(port),
        tls: true,
    }
}

fn etcd_address(command: &[String]) -> Address {
    let urls = flag(command, "listen-metrics-urls").unwrap_or_default();
    urls.split(',').next().and_then(parse_url).unwrap_or(Address {
        host: "127.0.0.1".to_owned(),
        port: 2381,
        tls: false,
    })
}

fn parse_url(url: &str) -> Option<Address> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    Some(Address { host: host.to_owned(), port: port.parse().ok()?, tls })
}

/// Where to ask whether a component is healthy, from its own host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEndpoint {
    /// Which component.
    pub component: Component,
    /// IP address or name to connect to.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Path that answers 200 when all is well.
    pub path: &'static str,
}

/// Reads a component's health endpoint off its manifest, so that what a host really runs is asked. `None` when the
/// manifest has no command.
pub fn health_endpoint(
    component: Component,
    manifest: &Pod,
    release: &Release,
) -> Option<HealthEndpoint> {
    let container = manifest.spec.as_ref()?.containers.first()?;
    let Address { host, port, tls } = address(component, container.command.as_deref()?);
    let host = match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => host,
    };
    let path = match component {
        Component::Etcd => release.static_pods.etcd_probes.live,
        Component::KubeApiserver if release.runtime.wait_for_all_components => "/livez",
        Component::KubeScheduler if release.static_pods.scheduler_livez => "/livez",
        _ => "/healthz",
    };
    Some(HealthEndpoint { component, host, port, tls, path })
}
