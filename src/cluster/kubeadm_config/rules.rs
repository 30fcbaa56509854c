//! What values of kubeadm's documents may be: kubeadm's own rules. Those that an inventory has too are the inventory's, so
//! that no value is right in one of them and wrong in the other.

use std::net::IpAddr;

use super::documents::{Document, Documents, Kind};
use super::inventory;
use super::values::{
    absolute, bootstrap_token, certificate_key, cri_socket, etcd_url, pull_policy, spell_taint,
    token_group, word,
};
use crate::cluster::release::ConfigApi;
use crate::cluster::yaml::located::{Content, Node};
use crate::inventory::{
    Fault, Mistakes, Problems, advertise_address, endpoint, host_name, kubernetes_version, quoted,
    taint,
};

/// Gates that one release or another of kubeadm knows.
const FEATURE_GATES: [&str; 9] = [
    "ControlPlaneKubeletLocalMode",
    "EtcdLearnerMode",
    "IPv6DualStack",
    "NodeLocalCRISocket",
    "PublicKeysECDSA",
    "RootlessControlPlane",
    "UnversionedKubeletConfigMap",
    "UpgradeAddonsBeforeControlPlane",
    "WaitForAllControlPlaneComponents",
];

const ALGORITHMS: [&str; 5] = ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"];
/// The first minor release that knows the last of [`ALGORITHMS`].
const P384_SINCE: u16 = 34;

const UNMOUNT_FLAGS: [&str; 4] = ["MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW"];
const TOKEN_USAGES: [&str; 2] = ["signing", "authentication"];

impl Documents {
    /// Holds the values against kubeadm's rules. No host is contacted, and no release label looked up.
    ///
    /// # Errors
    /// Every value that kubeadm would refuse, with its place.
    pub fn validate(&self) -> Result<(), Box<Mistakes>> {
        let mut problems = self.values(false);
        if !self.documents.iter().any(|document| document.api.is_some()) {
            let fault = Fault::new(
                "no document of kubeadm's own",
                "expected a ClusterConfiguration, InitConfiguration or JoinConfiguration",
            );
            problems.push(fault.at(0..0));
        }
        self.verdict(problems)
    }

    /// What is wrong with the values. `for_inventory` leaves to whoever reads the file for an inventory what is looked at
    /// there, and what hosts of an inventory need not say.
    pub(super) fn values(&self, for_inventory: bool) -> Problems {
        let mut rules = Rules { problems: Problems::default(), for_inventory };
        for document in &self.documents {
            let body = &document.body;
            match document.kind {
                Kind::Init => rules.init(body),
                Kind::Cluster => rules.cluster(document),
                Kind::Join => rules.join(body),
                Kind::Reset => rules.reset(body),
                Kind::Upgrade => {
                    for part in ["apply", "node", "plan"] {
                        rules.text(body.at(&[part, "imagePullPolicy"]), pull_policy);
                        rules.ignored(body.at(&[part, "ignorePreflightErrors"]));
                    }
                }
                Kind::ClusterStatus | Kind::Kubelet | Kind::KubeProxy => {}
            }
        }
        rules.problems
    }
}

struct Rules {
    problems: Problems,
    for_inventory: bool,
}

impl Rules {
    fn push(&mut self, fault: Fault, node: &Node) {
        self.problems.push(fault.at(node.span.clone()));
    }

    /// Holds a text against a rule, if it is there. To kubeadm an empty one is not.
    fn text<T>(&mut self, node: Option<&Node>, rule: impl Fn(&str) -> Result<T, Fault>) {
        if let Some(node) = node
            && let Some(text) = node.text().filter(|text| !text.is_empty())
            && let Err(fault) = rule(text)
        {
            self.push(fault, node);
        }
    }

    fn texts<T>(&mut self, list: Option<&Node>, rule: impl Fn(&str) -> Result<T, Fault>) {
        for item in list.map(Node::items).unwrap_or_default() {
            self.text(Some(item), &rule);
        }
    }

    fn init(&mut self, body: &Node) {
        for token in body.at(&["bootstrapTokens"]).map(Node::items).unwrap_or_default() {
            self.bootstrap_token(token);
        }
        self.node_registration(body);
        self.local_endpoint(body.at(&["localAPIEndpoint"]));
        self.text(body.at(&["certificateKey"]), certificate_key);
    }

