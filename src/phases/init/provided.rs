//! `[cluster.pki] directory`: authorities, certificates and keys that the operator has on the workstation, as far as a
//! host lacks them. What a host has already always stays.
//!
//! The directory is laid out as kubeadm's: `ca.crt`, `ca.key`, `etcd/ca.crt` and so on for the cluster, and below the
//! name of each control plane what `certs generate-csr` writes there: `NAME/pki/apiserver.key`, `NAME/admin.conf`, with
//! the certificates that the authority has made of the requests beside them (`apiserver.crt`, `admin.conf.crt`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cluster::kubeconfig::Kubeconfig;
use crate::phases::PhaseError;
use crate::pki::{CERTIFICATES, Existing, Kind, PkiFile, adopt};

/// The service account keys, which are the cluster's as its authorities are.
const SERVICE_ACCOUNT: [&str; 2] = ["sa.key", "sa.pub"];

/// A host's PKI with what the directory has for it.
///
/// # Errors
/// The directory cannot be read; or the host has another authority or service account key than the directory.
pub fn add_pki(existing: Existing, directory: &Path, host: &str) -> Result<Existing, PhaseError> {
    let mut shared = Vec::new();
    let authorities =
        CERTIFICATES.iter().filter(|spec| matches!(spec.kind, Kind::Authority { .. }));
    let names = authorities.flat_map(|spec| files(spec.base));
    for name in names.chain(SERVICE_ACCOUNT.map(str::to_owned)) {
        if let Some(content) = read(&directory.join(&name))? {
            let (mode, secret, created) = (0o600, true, false);
            shared.push(PkiFile { phase: "ca", name, content, mode, secret, created });
        }
    }
    let mut existing = adopt(existing, &shared)?;
    let own = directory.join(host).join("pki");
    let leaves = CERTIFICATES.iter().filter(|spec| matches!(spec.kind, Kind::Leaf { .. }));
    for spec in leaves {
        let names = files(spec.base);
        // Never one of a pair that is half on the host.
        if names.iter().any(|name| existing.contains_key(name)) {
            continue;
        }
        for name in names {
            if let Some(content) = read(&own.join(&name))? {
                existing.insert(name, content);
            }
        }
    }
    Ok(existing)
}

/// A host's kubeconfigs with those that the directory has for it. `ca_pem` is the cluster's authority.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn add_kubeconfigs(
    mut existing: BTreeMap<String, Zeroizing<Vec<u8>>>,
    names: &[&str],
    directory: &Path,
    host: &str,
    ca_pem: &[u8],
) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, PhaseError> {
    let own = directory.join(host);
    for name in names.iter().filter(|name| !existing.contains_key(**name)).collect::<Vec<_>>() {
        let path = own.join(name);
        let Some(content) = read(&path)? else { continue };
        let unusable = |reason: &str| PhaseError::Local(format!("{}: {reason}", path.display()));
        let mut config = Kubeconfig::parse(&content).map_err(unusable)?;
        let certificate = read(&own.join(format!("{name}.crt")))?;
        config.complete(ca_pem, certificate.as_deref().map(Vec::as_slice));
        let has_certificate =
            config.current_user().is_some_and(|user| user.client_certificate_data.is_some());
        if has_certificate {
            existing.insert((*name).to_owned(), config.render().map_err(unusable)?);
        }
    }
    Ok(existing)
}

fn files(base: &str) -> [String; 2] {
    [format!("{base}.key"), format!("{base}.crt")]
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, PhaseError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PhaseError::Local(unreadable(path, &error))),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{}, of [cluster.pki] directory: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(directory: &Path, name: &str, content: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn a_host_gets_what_it_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for name in
            ["ca.crt", "etcd/ca.crt", "sa.key", "cp-1/pki/apiserver.crt", "cp-1/pki/apiserver.key"]
        {
            put(directory, name, name);
        }
        put(directory, "cp-1/pki/etcd/peer.key", "another");
        let own = |name: &str, content: &str| {
            Existing::from([(name.to_owned(), Zeroizing::new(content.as_bytes().to_vec()))])
        };
        let found = add_pki(own("etcd/peer.crt", "own"), directory, "cp-1").unwrap();
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["apiserver.crt", "apiserver.key", "ca.crt", "etcd/ca.crt", "etcd/peer.crt", "sa.key"]
        );
        assert_eq!(add_pki(Existing::new(), directory, "cp-2").unwrap().len(), 3);
        let error = add_pki(own("ca.crt", "another"), directory, "cp-1").unwrap_err().to_string();
        assert!(error.contains("ca.crt differs"), "{error}");
    }

    #[test]
    fn kubeconfigs_are_put_together() {
        let directory = tempfile::tempdir().unwrap();
        let user = "users: [{name: u, user: {client-key-data: S0VZ}}]\n";
        let text = format!(
            "kind: Config\ncurrent-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: s}}}}]\n{user}"
        );
        put(directory.path(), "cp-1/admin.conf", &text);
        put(directory.path(), "cp-1/scheduler.conf", &text);
        put(directory.path(), "cp-1/admin.conf.crt", "CERT");
        let names = ["admin.conf", "scheduler.conf", "kubelet.conf"];
        let add =
            |host| add_kubeconfigs(BTreeMap::new(), &names, directory.path(), host, b"CA").unwrap();
        let found = add("cp-1");
        assert_eq!(found.len(), 1, "one whose certificate is not there yet is of no use");
        let config = Kubeconfig::parse(&found["admin.conf"]).unwrap();
        assert_eq!(config.current_user().unwrap().certificate_pem().unwrap(), b"CERT");
        assert_eq!(config.current_cluster().unwrap().ca_pem().unwrap(), b"CA");
        assert!(add("cp-2").is_empty());
    }
}
