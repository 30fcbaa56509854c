//! The operator's own manifests: any kind, by server-side apply.
//!
//! The API server merges and remembers which fields are ours (field manager `fleetadm`), so fields that
//! leave a manifest leave the object. Fields somebody else set are taken over: the manifest is what is
//! wanted.

use std::collections::HashMap;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::apply::{Applied, Change, content, diff};
use super::client::{ApiClient, Call, absent_as_none, percent_encoded};
use super::error::ApiError;
use super::object::{to_yaml, withhold};
use super::objects::{KUBE_PUBLIC, KUBE_SYSTEM};

/// Who the API server remembers as the owner of applied fields.
pub const FIELD_MANAGER: &str = "fleetadm";

const DEFAULT_NAMESPACE: &str = "default";

/// The namespaces an API server makes by itself. One that has just started answers before it has.
const OWN_NAMESPACES: [&str; 4] = [DEFAULT_NAMESPACE, KUBE_SYSTEM, KUBE_PUBLIC, "kube-node-lease"];

/// One object of a manifest.
#[derive(Clone)]
pub struct Document {
    file: String,
    /// Counted from 1, empty documents left out.
    index: usize,
    api_version: String,
    kind: String,
    name: String,
    namespace: Option<String>,
    body: Value,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({}, {}, {})", self.file, self.index, self.what())
    }
}

/// The objects of a file of YAML documents; `file` is only for messages.
///
/// Empty documents are skipped, and a `List` gives its items.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, ApiError> {
    // As kubectl reads it: `yes` is true and 0644 is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let bodies: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            ApiError::ManifestSyntax { file: file.to_owned(), problem: error.to_string() }
        })?;
    let mut documents = Vec::new();
    for (index, mut body) in bodies.into_iter().enumerate() {
        if body.is_null() {
            continue;
        }
        let is_list = body["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match body.get_mut("items") {
            Some(Value::Array(items)) if is_list => {
                for item in std::mem::take(items) {
                    documents.push(Document::new(file, index + 1, item)?);
                }
            }
            _ => documents.push(Document::new(file, index + 1, body)?),
        }
    }
    Ok(documents)
}

impl Document {
    fn new(file: &str, index: usize, body: Value) -> Result<Self, ApiError> {
        let text = |pointer: &str| {
            let value = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            Some(value).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let missing = |field: &str| ApiError::Manifest {
            file: file.to_owned(),
            document: index,
            what: text("/kind"),
            problem: format!("{field} is missing or not text (quote it)"),
        };
        Ok(Self {
            file: file.to_owned(),
            index,
            api_version: text("/apiVersion").ok_or_else(|| missing("apiVersion"))?,
            kind: text("/kind").ok_or_else(|| missing("kind"))?,
            name: text("/metadata/name").ok_or_else(|| missing("metadata.name"))?,
            namespace: text("/metadata/namespace"),
            body,
        })
    }

    /// `Deployment web/frontend`, or without a namespace where none is given.
    pub fn what(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    /// Namespaces and definitions must be there before what uses them.
    fn rank(&self) -> u8 {
        match self.kind.as_str() {
            "Namespace" => 0,
            "CustomResourceDefinition" => 1,
            _ => 2,
        }
    }

    fn failed(&self, problem: impl ToString) -> ApiError {
        ApiError::Manifest {
            file: self.file.clone(),
            document: self.index,
            what: Some(self.what()),
            problem: problem.to_string(),
        }
    }

    fn collection(&self) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}", self.api_version)
    }

    /// Where it is if its kind has namespaces at all.
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }

    fn path(&self, resource: &Resource) -> String {
        let (collection, plural) = (self.collection(), &resource.plural);
        let name = percent_encoded(&self.name);
        if resource.namespaced {
            let namespace = percent_encoded(self.namespace());
            format!("{collection}/namespaces/{namespace}/{plural}/{name}")
        } else {
            format!("{collection}/{plural}/{name}")
        }
    }
}

