//! The payload as hosts run it: the real script, under every shell it promises to work with, driven
//! through the node layer by a local transport. Needs root, as the payload does.

#[path = "payload/cleanup.rs"]
mod cleanup;
#[path = "payload/downloads.rs"]
mod downloads;
mod payload_support;

use std::fs;
use std::io::BufRead;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleetadm::node::{
    Exit, FactsRequest, FileAction, FileBatch, LocalFile, Mode, NodeDirectory, NodeError, NodeFile,
    Payload,
};
use payload_support::{have, leftovers, path_in, shells, skip};
use zeroize::Zeroizing;

#[tokio::test]
async fn facts_agree_between_shells() {
    let mut seen: Vec<(String, serde_json::Value)> = Vec::new();
    for host in shells() {
        for mode in [Mode::Apply, Mode::DryRun] {
            let facts = host.node(mode).facts(&FactsRequest::default()).await.unwrap();
            assert_eq!(facts.euid, 0);
            assert_eq!(facts.kernel_name, "Linux");
            assert!(facts.cpus > 0 && facts.memory_mb > 0 && facts.clock > 1_700_000_000);
            assert!(facts.commands.contains_key("cp"), "{:?}", facts.commands);
            assert!(!facts.addresses.is_empty());
            let mut value = serde_json::to_value(&facts).unwrap();
            // These move on between one shell and the next.
            for moving in [
                "clock",
                "clock_offset",
                "disks",
                "uptime",
                "listening_tcp_ports",
                "addresses",
                "interfaces",
                "routes",
                "init",
            ] {
                value[moving].take();
            }
            seen.push((format!("{} {mode:?}", host.shell()), value));
        }
    }
    for pair in seen.windows(2) {
        assert_eq!(pair[0].1, pair[1].1, "{} against {}", pair[0].0, pair[1].0);
    }
}

#[tokio::test]
async fn facts_notice_files_ports_and_proxies() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        fs::create_dir(scratch.path().join("empty")).unwrap();
        fs::create_dir(scratch.path().join("full")).unwrap();
        fs::write(scratch.path().join("full/.hidden file"), "").unwrap();
        let paths = ["empty", "full", "full/.hidden file", "missing"];
        let paths = paths.map(|name| path_in(scratch.path(), name));
        let request = FactsRequest { paths: paths.to_vec(), ..FactsRequest::default() };
        let facts = host
            .with_environment("HTTPS_Proxy", "http://proxy.example.com:3128/\u{1b}[31m")
            .node(Mode::DryRun)
            .facts(&request)
            .await
            .unwrap();
        let states = paths.each_ref().map(|path| facts.paths.get(path).copied());
        let states = serde_json::to_string(&states).unwrap();
        assert_eq!(states, r#"["empty_directory","directory","file",null]"#);
        assert!(facts.listening_tcp_ports.contains(&listener.local_addr().unwrap().port()));
        assert_eq!(facts.proxy_environment["HTTPS_Proxy"], "http://proxy.example.com:3128/[31m");
    }
}