    fn bootstrap_token(&mut self, entry: &Node) {
        self.text(entry.at(&["token"]), bootstrap_token);
        let usages = entry.at(&["usages"]);
        self.texts(usages, |usage| word(usage, "a usage of tokens", &TOKEN_USAGES));
        self.texts(entry.at(&["groups"]), token_group);
        let authenticates = usages
            .is_none_or(|list| list.items().iter().any(|it| it.text() == Some("authentication")));
        if let Some(groups) = entry.at(&["groups"])
            && !groups.items().is_empty()
            && !authenticates
        {
            let label = "only a token with the usage `authentication` has groups";
            self.push(Fault::new("groups of a token that authenticates nobody", label), groups);
        }
        if let (Some(ttl), Some(expires)) = (entry.entry("ttl"), entry.entry("expires")) {
            let fault = Fault::new("both `ttl` and `expires`", "expected one of them");
            let also = (expires.key_span.clone(), "the other one");
            self.problems.push(fault.at(ttl.key_span.clone()).also(also.0, also.1));
        }
    }

    fn node_registration(&mut self, body: &Node) {
        let Some(node) = body.at(&["nodeRegistration"]) else { return };
        self.text(node.at(&["name"]), |name| host_name(&name.trim().to_lowercase()));
        self.text(node.at(&["criSocket"]), cri_socket);
        self.text(node.at(&["imagePullPolicy"]), pull_policy);
        self.ignored(node.at(&["ignorePreflightErrors"]));
        for entry in node.at(&["taints"]).map(Node::items).unwrap_or_default() {
            if let Err(fault) = taint(&spell_taint(entry)) {
                self.push(fault, entry);
            }
        }
        self.argument_names(node.at(&["kubeletExtraArgs"]));
    }

    fn argument_names(&mut self, arguments: Option<&Node>) {
        for item in arguments.map(Node::items).unwrap_or_default() {
            if item.at(&["name"]).and_then(Node::text).is_none_or(str::is_empty) {
                self.push(Fault::new("an argument without a name", "expected `name`"), item);
            }
        }
    }

    fn local_endpoint(&mut self, endpoint: Option<&Node>) {
        let Some(endpoint) = endpoint else { return };
        self.text(endpoint.at(&["advertiseAddress"]), |text| match text.parse::<IpAddr>() {
            // kubeadm looks for an address itself then.
            Ok(address) if address.is_unspecified() => Ok(()),
            _ => advertise_address(text).map(|_| ()),
        });
        if let Some(node) = endpoint.at(&["bindPort"])
            && let Content::Number(number) = &node.value
            && !number.as_i64().is_some_and(|port| (0..=65_535).contains(&port))
        {
            self.push(Fault::new(format!("{number} is not a port"), "expected 1 to 65535"), node);
        }
    }

    fn ignored(&mut self, list: Option<&Node>) {
        let items = list.map(Node::items).unwrap_or_default();
        let all = |item: &&Node| item.text().is_some_and(|it| it.eq_ignore_ascii_case("all"));
        if items.len() > 1
            && let Some(all) = items.iter().find(all)
        {
            let label = "expected it alone, or not at all";
            self.push(Fault::new("`all` stands with other checks", label), all);
        }
    }

    fn cluster(&mut self, document: &Document) {
        let body = &document.body;
        if !self.for_inventory {
            inventory::hold_against_rules(body, &mut self.problems);
        }
        self.text(body.at(&["certificatesDir"]), absolute);
        self.text(body.at(&["encryptionAlgorithm"]), |text| {
            let version = body.at(&["kubernetesVersion"]).and_then(Node::text);
            let minor = version.and_then(|text| kubernetes_version(text).ok()).map(|it| it.minor);
            if text == "ECDSA-P384" && minor.is_some_and(|minor| minor < P384_SINCE) {
                return Err(Fault::new(
                    format!("Kubernetes 1.{} does not know ECDSA-P384", minor.unwrap_or_default()),
                    format!("it came with 1.{P384_SINCE}"),
                ));
            }
            word(text, "an encryption algorithm", &ALGORITHMS)
        });
        for gate in body.at(&["featureGates"]).map(Node::entries).unwrap_or_default() {
            if let Err(fault) = word(&gate.key, "a feature gate of kubeadm", &FEATURE_GATES) {
                self.problems.push(fault.at(gate.key_span.clone()));
            }
        }
        for component in
            [&["apiServer"][..], &["controllerManager"], &["scheduler"], &["etcd", "local"]]
        {
            let component = body.at(component);
            self.argument_names(component.and_then(|it| it.at(&["extraArgs"])));
        }
        if document.api == Some(ConfigApi::V1Beta2) {
            self.text(body.at(&["dns", "type"]), |text| word(text, "a DNS add-on", &["CoreDNS"]));
        }
        let etcd = body.at(&["etcd"]);
        if let Some(external) = etcd.and_then(|etcd| etcd.entry("external")) {
            self.external_etcd(&external.node);
            if let Some(local) = etcd.and_then(|etcd| etcd.entry("local")) {
                let fault = Fault::new("both a local and an external etcd", "expected one of them");
                let place = external.key_span.clone();
                self.problems.push(fault.at(place).also(local.key_span.clone(), "the other one"));
            }
        }
    }

