//! From the payload's `key value` lines to [`Facts`]. Everything a host prints is suspect: sizes are
//! bounded, and whatever the payload would not print is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use super::disks::{Disks, fsync};
use super::network;
use super::{ClockOffset, Facts, InitKind, PathState, Runtime, ServiceState};

/// The most text that is looked at.
pub const MAX_TEXT: usize = 512 << 10;
const MAX_LINES: usize = 8192;
const MAX_LINE: usize = 4096;

/// More than any machine has: CPUs, KiB of memory (1 PiB), seconds in a time (year 9999). What is beyond is no fact.
const MAX_CPUS: u32 = 65536;
const MAX_MEMORY_KB: u64 = 1 << 40;
const MAX_TIME: u64 = 253_402_300_799;

/// Why facts cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// More than any host has to say.
    #[error("more text than any host has to say ({0} bytes or lines)")]
    TooLong(usize),
    /// No end within this time.
    #[error("still not complete after {} s; is the host overloaded, or a file server gone?", .0.as_secs())]
    TooSlow(Duration),
    /// The last line is missing.
    #[error("cut off: the line `end` is missing")]
    CutOff,
    /// A line that the payload does not print.
    #[error("line {line}: unexpected `{text}`; does something print to standard output on login?")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The start of it, without control characters.
        text: String,
    },
}

/// When a host was asked for its facts and when it began to answer, on the workstation's clock, in seconds since the
/// epoch. Its own clock was read in between.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Before the question was sent.
    pub at: f64,
    /// When the first bytes of the answer were there.
    pub answered: f64,
}

impl Asked {
    fn offset(self, (clock, coarse): (f64, f64)) -> ClockOffset {
        ClockOffset {
            seconds: clock - f64::midpoint(self.at, self.answered),
            uncertainty: (self.answered - self.at).abs() / 2.0 + coarse,
        }
    }
}

/// Read the payload's answer; `asked` tells how the host's clock compares with the workstation's.
///
/// # Errors
/// What the payload would not say: too much text, an end that is missing, lines that make no sense.
pub fn parse(text: &str, asked: Option<Asked>) -> Result<Facts, FactsError> {
    if text.len() > MAX_TEXT {
        return Err(FactsError::TooLong(text.len()));
    }
    let mut gathered = Gathered::default();
    let mut ended = false;
    for (index, line) in text.lines().enumerate() {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        if index > MAX_LINES || line.len() > MAX_LINE {
            return Err(FactsError::TooLong(index.max(line.len())));
        }
        let (key, value) = line.split_once(' ').unwrap_or((&line, ""));
        let understood = !ended && gathered.take(key, value.trim_end()).is_some();
        ended |= line == "end";
        if !understood && line != "end" {
            let text = line.chars().take(80).collect();
            return Err(FactsError::Line { line: index + 1, text });
        }
    }
    if ended { Ok(gathered.finish(asked)) } else { Err(FactsError::CutOff) }
}

/// Facts as they come in, and those that only make sense together.
#[derive(Default)]
struct Gathered {
    facts: Facts,
    /// Interface and address.
    addresses: Vec<(String, IpAddr)>,
    disks: Disks,
    /// The host's clock, in seconds since the epoch, and how far that may be off.
    clock: Option<(f64, f64)>,
    /// Metric, whether IPv4, interface.
    default_routes: Vec<(u64, bool, String)>,
    ports: BTreeSet<u16>,
    runtime: Runtime,
}

