//! Arguments of `fleetadm certs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::inventory;
use crate::phases::certs::renew;

/// `fleetadm certs`.
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Show when the certificates of every selected host expire; keys are not read
    CheckExpiration(CheckExpirationArgs),
    /// Renew certificates, and have what uses them use them, one control plane after the other
    Renew(RenewArgs),
    /// Write keys and signing requests for the control planes, for an authority whose key is elsewhere
    GenerateCsr(GenerateCsrArgs),
    /// Print a key that kubeadm init --upload-certs can encrypt certificates with: 64 hexadecimal digits
    CertificateKey,
}

/// `fleetadm certs generate-csr`.
#[derive(Debug, Args)]
#[command(
    after_help = "Below DIR each control plane has a directory of its name, laid out as /etc/kubernetes: pki/apiserver.key \
    and .csr, admin.conf with its key and admin.conf.csr. What is there stays. Put the certificates beside the requests \
    (pki/apiserver.crt, admin.conf.crt), the authorities' certificates into DIR (ca.crt, front-proxy-ca.crt, \
    etcd/ca.crt), name DIR in the inventory ([cluster.pki] directory), and init carries all of it to the hosts. A ca.crt \
    that is in DIR already goes into the kubeconfigs."
)]
pub struct GenerateCsrArgs {
    /// Where to write them; only you can read what is written
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// `fleetadm certs renew`.
#[derive(Debug, Args)]
#[command(
    after_help = "A renewed certificate keeps its subject, names and usages and gets a new key. The authority's key that \
    signs is the host's own or, missing there, that of the first control plane; where the authority is external, nothing \
    is changed. Static pods that use what was renewed are restarted one by one, each healthy before the next, on one \
    control plane at a time; once one has failed, no further one is begun. Kubelets come last, on all hosts."
)]
pub struct RenewArgs {
    /// Which certificate: kubeadm's name, kubelet.conf for the kubelet's, or all
    #[arg(value_name = "NAME", default_value = "all", value_parser = name())]
    pub name: String,
    /// Only what expires within this time, as 720h; without it everything, as kubeadm does
    #[arg(long, value_name = "DURATION", value_parser = inventory::parse_duration)]
    pub within: Option<Duration>,
    /// Say what would be renewed and restarted; touch nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn name() -> PossibleValuesParser {
    PossibleValuesParser::new(["all"].into_iter().chain(renew::NAMES))
}

/// `fleetadm certs check-expiration`.
#[derive(Debug, Args)]
#[command(
    after_help = "Control planes show what kubeadm shows, every host its kubelet's client certificate (kubelet.conf) and \
    serving certificate (kubelet-server). Exit status 3: a certificate has expired, or expires within --within."
)]
pub struct CheckExpirationArgs {
    /// Fail when a certificate expires within this time, as 720h
    #[arg(long, value_name = "DURATION", value_parser = inventory::parse_duration)]
    pub within: Option<Duration>,
    /// table for people, or json: an object per certificate [default: table]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub format: Option<CertsFormat>,
}

/// `--format` of `certs check-expiration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CertsFormat {
    /// For people.
    Table,
    /// One object per line.
    Json,
}