#[tokio::test]
async fn install_creates_changes_and_leaves_alone() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let binary: Vec<u8> = (0..=255).cycle().take(70_001).collect();
        let path = |name: &str| path_in(scratch.path(), name);
        let mut batch = FileBatch {
            directories: vec![NodeDirectory::new(path("pki"), 0o700)],
            files: vec![
                NodeFile::secret(path("pki/ca.key"), Zeroizing::new(binary.clone()), 0o600),
                NodeFile::public(path("pki/ca.crt"), "certificate\n", 0o644),
                NodeFile::public(path("deep/er/with  two spaces 'n quotes"), "", 0o640),
            ],
        };
        let node = host.node(Mode::Apply);
        let actions = |changes: Vec<fleetadm::node::FileChange>| -> Vec<_> {
            changes.into_iter().map(|change| change.action).collect()
        };
        assert_eq!(actions(node.install(&batch).await.unwrap()), [FileAction::Created; 4]);
        assert_eq!(fs::read(path("pki/ca.key")).unwrap(), binary);
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("pki"), 0o700);
        assert_eq!(mode("pki/ca.key"), 0o600);
        assert_eq!(mode("deep/er"), 0o755);
        assert_eq!(mode("deep/er/with  two spaces 'n quotes"), 0o640);

        let identity = |name: &str| {
            let data = fs::metadata(path(name)).unwrap();
            (data.ino(), data.mtime(), data.mtime_nsec())
        };
        let names = ["pki/ca.key", "pki/ca.crt", "deep/er/with  two spaces 'n quotes"];
        let before = names.map(identity);
        assert_eq!(actions(node.install(&batch).await.unwrap()), [FileAction::Unchanged; 4]);
        assert_eq!(names.map(identity), before, "unchanged files are not touched");

        // A mode, an owner, a content; a directory that is there keeps its mode unless asked.
        fs::set_permissions(path("pki"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(path("pki/ca.key"), fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(path("pki/ca.crt"), Some(1), None).unwrap();
        batch.files[2].content = Zeroizing::new(b"now with text".to_vec());
        let done = actions(node.install(&batch).await.unwrap());
        assert_eq!(done[0], FileAction::Unchanged);
        assert_eq!(done[1..], [FileAction::Changed; 3]);
        assert_eq!((mode("pki"), mode("pki/ca.key")), (0o755, 0o600));
        assert_eq!(fs::metadata(path("pki/ca.crt")).unwrap().uid(), 0);
        batch.directories[0].enforce = true;
        assert_eq!(actions(node.install(&batch).await.unwrap())[0], FileAction::Changed);
        assert_eq!(mode("pki"), 0o700);
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn install_writes_through_symbolic_links_and_refuses_directories() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| path_in(scratch.path(), name);
        fs::write(path("real"), "old").unwrap();
        std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        let node = host.node(Mode::Apply);
        let one = |name: &str| FileBatch {
            files: vec![NodeFile::public(path(name), "new", 0o644)],
            ..FileBatch::default()
        };
        node.install(&one("link")).await.unwrap();
        assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(path("real")).unwrap(), "new");
        let error = node.install(&one("directory")).await.unwrap_err().to_string();
        assert!(error.contains("is a directory where a file is wanted"), "{error}");
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_dry_run_shows_differences_and_leaves_no_trace() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| path_in(scratch.path(), name);
        fs::write(path("config"), "a: 1\nb: 2\n").unwrap();
        fs::write(path("key"), "old").unwrap();
        fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let batch = FileBatch {
            directories: vec![NodeDirectory::new(path("sub"), 0o700)],
            files: vec![
                NodeFile::public(path("config"), "a: 1\nb: 3\n", 0o644),
                NodeFile::secret(path("key"), Zeroizing::new(b"hush".to_vec()), 0o600),
            ],
        };
        let node = host.node(Mode::DryRun);
        let changes = node.install(&batch).await.unwrap();
        assert_eq!(changes[0].action, FileAction::Created);
        let detail = changes[1].detail.as_deref().unwrap();
        assert!(detail.contains("-b: 2\n+b: 3"), "{detail}");
        assert_eq!(changes[2].detail.as_deref(), Some("secret content differs"));

        assert_eq!(node.remove(&[&path("config"), &path("none")]).await.unwrap().len(), 1);
        assert_eq!(
            node.empty_directories(&[&path("")[..path("").len() - 1]]).await.unwrap().len(),
            1
        );
        assert!(node.run_script("touch ran").await.unwrap().is_none());
        let local = LocalFile::open(path("key")).await.unwrap();
        let change = node.install_binary(&local, &path("binary"), 0o755).await.unwrap();
        assert_eq!(change.action, FileAction::Created);
        node.cleanup().await.unwrap();

        assert_eq!(fs::read_to_string(path("config")).unwrap(), "a: 1\nb: 2\n");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
        assert!(!host.payload_directory().exists(), "not even the payload");
    }
}