/// Apply all documents, namespaces and definitions first. Stops at the first that fails.
pub async fn apply(client: &ApiClient, documents: &[Document]) -> Result<Vec<Change>, ApiError> {
    let mut session = Session::new(client, documents);
    let mut changes = Vec::with_capacity(documents.len());
    for document in in_order(documents) {
        let applied = session.apply(document).await.map_err(|error| document.failed(error))?;
        changes.push(Change { what: document.what(), applied, detail: None });
    }
    Ok(changes)
}

/// What [`apply`] would do, asked of the API server where it can tell. Writes nothing.
pub async fn preview(
    client: Option<&ApiClient>,
    documents: &[Document],
) -> Result<Vec<Change>, ApiError> {
    let mut session = client.map(|client| Session::new(client, documents));
    let mut changes = Vec::with_capacity(documents.len());
    for document in in_order(documents) {
        let change = match &mut session {
            None => None,
            Some(session) => match session.preview(document).await {
                Err(error) if error.is_unreachable() => None,
                answer => answer.map_err(|error| document.failed(error))?,
            },
        };
        changes.push(change.unwrap_or_else(|| Change {
            what: document.what(),
            applied: Applied::Created,
            detail: Some(to_yaml(&withhold(document.body.clone()))),
        }));
    }
    Ok(changes)
}

fn in_order(documents: &[Document]) -> Vec<&Document> {
    let mut ordered: Vec<_> = documents.iter().collect();
    ordered.sort_by_key(|document| document.rank());
    ordered
}

/// How the API server serves a kind.
#[derive(Debug, Clone)]
struct Resource {
    plural: String,
    namespaced: bool,
}

struct Session<'a> {
    client: &'a ApiClient,
    known: HashMap<(String, String), Resource>,
    /// Some kinds may take a moment to be served.
    brings_definitions: bool,
}

impl<'a> Session<'a> {
    fn new(client: &'a ApiClient, documents: &[Document]) -> Self {
        let brings_definitions = documents.iter().any(|document| document.rank() == 1);
        Self { client, known: HashMap::new(), brings_definitions }
    }

    async fn apply(&mut self, document: &Document) -> Result<Applied, ApiError> {
        let timing = self.client.timing();
        let start = Instant::now();
        let namespace_may_come = OWN_NAMESPACES.contains(&document.namespace());
        loop {
            let result = self.try_apply(document).await;
            let may_come = match &result {
                Ok(None) => self.brings_definitions,
                Err(error) if error.status() == Some(404) => {
                    self.brings_definitions || namespace_may_come
                }
                _ => false,
            };
            let again = may_come && start.elapsed() + timing.interval < timing.total;
            if !again {
                return result?.ok_or_else(|| ApiError::Object {
                    problem: format!(
                        "the API server does not serve {} {}; is its CustomResourceDefinition applied?",
                        document.api_version, document.kind
                    ),
                });
            }
            sleep(timing.interval).await;
        }
    }

    /// `None` when the kind is not served.
    async fn try_apply(&mut self, document: &Document) -> Result<Option<Applied>, ApiError> {
        let Some(resource) = self.resource(document).await? else { return Ok(None) };
        let path = document.path(&resource);
        let before = self.get(document, &path).await?;
        let after = self.patch(document, &path, "").await?;
        Ok(Some(match before {
            None => Applied::Created,
            // The resource version will not do: it also moves when only the bookkeeping of field owners
            // does, as it does on a Namespace's second time.
            Some(before) if content(&before) == content(&after) => Applied::Unchanged,
            Some(_) => Applied::Updated,
        }))
    }

    /// `None` when the API server cannot tell: the kind or the namespace does not exist yet.
    async fn preview(&mut self, document: &Document) -> Result<Option<Change>, ApiError> {
        let Some(resource) = self.resource(document).await? else { return Ok(None) };
        let path = document.path(&resource);
        let Some(before) = self.get(document, &path).await? else { return Ok(None) };
        let after = self.patch(document, &path, "&dryRun=All").await?;
        let what = document.what();
        if content(&before) == content(&after) {
            return Ok(Some(Change { what, applied: Applied::Unchanged, detail: None }));
        }
        let detail = diff(&what, &before, &after);
        Ok(Some(Change { what, applied: Applied::Updated, detail: Some(detail) }))
    }

