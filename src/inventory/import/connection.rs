//! The variables that say how Ansible reaches a host, in the words of an `ssh` table.

use serde_json::Value;

use super::ansible::Host;
use super::layers::{Table, Wanted};
use super::notes::{Line, Notes};
use super::precedence::{Effective, Layer};
use super::ssh_args::{self, Argument, Jump};
use super::templates::{Templates, is_template};
use super::variables::is_vault;
use crate::inventory::rules;

/// Every variable that is looked at here. Where there are two names for a thing, Ansible lets the first of
/// them win.
const ADDRESS: [&str; 2] = ["ansible_ssh_host", "ansible_host"];
const PORT: [&str; 2] = ["ansible_ssh_port", "ansible_port"];
const USER: [&str; 2] = ["ansible_ssh_user", "ansible_user"];
const KEY_FILE: [&str; 2] = ["ansible_ssh_private_key_file", "ansible_private_key_file"];
const TIMEOUT: [&str; 2] = ["ansible_ssh_timeout", "ansible_timeout"];
const CONNECTION: [&str; 1] = ["ansible_connection"];
const BECOME: [&str; 1] = ["ansible_become"];
const BECOME_METHOD: [&str; 1] = ["ansible_become_method"];
const BECOME_USER: [&str; 1] = ["ansible_become_user"];
const ARGUMENTS: [&str; 1] = ["ansible_ssh_args"];
const COMMON_ARGUMENTS: [&str; 1] = ["ansible_ssh_common_args"];
const EXTRA_ARGUMENTS: [&str; 1] = ["ansible_ssh_extra_args"];
const HOST_KEY_CHECKING: [&str; 2] = ["ansible_ssh_host_key_checking", "ansible_host_key_checking"];

const ALWAYS_CHECKED: &str = "host keys are always checked; add them with `fleetadm trust`";
const OWN_CONNECTIONS: &str = "fleetadm keeps its one connection to a host open by itself";

/// The prefix of Ansible's own variables.
pub(super) const OWN: &str = "ansible_";

/// How a host is reached.
pub(super) struct Connection {
    /// Where SSH connects, if the inventory says it.
    pub(super) address: Option<String>,
    /// The keys of its `ssh` table.
    pub(super) settings: Table<'static, Wanted<toml::Value>>,
}

/// Reads how a host is reached; `None` where it is not reached by SSH, or not where it says.
pub(super) fn read(
    host: &Host,
    effective: &Effective<'_>,
    templates: &Templates,
    notes: &mut Notes,
) -> Option<Connection> {
    let mut reader = Reader {
        host,
        effective,
        templates,
        notes,
        settings: Table::new(),
        identity_files: Vec::new(),
    };
    if let Some(said) = reader.said(&CONNECTION) {
        let kind = said.text.rsplit('.').next().unwrap_or_default();
        if !["ssh", "smart", "paramiko", "paramiko_ssh"].contains(&kind) {
            let text = format!("`{}` is not reached by SSH ({kind}); left out", host.name);
            reader.notes.at(&said.line, text);
            return None;
        }
    }
    let address = match reader.known(&ADDRESS) {
        Some(_) => Some(reader.address()?),
        None => None,
    };
    // The order of ssh's command line as Ansible writes it: there, what comes first counts.
    reader.arguments(&ARGUMENTS);
    reader.login();
    reader.arguments(&COMMON_ARGUMENTS);
    reader.arguments(&EXTRA_ARGUMENTS);
    reader.identity_files();
    reader.privilege();
    reader.others();
    Some(Connection { address, settings: reader.settings })
}

/// A variable's text for one host, templates rendered.
struct Said {
    text: String,
    name: &'static str,
    layer: Layer,
    line: Line,
}

struct Reader<'a> {
    host: &'a Host,
    effective: &'a Effective<'a>,
    templates: &'a Templates,
    notes: &'a mut Notes,
    settings: Table<'static, Wanted<toml::Value>>,
    /// The one list that grows with every mention.
    identity_files: Vec<(String, Layer)>,
}

