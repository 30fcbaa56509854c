//! kubeadm's documents from an older version of its API to a newer one. Only what the versions say differently changes:
//! no defaults are filled in, and documents that are new enough or not kubeadm's keep every byte.

use serde_json::{Map, Value, json};

use super::documents::{Document, Documents, Kind};
use super::fields::pairs;
use crate::cluster::release::ConfigApi;
use crate::cluster::yaml::located::{Entry, Node};
use crate::cluster::yaml::{self, YamlError};
use crate::inventory::{Fault, Mistakes, Problems};

/// Where documents have arguments of components.
const ARGUMENTS: [&[&str]; 5] = [
    &["apiServer", "extraArgs"],
    &["controllerManager", "extraArgs"],
    &["scheduler", "extraArgs"],
    &["etcd", "local", "extraArgs"],
    &["nodeRegistration", "kubeletExtraArgs"],
];

/// What `apiServer.timeoutForControlPlane` is when nobody says.
const USUAL_TIMEOUT: &str = "4m0s";

/// A file in a newer version.
#[derive(Debug)]
pub struct Migrated {
    /// All of it.
    pub text: String,
    /// What could not be carried over, and what was moved.
    pub notes: Vec<String>,
}

/// Why a file stays in its version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A document is newer, or says what the newer version cannot say.
    #[error("{0}")]
    Refused(Box<Mistakes>),
    /// It cannot be written.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

impl Documents {
    /// Brings kubeadm's documents to a version.
    ///
    /// # Errors
    /// A document is of a newer version, or has a field that means something else than its default and is gone.
    pub fn migrate(&self, to: ConfigApi) -> Result<Migrated, MigrateError> {
        let mut migration = Migration::default();
        for document in &self.documents {
            migration.document(document, to);
        }
        self.verdict(std::mem::take(&mut migration.problems)).map_err(MigrateError::Refused)?;
        migration.place_timeout(to);
        let mut parts = Vec::new();
        for part in migration.parts {
            parts.push(match part {
                Part::Same(document) => self.source(document),
                Part::New(kind, fields) => yaml::write(kind.as_str(), &fields)?,
            });
        }
        Ok(Migrated { text: parts.join("---\n"), notes: migration.notes })
    }

    /// A document as it is written, without its `---`.
    fn source(&self, document: &Document) -> String {
        let text = self.text.get(document.range.clone()).unwrap_or_default();
        let text = match text.split_once('\n') {
            Some((marker, rest)) if marker.starts_with("---") => rest,
            _ => text,
        };
        format!("{}\n", text.trim_end())
    }
}

/// A document of the new file.
enum Part<'a> {
    Same(&'a Document),
    New(Kind, Map<String, Value>),
}

#[derive(Default)]
struct Migration<'a> {
    parts: Vec<Part<'a>>,
    notes: Vec<String>,
    problems: Problems,
    /// `apiServer.timeoutForControlPlane`, which moves to another document.
    timeout: Option<String>,
}

impl<'a> Migration<'a> {
    fn document(&mut self, document: &'a Document, to: ConfigApi) {
        let Some(api) = document.api.filter(|api| *api != to) else {
            self.parts.push(Part::Same(document));
            return;
        };
        if api > to {
            let place = document.body.at(&["apiVersion"]).unwrap_or(&document.body);
            let label = format!("expected {} or older", to.as_str());
            let fault = Fault::new("a document of a newer version", label);
            self.problems.push(fault.at(place.span.clone()));
            return;
        }
        if document.kind == Kind::ClusterStatus {
            let note = format!("ClusterStatus is left out: {} has none", to.as_str());
            self.notes.push(note);
            return;
        }
        let Value::Object(mut fields) = document.body.to_value() else { return };
        fields.insert("apiVersion".to_owned(), json!(to.as_str()));
        if api < ConfigApi::V1Beta3 {
            self.drop_if(document, &mut fields, &["dns", "type"], &json!("CoreDNS"));
            self.drop_if(document, &mut fields, &["useHyperKubeImage"], &json!(false));
        }
        if to >= ConfigApi::V1Beta4 {
            for path in ARGUMENTS {
                if let Some(arguments) = document.body.at(path) {
                    set(&mut fields, path, list(arguments));
                }
            }
            if let Some(timeout) = take(&mut fields, &["apiServer", "timeoutForControlPlane"]) {
                self.timeout = timeout.as_str().map(str::to_owned);
            }
            if let Some(timeout) = take(&mut fields, &["discovery", "timeout"]) {
                set_timeout(&mut fields, "discovery", timeout);
            }
        }
        self.parts.push(Part::New(document.kind, fields));
    }

    /// Takes a field out that may only say what is so in the newer version.
    fn drop_if(
        &mut self,
        document: &Document,
        fields: &mut Map<String, Value>,
        path: &[&str],
        expected: &Value,
    ) {
        let Some(found) = take(fields, path).filter(|found| found != expected) else { return };
        let entry = entry_at(&document.body, path);
        if let Some(entry) = entry.filter(|_| !found.is_null()) {
            let title = format!("`{}: {found}` cannot be said in a newer version", entry.key);
            let fault = Fault::new(title, format!("expected {expected}, or nothing"));
            self.problems.push(fault.at(entry.node.span.clone()));
        }
    }

