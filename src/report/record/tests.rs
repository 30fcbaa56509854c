use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::report::assessment::samples;
use crate::report::{After, End, Event, Outcome, Severity, Summary, Unit, Why};

const SECRET: &str = "hunter2";

struct Kept {
    directory: tempfile::TempDir,
    runs: Runs,
    inventory: PathBuf,
}

impl Kept {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inventory = directory.path().canonicalize().unwrap().join("inventory.toml");
        fs::write(&inventory, "").unwrap();
        let runs = Runs::kept_in(&directory.path().join("state/fleetadm/runs"));
        Self { directory, runs, inventory }
    }

    fn start(&self, hosts: &[&str]) -> Recorder {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let beginning = Beginning {
            command: "apply",
            inventory: Some(&self.inventory),
            limit: Some("all"),
            shard: Some("1/2".to_owned()),
            hosts: &hosts,
        };
        Recorder::start(&self.runs, &beginning).unwrap()
    }

    /// A run in which these things happen, a second each.
    fn run(&self, hosts: &[&str], events: &[Event]) -> PathBuf {
        let mut recorder = self.start(hosts);
        let mut summary = Summary::default();
        for (second, event) in (1..).zip(events) {
            let at = OffsetDateTime::now_utc() + Duration::from_secs(second);
            summary.record(event, at);
            recorder.record(event, at);
        }
        recorder.finish(&summary, summary.exit_status()).unwrap();
        self.last()
    }

    fn last(&self) -> PathBuf {
        self.runs.find("last").unwrap()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state/fleetadm/runs")
    }
}

fn started(host: &str) -> Event {
    let after = After { host: "cp-1".to_owned(), phase: "init/certs".to_owned(), why: Why::Need };
    let (host, phase) = (host.to_owned(), "join/kubelet-start".to_owned());
    Event::PhaseStarted { host, phase, after: Some(after) }
}

fn ended(host: &str, outcome: Outcome) -> Event {
    let (host, phase) = (host.to_owned(), "join/kubelet-start".to_owned());
    Event::PhaseFinished { host, phase, outcome, elapsed: Duration::from_millis(1500) }
}

fn planned(host: &str) -> Event {
    Event::Planned { host: host.to_owned(), tasks: 1 }
}

fn failed() -> Outcome {
    Outcome::Failed { error: "it did not start".to_owned(), unreachable: false, changes: 2 }
}

