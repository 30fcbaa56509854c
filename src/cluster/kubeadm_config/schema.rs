//! Which fields kubeadm's documents have in each version of its API, and of what type they are. Says nothing about values.

use ConfigApi::{V1Beta2, V1Beta3, V1Beta4};
use Type::{
    Any, Arguments, Bool, BoolMap, Duration, Integer, Nullable, Object, Objects, Text, Texts,
};

use crate::cluster::release::ConfigApi;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A string such as `4m0s`.
    Duration,
    /// Arguments: a map of strings until v1beta3, a list of `name` and `value` since.
    Arguments,
    /// A map of `true` and `false`.
    BoolMap,
    /// A mapping with fields of its own.
    Object(&'static [Field]),
    /// A list of such mappings.
    Objects(&'static [Field]),
    /// The same, with a meaning of its own for null.
    Nullable(&'static [Field]),
    /// What another API says.
    Any,
}

/// A field of a mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Type,
    /// The first version that has it.
    pub(super) since: ConfigApi,
    /// The last version that has it.
    pub(super) until: ConfigApi,
}

const fn field(name: &'static str, of: Type) -> Field {
    Field { name, of, since: V1Beta2, until: V1Beta4 }
}

const fn since(since: ConfigApi, name: &'static str, of: Type) -> Field {
    Field { name, of, since, until: V1Beta4 }
}

const fn until(until: ConfigApi, name: &'static str, of: Type) -> Field {
    Field { name, of, since: V1Beta2, until }
}

/// A name and a value, as arguments are written since v1beta4.
pub(super) const ARGUMENT: &[Field] = &[field("name", Text), field("value", Text)];

const ENVIRONMENT: &[Field] = &[field("name", Text), field("value", Text), field("valueFrom", Any)];

const VOLUME: &[Field] = &[
    field("name", Text),
    field("hostPath", Text),
    field("mountPath", Text),
    field("readOnly", Bool),
    field("pathType", Text),
];

const TAINT: &[Field] =
    &[field("key", Text), field("value", Text), field("effect", Text), field("timeAdded", Text)];

const NODE_REGISTRATION: &[Field] = &[
    field("name", Text),
    field("criSocket", Text),
    field("taints", Nullable(TAINT)),
    field("kubeletExtraArgs", Arguments),
    field("ignorePreflightErrors", Texts),
    since(V1Beta3, "imagePullPolicy", Text),
    since(V1Beta4, "imagePullSerial", Bool),
];

const LOCAL_API_ENDPOINT: &[Field] = &[field("advertiseAddress", Text), field("bindPort", Integer)];

const PATCHES: &[Field] = &[field("directory", Text)];

const TIMEOUTS: &[Field] = &[
    field("controlPlaneComponentHealthCheck", Duration),
    field("kubeletHealthCheck", Duration),
    field("kubernetesAPICall", Duration),
    field("etcdAPICall", Duration),
    field("tlsBootstrap", Duration),
    field("discovery", Duration),
    field("upgradeManifests", Duration),
];

const BOOTSTRAP_TOKEN: &[Field] = &[
    field("token", Text),
    field("description", Text),
    field("ttl", Duration),
    field("expires", Text),
    field("usages", Texts),
    field("groups", Texts),
];

/// InitConfiguration.
pub(super) const INIT: &[Field] = &[
    field("bootstrapTokens", Objects(BOOTSTRAP_TOKEN)),
    since(V1Beta4, "dryRun", Bool),
    field("nodeRegistration", Object(NODE_REGISTRATION)),
    field("localAPIEndpoint", Object(LOCAL_API_ENDPOINT)),
    field("certificateKey", Text),
    since(V1Beta3, "skipPhases", Texts),
    since(V1Beta3, "patches", Object(PATCHES)),
    since(V1Beta4, "timeouts", Object(TIMEOUTS)),
];

const COMPONENT: &[Field] = &[
    field("extraArgs", Arguments),
    field("extraVolumes", Objects(VOLUME)),
    since(V1Beta4, "extraEnvs", Objects(ENVIRONMENT)),
];

const API_SERVER: &[Field] = &[
    field("extraArgs", Arguments),
    field("extraVolumes", Objects(VOLUME)),
    since(V1Beta4, "extraEnvs", Objects(ENVIRONMENT)),
    field("certSANs", Texts),
    until(V1Beta3, "timeoutForControlPlane", Duration),
];

const LOCAL_ETCD: &[Field] = &[
    field("imageRepository", Text),
    field("imageTag", Text),
    field("dataDir", Text),
    field("extraArgs", Arguments),
    since(V1Beta4, "extraEnvs", Objects(ENVIRONMENT)),
    field("serverCertSANs", Texts),
    field("peerCertSANs", Texts),
];

const EXTERNAL_ETCD: &[Field] = &[
    field("endpoints", Texts),
    since(V1Beta4, "httpEndpoints", Texts),
    field("caFile", Text),
    field("certFile", Text),
    field("keyFile", Text),
];

const ETCD: &[Field] =
    &[field("local", Object(LOCAL_ETCD)), field("external", Object(EXTERNAL_ETCD))];

const NETWORKING: &[Field] =
    &[field("serviceSubnet", Text), field("podSubnet", Text), field("dnsDomain", Text)];

const DNS: &[Field] = &[
    until(V1Beta2, "type", Text),
    field("imageRepository", Text),
    field("imageTag", Text),
    since(V1Beta4, "disabled", Bool),
];

const PROXY: &[Field] = &[field("disabled", Bool)];

/// ClusterConfiguration.
pub(super) const CLUSTER: &[Field] = &[
    field("etcd", Object(ETCD)),
    field("networking", Object(NETWORKING)),
    field("kubernetesVersion", Text),
    field("controlPlaneEndpoint", Text),
    field("apiServer", Object(API_SERVER)),
    field("controllerManager", Object(COMPONENT)),
    field("scheduler", Object(COMPONENT)),
    field("dns", Object(DNS)),
    since(V1Beta4, "proxy", Object(PROXY)),
    field("certificatesDir", Text),
    field("imageRepository", Text),
    until(V1Beta2, "useHyperKubeImage", Bool),
    field("featureGates", BoolMap),
    field("clusterName", Text),
    since(V1Beta4, "encryptionAlgorithm", Text),
    since(V1Beta4, "certificateValidityPeriod", Duration),
    since(V1Beta4, "caCertificateValidityPeriod", Duration),
];

const BOOTSTRAP_TOKEN_DISCOVERY: &[Field] = &[
    field("token", Text),
    field("apiServerEndpoint", Text),
    field("caCertHashes", Texts),
    field("unsafeSkipCAVerification", Bool),
];

const DISCOVERY: &[Field] = &[
    field("bootstrapToken", Object(BOOTSTRAP_TOKEN_DISCOVERY)),
    field("file", Object(&[field("kubeConfigPath", Text)])),
    field("tlsBootstrapToken", Text),
    until(V1Beta3, "timeout", Duration),
];

const JOIN_CONTROL_PLANE: &[Field] =
    &[field("localAPIEndpoint", Object(LOCAL_API_ENDPOINT)), field("certificateKey", Text)];

/// JoinConfiguration.
pub(super) const JOIN: &[Field] = &[
    since(V1Beta4, "dryRun", Bool),
    field("nodeRegistration", Object(NODE_REGISTRATION)),
    field("caCertPath", Text),
    field("discovery", Object(DISCOVERY)),
    field("controlPlane", Object(JOIN_CONTROL_PLANE)),
    since(V1Beta3, "skipPhases", Texts),
    since(V1Beta3, "patches", Object(PATCHES)),
    since(V1Beta4, "timeouts", Object(TIMEOUTS)),
];

/// ResetConfiguration, since v1beta4.
pub(super) const RESET: &[Field] = &[
    field("cleanupTmpDir", Bool),
    field("certificatesDir", Text),
    field("criSocket", Text),
    field("dryRun", Bool),
    field("force", Bool),
    field("ignorePreflightErrors", Texts),
    field("skipPhases", Texts),
    field("unmountFlags", Texts),
    field("timeouts", Object(TIMEOUTS)),
];

const UPGRADE_APPLY: &[Field] = &[
    field("kubernetesVersion", Text),
    field("allowExperimentalUpgrades", Bool),
    field("allowRCUpgrades", Bool),
    field("certificateRenewal", Bool),
    field("dryRun", Bool),
    field("etcdUpgrade", Bool),
    field("forceUpgrade", Bool),
    field("ignorePreflightErrors", Texts),
    field("patches", Object(PATCHES)),
    field("printConfig", Bool),
    field("skipPhases", Texts),
    field("imagePullPolicy", Text),
    field("imagePullSerial", Bool),
];

const UPGRADE_NODE: &[Field] = &[
    field("certificateRenewal", Bool),
    field("dryRun", Bool),
    field("etcdUpgrade", Bool),
    field("ignorePreflightErrors", Texts),
    field("skipPhases", Texts),
    field("patches", Object(PATCHES)),
    field("imagePullPolicy", Text),
    field("imagePullSerial", Bool),
];

const UPGRADE_PLAN: &[Field] = &[
    field("kubernetesVersion", Text),
    field("allowExperimentalUpgrades", Bool),
    field("allowRCUpgrades", Bool),
    field("dryRun", Bool),
    field("etcdUpgrade", Bool),
    field("ignorePreflightErrors", Texts),
    field("printConfig", Bool),
];

/// UpgradeConfiguration, since v1beta4.
pub(super) const UPGRADE: &[Field] = &[
    field("apply", Object(UPGRADE_APPLY)),
    field("diff", Object(&[field("contextLines", Integer)])),
    field("node", Object(UPGRADE_NODE)),
    field("plan", Object(UPGRADE_PLAN)),
    field("timeouts", Object(TIMEOUTS)),
];

/// ClusterStatus, which kubeadm keeps in the cluster until v1beta2.
pub(super) const CLUSTER_STATUS: &[Field] = &[field("apiEndpoints", Any)];
