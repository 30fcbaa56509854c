//! File systems, put together from what `df` and /proc/mounts say.

use std::collections::BTreeMap;

use super::{Disk, Fsync};

/// Lines about disks, which belong together by their mount point.
#[derive(Default)]
pub(super) struct Disks {
    disks: BTreeMap<String, Disk>,
    /// The path that is being told about.
    at: String,
    /// By mount point; what was mounted last lies on top.
    mounts: BTreeMap<String, (String, Vec<String>)>,
}

impl Disks {
    /// `disk PATH` says which disk the lines after it are about: `disk_kb SIZE FREE`, `disk_inodes TOTAL FREE` and
    /// `disk_mount MOUNT_POINT`. By itself stands `mount TYPE OPTIONS MOUNT_POINT`.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Option<()> {
        if key == "disk" {
            self.disks.entry(value.to_owned()).or_default();
            value.clone_into(&mut self.at);
            return Some(());
        }
        if key == "mount" {
            let mut fields = value.splitn(3, ' ');
            let (kind, options) = (fields.next()?.to_owned(), fields.next()?);
            let options = options.split(',').map(str::to_owned).collect();
            self.mounts.insert(fields.next()?.to_owned(), (kind, options));
            return Some(());
        }
        let disk = self.disks.get_mut(&self.at)?;
        let pair = || value.split_once(' ');
        match key {
            "disk_kb" => {
                let (size, free) = pair()?;
                let size: u64 = size.parse().ok()?;
                disk.size_mb = size / 1024;
                disk.free_mb = free.parse().ok().filter(|free: &u64| *free <= size)? / 1024;
            }
            "disk_inodes" => {
                // Some file systems have none, and `df` a dash.
                let (all, free) = pair()?;
                disk.inodes = all.parse().unwrap_or_default();
                disk.inodes_free = free.parse().unwrap_or_default();
            }
            _ => value.clone_into(&mut disk.mount_point),
        }
        Some(())
    }

    pub(super) fn finish(mut self) -> BTreeMap<String, Disk> {
        for disk in self.disks.values_mut() {
            if let Some((file_system, options)) = self.mounts.get(&disk.mount_point) {
                disk.file_system.clone_from(file_system);
                disk.options.clone_from(options);
            }
        }
        self.disks
    }
}

/// `DIRECTORY WRITES SECONDS`, the seconds for all writes together.
pub(super) fn fsync(value: &str) -> Option<Fsync> {
    let mut fields = value.rsplitn(3, ' ');
    let seconds: f64 = fields.next()?.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0)?;
    let writes: u32 = fields.next()?.parse().ok().filter(|writes| *writes > 0)?;
    let directory = fields.next()?.to_owned();
    Some(Fsync { directory, writes, seconds: seconds / f64::from(writes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_belong_together() {
        let mut disks = Disks::default();
        for (key, value) in [
            ("disk", "/var/lib/etcd 2"),
            ("disk_kb", "1048576 524288"),
            ("disk_mount", "/mnt/a b"),
            ("disk", "/var/lib/etcd 2"),
            ("disk_inodes", "1000 10"),
            ("mount", "ext4 rw,noexec /mnt/a b"),
            ("mount", "tmpfs rw /run"),
        ] {
            disks.take(key, value).unwrap();
        }
        assert_eq!(Disks::default().take("disk_kb", "1 1"), None);
        let disk = &disks.finish()["/var/lib/etcd 2"];
        assert_eq!((disk.size_mb, disk.free_mb, disk.inodes_free), (1024, 512, 10));
        assert_eq!(
            (disk.file_system.as_str(), disk.options.join(",")),
            ("ext4", "rw,noexec".into())
        );
    }

    #[test]
    fn sizes_that_cannot_be() {
        let mut disks = Disks::default();
        disks.take("disk", "/").unwrap();
        for bad in ["x y", "1024 1025", "1"] {
            assert_eq!(disks.take("disk_kb", bad), None, "{bad}");
        }
    }

    #[test]
    fn an_average_write() {
        let found = fsync("/var/lib 30 0.06").unwrap();
        assert_eq!((found.directory.as_str(), found.writes), ("/var/lib", 30));
        assert!((found.seconds - 0.002).abs() < 1e-9);
        for bad in ["/var 0 1", "/var 1 -1", "/var 1 inf", "1 2"] {
            assert!(fsync(bad).is_none(), "{bad}");
        }
    }
}
