//! The arguments of the commands that ask a cluster for something.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::duration;

/// `fleetadm token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token in the cluster and print it
    Create(TokenCreateArgs),
    /// List the cluster's tokens, secrets included
    ///
    /// Tokens that are good for nothing, as the one that owns the Secret kubeadm-certs, are left out.
    List {
        /// table for people, json or yaml as kubeadm prints them [default: table]
        #[arg(short = 'o', long, value_enum, hide_possible_values = true)]
        format: Option<TokenFormat>,
    },
    /// Delete tokens
    Delete {
        /// Their public parts (the six characters before the dot), or whole tokens
        #[arg(required = true, value_name = "TOKEN")]
        tokens: Vec<String>,
    },
    /// Print a random token and make it nowhere
    Generate,
}

/// `fleetadm token create`.
#[derive(Debug, Args)]
pub struct TokenCreateArgs {
    /// The token, as abcdef.0123456789abcdef; - reads it from standard input, and without it a random one is made
    pub token: Option<String>,
    /// How long it lives, as 30m, 24h or 1h30m; 0 for ever
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "24h")]
    pub ttl: Duration,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// What it may be used for: signing, authentication
    #[arg(
        long,
        value_enum,
        value_name = "USAGES",
        value_delimiter = ',',
        default_value = "signing,authentication"
    )]
    pub usages: Vec<TokenUsage>,
    /// Groups of whoever logs in with it [default: system:bootstrappers:kubeadm:default-node-token]
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    pub groups: Option<Vec<String>>,
    /// Print the `kubeadm join` command that uses it instead
    #[arg(long)]
    pub print_join_command: bool,
    /// Have that command join a control plane, with this key of uploaded certificates (init --upload-certs prints it);
    /// - reads it from standard input
    #[arg(long, value_name = "KEY", requires = "print_join_command")]
    pub certificate_key: Option<String>,
}

/// `--usages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenUsage {
    /// cluster-info is signed with it.
    Signing,
    /// Its holder may log in.
    Authentication,
}

/// `--format` of `token list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenFormat {
    /// For people.
    Table,
    /// An object for each token.
    Json,
    /// A document for each token.
    Yaml,
}

/// `fleetadm kubeconfig`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --client-name it is the administrator's, as the control plane has it. For a named user a client \
    certificate is made and signed with the cluster's authority, whose key is read from a control plane and kept in memory \
    only; what the user may do is up to your RBAC rules. Whoever has the kubeconfig is that user: a certificate cannot be \
    taken back before its time."
)]
pub struct KubeconfigArgs {
    /// Make one for this user (the certificate's common name)
    #[arg(long, value_name = "NAME", value_parser = not_empty)]
    pub client_name: Option<String>,
    /// A group of the user (an organization of the certificate); repeatable
    #[arg(long, value_name = "GROUP", requires = "client_name", conflicts_with = "token", value_parser = not_empty)]
    pub org: Vec<String>,
    /// How long the certificate is valid, as 8h or 90d [default: 365d]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration::parse,
        requires = "client_name",
        conflicts_with = "token",
        visible_alias = "validity-period"
    )]
    pub validity: Option<Duration>,
    /// Have the user log in with this token, in place of a certificate; - reads it from standard input
    #[arg(long, requires = "client_name")]
    pub token: Option<String>,
    /// Name this API server: https, a host and a port
    #[arg(long, value_name = "URL", value_parser = server)]
    pub server: Option<String>,
    /// Name 127.0.0.1 and this port, where `fleetadm tunnel --port PORT` leads to the API server
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "server")]
    pub tunnel: Option<u16>,
    /// Name of the cluster's entry, in place of the cluster's own
    #[arg(long, value_name = "NAME", value_parser = not_empty)]
    pub cluster_name: Option<String>,
    /// Put it into this file and print nothing; what else is in the file stays
    ///
    /// The file is replaced as a whole, with mode 0600, and only where something changes. A certificate in it that is as
    /// wanted and has half of its time left is kept. The context is USER@CLUSTER, and so is the entry of the user.
    #[arg(long, value_name = "FILE")]
    pub merge: Option<PathBuf>,
    /// Make it the context in use; it becomes that in any case where none is
    #[arg(long, requires = "merge")]
    pub use_context: bool,
    /// Let it take the place of another cluster, user or context of the same name
    #[arg(long, requires = "merge")]
    pub overwrite: bool,
}

/// `fleetadm tunnel`.
#[derive(Debug, Args)]
#[command(
    after_help = "The port is on 127.0.0.1 and stays open until Ctrl-C, or until COMMAND has ended; its exit status is then \
    that of COMMAND. Each connection goes through SSH to a control plane that answers, which is connected to again when the \
    connection was lost. TLS is between the client and the API server: the tunnel lets nobody in who has no credentials."
)]
pub struct TunnelArgs {
    /// The port [default: one that is free]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Run this with KUBECONFIG naming an administrator's kubeconfig for the tunnel
    ///
    /// It is a file that only you can read, in $XDG_RUNTIME_DIR where there is one, and is removed at the end.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

fn server(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "expected a URL, as https://k8s.example.com:6443";
    let url: http::Uri = text.parse().map_err(|_| EXPECTED)?;
    let whole =
        url.scheme_str() == Some("https") && url.host().is_some_and(|host| !host.is_empty());
    if whole { Ok(text.to_owned()) } else { Err(EXPECTED) }
}
