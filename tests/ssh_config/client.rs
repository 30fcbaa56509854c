//! OpenSSH's client as an oracle: what `ssh -G` says, in the words of fleetadm's settings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use fleetadm::inventory::{Host, HostKeyPolicy, Role};
use fleetadm::ssh::{Connector, Environment, Settings, SshConfig};
use tempfile::TempDir;

/// Variables that configurations in these tests refer to.
pub const VARIABLES: [(&str, &str); 4] = [
    ("FLEET_KEYS", "/srv/keys"),
    ("FLEET_AGENT", "/run/agent.sock"),
    ("SSH_AUTH_SOCK", "/run/usual.sock"),
    ("SHELL", "/bin/sh"),
];

/// The workstation's client.
pub struct Client {
    /// The same workstation for fleetadm, in OpenSSH's own words.
    pub environment: Environment,
}

/// Settings by name, as text.
pub type Words = BTreeMap<&'static str, String>;

impl Client {
    /// `None`, loudly, where there is no client.
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Client>> = OnceLock::new();
        FOUND.get_or_init(Self::look).as_ref()
    }

    fn look() -> Option<Self> {
        let mut client = Self { environment: Environment::default() };
        let Ok(output) = client.run(Path::new("none"), &["x"]) else {
            eprintln!("SKIPPED: needs ssh (package openssh-client)");
            return None;
        };
        assert!(output.status.success(), "ssh -G: {output:?}");
        let token = |token: &str| client.expand(Path::new("none"), &["x"], &[token])[0].clone();
        client.environment = Environment {
            home: Some(PathBuf::from(token("%d"))),
            agent: Some("/run/usual.sock".into()),
            user: Some(token("%u")),
            uid: Some(token("%i").parse().unwrap()),
            host_name: Some(token("%l")),
            variables: VARIABLES.into_iter().collect(),
            ssh_config: SshConfig::None,
        };
        Some(client)
    }

    fn run(&self, config: &Path, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(config)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(VARIABLES)
            .output()
    }

    /// What the client makes of texts with tokens. known_hosts files are the only ones it prints expanded.
    fn expand(&self, config: &Path, arguments: &[&str], texts: &[&str]) -> Vec<String> {
        texts
            .iter()
            .map(|text| {
                let option = format!("UserKnownHostsFile=\"{text}\"");
                let output = self.run(config, &[&["-o", &option], arguments].concat()).unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let value = text.lines().find_map(|l| l.strip_prefix("userknownhostsfile "));
                value.unwrap_or_else(|| panic!("{option}: {text}")).to_owned()
            })
            .collect()
    }

    /// What the client says about `host`; the error is what it prints where it refuses the configuration.
    pub fn asks(&self, config: &Path, host: &str) -> Result<Words, String> {
        self.asks_with(config, &[], host)
    }

    /// The same with more options.
    pub fn asks_with(&self, config: &Path, options: &[&str], host: &str) -> Result<Words, String> {
        let arguments = [options, &[host]].concat();
        let output = self.run(config, &arguments).unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let all = |key: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).collect()
        };
        let one = |key: &str| all(key).first().map_or("", |value| value).to_owned();
        let expanded = |values: &[&str]| self.expand(config, &arguments, values).join(" ");
        let all_but_none = |key: &str| -> Vec<&str> {
            all(key).into_iter().filter(|value| !value.eq_ignore_ascii_case("none")).collect()
        };
        let or = |value: String, none: &str, otherwise: &str| {
            if value == none { otherwise.to_owned() } else { value }
        };
        let home = self.environment.home.as_ref().unwrap().display();
        let default_keys = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];
        let keys = all("identityfile");
        let keys_are_default = keys.starts_with(&default_keys.map(|name| {
            // What the client would print for each of them.
            &*format!("~/.ssh/{name}").leak()
        }));
        Ok(Words::from([
            ("host_name", one("hostname")),
            ("user", one("user")),
            ("port", one("port")),
            (
                "identity_files",
                if keys_are_default {
                    ["id_rsa", "id_ecdsa", "id_ed25519"]
                        .map(|name| format!("{home}/.ssh/{name}"))
                        .join(" ")
                } else {
                    expanded(&all_but_none("identityfile"))
                },
            ),
            ("certificate_files", expanded(&all("certificatefile"))),
            ("identities_only", one("identitiesonly")),
            (
                "identity_agent",
                match one("identityagent").as_str() {
                    "" | "SSH_AUTH_SOCK" | "$SSH_AUTH_SOCK" => "/run/usual.sock".to_owned(),
                    "$FLEET_AGENT" => "/run/agent.sock".to_owned(),
                    // Any other variable is not set.
                    other if other.starts_with('$') => "none".to_owned(),
                    other => other.to_owned(),
                },
            ),
            ("known_hosts", one("userknownhostsfile")),
            ("global_known_hosts", one("globalknownhostsfile").replace("~/", &format!("{home}/"))),
            ("host_key_alias", one("hostkeyalias")),
            (
                "host_key_policy",
                match one("stricthostkeychecking").as_str() {
                    "accept-new" => "accept-new".to_owned(),
                    _ => "strict".to_owned(),
                },
            ),
            ("jump", one("proxyjump")),
            ("proxy_command", expanded(&all_but_none("proxycommand"))),
            ("connect_timeout", or(or(one("connecttimeout"), "none", "15"), "0", "15")),
            ("connection_attempts", one("connectionattempts")),
            ("keepalive", one("serveraliveinterval")),
            ("keepalive_count", one("serveralivecountmax")),
            (
                "pubkey_authentication",
                match one("pubkeyauthentication").as_str() {
                    "no" | "false" => "no".to_owned(),
                    _ => "yes".to_owned(),
                },
            ),
            ("password_authentication", one("passwordauthentication")),
            ("kbd_interactive_authentication", one("kbdinteractiveauthentication")),
        ]))
    }

    /// fleetadm, with `config` as its only configuration file.
    pub fn connector(&self, config: &Path) -> Connector {
        let ssh_config = SshConfig::File(config.to_owned());
        Connector::new(Environment { ssh_config, ..self.environment.clone() })
    }
}

