//! `download` as hosts run it: under every shell and with every tool that fetches, from a mirror that is right, wrong or
//! broken.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fleetadm::node::{Download, DownloadLimits, FileAction, Mode};

use crate::payload_support::{Host, find, leftovers, path_in, shells, skip};

const CONTENT: &[u8] = b"\x7fELF of the right release";
const SHA256: &str = "dea2423f876d82b7030cb106c47e262bf4a376a0a6a00b7a1c7b46f7a928a3bd";
const OTHER: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the payload needs of a host to download something.
const PROGRAMS: [&str; 17] = [
    "awk",
    "cat",
    "chmod",
    "chown",
    "grep",
    "mkdir",
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "sha256sum",
    "stat",
    "sync",
    "timeout",
    "touch",
    "tr",
    "true",
];

/// Serves what its paths say, and counts the requests.
struct Mirror {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Mirror {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                // Who asks may hang up at any time.
                std::thread::spawn(move || serve(stream).ok());
            }
        });
        Self { port, requests }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/v1.36.2/bin/{name}", self.port)
    }

    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line != "\r\n" && !line.is_empty() {
        line.clear();
        stream.read_line(&mut line)?;
    }
    let mut out = stream.into_inner();
    let mut head = |status: &str, length: usize| {
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
        out.write_all(head.as_bytes()).map(|()| out.try_clone())
    };
    match path.rsplit('/').next().unwrap_or_default() {
        "kubelet" => {
            let mut out = head("200 OK", CONTENT.len())??;
            out.write_all(b"\r\n").and_then(|()| out.write_all(CONTENT))
        }
        "moved" => head("302 Found", 0)??.write_all(b"Location: /v1.36.2/bin/kubelet\r\n\r\n"),
        "short" => {
            let mut out = head("200 OK", CONTENT.len() + 1000)??;
            out.write_all(b"\r\n").and_then(|()| out.write_all(CONTENT))
        }
        "hangs" => {
            let mut out = head("200 OK", CONTENT.len())??;
            out.write_all(b"\r\n\x7f")?;
            std::thread::sleep(Duration::from_secs(120));
            Ok(())
        }
        "endless" => {
            let mut out = head("200 OK", 1 << 40)??;
            out.write_all(b"\r\n")?;
            loop {
                out.write_all(&[0; 4096])?;
            }
        }
        _ => head("404 Not Found", 0)??.write_all(b"\r\n"),
    }
}

/// A host that has one tool to fetch with, or none.
struct Bare<'a> {
    host: &'a Host,
    directory: tempfile::TempDir,
    payload: String,
}

impl<'a> Bare<'a> {
    fn new(host: &'a Host, tool: Option<(&str, &Path)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let programs = directory.path().join("programs");
        fs::create_dir(&programs).unwrap();
        for name in PROGRAMS {
            symlink(find(name).unwrap(), programs.join(name)).unwrap();
        }
        if let Some((name, program)) = tool {
            symlink(program, programs.join(name)).unwrap();
        }
        let payload = host.payload_copy(directory.path());
        // Where it would find what this machine has.
        let standard = ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let text = fs::read_to_string(&payload).unwrap();
        assert_eq!(text.matches(standard).count(), 1);
        fs::write(&payload, text.replace(standard, "")).unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Self { host, directory, payload }
    }

    fn destination(&self) -> PathBuf {
        self.directory.path().join("bin/kubelet")
    }