    /// The time for the control plane is InitConfiguration's since v1beta4.
    fn place_timeout(&mut self, to: ConfigApi) {
        const FIELD: &str = "controlPlaneComponentHealthCheck";
        let Some(timeout) = self.timeout.take().filter(|timeout| timeout != USUAL_TIMEOUT) else {
            return;
        };
        let init = self.parts.iter_mut().find_map(|part| match part {
            Part::New(Kind::Init, fields) => Some(fields),
            _ => None,
        });
        let moved = format!(
            "apiServer.timeoutForControlPlane is timeouts.{FIELD} of InitConfiguration since v1beta4"
        );
        match init {
            Some(fields) => set_timeout(fields, FIELD, json!(timeout)),
            None => {
                let fields = json!({
                    "apiVersion": to.as_str(), "kind": Kind::Init.as_str(), "timeouts": { FIELD: timeout },
                });
                if let Value::Object(fields) = fields {
                    self.parts.push(Part::New(Kind::Init, fields));
                }
            }
        }
        self.notes.push(moved);
    }
}

/// Arguments as a list, sorted by name as kubeadm sorts those of a map.
fn list(arguments: &Node) -> Value {
    let mut pairs = pairs(arguments);
    pairs.sort_by(|left, right| left.0.cmp(right.0));
    pairs.into_iter().map(|(name, value, _)| json!({ "name": name, "value": value })).collect()
}

fn entry_at<'a>(body: &'a Node, path: &[&str]) -> Option<&'a Entry> {
    let (last, above) = path.split_last()?;
    body.at(above)?.entry(last)
}

fn below<'a>(
    fields: &'a mut Map<String, Value>,
    path: &[&str],
) -> Option<&'a mut Map<String, Value>> {
    path.iter().try_fold(fields, |fields, key| fields.get_mut(*key)?.as_object_mut())
}

fn take(fields: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    let (last, above) = path.split_last()?;
    below(fields, above)?.remove(*last)
}

fn set(fields: &mut Map<String, Value>, path: &[&str], value: Value) {
    if let Some((last, above)) = path.split_last()
        && let Some(fields) = below(fields, above)
    {
        fields.insert((*last).to_owned(), value);
    }
}

fn set_timeout(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let timeouts = fields.entry("timeouts").or_insert_with(|| json!({}));
    if let Some(timeouts) = timeouts.as_object_mut() {
        timeouts.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &str = "\
# ours
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
nodeRegistration:
  taints: []
  kubeletExtraArgs: {v: \"4\", node-ip: 10.0.0.1}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v1.20.2
dns: {type: CoreDNS}
apiServer:
  extraArgs: {profiling: \"false\", audit-log-path: /var/log/audit.log}
  timeoutForControlPlane: 5m0s
etcd: {local: {extraArgs: {quota-backend-bytes: \"1\"}}}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterStatus
apiEndpoints: {}
---
# kept as it is
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver:   systemd # for a reason
";

    fn migrate(text: &str, to: ConfigApi) -> Result<Migrated, MigrateError> {
        Documents::read(text, "old.yaml").unwrap().migrate(to)
    }

    #[test]
    fn the_oldest_version_becomes_the_newest() {
        let new = migrate(OLD, ConfigApi::V1Beta4).unwrap();
        insta::assert_snapshot!(new.text, @r#"
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: InitConfiguration
        nodeRegistration:
          kubeletExtraArgs:
          - name: node-ip
            value: 10.0.0.1
          - name: v
            value: "4"
          taints: []
        timeouts:
          controlPlaneComponentHealthCheck: 5m0s
        ---
        apiServer:
          extraArgs:
          - name: audit-log-path
            value: /var/log/audit.log
          - name: profiling
            value: "false"
        apiVersion: kubeadm.k8s.io/v1beta4
        dns: {}
        etcd:
          local:
            extraArgs:
            - name: quota-backend-bytes
              value: "1"
        kind: ClusterConfiguration
        kubernetesVersion: v1.20.2
        ---
        # kept as it is
        apiVersion: kubelet.config.k8s.io/v1beta1
        kind: KubeletConfiguration
        cgroupDriver:   systemd # for a reason
        "#);
        assert_eq!(new.notes.len(), 2, "{:?}", new.notes);
        let again = migrate(&new.text, ConfigApi::V1Beta4).unwrap();
        assert_eq!(again.text, new.text);
        Documents::read(&new.text, "new.yaml").unwrap().validate().unwrap();
    }

    #[test]
    fn one_step_keeps_maps() {
        let new = migrate(OLD, ConfigApi::V1Beta3).unwrap().text;
        assert!(new.contains("    audit-log-path: /var/log/audit.log\n"), "{new}");
        assert!(new.contains("timeoutForControlPlane: 5m0s"), "{new}");
        assert!(!new.contains("CoreDNS"), "{new}");
    }

    #[test]
    fn what_cannot_be_said_and_what_is_newer_is_refused() {
        let refused = |text: &str, to| migrate(text, to).unwrap_err().to_string();
        let dns = OLD.replace("type: CoreDNS", "type: kube-dns");
        assert!(refused(&dns, ConfigApi::V1Beta4).contains("kube-dns"));
        let new = migrate(OLD, ConfigApi::V1Beta4).unwrap().text;
        assert!(refused(&new, ConfigApi::V1Beta3).contains("newer"));
    }

    proptest! {
        #[test]
        fn arguments_keep_their_values(
            arguments in proptest::collection::btree_map("[a-z-]{1,8}", "[ -~]{0,12}", 1..6),
        ) {
            let map = yaml::write("test", &arguments).unwrap();
            let map: String = map.lines().map(|line| format!("    {line}\n")).collect();
            let old = format!(
                "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nscheduler:\n  extraArgs:\n{map}"
            );
            let new = migrate(&old, ConfigApi::V1Beta4).unwrap().text;
            let new: Value = yaml::read("test", &new).unwrap();
            let list = new["scheduler"]["extraArgs"].as_array().unwrap();
            let back: Vec<_> = list
                .iter()
                .map(|it| (it["name"].as_str().unwrap(), it["value"].as_str().unwrap()))
                .collect();
            let expected: Vec<_> =
                arguments.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(back, expected);
        }
    }
}