    fn external_etcd(&mut self, external: &Node) {
        let file = |name: &str| external.at(&[name]).filter(|it| it.text() != Some(""));
        let (ca, cert, key) = (file("caFile"), file("certFile"), file("keyFile"));
        for path in [ca, cert, key] {
            self.text(path, absolute);
        }
        if let (Some(one), None) | (None, Some(one)) = (cert, key) {
            let label = "`certFile` and `keyFile` belong together";
            self.push(Fault::new("half of a certificate and its key", label), one);
        }
        if let (Some(cert), None) = (cert, ca) {
            let label = "expected `caFile` too";
            self.push(Fault::new("a client certificate without an authority", label), cert);
        }
        let secure = ca.is_some() || cert.is_some() || key.is_some();
        match external.at(&["endpoints"]).filter(|list| !list.items().is_empty()) {
            None => {
                let label = "expected at least one of `endpoints`";
                self.push(Fault::new("an external etcd without an endpoint", label), external);
            }
            endpoints => self.texts(endpoints, |text| etcd_url(text, secure)),
        }
        self.texts(external.at(&["httpEndpoints"]), |text| etcd_url(text, false));
    }

    fn join(&mut self, body: &Node) {
        self.node_registration(body);
        self.text(body.at(&["caCertPath"]), |text| {
            if text.ends_with(".crt") {
                return absolute(text);
            }
            Err(Fault::new(
                format!("{} is not a certificate's path", quoted(text)),
                "expected `.crt`",
            ))
        });
        self.local_endpoint(body.at(&["controlPlane", "localAPIEndpoint"]));
        self.text(body.at(&["controlPlane", "certificateKey"]), certificate_key);
        let Some(discovery) = body.at(&["discovery"]) else {
            if self.for_inventory {
                return;
            }
            let label = "expected `discovery` with `bootstrapToken` or `file`";
            self.push(Fault::new("a JoinConfiguration that finds no cluster", label), body);
            return;
        };
        self.text(discovery.at(&["tlsBootstrapToken"]), bootstrap_token);
        match (discovery.entry("bootstrapToken"), discovery.entry("file")) {
            (None, None) => {
                let label = "expected `bootstrapToken` or `file`";
                self.push(Fault::new("discovery by nothing", label), discovery);
            }
            (Some(token), Some(file)) => {
                let fault = Fault::new("both `bootstrapToken` and `file`", "expected one of them");
                let place = file.key_span.clone();
                self.problems.push(fault.at(place).also(token.key_span.clone(), "the other one"));
            }
            (Some(token), None) => self.token_discovery(&token.node),
            (None, Some(file)) => {
                let path = file.node.at(&["kubeConfigPath"]);
                if path.and_then(Node::text).is_none_or(str::is_empty) {
                    let label = "expected `kubeConfigPath`";
                    self.push(Fault::new("discovery by a file without a path", label), &file.node);
                }
                self.text(path, |text| match text.split_once("://") {
                    None | Some(("https" | "file", _)) => Ok(()),
                    Some(_) => Err(Fault::new(
                        format!("{} is not a place for a kubeconfig", quoted(text)),
                        "expected a path or an https URL",
                    )),
                });
                // A kubeconfig has its own credentials, or the token is named beside it.
            }
        }
    }