/// Every event there is; what may hold a secret holds this one.
fn every_event(secret: &str) -> Vec<Event> {
    let host = || "node-1".to_owned();
    let phase = || "join/kubelet-start".to_owned();
    let secret = || secret.to_owned();
    vec![
        Event::Connected { host: host(), elapsed: Duration::from_millis(20) },
        planned("node-1"),
        Event::BatchStarted { batch: 1, batches: 2, hosts: vec![host()], folded: host() },
        started("node-1"),
        Event::Changed {
            host: host(),
            phase: phase(),
            what: "create /etc/kubernetes/kubelet.conf".to_owned(),
            detail: Some(format!("+token: {}", secret())),
            dry_run: true,
        },
        Event::Warning { host: host(), phase: phase(), text: "swap is on".to_owned() },
        Event::Note { host: host(), text: "tries again".to_owned() },
        Event::Progress { host: host(), phase: phase(), done: 1, of: 2, unit: Unit::Images },
        Event::Output { host: host(), stderr: false, line: secret() },
        Event::Merged {
            hosts: vec![host(), "node-2".to_owned()],
            folded: "node-[1-2]".to_owned(),
            exit_code: Some(0),
            ended: "exit status 0".to_owned(),
            stdout: secret(),
            stderr: secret(),
            left_out: 3,
        },
        Event::Check {
            host: host(),
            phase: phase(),
            name: "Swap".to_owned(),
            severity: Severity::Warning,
            message: "swap is on".to_owned(),
        },
        Event::Assessed(Box::new(samples::mixed())),
        Event::HostKey {
            host: "../bastion:22".to_owned(),
            jump_host: true,
            address: "bastion:22".to_owned(),
            through: Vec::new(),
            key_type: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:x".to_owned(),
            status: "new",
            known: None,
            listed: None,
        },
        Event::Listing { text: secret() },
        Event::Data { text: secret() },
        Event::Facts { host: host(), facts: json!({"secret": secret()}).to_string() },
        Event::Object {
            kind: "token",
            object: SecretString::from(json!({"token": secret()}).to_string()),
        },
        Event::Found { kind: "thing", fields: json!({"token": secret()}) },
        Event::Disclosed { what: "the token".to_owned(), secret: SecretString::from(secret()) },
        Event::Message { text: secret() },
        ended("node-1", failed()),
        Event::Interrupted,
    ]
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn a_record_holds_no_secret_and_is_for_nobody_else() {
    let kept = Kept::new();
    // So that nothing is missed that is not asked about: all of it is what `--output json` would print.
    let events = every_event(SECRET);
    assert!(events.iter().any(|event| format!("{event:?}").contains(SECRET)));
    let path = kept.run(&["node-1"], &events);
    let all = files_below(&kept.directory.path().join("state"));
    assert!(all.iter().any(|file| file.ends_with("hosts/node-1.log")), "{all:?}");
    for file in &all {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if file.is_dir() { 0o700 } else { 0o600 }, "{}", file.display());
        if file.is_file() {
            let text = fs::read_to_string(file).unwrap();
            assert!(!text.contains(SECRET), "{}: {text}", file.display());
        }
    }
    // A name that leads elsewhere is no file's.
    assert!(!all.iter().any(|file| file.to_string_lossy().contains("bastion")), "{all:?}");

    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("run", "summary"));
    for kind in ["connected", "planned", "phase_started", "changed", "warning", "printed", "check"]
    {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let first = &lines[0];
    assert_eq!(first["hosts"], json!(["node-1"]));
    assert_eq!((&first["limit"], &first["shard"]), (&json!("all"), &json!("1/2")));
    assert!(lines.iter().all(|line| line["time"].is_string()), "{text}");
    let printed: Vec<u64> = lines
        .iter()
        .filter(|line| line["kind"] == "printed")
        .filter_map(|line| line["bytes"].as_u64())
        .collect();
    assert_eq!(printed, [17, 17, 8]);
}

#[test]
fn a_host_has_a_log() {
    let kept = Kept::new();
    let path = kept.run(&["node-1"], &every_event(SECRET));
    let log = fs::read_to_string(path.with_file_name("hosts/node-1.log")).unwrap();
    assert_eq!(host_log(fs::read(&path).unwrap().as_slice(), "node-1").unwrap(), log);
    let told: Vec<&str> = log.lines().map(|line| line.split_once("Z ").unwrap().1.trim()).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    connect                     connected after 0.0 s
    plan                        tasks: 1
    join/kubelet-start          begins, after cp-1 init/certs
    join/kubelet-start          would create /etc/kubernetes/kubelet.conf
    join/kubelet-start          warning: swap is on
    note                        tries again
    output                      17 bytes, which are not kept
    join/kubelet-start          warning Swap: swap is on
    preflight                   warning Swap: running with swap on is not supported, please disable swap or set kubelet's failSwapOn to false
    preflight                   error FileContent--proc-sys-net-ipv4-ip_forward: /proc/sys/net/ipv4/ip_forward contents are not set to 1
    preflight                   error FleetHostname: the hostname worker is that of node-2 as well
    output                      8 bytes, which are not kept
    join/kubelet-start          failed: it did not start (1.5 s)
    ");
}

#[test]
fn a_host_without_news_has_no_file() {
    let kept = Kept::new();
    let done = |changes| ended("node-1", Outcome::Done { changes });
    let path = kept.run(&["node-1"], &[planned("node-1"), started("node-1"), done(0)]);
    assert!(!path.with_file_name(HOSTS).exists());
    // What there is to say of it is told all the same.
    let log = host_log(fs::read(&path).unwrap().as_slice(), "node-1").unwrap();
    assert_eq!(log.lines().count(), 3, "{log}");
    // Elsewhere: of two runs within a millisecond, either may be the last.
    let kept = Kept::new();
    let path = kept.run(&["node-1"], &[done(1)]);
    assert!(path.with_file_name("hosts/node-1.log").exists());
}

