//! A cluster and a user put into a kubeconfig that is somebody's own. Whatever else is in it stays, known or not; only
//! comments and the order of fields are lost, as with `kubectl config`.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::document::MAX_BYTES;
use super::model::{Kubeconfig, User};
use crate::cluster::wipe::wipe;
use crate::cluster::yaml;

/// A kubeconfig with everything that is in it. All of it is secret.
pub struct OperatorsFile(Map<String, Value>);

/// How an entry is put in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merge {
    /// Replace a cluster or a context of the same name that is another one.
    pub overwrite: bool,
    /// Make the context the one in use; it becomes that in any case where none is.
    pub use_context: bool,
}

/// Something else has the name already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another cluster.
    #[error("it has a cluster {0:?} with another certificate authority")]
    Cluster(String),
    /// A context of another cluster.
    #[error("its context {context:?} is for the cluster {cluster:?}")]
    Context {
        /// Name of the context.
        context: String,
        /// Name of the cluster it is for.
        cluster: String,
    },
    /// Credentials that contexts of other clusters use.
    #[error("its user {user:?} is used for the cluster {cluster:?} too")]
    User {
        /// Name of the user.
        user: String,
        /// Name of the other cluster.
        cluster: String,
    },
}

impl OperatorsFile {
    /// Reads a file; an empty one is a kubeconfig without entries. The reason for refusal never quotes the input.
    ///
    /// # Errors
    /// It is too large, or no kubeconfig.
    pub fn parse(input: &[u8]) -> Result<Self, &'static str> {
        if input.len() > MAX_BYTES {
            return Err("it is larger than 1 MiB");
        }
        let text = std::str::from_utf8(input).map_err(|_| "it is not text")?;
        let parsed = match text.trim().is_empty() {
            true => Value::Null,
            // The parser's own message shows the line, and the line may be a key.
            false => serde_saphyr::from_str(text).map_err(|_| "it is not YAML")?,
        };
        let fields = match parsed {
            Value::Null => Map::new(),
            Value::Object(fields) => fields,
            mut other => {
                wipe(&mut other);
                return Err("it is not a kubeconfig");
            }
        };
        let file = Self(fields);
        let is = |name: &str, value: &str| file.0.get(name).is_none_or(|found| found == value);
        let is_list = |name: &str| {
            file.0.get(name).is_none_or(|entries| match entries {
                Value::Array(entries) => entries.iter().all(|entry| entry["name"].is_string()),
                other => other.is_null(),
            })
        };
        let lists = ["clusters", "contexts", "users"];
        if is("kind", "Config") && is("apiVersion", "v1") && lists.into_iter().all(is_list) {
            Ok(file)
        } else {
            Err("it is not a kubeconfig of version v1")
        }
    }

    /// The user of the context `context`, where there is one.
    pub fn user_of(&self, context: &str) -> Option<User> {
        let context = self.entry("contexts", context)?;
        let user = self.entry("users", context["context"]["user"].as_str()?)?;
        serde_json::from_value(user["user"].clone()).ok()
    }

    /// Put the cluster, the user and the context in use of `config` in. The user's entry is named as the context, so
    /// that the users of several clusters, who all have kubeadm's names, do not get in each other's way. Gives whether
    /// anything changed; on a conflict nothing has.
    ///
    /// # Errors
    /// Something else has a name already, and may not be overwritten.
    pub fn put(&mut self, config: &Kubeconfig, how: Merge) -> Result<bool, Conflict> {
        let (Some(context), Some(cluster), Some(user)) =
            (config.contexts.first(), config.clusters.first(), config.users.first())
        else {
            return Ok(false);
        };
        let (name, cluster_name) = (&context.name, &cluster.name);
        if !how.overwrite {
            self.check(name, cluster_name, &cluster.cluster.certificate_authority_data)?;
        }
        let mut changed =
            self.default_field("apiVersion", "v1") | self.default_field("kind", "Config");
        changed |= self.set("clusters", cluster_name, "cluster", json!(cluster.cluster));
        changed |= self.set("users", name, "user", json!(user.user));
        // What else the operator has set in the context, a namespace for example, stays.
        let mut joined = match self.entry("contexts", name).map(|entry| &entry["context"]) {
            Some(Value::Object(fields)) => fields.clone(),
            _ => Map::new(),
        };
        joined.insert("cluster".to_owned(), cluster_name.as_str().into());
        joined.insert("user".to_owned(), name.as_str().into());
        changed |= self.set("contexts", name, "context", joined.into());
        let in_use = self.0.get("current-context").and_then(Value::as_str).unwrap_or_default();
        if in_use != name && (how.use_context || in_use.is_empty()) {
            self.0.insert("current-context".to_owned(), name.as_str().into());
            changed = true;
        }
        Ok(changed)
    }

    /// The file's content.
    ///
    /// # Errors
    /// It cannot be written as YAML.
    pub fn render(&self) -> Result<Zeroizing<Vec<u8>>, yaml::YamlError> {
        let text = yaml::write("the kubeconfig", &self.0)?;
        Ok(Zeroizing::new(text.into_bytes()))
    }

    fn check(
        &self,
        context: &str,
        cluster: &str,
        authority: &Option<String>,
    ) -> Result<(), Conflict> {
        if let Some(found) = self.entry("clusters", cluster) {
            let same = found["cluster"]["certificate-authority-data"].as_str().map(str::trim)
                == authority.as_deref().map(str::trim);
            if !same {
                return Err(Conflict::Cluster(cluster.to_owned()));
            }
        }
        let other = |entry: &Value| {
            let found = entry["context"]["cluster"].as_str().unwrap_or_default();
            (found != cluster).then(|| found.to_owned())
        };
        if let Some(found) = self.entry("contexts", context).and_then(other) {
            return Err(Conflict::Context { context: context.to_owned(), cluster: found });
        }
        let others = self.entries("contexts").filter(|entry| entry["context"]["user"] == context);
        match others.filter_map(other).next() {
            Some(found) => Err(Conflict::User { user: context.to_owned(), cluster: found }),
            None => Ok(()),
        }
    }

    fn entries(&self, list: &str) -> impl Iterator<Item = &Value> {
        self.0.get(list).and_then(Value::as_array).into_iter().flatten()
    }

    fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        self.entries(list).find(|entry| entry["name"] == name)
    }

    /// Make the entry `name` of a list hold `value` in `field`; whether that is new.
    fn set(&mut self, list: &str, name: &str, field: &str, mut value: Value) -> bool {
        let entries = self.0.entry(list).or_insert_with(|| json!([]));
        if entries.is_null() {
            *entries = json!([]);
        }
        // Anything but a list was refused when the file was read.
        let Some(entries) = entries.as_array_mut() else { return false };
        let Some(entry) = entries.iter_mut().find(|entry| entry["name"] == name) else {
            entries.push(json!({"name": name, field: value}));
            return true;
        };
        if entry[field] == value {
            wipe(&mut value);
            return false;
        }
        wipe(&mut entry[field]);
        entry[field] = value;
        true
    }

    fn default_field(&mut self, name: &str, value: &str) -> bool {
        let missing = !self.0.contains_key(name);
        if missing {
            self.0.insert(name.to_owned(), value.into());
        }
        missing
    }
}

