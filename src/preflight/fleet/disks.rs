//! Disks where data will live: how fast, how full, and how they are mounted.

use std::collections::BTreeMap;

use super::groups::{list, shown};
use super::words::size;
use super::{Checks, FleetHost, runs_etcd};
use crate::inventory::ClusterSection;
use crate::node::facts::Disk;
use crate::preflight::result::Findings;
use crate::report::Severity;

/// etcd's advice: 99 of 100 writes of its log within 10 ms. An average above that misses it by far.
const SLOW_WRITE: f64 = 0.010;
/// etcd's heartbeat interval: a leader that waits for its disk so long is taken for dead time and again.
const TOO_SLOW_WRITE: f64 = 0.100;
/// Images of the control plane alone take about 1 GB; logs and updates want room as well.
const LITTLE_FREE_MB: u64 = 5 << 10;
/// A disk of that size is full soon, whatever is free now.
const SMALL_MB: u64 = 10 << 10;

const KUBELET: &str = "/var/lib/kubelet";
/// The kubelet's defaults for `evictionHard`: beyond them a node says that it is under pressure, and gets no pods.
const NODE_SPACE: (&str, &str) = ("nodefs.available", "10%");
const NODE_INODES: (&str, &str) = ("nodefs.inodesFree", "5%");
const IMAGE_SPACE: (&str, &str) = ("imagefs.available", "15%");
const IMAGE_INODES: (&str, &str) = ("imagefs.inodesFree", "5%");

impl Checks<'_> {
    pub(super) fn disks(&mut self) {
        let (cluster, stacked) = (self.cluster, self.stacked_etcd());
        self.each("EtcdDisk", |host| {
            runs_etcd(host.role, stacked).then(|| etcd_disk(host)).flatten()
        });
        let data = cluster.map_or("/var/lib/etcd", |cluster| &cluster.etcd.data_dir);
        self.each("DiskSpace", |host| {
            let etcd = runs_etcd(host.role, stacked).then_some(data);
            disk_space(cluster, host, etcd)
        });
        self.each("Inodes", |host| host.is_node().then(|| inodes(cluster, host)).flatten());
        self.each("MountOptions", |host| {
            let etcd = runs_etcd(host.role, stacked).then_some(data);
            mount_options(host, etcd)
        });
    }
}

fn etcd_disk(host: &FleetHost<'_>) -> Option<Findings> {
    let fsync = host.facts.fsync.as_ref().filter(|fsync| fsync.seconds.is_finite())?;
    let directory = shown(&fsync.directory);
    let average = format!("{:.1} ms", fsync.seconds * 1000.0);
    let severity = match fsync.seconds {
        s if s > TOO_SLOW_WRITE => Severity::Error,
        s if s > SLOW_WRITE => Severity::Warning,
        _ => Severity::Passed,
    };
    let mut findings = Findings::default();
    findings.add(
        severity,
        format!("a small write to {directory} takes {average} until it is safe: etcd wants 10 ms"),
    );
    Some(findings.saw(directory, format!("{average} on average of {} writes", fsync.writes)))
}

/// Where the runtime in use, or one that may come, keeps images.
fn image_directory(host: &FleetHost<'_>) -> &'static str {
    match &host.facts.runtime {
        Some(runtime) if runtime.name.eq_ignore_ascii_case("cri-o") => "/var/lib/containers",
        _ => "/var/lib/containerd",
    }
}

/// An amount below which the kubelet finds its node under pressure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Threshold {
    /// Of all there is.
    Percent(f64),
    /// Bytes, or inodes.
    Amount(f64),
}