#[test]
fn a_record_can_be_read_back() {
    let kept = Kept::new();
    let path = kept.run(
        &["node-1", "node-2"],
        &[
            planned("node-1"),
            planned("node-2"),
            started("node-1"),
            started("node-2"),
            ended("node-1", Outcome::Done { changes: 3 }),
            ended("node-2", failed()),
        ],
    );
    let record = read(&path).unwrap();
    assert_eq!((record.command.as_str(), record.exit_status), ("apply", Some(3)));
    assert_eq!(record.failed(), ["node-2"]);
    assert_eq!(record.summary.changes(), 5);
    assert!(!record.under_way);
    let spans: Vec<_> =
        record.spans.iter().map(|span| (span.host.as_str(), span.end, span.elapsed)).collect();
    let elapsed = Duration::from_millis(1500);
    assert_eq!(spans, [("node-1", End::Done, elapsed), ("node-2", End::Failed, elapsed)]);
    assert_eq!(record.spans[0].after.as_ref().unwrap().phase, "init/certs");
    let id = record.id.clone();
    let names = [&id, &id[..id.len() - 2], "last", path.to_str().unwrap()];
    for name in names.into_iter().chain(path.parent().unwrap().to_str()) {
        assert_eq!(
            kept.runs.find(name).unwrap().canonicalize().unwrap(),
            path.canonicalize().unwrap()
        );
    }
    let looked = overview(&path).unwrap();
    assert_eq!((looked.hosts, looked.failed, looked.exit_status), (2, Some(1), Some(3)));
}

#[test]
fn failures_of_checks_are_on_record() {
    let kept = Kept::new();
    let path = kept.run(&[], &[Event::Assessed(Box::new(samples::mixed()))]);
    let mut summary = Summary::default();
    summary.record(&Event::Assessed(Box::new(samples::mixed())), OffsetDateTime::now_utc());
    let record = read(&path).unwrap();
    assert_eq!(record.failed(), summary.incomplete());
    assert_eq!(record.summary.warnings, summary.warnings);
}

#[test]
fn a_run_that_was_killed_can_be_read() {
    let kept = Kept::new();
    let path = kept.run(
        &["node-1", "node-2", "node-3"],
        &[
            planned("node-1"),
            planned("node-2"),
            started("node-1"),
            started("node-2"),
            ended("node-1", Outcome::Done { changes: 0 }),
        ],
    );
    let text = fs::read_to_string(&path).unwrap();
    let summary = text.find("\"kind\":\"summary\"").unwrap();
    for end in [summary, summary + 20] {
        fs::write(&path, &text[..end]).unwrap();
        let record = read(&path).unwrap();
        assert_eq!(
            (record.exit_status, record.failed().join(" ")),
            (None, "node-2 node-3".to_owned())
        );
        assert_eq!(record.spans[1].end, End::Open);
        let looked = overview(&path).unwrap();
        assert_eq!((looked.hosts, looked.failed, looked.under_way), (3, None, false));
    }
    for text in ["", "{", "[]\n3\n", "{\"kind\":\"run\"}\n"] {
        fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("events.jsonl: this is no record of a run"), "{error}");
        assert_eq!(overview(&path).unwrap().exit_status, None);
    }
}

