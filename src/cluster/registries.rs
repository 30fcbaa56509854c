//! Where containerd looks for the images of registries, in the form that it documents: a directory for each registry with a
//! `hosts.toml` in it. Renders and reads text; writes nothing to a host.

use toml::{Table, Value};

use crate::inventory::RegistrySection;

/// The directory of all of them. `ctr` is told of it; the kubelet's images follow it where `config_path` says so.
pub const DIRECTORY: &str = "/etc/containerd/certs.d";
/// Mode of its files.
pub const FILE_MODE: u32 = 0o644;

const CA_FILE: &str = "mirror-ca.crt";

/// The directory of a registry.
pub fn directory(registry: &RegistrySection) -> String {
    format!("{DIRECTORY}/{}", registry.name)
}

/// Where a registry's mirrors stand.
pub fn hosts_path(registry: &RegistrySection) -> String {
    format!("{}/hosts.toml", directory(registry))
}

/// Where the authority of its mirrors is.
pub fn ca_path(registry: &RegistrySection) -> String {
    format!("{}/{CA_FILE}", directory(registry))
}

/// A registry's `hosts.toml`: its mirrors in their order, and behind them itself.
///
/// containerd appends `/v2` to the URL of a mirror. One whose path has that in it already (`https://a/v2/k8s`, as proxies of
/// several registries have it) is the root of the API as it stands.
pub fn hosts_toml(registry: &RegistrySection) -> String {
    let mut text = "# Written by fleetadm, from [registries] of the inventory.\n".to_owned();
    if let Some(server) = server(&registry.name) {
        text += &format!("server = {}\n", quoted(&server));
    }
    for mirror in &registry.mirrors {
        text += &format!("\n[host.{}]\n", quoted(mirror));
        text += "capabilities = [\"pull\", \"resolve\"]\n";
        if registry.ca_file.is_some() {
            text += &format!("ca = {}\n", quoted(&ca_path(registry)));
        }
        if mirror.split('/').skip(3).any(|part| part == "v2") {
            text += "override_path = true\n";
        }
    }
    text
}

/// Where a registry itself is; for all of them at once containerd knows.
fn server(name: &str) -> Option<String> {
    match name {
        "_default" => None,
        // The name of these images is not where they are.
        "docker.io" => Some("https://registry-1.docker.io".to_owned()),
        name => Some(format!("https://{name}")),
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// What is missing in containerd's configuration, as `containerd config dump` prints it, for the kubelet's images to follow
/// [`DIRECTORY`]; `None` when nothing is.
///
/// # Errors
/// It is no TOML.
pub fn missing(dump: &str) -> Result<Option<String>, toml::de::Error> {
    let config: Table = dump.parse()?;
    // The plugin of containerd 2 and that of those before it.
    let plugins = ["io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"];
    let path = |plugin: &str| {
        config.get("plugins")?.get(plugin)?.get("registry")?.get("config_path")?.as_str()
    };
    let follows = |path: &str| path.split(':').any(|one| one.trim_end_matches('/') == DIRECTORY);
    if plugins.into_iter().filter_map(path).any(follows) {
        return Ok(None);
    }
    let is_new = config.get("version").and_then(Value::as_integer).is_some_and(|it| it >= 3);
    let plugin = plugins[usize::from(!is_new)];
    Ok(Some(format!("[plugins.\"{plugin}\".registry] config_path = \"{DIRECTORY}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, mirrors: &[&str], ca: bool) -> RegistrySection {
        RegistrySection {
            name: name.to_owned(),
            mirrors: mirrors.iter().map(|url| (*url).to_owned()).collect(),
            ca_file: ca.then(|| "/home/ops/ca.crt".into()),
        }
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        let registry = section(
            "registry.k8s.io",
            &["https://mirror.example.com", "https://proxy.example.com:8443/v2/k8s"],
            true,
        );
        assert_eq!(hosts_path(&registry), "/etc/containerd/certs.d/registry.k8s.io/hosts.toml");
        insta::assert_snapshot!(hosts_toml(&registry), @r#"
        # Written by fleetadm, from [registries] of the inventory.
        server = "https://registry.k8s.io"

        [host."https://mirror.example.com"]
        capabilities = ["pull", "resolve"]
        ca = "/etc/containerd/certs.d/registry.k8s.io/mirror-ca.crt"

        [host."https://proxy.example.com:8443/v2/k8s"]
        capabilities = ["pull", "resolve"]
        ca = "/etc/containerd/certs.d/registry.k8s.io/mirror-ca.crt"
        override_path = true
        "#);
        hosts_toml(&registry).parse::<Table>().unwrap();
    }

    #[test]
    fn some_registries_are_elsewhere() {
        let hub = section("docker.io", &["http://10.0.0.1:5000"], false);
        insta::assert_snapshot!(hosts_toml(&hub), @r#"
        # Written by fleetadm, from [registries] of the inventory.
        server = "https://registry-1.docker.io"

        [host."http://10.0.0.1:5000"]
        capabilities = ["pull", "resolve"]
        "#);
        assert!(!hosts_toml(&section("_default", &["https://m"], false)).contains("server"));
    }

    #[test]
    fn the_configuration_has_to_name_the_directory() {
        let old = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = ";
        let new = "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = ";
        for good in
            ["\"/etc/containerd/certs.d\"", "\"/etc/containerd/certs.d/:/etc/docker/certs.d\""]
        {
            assert_eq!(missing(&format!("{old}{good}")).unwrap(), None);
            assert_eq!(missing(&format!("{new}{good}")).unwrap(), None);
        }
        insta::assert_snapshot!(missing(&format!("{old}\"\"")).unwrap().unwrap(), @r#"[plugins."io.containerd.grpc.v1.cri".registry] config_path = "/etc/containerd/certs.d""#);
        insta::assert_snapshot!(missing(&format!("{new}\"/etc/x\"")).unwrap().unwrap(), @r#"[plugins."io.containerd.cri.v1.images".registry] config_path = "/etc/containerd/certs.d""#);
        assert!(missing("version = 2").unwrap().is_some());
        assert!(missing("no such command").is_err());
    }
}
