//! `addon`: CoreDNS and kube-proxy.

use std::sync::Arc;

use crate::cluster::Release;
use crate::cluster::images::Image;
use crate::cluster::kube_proxy as kube_proxy_config;
use crate::cluster::patches::Target;
use crate::kubernetes::objects::coredns::{self, CoreDnsOptions, CoreDnsRelease};
use crate::kubernetes::objects::kube_proxy::{self, KubeProxyOptions};
use crate::kubernetes::{Kind, Object, rollout};
use crate::phases::{Context, Done, PhaseError};

/// Replicas of a fresh CoreDNS; an existing count is kept.
const COREDNS_REPLICAS: u32 = 2;

/// Run `addon/coredns`.
pub async fn coredns(context: Arc<Context>) -> Result<Done, PhaseError> {
    let cluster = context.run.cluster();
    if cluster.section.dns.disabled {
        return Ok(Done::NotNeeded("[cluster.dns] is disabled".to_owned()));
    }
    let options = CoreDnsOptions {
        image: cluster.image(Image::CoreDns),
        dns_domain: cluster.section.networking.dns_domain.clone(),
        dns_ip: cluster.dns_ip,
        replicas: COREDNS_REPLICAS,
        release: coredns_release(&cluster.release),
    };
    let mut objects = coredns::objects(&options)?;
    for object in objects.iter_mut().filter(|object| object.key().kind == Kind::Deployment) {
        let mut body = object.body().clone();
        cluster.patches.apply(Target::CorednsDeployment, &mut body)?;
        *object = Object::from_body(body)?;
    }
    context.apply(&objects).await?;
    Ok(Done::Finished)
}

fn coredns_release(release: &Release) -> CoreDnsRelease {
    let facts = &release.addons;
    CoreDnsRelease {
        anti_affinity: facts.coredns_anti_affinity,
        named_probe_ports: facts.coredns_named_ports,
        no_cache_for_domain: facts.coredns_cache_disabled,
        endpoint_slices: facts.coredns_endpoint_slices,
        get_nodes: facts.coredns_reads_nodes,
        control_plane_taints: facts
            .coredns_tolerations
            .iter()
            .map(|key| (*key).to_owned())
            .collect(),
        service_name: facts.dns_service_name.to_owned(),
        drop_capabilities: facts.all_capabilities.to_owned(),
    }
}

/// Run `addon/kube-proxy`.
pub async fn kube_proxy(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    if cluster.section.proxy.disabled {
        return Ok(Done::NotNeeded("[cluster.proxy] is disabled".to_owned()));
    }
    let address = run.control_plane().advertise_address(run).await?;
    let config = kube_proxy_config::config_yaml(cluster, address)?;
    for deviation in &config.deviations {
        context.warn(deviation.to_string());
    }
    let options = KubeProxyOptions {
        image: cluster.image(Image::Proxy),
        config_yaml: config.yaml,
        user_supplied: !cluster.section.kube_proxy_configuration.is_empty(),
        server_url: cluster.control_plane_url(address),
        tolerate_critical_addons_only: cluster.release.addons.kube_proxy_tolerates_critical_addons,
    };
    let objects = kube_proxy::objects(&options)?;
    let (configuration, others): (Vec<Object>, Vec<Object>) =
        objects.into_iter().partition(|object| object.key().kind == Kind::ConfigMap);
    let reconfigured = context.apply(&configuration).await?;
    context.apply(&others).await?;
    if reconfigured {
        restart_kube_proxy(&context).await?;
    }
    Ok(Done::Finished)
}

/// Have the pods replaced one by one, as `kubectl rollout restart` does: kube-proxy reads its kubeconfig only once.
async fn restart_kube_proxy(context: &Context) -> Result<(), PhaseError> {
    let key = kube_proxy::daemon_set_key();
    context.changed(format!("restart {key}"));
    let (false, Some(api)) = (context.dry_run(), context.api().await?) else { return Ok(()) };
    rollout::restart(api, &key, context.run.started()).await?;
    Ok(())
}