impl Gathered {
    /// Take one line; `None` when it makes no sense.
    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        let facts = &mut self.facts;
        match key {
            "euid" => facts.euid = value.parse().ok()?,
            "hostname" => facts.hostname = value.to_owned(),
            "kernel_name" => facts.kernel_name = value.to_owned(),
            "kernel_release" => facts.kernel_release = value.to_owned(),
            "machine" => facts.machine = value.to_owned(),
            "os.id" => facts.os.id = unquoted(value),
            "os.version" => facts.os.version = unquoted(value),
            "cpus" => facts.cpus = parse_in(value, 1..=MAX_CPUS)?,
            "memory_kb" => facts.memory_mb = parse_in(value, 1..=MAX_MEMORY_KB)? / 1024,
            "swap" => facts.swaps.push(value.to_owned()),
            "clock" => {
                let (seconds, _) = value.split_once('.').unwrap_or((value, ""));
                facts.clock = parse_in(seconds, 0..=MAX_TIME)?;
                self.clock = Some(clock(value)?);
            }
            "machine_id" => facts.machine_id = value.to_owned(),
            "virtualization" => facts.virtualization = value.to_owned(),
            "uptime" => facts.uptime = parse_in(value, 0..=MAX_TIME)?,
            "product_uuid" => facts.product_uuid = value.to_ascii_lowercase(),
            "ssh_host_key" => facts.ssh_host_keys.push(pair(value)?),
            "selinux" => facts.selinux = value.to_owned(),
            "selinux_container_policy" => facts.selinux_container_policy = true,
            "apparmor" => facts.apparmor = true,
            "firewall" => facts.firewalls.push(value.to_owned()),
            "module" => {
                facts.modules.insert(value.to_owned());
            }
            "changed" => {
                let (time, path) = pair(value)?;
                facts.leftovers.changed.insert(path, parse_in(&time, 0..=MAX_TIME)?);
            }
            "server" => insert(&mut facts.leftovers.servers, value)?,
            "ca_sha256" => facts.leftovers.ca_sha256 = value.to_owned(),
            "disk" | "disk_kb" | "disk_inodes" | "disk_mount" | "mount" => {
                self.disks.take(key, value)?
            }
            "fsync" => facts.fsync = Some(fsync(value)?),
            "sysctl" => insert(&mut facts.sysctls, value)?,
            "command" => insert(&mut facts.commands, value)?,
            "link" => facts.interfaces.push(network::interface(value)?),
            "address" => {
                let (device, address) = pair(value)?;
                self.addresses.push((device, address.parse().ok()?));
            }
            "route4" | "route6" => facts.routes.push(network::route(key == "route4", value)?),
            "default4" | "default6" => {
                let (device, metric) = pair(value)?;
                // The kernel prints metrics in decimal for IPv4 and in hexadecimal for IPv6.
                let is_v4 = key == "default4";
                let metric = u64::from_str_radix(&metric, if is_v4 { 10 } else { 16 }).ok()?;
                self.default_routes.push((metric, is_v4, device));
            }
            "port" => {
                self.ports.insert(u16::from_str_radix(value, 16).ok()?);
            }
            "resolved" => {
                let (name, addresses) = value.split_once(' ').unwrap_or((value, ""));
                let addresses = addresses.split(' ').filter(|text| !text.is_empty());
                let addresses = addresses.map(|text| text.parse().ok()).collect::<Option<_>>()?;
                facts.resolved.insert(name.to_owned(), addresses);
            }
            "name_server" => {
                let (file, server) = pair(value)?;
                facts.name_servers.entry(file).or_default().push(server);
            }
            "cgroup_version" => facts.cgroup_version = parse_in(value, 0..=2)?,
            "cgroup_controller" => facts.cgroup_controllers.push(value.to_owned()),
            "kernel_config" => {
                facts.kernel_config.get_or_insert_default();
            }
            "kernel_option" => insert(facts.kernel_config.as_mut()?, value)?,
            "init" => facts.init.kind = init_kind(value)?,
            "service" => {
                let (name, state) = service(value)?;
                facts.init.services.insert(name, state);
            }
            "kubelet_version" => {
                let version = value.strip_prefix("Kubernetes ").unwrap_or(value);
                facts.kubelet_version = version.trim_start_matches('v').to_owned();
            }
            "cri_socket" => facts.cri_sockets.push(value.to_owned()),
            "proxy" => {
                let (name, proxy) = pair(value)?;
                // What is set in the environment comes before what /etc/environment would set.
                facts.proxy_environment.entry(name).or_insert_with(|| unquoted(&proxy));
            }
            "path" => {
                let (state, path) = pair(value)?;
                facts.paths.insert(path, path_state(&state)?);
            }
            "runtime.socket" => self.runtime.socket = value.to_owned(),
            "runtime.name" => self.runtime.name = value.to_owned(),
            "runtime.version" => {
                self.runtime.version = value.strip_prefix('v').unwrap_or(value).to_owned();
            }
            "runtime.ready" => self.runtime.ready = parse_in::<u8>(value, 0..=1)? == 1,
            "runtime.error" => self.runtime.error = value.to_owned(),
            _ => return None,
        }
        Some(())
    }

    fn finish(mut self, asked: Option<Asked>) -> Facts {
        self.default_routes.sort();
        self.facts.default_addresses =
            [true, false].into_iter().filter_map(|is_v4| self.default_address(is_v4)).collect();
        let mut seen = BTreeSet::new();
        for (device, address) in self.addresses {
            if let Some(found) = self.facts.interfaces.iter_mut().find(|i| i.name == device) {
                found.addresses.push(address);
            }
            if seen.insert(address) {
                self.facts.addresses.push(address);
            }
        }
        let own = self.facts.resolved.remove(&self.facts.hostname).unwrap_or_default();
        self.facts.hostname_addresses = own.iter().map(ToString::to_string).collect();
        self.facts.disks = self.disks.finish();
        self.facts.listening_tcp_ports = self.ports.into_iter().collect();
        self.facts.clock_offset = self.clock.zip(asked).map(|(clock, asked)| asked.offset(clock));
        self.facts.runtime = Some(self.runtime).filter(|runtime| !runtime.socket.is_empty());
        self.facts
    }

    /// kubeadm's rule: the first global address of the interface that a default route leaves by; an
    /// interface without any (unnumbered links) borrows from the loopback interface.
    fn default_address(&self, is_v4: bool) -> Option<IpAddr> {
        let global = |wanted: &str| {
            let mut found = self.addresses.iter().filter(move |(device, address)| {
                device == wanted && address.is_ipv4() == is_v4 && is_global_unicast(*address)
            });
            found.next().map(|(_, address)| *address)
        };
        let mut routes = self.default_routes.iter().filter(|(_, v4, _)| *v4 == is_v4).peekable();
        routes.peek()?;
        routes
            .find_map(|(_, _, device)| global(device))
            .or_else(|| global("lo"))
            // Without `ip` the payload does not know interfaces: an only address is the right one.
            .or_else(|| {
                let mut candidates = self.addresses.iter().filter(|(device, address)| {
                    device == "-" && address.is_ipv4() == is_v4 && is_global_unicast(*address)
                });
                let only = candidates.next().map(|(_, address)| *address);
                only.filter(|_| candidates.next().is_none())
            })
    }
}