    /// Run it with limits of a second, so many in all, and 100 KiB.
    fn download(&self, url: &str, sha256: &str, seconds: &str) -> Output {
        Command::new(self.host.shell_path())
            .args([&self.payload, "download", self.destination().to_str().unwrap()])
            .args([url, "755", sha256, "1", seconds, "200"])
            .env_clear()
            .env("PATH", self.directory.path().join("programs"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// It fails, and what was there is still there, alone.
    fn expect_refused(&self, url: &str, sha256: &str) -> String {
        fs::write(self.destination(), "old").unwrap();
        let started = Instant::now();
        let output = self.download(url, sha256, "3");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{url}: {output:?}");
        assert!(started.elapsed() < Duration::from_secs(30), "{url}");
        assert_eq!(fs::read_to_string(self.destination()).unwrap(), "old");
        assert_eq!(leftovers(self.directory.path()), Vec::<String>::new(), "{url}");
        said
    }
}

/// For each shell, each tool that is installed.
fn bare_hosts(hosts: &[Host]) -> Vec<(String, Bare<'_>)> {
    let mut bare = Vec::new();
    for (name, program) in [("curl", "curl"), ("wget", "wget"), ("wget", "busybox")] {
        let Some(program) = find(program) else {
            skip(&format!("{program} is not installed"));
            continue;
        };
        for host in hosts {
            let title = format!("{} with {}", host.shell(), program.display());
            bare.push((title, Bare::new(host, Some((name, &program)))));
        }
    }
    bare
}

#[test]
fn the_right_file_comes_once() {
    let (hosts, mirror) = (shells(), Mirror::start());
    for (title, bare) in bare_hosts(&hosts) {
        for (name, verb) in [("kubelet", "created"), ("kubelet", "unchanged")] {
            let output = bare.download(&mirror.url(name), SHA256, "60");
            let said = String::from_utf8_lossy(&output.stdout);
            let expected = format!("{verb} {}\n", bare.destination().display());
            assert_eq!(said, expected, "{title}: {output:?}");
            assert_eq!(mirror.requests(), usize::from(verb == "created"), "{title}");
            assert_eq!(fs::read(bare.destination()).unwrap(), CONTENT);
            let data = fs::metadata(bare.destination()).unwrap();
            assert_eq!((data.mode() & 0o7777, data.uid(), data.gid()), (0o755, 0, 0));
        }
        // Another content; another mode; another place of the mirror.
        fs::write(bare.destination(), "old").unwrap();
        assert!(bare.download(&mirror.url("kubelet"), SHA256, "60").status.success(), "{title}");
        assert_eq!(fs::read(bare.destination()).unwrap(), CONTENT);
        fs::set_permissions(bare.destination(), fs::Permissions::from_mode(0o775)).unwrap();
        let output = bare.download(&mirror.url("moved"), SHA256, "60");
        assert!(output.stdout.starts_with(b"changed "), "{title}: {output:?}");
        assert_eq!(fs::metadata(bare.destination()).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(leftovers(bare.directory.path()), Vec::<String>::new());
        assert_eq!(mirror.requests(), 3);
    }
}

#[test]
fn what_a_mirror_serves_is_installed_only_with_its_checksum() {
    let (hosts, mirror) = (shells(), Mirror::start());
    for (title, bare) in bare_hosts(&hosts) {
        let said = bare.expect_refused(&mirror.url("kubelet"), OTHER);
        assert!(said.contains(&format!("sha256 {SHA256} instead of {OTHER}")), "{title}: {said}");
        for name in ["missing", "short", "hangs", "endless"] {
            let said = bare.expect_refused(&mirror.url(name), SHA256);
            assert!(said.contains(&format!("/bin/{name}")), "{title}: {said}");
            assert!(name != "missing" || said.contains("404"), "{title}: {said}");
        }
    }
}

#[test]
fn a_mirror_that_is_silent_is_given_up() {
    let (hosts, mirror) = (shells(), Mirror::start());
    let Some(host) = hosts.first() else { return };
    let Some(curl) = find("curl") else { return skip("curl is not installed") };
    let bare = Bare::new(host, Some(("curl", &curl)));
    let started = Instant::now();
    let output = bare.download(&mirror.url("hangs"), SHA256, "600");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("too slow"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(mirror.requests(), 4, "it is asked again three times");
}

#[test]
fn without_a_tool_it_says_what_to_install() {
    let (hosts, mirror) = (shells(), Mirror::start());
    for host in &hosts {
        let bare = Bare::new(host, None);
        let said = bare.expect_refused(&mirror.url("kubelet"), SHA256);
        assert!(said.contains("neither curl nor wget is here to fetch it: install one"), "{said}");
        assert_eq!(mirror.requests(), 0);
        // Where nothing is to be fetched nothing is needed.
        fs::write(bare.destination(), CONTENT).unwrap();
        fs::set_permissions(bare.destination(), fs::Permissions::from_mode(0o755)).unwrap();
        let output = bare.download(&mirror.url("kubelet"), SHA256, "60");
        assert!(output.stdout.starts_with(b"unchanged "), "{output:?}");
    }
}

#[tokio::test]
async fn a_node_says_what_it_fetched_or_would_fetch() {
    let mirror = Mirror::start();
    for host in shells() {
        let scratch = tempfile::tempdir().unwrap();
        let path = path_in(scratch.path(), "deep/er/kubelet");
        let file = Download { url: mirror.url("kubelet"), sha256: SHA256.to_owned() };
        let install = async |mode| {
            let node = host.node(mode);
            node.download(&file, &path, 0o755, DownloadLimits::default()).await.unwrap()
        };
        let planned = install(Mode::DryRun).await;
        assert_eq!(planned.action, FileAction::Created);
        assert_eq!(planned.detail, Some(format!("from {}, sha256 {SHA256}", file.url)));
        assert_eq!((fs::read_dir(scratch.path()).unwrap().count(), mirror.requests()), (0, 0));
        assert_eq!(install(Mode::Apply).await, planned);
        assert_eq!((fs::read(&path).unwrap().as_slice(), mirror.requests()), (CONTENT, 1));
        let before = host.commands_run();
        for mode in [Mode::Apply, Mode::DryRun] {
            let again = install(mode).await;
            assert_eq!((again.action, again.detail), (FileAction::Unchanged, None));
        }
        assert_eq!((host.commands_run() - before, mirror.requests()), (2, 0));

        let wrong = Download { sha256: OTHER.to_owned(), ..file.clone() };
        let node = host.node(Mode::Apply);
        let error = node.download(&wrong, &path, 0o755, DownloadLimits::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("sha256 {SHA256} instead of {OTHER}")), "{error}");
        assert_eq!((fs::read(&path).unwrap().as_slice(), mirror.requests()), (CONTENT, 1));
    }
}
