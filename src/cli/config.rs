//! `fleetadm config`: kubeadm's configuration, printed, checked and migrated, and the images of a cluster.

mod images;

use std::io::Write;
use std::net::IpAddr;

use crate::cluster::Release;
use crate::cluster::kubeadm_config::{Kind, defaults};
use crate::cluster::release::{ConfigApi, NEWEST_MINOR};
use crate::inventory::{KubernetesVersion, Role};
use crate::report::write_file;

use super::args::{Component, ConfigCommand, Defaults, Global, MigrateArgs};
use super::failure::Failure;
use super::{kubeadm_config, print, session};

pub fn run(global: &Global, command: ConfigCommand) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Print { defaults: None } => print_cluster(global),
        ConfigCommand::Print { defaults: Some(kind) } => print_defaults(kind),
        ConfigCommand::Validate { config } => {
            kubeadm_config::read("--config", &config)?.validate().map_err(Failure::usage)?;
            print("ok\n")
        }
        ConfigCommand::Migrate(args) => migrate(&args),
        ConfigCommand::Images { command } => images::run(global, command),
    }
}

fn print_cluster(global: &Global) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let cluster = selected.cluster(global, "config print")?;
    let mut hosts = selected.inventory.hosts.iter();
    let first = hosts.find(|host| host.role == Role::ControlPlane);
    let advertise = first
        .and_then(|host| host.advertise_address.or_else(|| host.address.parse::<IpAddr>().ok()));
    print(&defaults::cluster_documents(&cluster, advertise).map_err(Failure::internal)?)
}

fn print_defaults(kind: Defaults) -> Result<u8, Failure> {
    let newest = KubernetesVersion { major: 1, minor: NEWEST_MINOR, patch: 0 };
    let text = match kind {
        Defaults::Init { kubernetes_version, component_configs } => {
            let components: Vec<Kind> = component_configs
                .into_iter()
                .map(|component| match component {
                    Component::Kubelet => Kind::Kubelet,
                    Component::KubeProxy => Kind::KubeProxy,
                })
                .collect();
            defaults::init_defaults(kubernetes_version.unwrap_or(newest), &components)
        }
        Defaults::Join { kubernetes_version } => {
            defaults::join_defaults(kubernetes_version.unwrap_or(newest))
        }
        Defaults::Reset { kubernetes_version } => {
            defaults::reset_defaults(kubernetes_version.unwrap_or(newest))
        }
        Defaults::Upgrade { kubernetes_version } => {
            defaults::upgrade_defaults(kubernetes_version.unwrap_or(newest))
        }
    };
    print(&text.map_err(Failure::usage)?)
}

fn migrate(args: &MigrateArgs) -> Result<u8, Failure> {
    let to = match (args.to, args.kubernetes_version) {
        (Some(api), _) => api,
        (None, Some(version)) => Release::of(version).map_err(Failure::usage)?.config.api,
        (None, None) => ConfigApi::V1Beta4,
    };
    let documents = kubeadm_config::read("--old-config", &args.old_config)?;
    let migrated = documents.migrate(to).map_err(Failure::usage)?;
    let notes: String = migrated.notes.iter().map(|note| format!("note: {note}\n")).collect();
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().write_all(notes.as_bytes());
    match &args.new_config {
        None => print(&migrated.text),
        Some(path) => {
            write_file(path, &migrated.text).map_err(Failure::usage)?;
            print("")
        }
    }
}
