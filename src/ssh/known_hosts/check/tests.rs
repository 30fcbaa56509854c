use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use russh::keys::PublicKey;

use super::*;
use crate::ssh::known_hosts::describe;
use crate::ssh::settings::resolver::Resolver;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn settings(host: &str, policy: HostKeyPolicy, files: &[&Path]) -> Settings {
    use crate::inventory::{Place, SshSettings, Written};
    let place = Place::CommandLine;
    let written = SshSettings {
        known_hosts: Some(Written {
            value: files.iter().map(|path| path.to_path_buf()).collect(),
            place: place.clone(),
        }),
        host_key_policy: Some(Written { value: policy, place }),
        ..SshSettings::default()
    };
    Resolver::default().settings(host, &written).unwrap()
}

fn check(known_hosts: &Arc<KnownHosts>, host: &str, files: &[&Path]) -> HostKeyCheck {
    let settings = settings(host, HostKeyPolicy::AcceptNew, files);
    HostKeyCheck::new(known_hosts, &settings, host).unwrap()
}

async fn accept(check: &HostKeyCheck, presented: &str) -> Result<(), HostKeyError> {
    check.check(&key(presented).into()).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_key_is_added_once() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".ssh/known_hosts");
    let known_hosts = Arc::default();
    let first = check(&known_hosts, "h", &[&file]);
    let second = check(&known_hosts, "h", &[&file]);
    accept(&first, A).await.unwrap();
    let added = format!("{} to {}", describe(&key(A)), file.display());
    assert_eq!(first.added(), Some(added.as_str()));
    // One that was made before the key was added sees it when it comes to that.
    accept(&second, A).await.unwrap();
    assert_eq!(second.added(), None);
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {A}\n"));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);

    for again in [check(&known_hosts, "h", &[&file]), second] {
        for other in [B, ECDSA] {
            let error = accept(&again, other).await.unwrap_err();
            assert!(matches!(error, HostKeyError::Changed { line: 1, .. }), "{error:?}");
        }
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {A}\n"));
}

#[tokio::test]
async fn what_is_not_accepted_as_new() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("known_hosts");
    for text in [
        format!("h {B}\n"),
        format!("h {ECDSA}\n"),
        format!("@revoked * {A}\n"),
        format!("@cert-authority * {B}\n"),
    ] {
        fs::write(&file, &text).unwrap();
        accept(&check(&Arc::default(), "h", &[&file]), A).await.unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    fs::write(&file, "").unwrap();
    let settings = settings("h", HostKeyPolicy::Strict, &[&file]);
    let strict = HostKeyCheck::new(&Arc::default(), &settings, "h").unwrap();
    let error = accept(&strict, A).await.unwrap_err();
    assert!(matches!(error, HostKeyError::Unknown { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[tokio::test]
async fn what_others_write_meanwhile_counts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("known_hosts");
    let known_hosts = Arc::default();
    let early = check(&known_hosts, "h", &[&file]);
    fs::write(&file, format!("h {B}")).unwrap();
    let error = accept(&early, A).await.unwrap_err();
    assert!(matches!(error, HostKeyError::Changed { .. }), "{error:?}");

    // No newline at the end, and lines are counted on.
    accept(&check(&known_hosts, "other", &[&file]), A).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("h {B}\nother {A}\n"));
    let error = accept(&check(&known_hosts, "other", &[&file]), B).await.unwrap_err();
    assert!(matches!(error, HostKeyError::Changed { line: 2, .. }), "{error:?}");

    // Another file in its place.
    fs::remove_file(&file).unwrap();
    fs::write(&file, format!("third {B}\n")).unwrap();
    accept(&check(&known_hosts, "fourth", &[&file]), A).await.unwrap();
    let error = accept(&check(&known_hosts, "third", &[&file]), A).await.unwrap_err();
    assert!(matches!(error, HostKeyError::Changed { .. }), "{error:?}");
}

#[tokio::test]
async fn keys_go_to_the_first_file_and_the_others_count() {
    let directory = tempfile::tempdir().unwrap();
    let [user, global] = ["user", "global"].map(|name| directory.path().join(name));
    fs::write(&global, format!("known {A}\n")).unwrap();
    let known_hosts = Arc::default();
    accept(&check(&known_hosts, "known", &[&user, &global]), A).await.unwrap();
    assert!(!user.exists());
    let error = accept(&check(&known_hosts, "known", &[&user, &global]), B).await.unwrap_err();
    assert!(matches!(error, HostKeyError::Changed { .. }), "{error:?}");
    accept(&check(&known_hosts, "new", &[&user, &global]), A).await.unwrap();
    assert_eq!(fs::read_to_string(&user).unwrap(), format!("new {A}\n"));

    // A link is followed, not replaced.
    let link = directory.path().join("link");
    symlink(&user, &link).unwrap();
    accept(&check(&Arc::default(), "newer", &[&link]), B).await.unwrap();
    assert_eq!(fs::read_to_string(&user).unwrap(), format!("new {A}\nnewer {B}\n"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn keys_that_cannot_be_kept_are_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mut messages = Vec::new();
    let nowhere = directory.path().join("no/such/known_hosts");
    for (host, files) in [
        ("h", vec![Path::new("/dev/null")]),
        ("h", vec![nowhere.as_path()]),
        ("h", vec![]),
        ("a,b", vec![plain.as_path()]),
    ] {
        let check = check(&Arc::default(), host, &files);
        let error = accept(&check, A).await.unwrap_err();
        assert!(matches!(error, HostKeyError::NotRecorded { .. }), "{error:?}");
        let directory = directory.path().display().to_string();
        messages.push(error.to_string().replace(&directory, "DIRECTORY"));
    }
    insta::assert_snapshot!(messages.join("\n"), @r"
    the host key of h:22 is new: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, which cannot be added to /dev/null: is not a file that keeps what is written; set known_hosts under [ssh]
    the host key of h:22 is new: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, which cannot be added to DIRECTORY/no/such/known_hosts: No such file or directory (os error 2)
    the host key of h:22 is new: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, which cannot be added to any file; set known_hosts under [ssh]
    the host key of a,b:22 is new: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, which cannot be added to DIRECTORY/plain: the host's name would be a pattern there; set host_key_alias
    ");
    assert_eq!(fs::read_to_string(&plain).unwrap(), "");
}

#[test]
fn many_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("known_hosts");
    // Four processes, as far as the file is concerned.
    thread::scope(|scope| {
        for process in 0..4 {
            let file = &file;
            scope.spawn(move || {
                let known_hosts = Arc::default();
                for host in 0..50 {
                    let check = check(&known_hosts, &format!("p{process}-h{host}"), &[file]);
                    check.0.accept(&key(A)).unwrap();
                }
            });
        }
        let file = &file;
        scope.spawn(move || {
            for host in 0..50 {
                let check = check(&Arc::default(), &format!("p0-h{host}"), &[file]);
                check.0.accept(&key(A)).unwrap();
            }
        });
    });
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> =
        (0..4).flat_map(|p| (0..50).map(move |h| format!("p{p}-h{h} {A}"))).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
