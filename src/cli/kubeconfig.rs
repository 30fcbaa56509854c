//! `fleetadm kubeconfig`: a kubeconfig of the administrator or of a named user, printed or put into a file.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use crate::cluster::kubeconfig::{Kubeconfig, MAX_BYTES, Merge, OperatorsFile, Preferences};
use crate::phases::PhaseError;
use crate::phases::access::kubeconfig::{Credential, NamedUser, admin, named};
use crate::report::{Event, SecretFile, read_secret};

use super::args::{Global, KubeconfigArgs};
use super::ask::Target;
use super::failure::Failure;
use super::local;

/// How long a certificate is valid unless something else is asked for; what is longer is worth a warning.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A name that every API server certificate made by kubeadm or fleetadm carries.
pub(super) const SERVER_NAME: &str = "kubernetes";

pub fn run(global: &Global, args: KubeconfigArgs) -> Result<u8, Failure> {
    let user = user(global, &args)?;
    let target = Target::select(global, "kubeconfig")?;
    // Before any host is contacted: nothing can be put into a file that cannot be read.
    let present = args.merge.as_deref().map(read).transpose().map_err(Failure::usage)?;
    target.ask(global, "kubeconfig", async |task, run| {
        let section = &run.cluster().section;
        let (config, warnings) = match &user {
            None => admin(run).await?,
            Some(user) => {
                let cluster = args.cluster_name.as_ref().unwrap_or(&section.name);
                let context = format!("{}@{cluster}", user.name);
                let present = present.as_ref().and_then(|file| file.user_of(&context));
                named(run, user, present).await?
            }
        };
        if user.is_some() && args.validity.is_some_and(|validity| validity > YEAR) {
            task.warn(
                "the certificate is valid for more than a year, and cannot be taken back before",
            );
        }
        warnings.into_iter().for_each(|warning| task.warn(warning));
        let mut config = adjusted(config, &args);
        let context = config.current_context.clone();
        match &args.merge {
            None => {
                let profile = run.cluster().release.kubeconfig_profile();
                config.preferences = profile.preferences.then_some(Preferences {});
                let secret = text(&config)?;
                let what = format!("kubeconfig with the context {context}");
                run.reporter().emit(Event::Disclosed { what, secret });
            }
            Some(path) => {
                let how = Merge { overwrite: args.overwrite, use_context: args.use_context };
                if merge(path, &config, how).map_err(PhaseError::Local)? {
                    let what = format!("put context {context} into {}", path.display());
                    task.changed(what, None, false);
                }
            }
        }
        Ok(())
    })
}

fn user(global: &Global, args: &KubeconfigArgs) -> Result<Option<NamedUser>, Failure> {
    let Some(name) = &args.client_name else { return Ok(None) };
    let credential = match &args.token {
        Some(token) => {
            let token = local::given(global, "--token", token)?;
            if token.is_empty() {
                return Err(Failure::usage("--token: it is empty"));
            }
            Credential::Token(SecretString::from(token.as_str()))
        }
        None => {
            let validity = args.validity.unwrap_or(YEAR);
            if validity.is_zero() {
                return Err(Failure::usage("--validity: a certificate is valid for some time"));
            }
            Credential::Certificate { organizations: args.org.clone(), validity }
        }
    };
    Ok(Some(NamedUser { name: name.clone(), credential }))
}

fn adjusted(config: Kubeconfig, args: &KubeconfigArgs) -> Kubeconfig {
    let mut config = match &args.cluster_name {
        Some(name) => config.rename_cluster(name),
        None => config,
    };
    match (&args.server, args.tunnel) {
        (Some(url), _) => config.set_server(url, None),
        (None, Some(port)) => config.set_server(&local_url(port), Some(SERVER_NAME)),
        (None, None) => {}
    }
    config
}