impl Reader<'_> {
    /// The first of these variables that the host has.
    fn known(&self, names: &[&'static str]) -> Option<&'static str> {
        let has = |name: &&&str| {
            let found = self.effective.variables.get(**name);
            found.is_some_and(|found| !found.variable.value.is_null())
        };
        names.iter().find(has).copied()
    }

    fn said(&mut self, names: &[&'static str]) -> Option<Said> {
        let name = self.known(names)?;
        let found = *self.effective.variables.get(name)?;
        let line = &found.variable.line;
        let text = match &found.variable.value {
            Value::String(text) if is_vault(text) => {
                self.notes.at(line, format!("`{name}` is encrypted by ansible-vault; left out"));
                return None;
            }
            Value::String(text) if is_template(text) => {
                let Some(text) = self.templates.render(text, self.host, self.effective) else {
                    let why = "its template needs more than the inventory's variables";
                    self.notes.at(line, format!("`{name}` is left out: {why}"));
                    return None;
                };
                text
            }
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.notes.at(line, format!("`{name}` is left out: it is no text"));
                return None;
            }
        };
        let text = text.trim().to_owned();
        Some(Said { text, name, layer: found.layer, line: line.clone() })
    }

    /// Sets a key, unless something that counts more has set it.
    fn set(&mut self, key: &'static str, value: impl Into<toml::Value>, layer: Layer) {
        let value = value.into();
        self.settings.entry(key).or_insert(Wanted { value, layer });
    }

    fn address(&mut self) -> Option<String> {
        let said = self.said(&ADDRESS);
        let name = &self.host.name;
        match said {
            Some(said) if rules::address(&said.text).is_ok() => Some(said.text),
            Some(said) => {
                let text = format!("`{}` cannot be an address; `{name}` is left out", said.text);
                self.notes.at(&said.line, text);
                None
            }
            None => {
                let line = &self.host.line;
                self.notes.at(line, format!("`{name}` is left out: its address is not known"));
                None
            }
        }
    }

    fn login(&mut self) {
        if let Some(said) = self.said(&PORT) {
            self.port(&said, &said.text, said.name);
        }
        if let Some(said) = self.said(&USER) {
            self.user(&said, &said.text, said.name);
        }
        if let Some(said) = self.said(&KEY_FILE) {
            self.identity_file(&said, &said.text, said.name);
        }
        if let Some(said) = self.said(&TIMEOUT) {
            self.seconds("connect_timeout", &said, &said.text, said.name);
        }
        if let Some(said) = self.said(&HOST_KEY_CHECKING)
            && truth(&said.text) == Some(false)
        {
            self.notes.at(&said.line, format!("`{}` is left out: {ALWAYS_CHECKED}", said.name));
        }
    }

    fn refused(&mut self, said: &Said, written: &str, why: &str) {
        let source =
            if written == said.name { String::new() } else { format!(" in `{}`", said.name) };
        self.notes.at(&said.line, format!("`{written}`{source} is left out: {why}"));
    }

    fn port(&mut self, said: &Said, text: &str, written: &str) {
        match text.parse().ok().and_then(|number| rules::port(number).ok()) {
            Some(port) => self.set("port", i64::from(port), said.layer),
            None => self.refused(said, written, "it is not a port"),
        }
    }

    fn user(&mut self, said: &Said, text: &str, written: &str) {
        match rules::user(text) {
            Ok(user) => self.set("user", user, said.layer),
            Err(_) => self.refused(said, written, "it is not a user name"),
        }
    }

    fn seconds(&mut self, key: &'static str, said: &Said, text: &str, written: &str) {
        match text.parse::<i64>() {
            Ok(seconds) if (1..=86_400).contains(&seconds) => self.set(key, seconds, said.layer),
            _ => self.refused(said, written, "expected 1 to 86400 seconds"),
        }
    }

    /// A path of the workstation, if fleetadm takes it.
    fn path(&mut self, said: &Said, text: &str, written: &str) -> Option<String> {
        let home = text == "~" || text.starts_with("~/");
        let token = text.contains('%') || text.contains("${");
        if text.is_empty()
            || token
            || text.contains(char::is_control)
            || (text.starts_with('~') && !home)
        {
            self.refused(said, written, "it is not a plain path");
            return None;
        }
        if !home && !text.starts_with('/') {
            let advice = "relative paths start at the directory of fleetadm's inventory";
            self.notes.at(&said.line, format!("`{written}`: {advice}"));
        }
        Some(text.to_owned())
    }

    fn identity_file(&mut self, said: &Said, text: &str, written: &str) {
        let path = self.path(said, text, written);
        self.identity_files.extend(path.map(|path| (path, said.layer)));
    }

    fn identity_files(&mut self) {
        let files = std::mem::take(&mut self.identity_files);
        let Some(layer) = files.iter().map(|(_, layer)| *layer).max() else { return };
        let mut paths: Vec<toml::Value> = Vec::new();
        for (path, _) in files {
            if !paths.iter().any(|known| known.as_str() == Some(&path)) {
                paths.push(path.into());
            }
        }
        self.set("identity_file", one_or_many(paths), layer);
    }

    fn arguments(&mut self, names: &[&'static str]) {
        let Some(said) = self.said(names) else { return };
        let arguments = match ssh_args::parse(&said.text) {
            Ok(arguments) => arguments,
            Err(why) => return self.refused(&said, said.name, why),
        };
        for argument in arguments {
            match argument {
                Argument::Setting { keyword, value, written } => {
                    self.setting(&said, &keyword, &value, &written);
                }
                Argument::Flag { letter, written, .. } => {
                    let why = match letter {
                        'C' => "fleetadm does not compress",
                        'F' => "fleetadm reads ~/.ssh/config",
                        'S' | 'M' => OWN_CONNECTIONS,
                        'A' => "fleetadm does not forward the agent",
                        _ => "fleetadm has no counterpart",
                    };
                    self.refused(&said, &written, why);
                }
                Argument::Word(word) => self.refused(&said, &word, "it is not an option"),
            }
        }
    }

    fn setting(&mut self, said: &Said, keyword: &str, value: &str, written: &str) {
        match keyword {
            "port" => self.port(said, value, written),
            "user" => self.user(said, value, written),
            "identityfile" => self.identity_file(said, value, written),
            "certificatefile" => {
                if let Some(path) = self.path(said, value, written) {
                    self.set("certificate_file", path, said.layer);
                }
            }
            "identityagent" => match value {
                "none" => self.set("identity_agent", value, said.layer),
                "SSH_AUTH_SOCK" => {}
                _ => {
                    if let Some(path) = self.path(said, value, written) {
                        self.set("identity_agent", path, said.layer);
                    }
                }
            },
            "identitiesonly" => match truth(value) {
                Some(only) => self.set("identities_only", only, said.layer),
                None => self.refused(said, written, "expected `yes` or `no`"),
            },
            "userknownhostsfile" => self.known_hosts(said, value, written),
            "hostkeyalias" if rules::address(value).is_ok() => {
                self.set("host_key_alias", value, said.layer);
            }
            "connecttimeout" => self.seconds("connect_timeout", said, value, written),
            "serveraliveinterval" => self.seconds("keepalive", said, value, written),
            "stricthostkeychecking" => match value.to_ascii_lowercase().as_str() {
                "accept-new" => self.set("host_key_policy", "accept-new", said.layer),
                "yes" | "ask" | "true" => self.set("host_key_policy", "strict", said.layer),
                _ => self.refused(said, written, ALWAYS_CHECKED),
            },
            "proxyjump" => match ssh_args::hops(value) {
                Some(hops) => self.jump(hops, said.layer),
                None => self.refused(said, written, "expected `[user@]host[:port]`"),
            },
            "proxycommand" => self.proxy_command(said, value),
            "controlmaster" | "controlpath" | "controlpersist" => {
                self.refused(said, written, OWN_CONNECTIONS);
            }
            _ => self.refused(said, written, "fleetadm has no counterpart"),
        }
    }

    fn known_hosts(&mut self, said: &Said, value: &str, written: &str) {
        if value == "/dev/null" || value == "none" {
            return self.refused(said, written, ALWAYS_CHECKED);
        }
        let files: Vec<toml::Value> = value
            .split_whitespace()
            .filter_map(|file| self.path(said, file, written))
            .map(toml::Value::from)
            .collect();
        if !files.is_empty() {
            self.set("known_hosts", one_or_many(files), said.layer);
        }
    }

    fn jump(&mut self, hops: Vec<String>, layer: Layer) {
        let hops: Vec<toml::Value> = hops.into_iter().map(toml::Value::from).collect();
        self.set("jump", hops, layer);
    }

    fn proxy_command(&mut self, said: &Said, value: &str) {
        if value.eq_ignore_ascii_case("none") {
            return self.jump(Vec::new(), said.layer);
        }
        let Some(jump) = ssh_args::jump(value) else {
            // Not repeated: such commands have passwords in them, for sshpass and HTTP proxies.
            let why = "only `ssh -W %h:%p [user@]host` is a jump host; leave it to ~/.ssh/config";
            return self.refused(said, "ProxyCommand", why);
        };
        for argument in &jump.left {
            self.about_the_jump_host(said, &jump, argument);
        }
        self.jump(jump.hops, said.layer);
    }

    /// What a proxy command says about the host it jumps through, beside its place.
    fn about_the_jump_host(&mut self, said: &Said, jump: &Jump, argument: &Argument) {
        let (written, why) = match argument {
            Argument::Setting { keyword, value, written } => match (keyword.as_str(), &**value) {
                ("stricthostkeychecking", "yes") => return,
                ("stricthostkeychecking", _) | ("userknownhostsfile", "/dev/null") => {
                    (written, ALWAYS_CHECKED.to_owned())
                }
                // The keys of a host are offered to the hosts on the way to it, too.
                ("identityfile", key) if self.identity_files.iter().any(|(own, _)| own == key) => {
                    return;
                }
                ("identityfile", _) => {
                    let name = jump.hops.last().and_then(|hop| rules::hop(hop).ok());
                    let name = name.map(|(_, host, _)| host).unwrap_or_default();
                    (written, format!("say it as `identity_file` of `[jump_hosts.\"{name}\".ssh]`"))
                }
                _ => (written, "fleetadm has no counterpart".to_owned()),
            },
            Argument::Flag { written, .. } | Argument::Word(written) => {
                (written, "fleetadm has no counterpart".to_owned())
            }
        };
        self.refused(said, written, &format!("for the jump host, {why}"));
    }

    fn privilege(&mut self) {
        let method = self.said(&BECOME_METHOD);
        let user = self.said(&BECOME_USER);
        let Some(said) = self.said(&BECOME) else {
            for said in method.iter().chain(&user) {
                self.refused(said, said.name, "there is no `ansible_become` beside it");
            }
            return;
        };
        let Some(wanted) = truth(&said.text) else {
            return self.refused(&said, said.name, "expected `yes` or `no`");
        };
        if !wanted {
            return self.set("become", "none", said.layer);
        }
        let layer = method.as_ref().map_or(said.layer, |method| said.layer.max(method.layer));
        let way = method.as_ref().map_or("sudo", |m| m.text.rsplit('.').next().unwrap_or_default());
        if !["sudo", "doas"].contains(&way) {
            let said = method.as_ref().unwrap_or(&said);
            return self.refused(said, said.name, "fleetadm becomes root by `sudo` or `doas`");
        }
        self.set("become", way, layer);
        if let Some(user) = user.filter(|user| user.text != "root") {
            match rules::user(&user.text) {
                Ok(name) => self.set("become_user", name, user.layer),
                Err(_) => self.refused(&user, user.name, "it is not a user name"),
            }
        }
    }

    /// Variables of Ansible's that nothing above has looked at.
    fn others(&mut self) {
        let handled = [
            &ADDRESS[..],
            &PORT,
            &USER,
            &KEY_FILE,
            &TIMEOUT,
            &CONNECTION,
            &BECOME,
            &BECOME_METHOD,
            &BECOME_USER,
            &ARGUMENTS,
            &COMMON_ARGUMENTS,
            &EXTRA_ARGUMENTS,
            &HOST_KEY_CHECKING,
        ];
        for (name, found) in
            self.effective.variables.range(OWN..).take_while(|(n, _)| n.starts_with(OWN))
        {
            if handled.iter().any(|names| names.contains(name)) || found.variable.value.is_null() {
                continue;
            }
            let text = if name.ends_with("passphrase") {
                format!(
                    "`{name}` is a secret and is not copied; fleetadm asks for passphrases once per run"
                )
            } else if name.ends_with("pass") || name.ends_with("password") {
                let login = ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"];
                let key = if login.contains(name) {
                    "password_command"
                } else {
                    "become_password_command"
                };
                format!("`{name}` is a secret and is not copied; use `{key}` in an `ssh` table")
            } else if name.ends_with("private_key") {
                format!(
                    "`{name}` is a secret and is not copied; put it into a file and use `identity_file`"
                )
            } else if name.ends_with("_interpreter") {
                format!("`{name}` is left out: nothing but a POSIX shell runs on hosts")
            } else {
                format!("`{name}` is left out: fleetadm has no counterpart")
            };
            self.notes.at(&found.variable.line, text);
        }
    }
}

fn one_or_many(mut values: Vec<toml::Value>) -> toml::Value {
    if values.len() == 1 { values.remove(0) } else { values.into() }
}

/// What Ansible takes for yes and no.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" | "1.0" => Some(true),
        "false" | "no" | "off" | "n" | "f" | "0" | "0.0" => Some(false),
        _ => None,
    }
}