    fn token_discovery(&mut self, token: &Node) {
        self.text(token.at(&["token"]), bootstrap_token);
        for (name, label) in [
            ("token", "expected `token`"),
            ("apiServerEndpoint", "expected `apiServerEndpoint`, as `k8s.example.com:6443`"),
        ] {
            if token.at(&[name]).and_then(Node::text).is_none_or(str::is_empty) {
                self.push(Fault::new(format!("discovery without `{name}`"), label), token);
            }
        }
        self.text(token.at(&["apiServerEndpoint"]), |text| {
            let place = endpoint(text)?;
            let label = "expected `host:port`";
            let fault = || Fault::new(format!("{} has no port", quoted(text)), label);
            place.port.ok_or_else(fault)
        });
        let hashes = token.at(&["caCertHashes"]);
        self.texts(hashes, |text| {
            let digits = text.strip_prefix("sha256:").unwrap_or_default();
            if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(());
            }
            let title = format!("{} is not the hash of a CA's key", quoted(text));
            Err(Fault::new(title, "expected `sha256:` and 64 hexadecimal digits"))
        });
        let skipped = token.at(&["unsafeSkipCAVerification"]);
        let skipped = skipped.is_some_and(|node| node.value == Content::Bool(true));
        if !skipped && hashes.is_none_or(|list| list.items().is_empty()) {
            let label = "expected `caCertHashes`, or `unsafeSkipCAVerification: true`";
            self.push(Fault::new("a discovery that trusts anybody", label), token);
        }
    }

    fn reset(&mut self, body: &Node) {
        self.text(body.at(&["certificatesDir"]), absolute);
        self.text(body.at(&["criSocket"]), cri_socket);
        self.ignored(body.at(&["ignorePreflightErrors"]));
        self.texts(body.at(&["unmountFlags"]), |text| {
            word(text, "a flag of umount2", &UNMOUNT_FLAGS)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> String {
        let documents = Documents::read(text, "kubeadm.yaml").unwrap();
        let mistakes = documents.validate().unwrap_err();
        mistakes.messages().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn values_are_held_against_kubeadms_rules() {
        insta::assert_snapshot!(messages("\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: abc
  ttl: 1h
  expires: 2026-01-01T00:00:00Z
  usages: [signing, sign]
  groups: [system:bootstrappers:a, admins]
nodeRegistration:
  name: Node_1
  criSocket: tcp://127.0.0.1:1
  taints: [{key: a, effect: Never}]
  kubeletExtraArgs: [{value: x}]
  ignorePreflightErrors: [all, Swap]
  imagePullPolicy: Sometimes
localAPIEndpoint: {advertiseAddress: 224.0.0.1, bindPort: 70000}
certificateKey: abc
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.33.0
networking: {podSubnet: 10.96.0.0/12, dnsDomain: Cluster}
certificatesDir: pki
encryptionAlgorithm: ECDSA-P384
featureGates: {RootlessControlPlan: true}
apiServer: {certSANs: [a_b]}
etcd:
  local: {}
  external: {endpoints: [http://10.0.0.1:2379, etcd], certFile: /a}
"), @r#"
        not a bootstrap token
        both `ttl` and `expires`
        `sign` is not a usage of tokens
        groups of a token that authenticates nobody
        `admins` is not a group of bootstrap tokens
        `node_1` cannot be a host name
        `tcp://127.0.0.1:1` is not a container runtime socket
        `a:Never` is not a taint: unknown effect `Never`
        an argument without a name
        `all` stands with other checks
        `Sometimes` is not an image pull policy
        `224.0.0.1` cannot be advertised
        70000 is not a port
        not a certificate key
        pod subnet 10.96.0.0/12 overlaps service subnet 10.96.0.0/12
        `Cluster` is not a DNS domain
        `pki` is not an absolute path
        Kubernetes 1.33 does not know ECDSA-P384
        `RootlessControlPlan` is not a feature gate of kubeadm
        `a_b` cannot stand in a certificate
        both a local and an external etcd
        `http://10.0.0.1:2379` is not etcd's URL
        `etcd` is not etcd's URL
        half of a certificate and its key
        a client certificate without an authority
        "#);
        insta::assert_snapshot!(messages("\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
caCertPath: ca.pem
discovery:
  bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: k8s, caCertHashes: [sha256:1]}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ResetConfiguration
unmountFlags: [MNT_DETACH, MNT_FORCED]
"), @r#"
        `ca.pem` is not a certificate's path
        `k8s` has no port
        `sha256:1` is not the hash of a CA's key
        `MNT_FORCED` is not a flag of umount2
        "#);
    }

    #[test]
    fn labels_of_releases_are_fine() {
        for version in ["stable-1", "ci/latest", "v1.36.2", "1.36.2"] {
            let text = format!(
                "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n"
            );
            Documents::read(&text, "kubeadm.yaml").unwrap().validate().unwrap();
        }
    }
}