impl Threshold {
    /// As `evictionHard` has it, else the default. Once one signal is given, the others have no default any more.
    fn of(cluster: Option<&ClusterSection>, (signal, default): (&str, &str)) -> Option<Self> {
        let given = cluster.and_then(|cluster| cluster.kubelet_configuration.get("evictionHard"));
        match given.and_then(serde_json::Value::as_object) {
            None => Self::parse(default),
            Some(given) => Self::parse(given.get(signal)?.as_str()?),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().map(Self::Percent);
        }
        const UNITS: [(&str, f64); 8] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
        ];
        let with_unit = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)));
        let (number, factor) = with_unit.unwrap_or((text, 1.0));
        number.parse::<f64>().ok().map(|number| Self::Amount(number * factor))
    }

    fn is_above(self, free: f64, total: f64) -> bool {
        match self {
            Self::Percent(percent) => free < total * percent / 100.0,
            Self::Amount(amount) => free < amount,
        }
    }
}

/// Paths that matter, by the file system they are on.
fn file_systems<'a>(
    host: &FleetHost<'a>,
    paths: &[&'static str],
    etcd: Option<&'a str>,
) -> BTreeMap<&'a str, (&'a Disk, Vec<&'a str>)> {
    let mut file_systems: BTreeMap<&str, (&Disk, Vec<&str>)> = BTreeMap::new();
    for path in paths.iter().copied().chain(etcd) {
        if let Some(disk) = host.facts.disks.get(path) {
            let mount_point = disk.mount_point.as_str();
            file_systems.entry(mount_point).or_insert((disk, Vec::new())).1.push(path);
        }
    }
    file_systems
}

fn disk_space(
    cluster: Option<&ClusterSection>,
    host: &FleetHost<'_>,
    etcd: Option<&str>,
) -> Option<Findings> {
    let images = image_directory(host);
    let paths: &[&str] = if host.is_node() { &["/var", KUBELET, images] } else { &[] };
    let mut findings = Findings::default();
    let mut looked_at = false;
    for (mount_point, (disk, paths)) in file_systems(host, paths, etcd) {
        let Disk { free_mb, size_mb, .. } = *disk;
        if size_mb == 0 {
            continue;
        }
        looked_at = true;
        let below = |path, signal| {
            let threshold = Threshold::of(cluster, signal);
            let (free, total) = (free_mb as f64 * MIB, size_mb as f64 * MIB);
            paths.contains(&path) && threshold.is_some_and(|limit| limit.is_above(free, total))
        };
        let place = place(mount_point, &paths);
        let free = format!("{} of {} free", size(free_mb), size(size_mb));
        if host.is_node() && (below(KUBELET, NODE_SPACE) || below(images, IMAGE_SPACE)) {
            findings.add(
                Severity::Error,
                format!(
                    "{place} has {free}: the kubelet would report disk pressure and run no pods"
                ),
            );
        } else if size_mb < SMALL_MB {
            findings.add(Severity::Warning, format!("{place} is small: {free}"));
        } else if free_mb < LITTLE_FREE_MB {
            findings.add(Severity::Warning, format!("{place} has little room left: {free}"));
        }
        findings = findings.saw(shown(mount_point), free);
    }
    looked_at.then_some(findings)
}

const MIB: f64 = 1_048_576.0;

/// `/var, for /var/lib/kubelet`.
fn place(mount_point: &str, paths: &[&str]) -> String {
    let others = paths.iter().filter(|path| **path != mount_point);
    match list(others) {
        none if none.is_empty() => shown(mount_point),
        paths => format!("{}, for {paths},", shown(mount_point)),
    }
}

fn inodes(cluster: Option<&ClusterSection>, host: &FleetHost<'_>) -> Option<Findings> {
    let images = image_directory(host);
    let mut findings = Findings::default();
    let mut looked_at = false;
    for (mount_point, (disk, paths)) in file_systems(host, &[KUBELET, images], None) {
        // Made as needed.
        if disk.inodes == 0 {
            continue;
        }
        looked_at = true;
        let below = |path, signal| {
            let (free, total) = (disk.inodes_free as f64, disk.inodes as f64);
            let threshold = Threshold::of(cluster, signal);
            paths.contains(&path) && threshold.is_some_and(|limit| limit.is_above(free, total))
        };
        let free = format!("{} of {} inodes free", disk.inodes_free, disk.inodes);
        if below(KUBELET, NODE_INODES) || below(images, IMAGE_INODES) {
            let place = place(mount_point, &paths);
            findings.add(
                Severity::Error,
                format!(
                    "{place} has {free}: the kubelet would report disk pressure and run no pods"
                ),
            );
        }
        findings = findings.saw(shown(mount_point), free);
    }
    looked_at.then_some(findings)
}