fn is_global_unicast(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == Ipv4Addr::BROADCAST,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !local && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

fn pair(value: &str) -> Option<(String, String)> {
    let (first, second) = value.split_once(' ').unwrap_or((value, ""));
    (!first.is_empty()).then(|| (first.to_owned(), second.to_owned()))
}

/// Seconds with a fraction, as the kernel and `date` print them.
fn seconds(value: &str) -> Option<f64> {
    let number = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    value.parse().ok().filter(|_| number)
}

/// A clock's time and how far that may be off: BusyBox tells whole seconds only.
fn clock(value: &str) -> Option<(f64, f64)> {
    let coarse = if value.contains('.') { 0.0 } else { 0.5 };
    Some((seconds(value)? + coarse, coarse))
}

fn insert(map: &mut BTreeMap<String, String>, value: &str) -> Option<()> {
    let (key, value) = pair(value)?;
    map.insert(key, unquoted(&value));
    Some(())
}

fn parse_in<T: FromStr + PartialOrd>(value: &str, range: std::ops::RangeInclusive<T>) -> Option<T> {
    value.parse().ok().filter(|number| range.contains(number))
}

/// A value as a shell would see it, in files that are written for shells.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    value.to_owned()
}

fn init_kind(value: &str) -> Option<InitKind> {
    Some(match value {
        "systemd" => InitKind::Systemd,
        "openrc" => InitKind::Openrc,
        "none" => InitKind::None,
        _ => return None,
    })
}

fn service(value: &str) -> Option<(String, ServiceState)> {
    let mut fields = value.split(' ');
    let name = fields.next()?.to_owned();
    let mut flag = || parse_in::<u8>(fields.next()?, 0..=1).map(|flag| flag == 1);
    let state = ServiceState { exists: flag()?, enabled: flag()?, active: flag()? };
    fields.next().is_none().then_some((name, state))
}

