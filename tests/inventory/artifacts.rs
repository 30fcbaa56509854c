//! `[artifacts]`, right and wrong.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;

use fleetadm::inventory::{self, Binaries};
use insta::assert_snapshot;

use super::CLUSTER;

const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What comes of a section beside a list of checksums `SUMS`; the directory is called DIR.
fn artifacts_of(section: &str, sums: &str) -> Result<Option<Binaries>, String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("SUMS"), sums).unwrap();
    let text = format!("{CLUSTER}[artifacts]\n{section}");
    let parsed = inventory::parse(&text, directory.path(), "fleet.toml");
    let shown = directory.path().display().to_string();
    parsed
        .map(|inventory| inventory.artifacts.binaries)
        .map_err(|error| error.to_string().replace(&shown, "DIR"))
}

fn mistakes(section: &str, sums: &str) -> String {
    artifacts_of(section, sums).unwrap_err()
}

fn good() -> String {
    format!("{SUM}  kubelet\n{SUM} *kubectl\n")
}

const MIRROR: &str =
    "url = \"https://mirror.example.com/v1.36.2/bin/linux/amd64/\"\nchecksums = \"SUMS\"\n";

#[test]
fn a_mirror_has_checksums() {
    let Ok(Some(Binaries::Mirror { url, sha256 })) = artifacts_of(MIRROR, &good()) else {
        panic!()
    };
    assert_eq!(url, "https://mirror.example.com/v1.36.2/bin/linux/amd64");
    let names: Vec<&str> = sha256.keys().map(String::as_str).collect();
    assert_eq!(names, ["kubectl", "kubelet"]);
    assert!(matches!(artifacts_of("binaries = \".\"", ""), Ok(Some(Binaries::Directory(_)))));
    assert!(matches!(artifacts_of("", ""), Ok(None)));
}

#[test]
fn lists_of_checksums_that_cannot_be_used() {
    assert_snapshot!(mistakes(MIRROR, &format!("{SUM}  kubelet\n\nkubectl {SUM}\n")), @r#"
    error: `DIR/SUMS:3`: expected a SHA-256 sum, two blanks and a name
     --> fleet.toml:9:13
      |
    9 | checksums = "SUMS"
      |             ^^^^^^ expected a file as sha256sum prints it
    "#);
    assert_snapshot!(mistakes(MIRROR, &format!("{SUM}  kubelet\n")), @r#"
    error: `DIR/SUMS` has no line for `kubectl`
     --> fleet.toml:9:13
      |
    9 | checksums = "SUMS"
      |             ^^^^^^ expected a file as sha256sum prints it
      |
      = help: add one on this workstation: `sha256sum kubelet kubectl`
    "#);
    let large = mistakes(MIRROR, &"\n".repeat((1 << 20) + 1));
    assert!(large.contains("larger than 1 MiB"), "{large}");
    let missing = mistakes(&MIRROR.replace("SUMS", "NONE"), "");
    assert!(missing.contains("cannot read `DIR/NONE`: No such file"), "{missing}");
}

#[test]
fn mistakes_have_their_place() {
    assert_snapshot!(mistakes("url = \"https://mirror.example.com\"\n", ""), @r#"
    error: missing key `checksums`
     --> fleet.toml:8:7
      |
    8 | url = "https://mirror.example.com"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `checksums` is required here
    "#);
    assert_snapshot!(mistakes("checksums = \"SUMS\"\n", ""), @r#"
    error: `checksums` without `url`
     --> fleet.toml:8:13
      |
    8 | checksums = "SUMS"
      |             ^^^^^^ of which mirror?
    "#);
    assert_snapshot!(mistakes(&format!("binaries = \".\"\n{MIRROR}"), &good()), @r#"
    error: both `url` and `binaries`
     --> fleet.toml:9:7
      |
    8 | binaries = "."
      |            --- the other one
    9 | url = "https://mirror.example.com/v1.36.2/bin/linux/amd64/"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ expected one of them
      |
      = help: hosts fetch binaries from a mirror, or get them from this workstation
    "#);
    let user = mistakes(&MIRROR.replace("mirror.", "jane:hush@mirror."), &good());
    assert_snapshot!(user, @r#"
    error: the URL of a mirror has a user in it
     --> fleet.toml:8:7
      |
    8 | url = "https://jane:hush@mirror.example.com/v1.36.2/bin/linux/amd64/"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ expected none
      |
      = help: let the mirror serve hosts by their addresses; checksums say what is right
    "#);
    for (from, to) in
        [("https", "ftp"), ("amd64/", "amd64?x=1"), ("amd64/", "amd64#x"), ("amd64/", "a b")]
    {
        let wrong = mistakes(&MIRROR.replace(from, to), &good());
        assert!(wrong.contains("this is not the URL of a mirror"), "{wrong}");
    }
}
