//! `fleetadm config`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cluster::release::ConfigApi;
use crate::inventory::{self, KubernetesVersion};

/// `fleetadm config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the inventory's cluster in kubeadm's words, as it is stored in the cluster, or kubeadm's defaults
    Print {
        /// Defaults instead.
        #[command(subcommand)]
        defaults: Option<Defaults>,
    },
    /// Check a file of kubeadm's documents: unknown fields, wrong types, kubeadm's rules, each with line and column
    Validate {
        /// The file, or - for standard input
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Bring a file of kubeadm's documents to a newer version of its API
    ///
    /// Only what the versions say differently is changed; documents that are new enough or not kubeadm's keep every
    /// byte, others lose their comments.
    Migrate(MigrateArgs),
    /// The images a cluster needs
    Images {
        /// What to do with them.
        #[command(subcommand)]
        command: ImagesCommand,
    },
}

/// `fleetadm config print ...-defaults`. No inventory is read.
#[derive(Debug, Subcommand)]
pub enum Defaults {
    /// Print InitConfiguration and ClusterConfiguration with defaults, and placeholders for what is found on hosts
    #[command(name = "init-defaults")]
    Init {
        /// The release whose defaults
        #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
        kubernetes_version: Option<KubernetesVersion>,
        /// Configurations of components as well
        #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
        component_configs: Vec<Component>,
    },
    /// Print JoinConfiguration with defaults and placeholders
    #[command(name = "join-defaults")]
    Join {
        /// The release whose defaults
        #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
        kubernetes_version: Option<KubernetesVersion>,
    },
    /// Print ResetConfiguration with defaults
    #[command(name = "reset-defaults")]
    Reset {
        /// The release whose defaults
        #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
        kubernetes_version: Option<KubernetesVersion>,
    },
    /// Print UpgradeConfiguration with defaults
    #[command(name = "upgrade-defaults")]
    Upgrade {
        /// The release whose defaults
        #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
        kubernetes_version: Option<KubernetesVersion>,
    },
}

/// Components that are configured by a document of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Component {
    /// The kubelet's.
    #[value(name = "KubeletConfiguration")]
    Kubelet,
    /// kube-proxy's.
    #[value(name = "KubeProxyConfiguration")]
    KubeProxy,
}

/// `fleetadm config migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The file to migrate, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub old_config: PathBuf,
    /// Where the result goes; standard output without it
    #[arg(long, value_name = "FILE")]
    pub new_config: Option<PathBuf>,
    /// The version to bring it to, for example v1beta4; the newest without it
    #[arg(long, value_name = "VERSION", value_parser = api, conflicts_with = "kubernetes_version")]
    pub to: Option<ConfigApi>,
    /// The version that kubeadm of this release prefers
    #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
    pub kubernetes_version: Option<KubernetesVersion>,
}

fn api(text: &str) -> Result<ConfigApi, String> {
    let short = |api: &ConfigApi| api.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let bare = text.strip_prefix("kubeadm.k8s.io/").unwrap_or(text);
    ConfigApi::ALL.into_iter().find(|api| short(api) == bare).ok_or_else(|| {
        format!("expected one of {}", ConfigApi::ALL.each_ref().map(short).join(", "))
    })
}

/// `fleetadm config images`.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// Print the images of the inventory's cluster, in kubeadm's order; no host is contacted
    ///
    /// With --output json as one object, as kubeadm has it.
    List(ImagesSource),
    /// Have every selected host pull the images of its role that it does not have
    Pull,
}

/// Which images `config images list` prints.
#[derive(Debug, Args)]
pub struct ImagesSource {
    /// Those of a cluster of this release with nothing but defaults; no inventory is read
    #[arg(long, value_name = "VERSION", value_parser = inventory::parse_version)]
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Another registry
    #[arg(long, value_name = "REPOSITORY", requires = "kubernetes_version")]
    pub image_repository: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_api_are_said_short_or_long() {
        assert_eq!(api("v1beta3"), Ok(ConfigApi::V1Beta3));
        assert_eq!(api("kubeadm.k8s.io/v1beta4"), Ok(ConfigApi::V1Beta4));
        assert!(api("v1beta1").unwrap_err().contains("v1beta2, v1beta3, v1beta4"));
    }
}