#[tokio::test]
async fn reading_returns_what_is_there_byte_for_byte() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| path_in(scratch.path(), name);
        let binary: Vec<u8> = b"\nend\nfile 644 0:0 3 /x\n\0\r\xff".repeat(1000);
        fs::write(path("a b"), &binary).unwrap();
        fs::write(path("empty"), "").unwrap();
        let node = host.node(Mode::Apply);
        let paths = [path("a b"), path("empty"), path("missing")];
        let read = node.read(&paths.each_ref().map(String::as_str)).await.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(*read[&paths[0]].content, binary);
        assert!(read[&paths[1]].content.is_empty());

        let removed = node.remove(&paths.each_ref().map(String::as_str)).await.unwrap();
        assert_eq!(removed.len(), 2);
        assert_eq!(removed[0].what, format!("remove {}", paths[0]));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_large_binary_arrives_whole_or_not_at_all() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| path_in(scratch.path(), name);
        fs::write(path("local"), vec![0xa5; 12 << 20]).unwrap();
        let local = LocalFile::open(path("local")).await.unwrap();
        let node = host.node(Mode::Apply);
        let destination = path("bin/kubelet");
        let install = || node.install_binary(&local, &destination, 0o755);
        assert_eq!(install().await.unwrap().action, FileAction::Created);
        assert_eq!(install().await.unwrap().action, FileAction::Unchanged);
        let mode = fs::metadata(&destination).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        fs::set_permissions(&destination, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(install().await.unwrap().action, FileAction::Changed);
        // Another time of change: the content decides, and what is the same is left alone.
        let modified = || fs::metadata(&destination).unwrap().modified().unwrap();
        let same = fs::metadata(path("local")).unwrap().modified().unwrap();
        assert!(same.duration_since(modified()).unwrap() < Duration::from_secs(1));
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::open(&destination).unwrap().set_modified(old).unwrap();
        assert_eq!(install().await.unwrap().action, FileAction::Unchanged);
        assert_eq!(modified(), old);
        fs::write(&destination, vec![0x5a; 12 << 20]).unwrap();
        fs::File::open(&destination).unwrap().set_modified(old).unwrap();
        assert_eq!(install().await.unwrap().action, FileAction::Changed);

        // The file on the workstation changes after it was hashed: what arrives is not what was meant.
        fs::write(path("local"), "short").unwrap();
        fs::remove_file(&destination).unwrap();
        let error = install().await.unwrap_err().to_string();
        assert!(error.contains("did not arrive whole"), "{error}");
        assert!(!Path::new(&destination).exists());
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let Some(_mount) = payload_support::mount_tmpfs(scratch.path(), "256k") else { return };
        let path = |name: &str| path_in(scratch.path(), name);
        fs::write(path("first"), "old").unwrap();
        fs::write(path("second"), "old").unwrap();
        let batch = FileBatch {
            files: vec![
                NodeFile::public(path("first"), "new", 0o644),
                NodeFile::public(path("second"), vec![1; 400 << 10], 0o644),
            ],
            ..FileBatch::default()
        };
        let error = host.node(Mode::Apply).install(&batch).await.unwrap_err();
        let NodeError::Failed { hint, .. } = &error else { panic!("{error}") };
        assert_eq!(*hint, Some("free some space on the host and run again"), "{error}");
        for name in ["first", "second"] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), "old");
        }
        fs::write(path("local"), vec![1; 100 << 10]).unwrap();
        let local = LocalFile::open(path("local")).await.unwrap();
        fs::write(path("filler"), vec![1; 100 << 10]).unwrap();
        let error = host.node(Mode::Apply).install_binary(&local, &path("first"), 0o755).await;
        assert!(error.unwrap_err().to_string().contains("No space left"));
        assert_eq!(fs::read_to_string(path("first")).unwrap(), "old");
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn killed_at_any_time_it_leaves_old_or_new() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = path_in(scratch.path(), "file");
        let (old, new) = (vec![b'o'; 3 << 20], vec![b'n'; 3 << 20]);
        let batch = |content: &[u8]| FileBatch {
            files: vec![NodeFile::public(&path, content, 0o644)],
            ..FileBatch::default()
        };
        let node = host.node(Mode::Apply);
        node.install(&batch(&old)).await.unwrap();
        let mut outcomes = [0, 0];
        for milliseconds in (0..72).step_by(8) {
            let killed = host.killed_after(Duration::from_millis(milliseconds)).node(Mode::Apply);
            let _ = killed.install(&batch(&new)).await;
            let found = fs::read(&path).unwrap();
            assert!(found == old || found == new, "torn after {milliseconds} ms");
            outcomes[usize::from(found == new)] += 1;
            fs::write(&path, &old).unwrap();
        }
        assert!(outcomes[0] > 0, "never killed in time");
        // The next run tidies up after the killed ones, beside the file and in the payload's directory.
        node.install(&batch(&new)).await.unwrap();
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
        assert_eq!(leftovers(&host.payload_directory()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_payload_is_pushed_once_and_again_when_it_is_gone() {
    for host in shells() {
        let node = host.node(Mode::Apply);
        node.facts(&FactsRequest::default()).await.unwrap();
        assert_eq!(host.commands_run(), 1, "facts come in one round trip");
        assert!(!host.payload_directory().exists(), "and leave nothing");
        let read = async || node.read(&["/etc/hostname"]).await.unwrap();
        read().await;
        assert_eq!(host.commands_run(), 2, "the first call brings the payload along");
        read().await;
        assert_eq!(host.commands_run(), 3);
        let file = Payload::kept_in(host.payload_directory().to_str().unwrap()).remote_path();
        assert_eq!(fs::read_to_string(&file).unwrap(), Payload::text());
        assert_eq!(
            fs::metadata(host.payload_directory()).unwrap().permissions().mode() & 0o777,
            0o700
        );

        fs::remove_file(&file).unwrap();
        read().await;
        assert_eq!(host.commands_run(), 5);
        fs::remove_file(&file).unwrap();
        let output = node.run_script("exit 97").await.unwrap().unwrap();
        assert_eq!(output.exit, Exit::Status(97), "a script's own status is not taken for ours");

        node.cleanup().await.unwrap();
        assert!(!host.payload_directory().exists());
    }
}

#[tokio::test]
async fn a_payload_cut_off_on_the_way_is_neither_kept_nor_run() {
    for host in shells() {
        let cut = host.cutting_input_to(9000);
        let node = cut.node(Mode::Apply);
        let error = node.read(&["/etc/hostname"]).await.unwrap_err().to_string();
        assert!(error.contains("cannot store"), "{error}");
        assert_eq!(fs::read_dir(host.payload_directory()).unwrap().count(), 0);
        for mode in [Mode::Apply, Mode::DryRun] {
            assert!(cut.node(mode).facts(&FactsRequest::default()).await.is_err());
        }
    }
}

#[tokio::test]
async fn scripts_pass_their_output_and_status_through() {
    for host in shells() {
        let node = host.node(Mode::Apply);
        let script = "#!/bin/sh -e\necho out; echo err >&2; cat; case $- in *e*) exit 42; esac\n";
        let output = node.run_script(script).await.unwrap().unwrap();
        assert_eq!(output.exit, Exit::Status(42));
        assert_eq!(*output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(leftovers(&host.payload_directory()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn unmounts_everything_below_deepest_first() {
    if !have("unshare") {
        return skip("unshare is not installed");
    }
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let script = host.payload_copy(scratch.path());
        let program = format!(
            r#"set -e
            cd {scratch}; mkdir kubelet sibling; ln -s kubelet link
            m() {{ mkdir -p "$1"; mount -t tmpfs none "$1"; }}
            m kubelet/a; m kubelet/a/b; m 'kubelet/with space'; m "kubelet/tab	tab"; m kubelet/twice
            m kubelet/twice; m 'kubelet/back\040slash'; m kubeletx; m sibling/x
            sh {script} --dry-run unmount "$PWD/link" | wc -l
            sh {script} unmount "$PWD/link"
            grep -c "$PWD/kubelet/" /proc/mounts || :
            grep -c "$PWD/" /proc/mounts
            m kubelet/busy; cd kubelet/busy; mkdir {scratch}/kubelet/busy/deeper
            if sh {script} unmount {scratch}/kubelet; then echo wrong; else echo failed; fi
            if sh {script} empty {scratch}/kubelet; then echo wrong; else echo refused; fi"#,
            scratch = scratch.path().display(),
        );
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &program])
            .env("PATH", host.path_variable())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("unshare: ") {
            return skip("mount namespaces are not permitted");
        }
        let root = scratch.path().display().to_string();
        let text = String::from_utf8_lossy(&output.stdout).replace(&root, "DIR");
        assert_eq!(
            text,
            "7\n\
             unmounted DIR/kubelet/with\\040space\n\
             unmounted DIR/kubelet/twice\n\
             unmounted DIR/kubelet/twice\n\
             unmounted DIR/kubelet/tab\\011tab\n\
             unmounted DIR/kubelet/back\\134040slash\n\
             unmounted DIR/kubelet/a/b\n\
             unmounted DIR/kubelet/a\n\
             0\n2\nfailed\nrefused\n",
            "{}: {}",
            host.shell(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn emptying_keeps_the_directory_and_refuses_dangerous_ones() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = path_in(scratch.path(), "etcd data");
        fs::create_dir_all(format!("{directory}/member/wal")).unwrap();
        fs::write(format!("{directory}/.hidden"), "").unwrap();
        let node = host.node(Mode::Apply);
        let changes = node.empty_directories(&[&directory, "/nonexistent/x"]).await.unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].what, format!("empty {directory}"));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert!(node.empty_directories(&[&directory]).await.unwrap().is_empty());
        assert_eq!(node.remove_directories(&[&directory]).await.unwrap().len(), 1);
        assert!(!Path::new(&directory).exists());

        // In a dry run, so that a mistake here costs nothing.
        let node = host.node(Mode::DryRun);
        let disguised = path_in(scratch.path(), "disguised");
        std::os::unix::fs::symlink("/usr/share", &disguised).unwrap();
        for dangerous in [
            "/",
            "//",
            "/.",
            "/etc",
            "/etc/",
            "/var",
            "/var/",
            "/var/lib",
            "/var/lib/",
            "relative",
            "",
            "/etc/kubernetes/../..",
            "/etc/./",
            "/usr/bin",
            "/usr/local/bin",
            "/home/ops",
            "/etc/ssh",
            &disguised,
        ] {
            let result = node.empty_directories(&[dangerous]).await;
            assert!(result.is_err(), "{}: {dangerous:?} was not refused", host.shell());
        }
    }
}

#[tokio::test]
async fn only_packages_whose_commands_are_missing_would_be_installed() {
    for host in shells() {
        let node = host.node(Mode::Apply);
        assert!(node.install_packages(&["cat", "tar"]).await.unwrap().is_empty());
        assert!(node.unassign("192.0.2.77".parse().unwrap()).await.unwrap().is_empty());
        let node = host.node(Mode::DryRun);
        let changes = node.install_packages(&["cat", "no-such-package"]).await.unwrap();
        let changes: Vec<_> = changes.into_iter().map(|change| change.what).collect();
        assert_eq!(changes, ["install package no-such-package"]);
    }
}

#[test]
fn shellcheck_finds_nothing() {
    if !have("shellcheck") {
        return skip("shellcheck is not installed");
    }
    // The scripts are only whole together with what they have in common.
    let scratch = tempfile::tempdir().unwrap();
    let part = |name| {
        let path = format!("{}/templates/payload/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    };
    let facts = part("common.sh") + &part("facts.sh");
    for (name, text) in [("payload.sh", Payload::text()), ("facts.sh", &facts)] {
        let script = scratch.path().join(name);
        fs::write(&script, text).unwrap();
        let output = Command::new("shellcheck").args(["-s", "sh"]).arg(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[tokio::test]
async fn errors_say_what_to_try() {
    let Some(host) = shells().into_iter().next() else { return };
    let node = host.node(Mode::Apply);
    let error = node.image_names("unix:///run/no/such.sock").await.unwrap_err().to_string();
    assert!(error.ends_with("/run/no/such.sock: no container runtime listens there"), "{error}");
    assert!(node.remove(&["/etc/../x"]).await.is_err());
}

#[tokio::test]
async fn only_what_is_no_secret_is_read() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| path_in(scratch.path(), name);
        let pem = "note: x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
            -----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n\
            -----BEGIN CERTIFICATE-----\ncut off\n-----BEGIN PRIVATE KEY-----\nSECRET\n";
        let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: me@c\nclusters:\n- cluster:\n    \
            certificate-authority-data: Q0E=\n    server: https://10.0.0.1:6443\n  name: c\ncontexts:\n- context:\n    \
            cluster: c\n    user: me\n  name: me@c\nusers:\n- name: me\n  user:\n    client-certificate-data: Q0VSVA==\n    \
            client-key-data: SECRET\n    token: SECRET\n    password: |\n      SECRET\n- name: you\n  user: {token: SECRET}\n";
        fs::write(path("both.pem"), pem).unwrap();
        fs::write(path("admin.conf"), kubeconfig).unwrap();
        fs::write(path("ca.key"), "-----BEGIN CERTIFICATE-----\nSECRET\n").unwrap();
        let paths = ["both.pem", "admin.conf", "ca.key", "missing"].map(path);
        let asked = paths.each_ref().map(String::as_str);
        let found = host.node(Mode::DryRun).read_public(&asked).await.unwrap();
        let text = |name: &str| String::from_utf8(found[&path(name)].content.clone()).unwrap();
        assert!(paths[..3].iter().all(|path| !format!("{:?}", found[path]).contains("SECRET")));
        assert!(text("both.pem").ends_with("-----BEGIN CERTIFICATE-----\ncut off\n"));
        assert!(text("both.pem").starts_with("-----BEGIN CERTIFICATE-----\nAAAA\n"));
        assert_eq!(text("ca.key"), "");
        assert_eq!(found.len(), 3);
        let config =
            fleetadm::cluster::kubeconfig::Kubeconfig::parse(text("admin.conf").as_bytes());
        let config = config.unwrap();
        assert_eq!(config.current_user().unwrap().certificate_pem().unwrap(), b"CERT");
        let age = found[&path("ca.key")].modified - fs::metadata(path("ca.key")).unwrap().mtime();
        assert_eq!(age, 0);
    }
}

#[tokio::test]
async fn a_process_is_found_and_ends_once() {
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        // Longer than the 15 characters that the kernel keeps of a name.
        let program = path_in(scratch.path(), "sleeps-and-sleeps");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("600").spawn().unwrap();
        let node = host.node(Mode::Apply);
        let find = async |name: &str| {
            let found = node.processes(&[name]).await.unwrap();
            found.into_iter().find(|process| process.pid == child.id())
        };
        let process = find("sleeps-and-sleeps").await.unwrap();
        assert_eq!(process.arguments, [program.as_str(), "600"]);
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        assert!((now - 60..=now + 1).contains(&process.started), "{process:?} at {now}");
        assert_eq!(find("sleeps-and-slept").await, None);

        let other = fleetadm::node::Process { ticks: process.ticks + 1, ..process.clone() };
        assert!(node.terminate(&other, "end it").await.unwrap().is_empty());
        assert!(host.node(Mode::DryRun).terminate(&process, "end it").await.unwrap().len() == 1);
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(node.terminate(&process, "end it").await.unwrap().len(), 1);
        assert!(!child.wait().unwrap().success());
        assert!(node.terminate(&process, "end it").await.unwrap().is_empty());

        let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
        let mut deaf =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::BufReader::new(deaf.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let found = node.processes(&["sh", "dash", "bash"]).await.unwrap();
        let process = found.into_iter().find(|process| process.pid == deaf.id()).unwrap();
        assert_eq!(node.terminate(&process, "end it").await.unwrap().len(), 1);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(deaf.try_wait().unwrap(), None);
        assert_eq!(node.kill(&process, "end it").await.unwrap().len(), 1);
        assert!(!deaf.wait().unwrap().success());
        assert!(node.kill(&process, "end it").await.unwrap().is_empty());
    }
}