fn path_state(value: &str) -> Option<PathState> {
    Some(match value {
        "file" => PathState::File,
        "empty_directory" => PathState::EmptyDirectory,
        "directory" => PathState::Directory,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_now(text: &str) -> Result<Facts, FactsError> {
        parse(text, None)
    }

    #[test]
    fn reads_what_belongs_together() {
        let facts = parse_now(
            "euid 0\nos.id debian\nos.version \"12\"\nmemory_kb 1740799\n\
             address lo 127.0.0.1\naddress eth1 192.0.2.7\naddress eth0 fe80::1\n\
             address eth0 10.0.0.5\naddress eth0 2001:db8::5\naddress eth0 10.0.0.5\n\
             default4 eth1 200\ndefault4 eth0 100\ndefault6 eth0 00000400\n\
             port 1F90\nport 0016\nport 1F90\n\
             kernel_config /proc/config.gz\nkernel_option CGROUPS y\n\
             init systemd\nservice kubelet 1 1 0\nkubelet_version Kubernetes v1.36.2\n\
             proxy HTTP_PROXY \"http://p:3128\"\nproxy HTTP_PROXY http://other\n\
             path empty_directory /var/lib/etcd\npath file /etc/kubernetes/a b\n\
             runtime.socket unix:///run/x.sock\nruntime.ready 1\nruntime.error\nend\n",
        )
        .unwrap();
        assert_eq!(facts.os.version, "12");
        assert_eq!(facts.memory_mb, 1699);
        assert_eq!(facts.default_addresses.len(), 2);
        assert_eq!(facts.default_addresses[0].to_string(), "10.0.0.5");
        assert_eq!(facts.default_addresses[1].to_string(), "2001:db8::5");
        assert_eq!(facts.addresses.len(), 5);
        assert_eq!(facts.listening_tcp_ports, [22, 8080]);
        assert_eq!(facts.kernel_config.unwrap()["CGROUPS"], "y");
        assert!(facts.init.services["kubelet"].enabled && !facts.init.services["kubelet"].active);
        assert_eq!(facts.kubelet_version, "1.36.2");
        assert_eq!(facts.proxy_environment["HTTP_PROXY"], "http://p:3128");
        assert_eq!(facts.paths["/etc/kubernetes/a b"], PathState::File);
        assert!(facts.runtime.unwrap().ready);
    }

    #[test]
    fn a_clock_is_read_between_question_and_answer() {
        let asked = Some(Asked { at: 100.0, answered: 100.5 });
        let offset = |text: &str| parse(&format!("clock {text}\nend"), asked).unwrap().clock_offset;
        let found = offset("103.250000000").unwrap();
        assert!((found.seconds - 3.0).abs() < 1e-9 && (found.uncertainty - 0.25).abs() < 1e-9);
        // BusyBox knows whole seconds only.
        assert_eq!(offset("103"), Some(ClockOffset { seconds: 3.25, uncertainty: 0.75 }));
        assert!(parse("clock now\nend", asked).is_err());
    }

    #[test]
    fn names_and_the_hosts_own() {
        let facts = parse_now(
            "hostname n1\nresolved n1 10.0.0.1 ::1\nresolved n2 10.0.0.2\nresolved n3\n\
             name_server /etc/resolv.conf 127.0.0.53\nend",
        )
        .unwrap();
        assert_eq!(facts.hostname_addresses, ["10.0.0.1", "::1"]);
        assert_eq!(facts.resolved["n2"].len(), 1);
        assert!(facts.resolved["n3"].is_empty() && !facts.resolved.contains_key("n1"));
        assert_eq!(facts.name_servers["/etc/resolv.conf"], ["127.0.0.53"]);
    }

    #[test]
    fn borrows_from_loopback_or_takes_the_only_address() {
        let unnumbered = parse_now("address lo 10.1.1.1\ndefault4 eth0 0\nend").unwrap();
        assert_eq!(unnumbered.default_addresses[0].to_string(), "10.1.1.1");
        let nameless =
            parse_now("address - 127.0.0.1\naddress - 10.1.1.1\ndefault4 e 0\nend").unwrap();
        assert_eq!(nameless.default_addresses[0].to_string(), "10.1.1.1");
        let ambiguous =
            parse_now("address - 10.1.1.2\naddress - 10.1.1.1\ndefault4 e 0\nend").unwrap();
        assert!(ambiguous.default_addresses.is_empty());
        assert!(parse_now("address eth0 10.1.1.1\nend").unwrap().default_addresses.is_empty());
    }

    #[test]
    fn refuses_what_the_payload_does_not_say() {
        assert_eq!(parse_now("euid 0\n").unwrap_err(), FactsError::CutOff);
        for text in [
            "Welcome!\nend",
            "euid many\nend",
            "port 10000\nend",
            "service kubelet 1 1\nend",
            "cpus 0\nend",
            "cpus 65537\nend",
            "memory_kb 1099511627777\nend",
            "uptime 99999999999999\nend",
            "clock 253402300800\nend",
            "link eth0 - 1048577 up 1\nend",
            "disk /\ndisk_kb 1024 1025\nend",
            "kernel_option A y\nend",
            "end\neuid 0",
        ] {
            assert!(matches!(parse_now(text), Err(FactsError::Line { .. })), "{text:?}");
        }
        assert!(matches!(parse_now(&"x".repeat(MAX_TEXT + 1)), Err(FactsError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,400}", lines in proptest::collection::vec(
            "(euid|address|default6|port|path|service|proxy|init|disk|disk_kb|link|route4|route6|resolved|fsync|clock|sysctl) [ -~]{0,20}", 0..20)) {
            let _ = parse_now(&text);
            let _ = parse_now(&(lines.join("\n") + "\nend\n"));
        }

        #[test]
        fn no_fact_keeps_control_characters(name in any::<String>()) {
            if let Ok(facts) = parse_now(&format!("hostname {name}\nend\n")) {
                prop_assert!(!facts.hostname.chars().any(char::is_control));
            }
        }
    }
}