impl Drop for OperatorsFile {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(cluster: &str, ca: &str, token: &str) -> Kubeconfig {
        let user = User::token(token.to_owned().into());
        Kubeconfig::new(cluster, "https://10.0.0.1:6443", ca.as_bytes(), "kubernetes-admin", user)
    }

    fn text(file: &OperatorsFile) -> String {
        String::from_utf8(file.render().unwrap().to_vec()).unwrap()
    }

    const FOREIGN: &str = "\
apiVersion: v1
kind: Config
clusters:
- name: other
  cluster: {server: https://x, insecure-skip-tls-verify: true, proxy-url: socks5://y}
contexts:
- name: other
  context: {cluster: other, user: kubernetes-admin, namespace: n}
current-context: other
extensions: [{name: e, extension: {on: 'yes'}}]
users:
- name: kubernetes-admin
  user: {exec: {command: helper, args: ['1', '0x1f', 1e3]}}
";

    #[test]
    fn a_new_file() {
        let mut file = OperatorsFile::parse(b"\n").unwrap();
        assert_eq!(file.put(&config("prod", "CA", "t"), Merge::default()), Ok(true));
        insta::assert_snapshot!(text(&file), @r"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: Q0E=
            server: https://10.0.0.1:6443
          name: prod
        contexts:
        - context:
            cluster: prod
            user: kubernetes-admin@prod
          name: kubernetes-admin@prod
        current-context: kubernetes-admin@prod
        kind: Config
        users:
        - name: kubernetes-admin@prod
          user:
            token: t
        ");
    }

    #[test]
    fn what_others_put_there_stays() {
        let mut file = OperatorsFile::parse(FOREIGN.as_bytes()).unwrap();
        let before: Value = serde_saphyr::from_str(FOREIGN).unwrap();
        assert_eq!(file.put(&config("prod", "CA", "t"), Merge::default()), Ok(true));
        let after: Value = serde_saphyr::from_str(&text(&file)).unwrap();
        for list in ["clusters", "contexts", "users"] {
            assert_eq!(after[list][0], before[list][0]);
            assert_eq!(after[list].as_array().unwrap().len(), 2);
        }
        assert_eq!(
            (&after["extensions"], &after["current-context"]),
            (&before["extensions"], &json!("other"))
        );

        assert_eq!(file.put(&config("prod", "CA", "t"), Merge::default()), Ok(false));
        let using = Merge { use_context: true, ..Merge::default() };
        assert_eq!(file.put(&config("prod", "CA", "t"), using), Ok(true));
        assert!(text(&file).contains("current-context: kubernetes-admin@prod\n"));
    }

    #[test]
    fn new_credentials_and_a_new_address_of_the_same_cluster() {
        let mut file = OperatorsFile::parse(b"").unwrap();
        file.put(&config("prod", "CA", "t"), Merge::default()).unwrap();
        let context = file.0["contexts"][0]["context"].as_object_mut().unwrap();
        context.insert("namespace".to_owned(), "web".into());
        let mut new = config("prod", "CA", "other");
        new.clusters[0].cluster.server = "https://127.0.0.1:1".to_owned();
        assert_eq!(file.put(&new, Merge::default()), Ok(true));
        let text = text(&file);
        assert!(text.contains("namespace: web") && text.contains("token: other"), "{text}");
        assert!(text.contains("127.0.0.1:1") && !text.contains("10.0.0.1"), "{text}");
        let user = file.user_of("kubernetes-admin@prod").unwrap();
        assert_eq!(user.token.unwrap().expose(), "other");
    }

    #[test]
    fn other_clusters_of_the_same_name_are_kept_unless_told_otherwise() {
        let mut file = OperatorsFile::parse(b"").unwrap();
        file.put(&config("prod", "CA", "t"), Merge::default()).unwrap();
        let before = text(&file);
        let other = config("prod", "another", "t");
        assert_eq!(file.put(&other, Merge::default()), Err(Conflict::Cluster("prod".into())));
        assert_eq!(text(&file), before);
        let overwrite = Merge { overwrite: true, ..Merge::default() };
        assert_eq!(file.put(&other, overwrite), Ok(true));

        let taken = "contexts: [{name: kubernetes-admin@prod, context: {cluster: x, user: u}}]";
        let mut file = OperatorsFile::parse(taken.as_bytes()).unwrap();
        let conflict = file.put(&other, Merge::default()).unwrap_err();
        insta::assert_snapshot!(conflict, @r#"its context "kubernetes-admin@prod" is for the cluster "x""#);
        let taken = "contexts: [{name: c, context: {cluster: x, user: kubernetes-admin@prod}}]";
        let mut file = OperatorsFile::parse(taken.as_bytes()).unwrap();
        let conflict = file.put(&other, Merge::default()).unwrap_err();
        insta::assert_snapshot!(conflict, @r#"its user "kubernetes-admin@prod" is used for the cluster "x" too"#);
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        for text in ["- a", "kind: Pod", "apiVersion: v2", "users: {}", "users: [x]", "a: [", "x"] {
            let refused = OperatorsFile::parse(text.as_bytes()).err();
            assert!(refused.is_some_and(|reason| !reason.contains("Pod")), "{text}");
        }
        for text in ["", "# nothing", "users: null", "clusters: []", "null"] {
            assert!(OperatorsFile::parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(mut file) = OperatorsFile::parse(&input) {
                let _ = file.put(&config("c", "CA", "t"), Merge::default());
            }
        }
    }
}