/// A host that the inventory says nothing about.
pub fn host(address: &str) -> Host {
    Host {
        name: "host".to_owned(),
        address: address.to_owned(),
        advertise_address: None,
        role: Role::Worker,
        groups: Vec::new(),
        labels: BTreeMap::new(),
        taints: None,
        kubelet_extra_args: BTreeMap::new(),
        ssh: Arc::default(),
        vars: serde_json::Map::new(),
    }
}

/// fleetadm's settings in the client's words.
pub fn words(settings: &Settings) -> Words {
    let flag = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let paths = |paths: &[PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let hops = settings.jump.value.iter().map(|hop| {
        let user = hop.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = hop.port.map(|port| format!(":{port}")).unwrap_or_default();
        (user, hop.host.clone(), port)
    });
    let hops: Vec<_> = hops.collect();
    let last = hops.len().saturating_sub(1);
    let jump = hops.iter().enumerate().map(|(index, (user, host, port))| {
        // The client prints the last one apart from the others.
        let address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        let bracketed = host.contains(':') || (index == last && address);
        if bracketed { format!("{user}[{host}]{port}") } else { format!("{user}{host}{port}") }
    });
    Words::from([
        ("host_name", settings.host_name.value.clone()),
        ("user", settings.user.value.clone().unwrap_or_default()),
        ("port", settings.port.value.to_string()),
        ("identity_files", paths(&settings.identity_files.value)),
        ("certificate_files", paths(&settings.certificate_files.value)),
        ("identities_only", flag(settings.identities_only.value)),
        (
            "identity_agent",
            or_none(
                settings.identity_agent.value.iter().map(|p| p.display().to_string()).collect(),
            ),
        ),
        ("known_hosts", or_none(paths(&settings.known_hosts.value))),
        ("global_known_hosts", or_none(paths(&settings.global_known_hosts.value))),
        ("host_key_alias", settings.host_key_alias.value.clone().unwrap_or_default()),
        (
            "host_key_policy",
            match settings.host_key_policy.value {
                HostKeyPolicy::Strict => "strict".to_owned(),
                HostKeyPolicy::AcceptNew => "accept-new".to_owned(),
            },
        ),
        ("jump", jump.collect::<Vec<_>>().join(",")),
        ("proxy_command", settings.proxy_command.value.clone().unwrap_or_default()),
        ("connect_timeout", settings.connect_timeout.value.as_secs().to_string()),
        ("connection_attempts", settings.connection_attempts.value.to_string()),
        ("keepalive", settings.keepalive.value.as_secs().to_string()),
        ("keepalive_count", settings.keepalive_count.value.to_string()),
        ("pubkey_authentication", flag(settings.pubkey_authentication.value)),
        ("password_authentication", flag(settings.password_authentication.value)),
        ("kbd_interactive_authentication", flag(settings.kbd_interactive_authentication.value)),
    ])
}

/// Configuration files of one case.
pub struct Files {
    pub directory: TempDir,
}

impl Files {
    /// `DIR` in `text` is replaced by the directory.
    pub fn new(text: &str) -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        files.write("config", text);
        files
    }

    pub fn write(&self, name: &str, text: &str) {
        let text = text.replace("DIR", self.directory.path().to_str().unwrap());
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }
}

/// Resolve `address` both ways and hold one against the other.
pub fn compare(client: &Client, files: &Files, address: &str) -> Result<(), String> {
    let config = files.config();
    let expected = client.asks(&config, address);
    let resolved = client.connector(&config).settings(&host(address));
    match (expected, resolved) {
        (Ok(expected), Ok(settings)) => {
            let mut found = words(&settings);
            if settings.keepalive.origin == fleetadm::ssh::Origin::Default {
                found.insert("keepalive", "0".to_owned());
            }
            if expected == found {
                return Ok(());
            }
            let differences = expected.iter().filter(|(key, value)| found[*key] != **value);
            let lines = differences.map(|(key, value)| {
                format!("{key}: ssh has {value:?}, fleetadm {:?}\n", found[key])
            });
            Err(lines.collect())
        }
        (Err(_), Err(_)) => Ok(()),
        // The client finds that out where fleetadm resolves the whole way.
        (Err(message), Ok(_)) if message.contains("jumphost loop") => Ok(()),
        (Err(message), Ok(_)) => Err(format!("only ssh refuses it: {message}")),
        (Ok(_), Err(error)) => Err(format!("only fleetadm refuses it: {error}")),
    }
}