/// `noexec` does not keep containers from starting: overlayfs has mount options of its own. It does where volumes and
/// other snapshotters are mounted straight from the directory.
fn mount_options(host: &FleetHost<'_>, etcd: Option<&str>) -> Option<Findings> {
    let images = image_directory(host);
    let paths: &[&str] = if host.is_node() { &[KUBELET, images] } else { &[] };
    let mut findings = Findings::default();
    let mut looked_at = false;
    for (mount_point, (disk, paths)) in file_systems(host, paths, etcd) {
        if disk.options.is_empty() {
            continue;
        }
        looked_at = true;
        let has = |option: &str| disk.options.iter().any(|other| other == option);
        let place = place(mount_point, &paths);
        if has("ro") {
            findings.add(Severity::Error, format!("{place} is mounted read-only"));
        }
        let runs = [KUBELET, images].iter().any(|path| paths.contains(path));
        if has("noexec") && runs {
            findings.add(
                Severity::Warning,
                format!("{place} is mounted noexec: programs in volumes of pods cannot be run"),
            );
        }
        let value = format!("{} ({})", disk.file_system, list(&disk.options));
        findings = findings.saw(shown(mount_point), value);
    }
    looked_at.then_some(findings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::Role;
    use crate::node::facts::Fsync;
    use crate::preflight::fleet::testing::{Fleet, found};

    fn disk(fleet: &mut Fleet, host: &str, path: &str, change: impl FnOnce(&mut Disk)) {
        fleet.host(host, |facts| {
            let disk = Disk {
                mount_point: path.to_owned(),
                file_system: "xfs".to_owned(),
                options: vec!["rw".to_owned()],
                size_mb: 100 << 10,
                free_mb: 50 << 10,
                inodes: 1_000_000,
                inodes_free: 900_000,
            };
            change(facts.disks.entry(path.to_owned()).insert_entry(disk).into_mut());
        });
    }

    #[test]
    fn etcd_waits_for_its_disk() {
        let mut fleet = Fleet::healthy(3, 1);
        for (host, seconds) in [("cp-1", 0.02), ("cp-2", 0.2), ("cp-3", 0.002), ("node-1", 1.0)] {
            fleet.host(host, |facts| {
                let directory = "/var/lib/etcd".to_owned();
                facts.fsync = Some(Fsync { directory, writes: 30, seconds });
            });
        }
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 warning EtcdDisk: a small write to /var/lib/etcd takes 20.0 ms until it is safe: etcd wants 10 ms
        cp-2 error EtcdDisk: a small write to /var/lib/etcd takes 200.0 ms until it is safe: etcd wants 10 ms
        ");
    }

    #[test]
    fn nodes_would_start_under_pressure() {
        let mut fleet = Fleet::healthy(1, 5);
        disk(&mut fleet, "node-1", "/var/lib/kubelet", |disk| disk.free_mb = 9 << 10);
        // Enough for volumes and logs, too little for images.
        for host in ["node-2", "node-3"] {
            disk(&mut fleet, host, "/var/lib/containerd", |disk| disk.free_mb = 12 << 10);
        }
        fleet.host("node-3", |facts| facts.runtime.as_mut().unwrap().name = "cri-o".to_owned());
        disk(&mut fleet, "node-4", "/var/lib/containerd", |disk| {
            (disk.size_mb, disk.free_mb) = (8 << 10, 7 << 10);
        });
        disk(&mut fleet, "node-5", "/var/lib/kubelet", |disk| {
            (disk.size_mb, disk.free_mb) = (20 << 10, 4 << 10);
        });
        insta::assert_snapshot!(fleet.only("DiskSpace"), @r"
        node-1 error DiskSpace: /var/lib/kubelet has 9.0 GB of 100.0 GB free: the kubelet would report disk pressure and run no pods
        node-2 error DiskSpace: /var/lib/containerd has 12.0 GB of 100.0 GB free: the kubelet would report disk pressure and run no pods
        node-4 warning DiskSpace: /var/lib/containerd is small: 7.0 GB of 8.0 GB free
        node-5 warning DiskSpace: /var/lib/kubelet has little room left: 4.0 GB of 20.0 GB free
        ");
        let eviction = json!({"nodefs.available": "1Gi", "imagefs.available": "5%"});
        fleet.cluster.kubelet_configuration.insert("evictionHard".to_owned(), eviction);
        insta::assert_snapshot!(fleet.only("DiskSpace"), @r"
        node-4 warning DiskSpace: /var/lib/containerd is small: 7.0 GB of 8.0 GB free
        node-5 warning DiskSpace: /var/lib/kubelet has little room left: 4.0 GB of 20.0 GB free
        ");
    }

    #[test]
    fn members_of_etcd_need_room_too() {
        let mut fleet = Fleet::healthy(1, 0);
        fleet.add("etcd-1", Role::Etcd);
        disk(&mut fleet, "etcd-1", "/var/lib/etcd", |disk| disk.free_mb = 1 << 10);
        insta::assert_snapshot!(found(&fleet), @"etcd-1 warning DiskSpace: /var/lib/etcd has little room left: 1.0 GB of 100.0 GB free");
    }

    #[test]
    fn inodes_run_out_as_well() {
        let mut fleet = Fleet::healthy(1, 2);
        disk(&mut fleet, "node-1", "/var/lib/kubelet", |disk| disk.inodes_free = 40_000);
        disk(&mut fleet, "node-2", "/var/lib/kubelet", |disk| {
            (disk.inodes, disk.inodes_free) = (0, 0);
        });
        insta::assert_snapshot!(found(&fleet), @"node-1 error Inodes: /var/lib/kubelet has 40000 of 1000000 inodes free: the kubelet would report disk pressure and run no pods");
    }

    #[test]
    fn mounts_have_to_let_pods_work() {
        let mut fleet = Fleet::healthy(1, 2);
        disk(&mut fleet, "cp-1", "/var/lib/etcd", |disk| disk.options.push("noexec".to_owned()));
        assert_eq!(found(&fleet), "");
        disk(&mut fleet, "cp-1", "/var/lib/etcd", |disk| disk.options = vec!["ro".to_owned()]);
        disk(&mut fleet, "node-1", "/var/lib/kubelet", |disk| {
            disk.options.push("noexec".to_owned());
        });
        disk(&mut fleet, "node-2", "/var/lib/containerd", |disk| {
            disk.options = vec!["ro".to_owned(), "noexec".to_owned()];
        });
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error MountOptions: /var/lib/etcd is mounted read-only
        node-1 warning MountOptions: /var/lib/kubelet is mounted noexec: programs in volumes of pods cannot be run
        node-2 error MountOptions: /var/lib/containerd is mounted read-only
        node-2 warning MountOptions: /var/lib/containerd is mounted noexec: programs in volumes of pods cannot be run
        ");
    }

    #[test]
    fn thresholds() {
        let parse = |text| Threshold::parse(text);
        assert_eq!(parse("7.5%"), Some(Threshold::Percent(7.5)));
        assert_eq!(parse("1Gi"), Some(Threshold::Amount(1_073_741_824.0)));
        assert_eq!(parse("500M"), Some(Threshold::Amount(500e6)));
        assert_eq!([parse("much"), parse("")], [None, None]);
    }
}
