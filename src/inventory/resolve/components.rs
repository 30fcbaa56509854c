//! `extra_volumes` and `extra_envs` of the control plane's components.

use std::collections::HashMap;

use toml::Spanned;

use crate::inventory::document::{Cluster, EnvEntry, VolumeEntry};
use crate::inventory::error::{Fault, Problems, Span, quoted};
use crate::inventory::model::{ComponentExtras, ExtraVolume, Extras, KubernetesVersion};
use crate::inventory::rules;
use crate::inventory::suggest::nearest;

/// The first minor release whose kubeadm keeps `extra_envs`.
const ENVIRONMENT_SINCE: u16 = 31;

const PATH_TYPES: [&str; 8] = [
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];

/// All of them. The version is absent where it is wrong.
pub(super) fn extras(
    raw: &Cluster,
    version: Option<KubernetesVersion>,
    problems: &mut Problems,
) -> ComponentExtras {
    let mut component = |volumes: &[Spanned<VolumeEntry>], envs: &[Spanned<EnvEntry>]| {
        if let (Some(version), Some(first)) = (version, envs.first())
            && version.minor < ENVIRONMENT_SINCE
        {
            let label = format!("they came with 1.{ENVIRONMENT_SINCE}");
            let fault = Fault::new(format!("Kubernetes {version} has no `extra_envs`"), label);
            problems.push(fault.at(first.span()));
        }
        Extras { volumes: self::volumes(volumes, problems), envs: self::envs(envs, problems) }
    };
    ComponentExtras {
        api_server: component(&raw.api_server.extra_volumes, &raw.api_server.extra_envs),
        controller_manager: component(
            &raw.controller_manager.extra_volumes,
            &raw.controller_manager.extra_envs,
        ),
        scheduler: component(&raw.scheduler.extra_volumes, &raw.scheduler.extra_envs),
        etcd: component(&[], &raw.etcd.extra_envs),
    }
}

fn volumes(entries: &[Spanned<VolumeEntry>], problems: &mut Problems) -> Vec<ExtraVolume> {
    let (mut volumes, mut names) = (Vec::new(), HashMap::new());
    for entry in entries {
        let raw = entry.get_ref();
        let name = problems.required(&entry.span(), "name", raw.name.as_ref());
        let name = name.and_then(|name| unique(name, &mut names, volume_name, problems));
        let host_path = problems.required(&entry.span(), "host_path", raw.host_path.as_ref());
        let host_path = problems.check_opt(host_path, |text| rules::absolute_path(text));
        let mount_path = problems.required(&entry.span(), "mount_path", raw.mount_path.as_ref());
        let mount_path = problems.check_opt(mount_path, |text| rules::absolute_path(text));
        let path_type = problems.check_opt(raw.path_type.as_ref(), |text| path_type(text));
        if let (Some(name), Some(host_path), Some(mount_path)) = (name, host_path, mount_path) {
            volumes.push(ExtraVolume {
                name,
                host_path,
                mount_path,
                read_only: raw.read_only,
                path_type: path_type.unwrap_or_default(),
            });
        }
    }
    volumes
}

fn envs(entries: &[Spanned<EnvEntry>], problems: &mut Problems) -> Vec<(String, String)> {
    let (mut envs, mut names) = (Vec::new(), HashMap::new());
    for entry in entries {
        let raw = entry.get_ref();
        problems.unsupported(&[("value_from", &raw.value_from)]);
        let name = problems.required(&entry.span(), "name", raw.name.as_ref());
        let name = name.and_then(|name| unique(name, &mut names, variable_name, problems));
        let value = raw.value.as_ref().map(|value| value.get_ref().0.clone()).unwrap_or_default();
        envs.extend(name.map(|name| (name, value)));
    }
    envs
}

/// A name that fits the rule and was not used before.
fn unique(
    name: &Spanned<String>,
    taken: &mut HashMap<String, Span>,
    rule: fn(&str) -> Result<(), Fault>,
    problems: &mut Problems,
) -> Option<String> {
    problems.check(name, |text| rule(text))?;
    let text = name.get_ref();
    if let Some(first) = taken.insert(text.clone(), name.span()) {
        let fault = Fault::new(format!("{} is used twice", quoted(text)), "used again here");
        problems.push(fault.at(name.span()).also(first, "first used here"));
        return None;
    }
    Some(text.clone())
}

fn volume_name(text: &str) -> Result<(), Fault> {
    if !text.contains('.') && rules::is_dns_subdomain(text) {
        return Ok(());
    }
    let label = "expected lower-case letters, digits and `-`, at most 63";
    Err(Fault::new(format!("{} cannot be a volume's name", quoted(text)), label))
}

fn variable_name(text: &str) -> Result<(), Fault> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if text.bytes().all(fine) && text.bytes().next().is_some_and(|b| !b.is_ascii_digit()) {
        return Ok(());
    }
    let label = "expected letters, digits, `_`, `-` and `.`, no digit first";
    Err(Fault::new(format!("{} cannot be a variable's name", quoted(text)), label))
}

fn path_type(text: &str) -> Result<String, Fault> {
    if PATH_TYPES.contains(&text) {
        return Ok(text.to_owned());
    }
    let label = format!("expected one of {}", PATH_TYPES[1..].join(", "));
    let fault = Fault::new(format!("{} is not a type of a host path", quoted(text)), label);
    Err(fault.suggest(nearest(text, PATH_TYPES)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::inventory::parse;

    fn parsed(version: &str, cluster: &str) -> Result<crate::inventory::Inventory, String> {
        let text = format!(
            "[cluster]\nkubernetes_version = \"{version}\"\n{cluster}\n[[hosts]]\nname = \"a\"\nrole = \"control-plane\"\n"
        );
        parse(&text, Path::new("/"), "fleet.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn volumes_and_variables_are_read() {
        let cluster = r#"
            [cluster.api_server]
            extra_volumes = [{ name = "audit", host_path = "/var/log/audit", mount_path = "/audit", path_type = "DirectoryOrCreate" }]
            extra_envs = [{ name = "GOMAXPROCS", value = 2 }]
        "#;
        let section = parsed("1.31.0", cluster).unwrap().cluster.unwrap();
        let extras = section.extras.api_server;
        assert_eq!(extras.volumes[0].mount_path, "/audit");
        assert_eq!(extras.envs, [("GOMAXPROCS".to_owned(), "2".to_owned())]);
        let old = parsed("1.30.0", cluster).unwrap_err();
        assert!(old.contains("Kubernetes 1.30.0 has no `extra_envs`"), "{old}");
    }

    #[test]
    fn mistakes_are_told() {
        let cluster = r#"
            [cluster.scheduler]
            extra_volumes = [
                { name = "A", host_path = "/a", mount_path = "/a" },
                { name = "b", host_path = "b", mount_path = "/b", path_type = "Folder" },
                { name = "c", host_path = "/c", mount_path = "/c" },
                { name = "c", host_path = "/d", mount_path = "/d" },
                { name = "e", host_path = "/e" },
            ]
            extra_envs = [{ name = "1A" }, { name = "B", value_from = {} }]
        "#;
        let told = parsed("1.36.0", cluster).unwrap_err();
        for part in [
            "`A` cannot be a volume's name",
            "`b` is not an absolute path",
            "`Folder` is not a type of a host path",
            "`c` is used twice",
            "missing key `mount_path`",
            "`1A` cannot be a variable's name",
            "`value_from` is not supported yet",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
