//! What preflight means in every workflow: facts, checks, a verdict.

mod cluster;
mod external_etcd;
pub mod fixes;
pub mod fleet;
pub mod images;

use std::time::Duration;

use crate::inventory::{EtcdManager, Role};
use crate::node::facts::Facts;
use crate::preflight::endpoint::{Endpoint, control_plane_endpoint};
use crate::preflight::{self, CheckResult, Membership, Target};
use crate::report::{Event, Severity};

use super::{Context, PhaseError};

pub use crate::preflight::Workflow;

/// How long the control plane's endpoint may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(3);

/// Make the checks of a workflow on this host and tell every result.
///
/// # Errors
/// The host cannot be reached, or a check failed that is not to be ignored.
pub async fn check(context: &Context, workflow: Workflow) -> Result<(), PhaseError> {
    let mut results = examine(context, workflow).await?;
    preflight::ignore(&mut results, &context.run.options().ignore);

    let emit = |name: &str, severity: Severity, message: String| {
        context.run.reporter().emit(Event::Check {
            host: context.host().name.clone(),
            name: name.to_owned(),
            phase: context.phase().to_owned(),
            severity,
            message,
        });
    };
    let mut failed = Vec::new();
    for result in &results {
        if result.severity == Severity::Passed {
            emit(&result.name, Severity::Passed, String::new());
        }
        for finding in &result.findings {
            let remedy = preflight::remedy(&result.name);
            emit(&result.name, finding.severity, format!("{}; {remedy}", finding.message));
        }
        if result.severity == Severity::Error {
            failed.push(result.name.to_string());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(PhaseError::Preflight { count: failed.len(), names: failed })
}

/// Make the checks of a workflow on this host.
///
/// # Errors
/// The host cannot be reached, or does not tell its facts.
async fn examine(context: &Context, workflow: Workflow) -> Result<Vec<CheckResult>, PhaseError> {
    let facts = context.facts().await?;
    let mut target = target(context, workflow, facts).await?;
    if workflow == Workflow::Upgrade {
        target.cluster = cluster::view(context).await?;
    }
    let mut results = preflight::evaluate(workflow, &target, facts);
    if let Some(endpoint) = endpoint(context, workflow, target.already).await? {
        results.push(control_plane_endpoint(&endpoint, facts));
    }
    Ok(results)
}

/// The control plane's endpoint as the host sees it, where the workflow goes by it.
async fn endpoint(
    context: &Context,
    workflow: Workflow,
    already: Membership,
) -> Result<Option<Endpoint>, PhaseError> {
    let cluster = context.run.cluster();
    let Some(endpoint) = &cluster.section.control_plane_endpoint else { return Ok(None) };
    if !matches!(workflow, Workflow::Init | Workflow::JoinControlPlane | Workflow::JoinWorker) {
        return Ok(None);
    }
    let (host, port) = (endpoint.host.clone(), cluster.endpoint_port());
    let answer = match already {
        Membership::None => None,
        _ => {
            let dial = context.dial().await?;
            let opened = tokio::time::timeout(ANSWER, dial.dial(&host, port)).await;
            Some(match opened {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {ANSWER:.0?}")),
            })
        }
    };
    let address = cluster.section.load_balancer.as_ref().and_then(|balancer| balancer.address);
    Ok(Some(Endpoint { host, port, address, answer }))
}

async fn target(
    context: &Context,
    workflow: Workflow,
    facts: &Facts,
) -> Result<Target, PhaseError> {
    let run = &context.run;
    let section = &run.cluster().section;
    let host = context.host();
    Ok(Target {
        version: section.kubernetes_version,
        node_name: host.name.clone(),
        bind_port: section.api_server.bind_port,
        advertise: host.advertise_address,
        endpoint_host: section
            .control_plane_endpoint
            .as_ref()
            .map(|endpoint| endpoint.host.clone()),
        service_subnets: section.networking.service_subnet.clone(),
        pod_subnets: section.networking.pod_subnet.clone(),
        etcd_data_dir: (host.role == Role::Etcd || run.cluster().has_stacked_etcd())
            .then(|| section.etcd.data_dir.clone()),
        etcd_in_a_container: section.etcd.manager == EtcdManager::Kubelet,
        kubelet_version_override: kubelet_version(context).await,
        external_etcd: match workflow {
            Workflow::Init | Workflow::JoinControlPlane => external_etcd::view(context).await?,
            _ => None,
        },
        already: membership(host.role, facts),
        cluster: None,
    })
}

/// Version of the kubelet that will be installed. One that is a mirror's, or does not run on this workstation, being for
/// another architecture, is taken for what the inventory says it is.
async fn kubelet_version(context: &Context) -> Option<String> {
    let run = &context.run;
    run.inventory().artifacts.binaries.as_ref()?;
    let found = run.artifacts().kubelet_version().await.map(str::to_owned);
    Some(found.unwrap_or_else(|| run.cluster().section.kubernetes_version.to_string()))
}

/// What the host is already. Certificates come first in both workflows, so a host where a run was cut short
/// counts as a member: the next run finishes it.
fn membership(role: Role, facts: &Facts) -> Membership {
    let has = |path: &str| facts.paths.contains_key(path);
    match role {
        Role::ControlPlane if has("/etc/kubernetes/pki/apiserver.crt") => Membership::ControlPlane,
        Role::Worker if has("/etc/kubernetes/pki/apiserver.crt") => Membership::None,
        Role::Worker if has("/etc/kubernetes/pki/ca.crt") => Membership::Worker,
        Role::Etcd if has("/etc/kubernetes/pki/etcd/server.crt") => Membership::EtcdMember,
        _ => Membership::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::facts::PathState;

    fn with(paths: &[&str]) -> Facts {
        let paths = paths.iter().map(|path| ((*path).to_owned(), PathState::File)).collect();
        Facts { paths, ..Facts::default() }
    }

    #[test]
    fn a_host_is_a_member_by_its_certificates() {
        let control_plane =
            with(&["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/apiserver.crt"]);
        let worker = with(&["/etc/kubernetes/pki/ca.crt"]);
        assert_eq!(membership(Role::ControlPlane, &control_plane), Membership::ControlPlane);
        assert_eq!(membership(Role::ControlPlane, &worker), Membership::None);
        assert_eq!(membership(Role::Worker, &worker), Membership::Worker);
        assert_eq!(membership(Role::Worker, &control_plane), Membership::None);
        assert_eq!(membership(Role::Worker, &with(&[])), Membership::None);
    }
}
