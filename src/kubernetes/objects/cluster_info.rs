//! cluster-info: the CA and address of the cluster, readable by anybody, signed with each token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::KUBE_PUBLIC;
use super::rbac::{Subject, readable_by};
use crate::kubernetes::object::{Kind, Object, ObjectKey, Ownership};

/// Key of the kubeconfig in the ConfigMap.
pub const KUBECONFIG: &str = "kubeconfig";

/// Where the ConfigMap is.
pub fn key() -> ObjectKey {
    ObjectKey::namespaced(Kind::ConfigMap, KUBE_PUBLIC, "cluster-info")
}

/// The ConfigMap with its Role and RoleBinding.
///
/// `ca` is PEM; `server` is the public address (`https://host:port`), never a node's local one.
/// `with_preferences`: the release writes the empty `preferences` member.
pub fn objects(ca: &[u8], server: &str, with_preferences: bool) -> Vec<Object> {
    let kubeconfig = kubeconfig(ca, server, with_preferences);
    // The signer keeps a signature per token beside ours.
    let config_map =
        Object::new(key(), json!({"data": {KUBECONFIG: kubeconfig}})).owned(Ownership::Keys);
    let access = readable_by(
        KUBE_PUBLIC,
        "kubeadm:bootstrap-signer-clusterinfo",
        "configmaps",
        "cluster-info",
        &[Subject::User("system:anonymous")],
    );
    [config_map].into_iter().chain(access).collect()
}

/// The kubeconfig text, byte for byte as kubeadm writes it: signatures are over its bytes.
pub fn kubeconfig(ca: &[u8], server: &str, with_preferences: bool) -> String {
    let ca = STANDARD.encode(ca);
    let preferences = if with_preferences { "preferences: {}\n" } else { "" };
    format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n\
         \x20   certificate-authority-data: {ca}\n\
         \x20   server: {}\n\
         \x20 name: \"\"\n\
         contexts: null\n\
         current-context: \"\"\n\
         kind: Config\n\
         {preferences}\
         users: null\n",
        plain_scalar(server)
    )
}

/// The public server and the CA certificates (PEM) that a live ConfigMap names; `None` when it names none.
pub fn read(config_map: &Value) -> Option<(String, Vec<u8>)> {
    let text = config_map["data"][KUBECONFIG].as_str()?;
    let parsed: Value = serde_saphyr::from_str(text).ok()?;
    let cluster = parsed.pointer("/clusters/0/cluster")?;
    let ca = cluster["certificate-authority-data"].as_str()?;
    Some((cluster["server"].as_str()?.to_owned(), STANDARD.decode(ca).ok()?))
}

/// The text itself when YAML reads it back unchanged, else quoted.
fn plain_scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_[]%".contains(&byte));
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfig_names_only_the_cluster() {
        let text = kubeconfig(b"pem", "https://10.0.0.1:6443", false);
        insta::assert_snapshot!(text, @r#"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: cGVt
            server: https://10.0.0.1:6443
          name: ""
        contexts: null
        current-context: ""
        kind: Config
        users: null
        "#);
    }

    #[test]
    fn what_is_written_is_read() {
        let objects = objects(b"pem", "https://10.0.0.1:6443", true);
        let expected = ("https://10.0.0.1:6443".to_owned(), b"pem".to_vec());
        assert_eq!(read(objects[0].body()), Some(expected));
        assert_eq!(read(&json!({"data": {KUBECONFIG: "clusters: null"}})), None);
        assert_eq!(read(&json!({})), None);
    }

    #[test]
    fn an_odd_server_is_quoted() {
        let text = kubeconfig(b"pem", "https://x: y", false);
        let parsed: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(parsed["clusters"][0]["cluster"]["server"], "https://x: y");
    }
}