/// Where a tunnel is entered.
pub(super) fn local_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// The kubeconfig without the end of its last line.
pub(super) fn text(config: &Kubeconfig) -> Result<SecretString, PhaseError> {
    let unwritten = |reason: &dyn std::fmt::Display| {
        PhaseError::Local(format!("the kubeconfig cannot be written down: {reason}"))
    };
    let content = config.render().map_err(|reason| unwritten(&reason))?;
    let text = std::str::from_utf8(&content).map_err(|error| unwritten(&error))?;
    Ok(SecretString::from(text.trim_end()))
}

fn read(path: &Path) -> Result<OperatorsFile, String> {
    let content = read_secret(path, MAX_BYTES).map_err(|error| error.to_string())?;
    OperatorsFile::parse(&content.unwrap_or_default())
        .map_err(|reason| format!("{}: {reason}; nothing was touched", path.display()))
}

/// Put `config` into the file at `path`; whether that changed anything.
fn merge(path: &Path, config: &Kubeconfig, how: Merge) -> Result<bool, String> {
    let locked = SecretFile::lock(path).map_err(|error| error.to_string())?;
    // Read again, for it may have been changed since.
    let mut file = read(path)?;
    let changed = file.put(config, how).map_err(|conflict| {
        format!(
            "{}: {conflict}; --cluster-name gives the new one another name, --overwrite replaces what is there",
            path.display()
        )
    })?;
    if changed {
        let content = file.render().map_err(|error| error.to_string())?;
        locked.write(&content).map_err(|error| error.to_string())?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cluster::kubeconfig::User;

    fn args(words: &[&str]) -> Option<KubeconfigArgs> {
        let words = ["fleetadm", "kubeconfig"].iter().chain(words);
        match Cli::try_parse_from(words).ok()?.command {
            Command::Kubeconfig(args) => Some(args),
            other => panic!("{other:?}"),
        }
    }

    fn config() -> Kubeconfig {
        let user = User::token("t".to_owned().into());
        Kubeconfig::new("prod", "https://10.0.0.1:6443", b"CA", "jane", user)
    }

    #[test]
    fn what_goes_together() {
        for words in [
            &["--org", "a"][..],
            &["--validity", "1h"],
            &["--client-name", "jane", "--token", "t", "--org", "a"],
            &["--client-name", ""],
            &["--server", "http://x"],
            &["--server", "x:6443"],
            &["--server", "https://x", "--tunnel", "1"],
            &["--tunnel", "0"],
            &["--overwrite"],
        ] {
            assert!(args(words).is_none(), "{words:?}");
        }
        let words =
            ["--client-name", "jane", "--org", "a", "--org", "b", "--validity-period", "8h"];
        assert_eq!(args(&words).unwrap().org, ["a", "b"]);
    }

    #[test]
    fn servers_and_names_are_replaced() {
        let words = ["--tunnel", "7443", "--cluster-name", "test"];
        let text = text(&adjusted(config(), &args(&words).unwrap())).unwrap();
        insta::assert_snapshot!(secrecy::ExposeSecret::expose_secret(&text), @r"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: Q0E=
            server: https://127.0.0.1:7443
            tls-server-name: kubernetes
          name: test
        contexts:
        - context:
            cluster: test
            user: jane
          name: jane@test
        current-context: jane@test
        kind: Config
        users:
        - name: jane
          user:
            token: t
        ");
        let adjusted = adjusted(config(), &args(&["--server", "https://k8s:6443"]).unwrap());
        let cluster = adjusted.current_cluster().unwrap();
        assert_eq!(
            (cluster.server.as_str(), &cluster.tls_server_name),
            ("https://k8s:6443", &None)
        );
    }

    #[test]
    fn a_file_is_changed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        assert_eq!(merge(&path, &config(), Merge::default()), Ok(true));
        let written = std::fs::read(&path).unwrap();
        assert_eq!(merge(&path, &config(), Merge::default()), Ok(false));
        let other = Kubeconfig::new("prod", "s", b"other", "jane", User::default());
        let refused = merge(&path, &other, Merge::default()).unwrap_err();
        assert!(refused.contains("--overwrite"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), written);
        std::fs::write(&path, "kind: Pod").unwrap();
        assert!(merge(&path, &config(), Merge::default()).is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