#[test]
fn the_last_run_of_an_inventory_is_found() {
    let kept = Kept::new();
    let other = kept.directory.path().join("other.toml");
    let link = kept.directory.path().join("link.toml");
    fs::write(&other, "").unwrap();
    symlink(&kept.inventory, &link).unwrap();
    let failed_of =
        |inventory: &Path| kept.runs.last_of(inventory).unwrap().map(|run| run.failed());
    assert_eq!(failed_of(&link), None);
    for outcome in [Outcome::Done { changes: 0 }, failed()] {
        kept.run(&["node-1"], &[planned("node-1"), ended("node-1", outcome)]);
        std::thread::sleep(Duration::from_millis(2));
    }
    // One that goes on is not the last one yet.
    let recorder = kept.start(&["node-2"]);
    let under_way = kept.last();
    assert!(read(&under_way).is_err() || read(&under_way).unwrap().under_way);
    assert_eq!(failed_of(&link), Some(vec!["node-1".to_owned()]));
    assert_eq!(failed_of(&other), None);
    // One that goes away without an end did nothing for its hosts.
    drop(recorder);
    for _ in 0..100 {
        if failed_of(&link) != Some(vec!["node-1".to_owned()]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(failed_of(&link), Some(vec!["node-2".to_owned()]));
    assert!(kept.runs.last_of(&kept.directory.path().join("absent")).is_err());
}

#[test]
fn a_record_that_cannot_be_kept_holds_nothing_up() {
    let kept = Kept::new();
    let blocked = Runs::kept_in(&kept.inventory.join("runs"));
    let beginning =
        Beginning { command: "exec", inventory: None, limit: None, shard: None, hosts: &[] };
    let error = Recorder::start(&blocked, &beginning).unwrap_err().to_string();
    assert!(error.contains("inventory.toml/runs"), "{error}");

    let mut recorder = kept.start(&["node-1"]);
    fs::write(kept.last().with_file_name(HOSTS), "").unwrap();
    for _ in 0..1000 {
        recorder.record(&started("node-1"), OffsetDateTime::now_utc());
    }
    recorder.record(&ended("node-1", failed()), OffsetDateTime::now_utc());
    let error = recorder.finish(&Summary::default(), 0).unwrap_err().to_string();
    assert!(error.contains("/hosts: "), "{error}");
    // Its events are there all the same.
    assert_eq!(read(&kept.last()).unwrap().exit_status, Some(0));
}

#[test]
fn old_runs_go() {
    let kept = Kept::new();
    let now = datetime!(2026-03-31 12:00:00.5 UTC);
    let made = |started: OffsetDateTime| {
        let (id, directory) = kept.runs.begin(started).unwrap();
        fs::write(directory.join(EVENTS), "{}").unwrap();
        fs::create_dir(directory.join(HOSTS)).unwrap();
        id
    };
    let ancient = made(now - Duration::from_secs(31 * 86400));
    let young: Vec<RunId> =
        (1..60).rev().map(|minutes| made(now - Duration::from_secs(minutes * 60))).collect();
    fs::create_dir(kept.path().join("mine")).unwrap();
    // A run that goes on stays, however old it is.
    let file = fs::File::open(kept.runs.events(&young[0])).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    kept.runs.prune(now);
    let left = kept.runs.all().unwrap();
    assert!(!left.contains(&ancient));
    assert_eq!(left.len(), 51);
    assert!(left.contains(&young[0]) && left.contains(young.last().unwrap()));
    assert!(kept.path().join("mine").is_dir());

    let newest = &left[..1];
    fs::File::create(kept.runs.events(&newest[0])).unwrap().set_len(300 << 20).unwrap();
    drop(file);
    kept.runs.prune(now);
    assert_eq!(kept.runs.all().unwrap(), newest);
    let error = kept.runs.find("2025").unwrap_err().to_string();
    assert!(error.starts_with("there is no run 2025 in "), "{error}");
    made(now);
    let error = kept.runs.find("2026").unwrap_err().to_string();
    assert!(error.starts_with("2026 is the beginning of 2 runs"), "{error}");
    assert!("20260331T115900.500Z-00ab12".parse::<RunId>().is_ok());
    for name in [
        "",
        "..",
        "20260331T115900.500Z",
        "20260331T115900.500Z-00ab1/",
        "20261331T115900.500Z-00ab12",
    ] {
        assert!(name.parse::<RunId>().is_err(), "{name}");
    }
}