    async fn resource(&mut self, document: &Document) -> Result<Option<Resource>, ApiError> {
        let key = (document.api_version.clone(), document.kind.clone());
        if let Some(resource) = self.known.get(&key) {
            return Ok(Some(resource.clone()));
        }
        let action = format!("look up the resources of {}", document.api_version);
        let call = Call::get(action, document.collection());
        let found = absent_as_none(self.client.send(&call).await)?
            .and_then(|list| find_resource(&list, &document.kind));
        if let Some(resource) = &found {
            self.known.insert(key, resource.clone());
        }
        Ok(found)
    }

    async fn get(&self, document: &Document, path: &str) -> Result<Option<Value>, ApiError> {
        let call = Call::get(format!("get {}", document.what()), path.to_owned());
        absent_as_none(self.client.send(&call).await)
    }

    async fn patch(&self, document: &Document, path: &str, query: &str) -> Result<Value, ApiError> {
        let call = Call::with_body(
            Method::PATCH,
            format!("apply {}", document.what()),
            format!("{path}?fieldManager={FIELD_MANAGER}&force=true{query}"),
            "application/apply-patch+yaml",
            &document.body,
        );
        self.client.send(&call).await
    }
}

fn find_resource(list: &Value, kind: &str) -> Option<Resource> {
    let resources = list["resources"].as_array()?;
    // A name with a slash is a subresource.
    let resource = resources.iter().find(|resource| {
        resource["kind"] == kind && resource["name"].as_str().is_some_and(|n| !n.contains('/'))
    })?;
    Some(Resource {
        plural: resource["name"].as_str()?.to_owned(),
        namespaced: resource["namespaced"].as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_lists_and_gaps() {
        let text = "---\n# only a comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n\
            ---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: ns}\n\
            - apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: d, namespace: ns}\n";
        let documents = parse("extra.yaml", text).unwrap();
        let whats: Vec<_> = documents.iter().map(Document::what).collect();
        assert_eq!(whats, ["ConfigMap a", "Namespace ns", "Deployment ns/d"]);
        assert_eq!(documents[0].body.get("items"), None);
        let ordered: Vec<_> = in_order(&documents).into_iter().map(Document::what).collect();
        assert_eq!(ordered, ["Namespace ns", "ConfigMap a", "Deployment ns/d"]);
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nmode: 0644\non: yes\nversion: \"1.10\"\n";
        let document = parse("f", text).unwrap().remove(0);
        assert_eq!(document.body["mode"], 420);
        assert_eq!(document.body["version"], "1.10");
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: Pod\n";
        assert_eq!(
            parse("dir/extra.yaml", text).unwrap_err().to_string(),
            "dir/extra.yaml, document 2 (Pod): apiVersion is missing or not text (quote it)"
        );
        let error = parse("extra.yaml", "a: [").unwrap_err().to_string();
        assert!(error.starts_with("extra.yaml is not YAML: "), "{error}");
    }

    #[test]
    fn paths_come_from_discovery() {
        let list = json!({"resources": [
            {"name": "widgets/status", "kind": "Widget", "namespaced": true},
            {"name": "widgets", "kind": "Widget", "namespaced": true},
            {"name": "zones", "kind": "Zone", "namespaced": false},
        ]});
        let document = |kind: &str| {
            let text = format!("apiVersion: x.io/v1\nkind: {kind}\nmetadata: {{name: \"a:b\"}}\n");
            parse("f", &text).unwrap().remove(0)
        };
        let path = |kind: &str| document(kind).path(&find_resource(&list, kind).unwrap());
        assert_eq!(path("Widget"), "/apis/x.io/v1/namespaces/default/widgets/a%3Ab");
        assert_eq!(path("Zone"), "/apis/x.io/v1/zones/a%3Ab");
        assert!(find_resource(&list, "Other").is_none());
    }

    #[tokio::test]
    async fn without_an_api_server_everything_would_be_created() {
        let documents = parse(
            "f",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: hunter2}\n",
        )
        .unwrap();
        let changes = preview(None, &documents).await.unwrap();
        assert_eq!(changes[0].applied, Applied::Created);
        assert!(!changes[0].detail.as_deref().unwrap().contains("hunter2"));
    }
}
