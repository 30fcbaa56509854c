//! The page of an assessment as its reader has it: in a real browser, with mouse and keyboard, on a wide and on a narrow
//! screen, in print; and a fleet that tries to write the page itself.
//!
//! `FLEETADM_SCREENSHOTS=DIR` keeps pictures of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "support/browser.rs"]
mod browser;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use browser::{Browser, DOWN, END, ENTER, ESCAPE, RIGHT, TAB};
use fleetadm::report::{
    AssessedCheck, AssessedHost, Assessment, FactSheet, Finding, HostState, Probe, ProbeResult,
    Reachability, Severity,
};
use serde_json::json;
use time::macros::datetime;

const CHECKS: [&str; 36] = [
    "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables",
    "FileContent--proc-sys-net-ipv4-ip_forward",
    "Swap",
    "NumCPU",
    "Mem",
    "IsPrivilegedUser",
    "Port-10250",
    "Hostname",
    "CRI",
    "ContainerRuntimeVersion",
    "KubeletVersion",
    "SystemVerification",
    "Service-Kubelet",
    "Firewalld",
    "FileExisting-ip",
    "FileExisting-iptables",
    "FileExisting-mount",
    "FileExisting-conntrack",
    "FileExisting-socat",
    "FileExisting-tc",
    "DirAvailable--etc-kubernetes-manifests",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "HTTPProxy",
    "HTTPProxyCIDR",
    "FleetHostname",
    "FleetMachineID",
    "FleetProductUUID",
    "FleetMAC",
    "FleetClock",
    "FleetReachability",
    "FleetPodCIDR",
    "FleetArchitecture",
    "FleetDisk",
    "FleetLeftovers",
    "FleetResolver",
    "FleetInotify",
];

/// What a host says that would rather be the page. `PORT` is that of a server nobody may ask.
const HOSTILE: &str = "</script><script>window.injected=1</script>\
    <img src=http://127.0.0.1:PORT/i onerror=\"window.injected=1\">\
    <link rel=stylesheet href=http://127.0.0.1:PORT/s>\" onmouseover=\"window.injected=1\" x=\"";

fn check(name: &'static str) -> AssessedCheck {
    AssessedCheck {
        name: name.into(),
        severity: Severity::Passed,
        fleet: name.starts_with("Fleet"),
        findings: Vec::new(),
        remedy: String::new(),
        evidence: vec![("looked at".into(), name.to_owned())],
    }
}

fn find(host: &mut AssessedHost, name: &str, severity: Severity, message: &str, remedy: &str) {
    let check = host.checks.iter_mut().find(|check| check.name == name).unwrap();
    check.severity = severity;
    check.findings = vec![Finding { severity, message: message.to_owned() }];
    check.remedy = remedy.to_owned();
    check.evidence = vec![("read on".into(), host.name.clone()), ("value".into(), "0".to_owned())];
}

fn host(number: usize, hostile: &str) -> AssessedHost {
    let (name, role) = match number {
        0..3 => (format!("cp-{}", number + 1), "control-plane"),
        _ => (format!("node-{:03}", number - 2), "worker"),
    };
    let row = |what: &str, value: &str| (what.to_owned(), value.to_owned());
    let system = vec![
        row("Operating system", "Debian GNU/Linux 12 (bookworm)"),
        row("Kernel", "6.1.0-44-amd64"),
        row("Processors", "8"),
        row("Memory", "32 GiB"),
        row("Message of the day", if number == 4 { hostile } else { "" }),
    ];
    let network = vec![row("eth0", "10.0.1.7/24, fe80::5054:ff:fe12:3456/64"), row("MTU", "1500")];
    let sheet = |title: &str, rows| FactSheet { title: title.to_owned(), rows };
    let mut host = AssessedHost {
        name,
        role: role.to_owned(),
        state: HostState::Checked,
        checks: CHECKS.iter().map(|name| check(name)).collect(),
        facts: vec![sheet("System", system), sheet("Network", network)],
    };
    if number < 3 {
        host.checks.extend([check("Port-6443"), check("Port-2379"), check("FleetEtcdLatency")]);
    }
    host
}

/// Sixty hosts: 3 control planes, 57 workers of which two are silent.
fn assessment(hostile: &str) -> Assessment {
    use Severity::{Error, Warning};
    let mut hosts: Vec<AssessedHost> = (0..60).map(|number| host(number, hostile)).collect();
    for (number, host) in hosts.iter_mut().enumerate() {
        if number % 3 == 1 {
            let fix = "swapoff -a, and take the lines of type swap out of /etc/fstab";
            find(host, "Swap", Warning, "running with swap on is not supported", fix);
        }
        if (10..14).contains(&number) {
            let message = "/proc/sys/net/ipv4/ip_forward contents are not set to 1";
            find(host, CHECKS[1], Error, message, "sysctl -w net.ipv4.ip_forward=1");
        }
        if number % 20 == 5 {
            let message = format!("the clock is {number}.2 s behind those of the other hosts");
            find(host, "FleetClock", Error, &message, "systemctl enable --now chrony");
        }
    }
    find(&mut hosts[4], "Hostname", Error, hostile, hostile);
    hosts[4].checks[7].evidence.push((hostile.to_owned().into(), hostile.to_owned()));
    for (number, state) in [
        (58, HostState::Unreachable("10.0.1.56:22: connection refused".to_owned())),
        (59, HostState::Refused(hostile.to_owned())),
    ] {
        hosts[number].state = state;
        hosts[number].checks.clear();
        hosts[number].facts.clear();
    }
    let pairs = (0..50).flat_map(|from| (0..50).map(move |to| (from, to)));
    let ports = [(10250, "kubelet"), (8472, "pod network")];
    let probes = pairs.filter(|(from, to)| from != to).flat_map(|(from, to)| {
        ports.map(|(port, purpose)| Probe {
            from,
            to,
            port,
            purpose: purpose.to_owned(),
            result: match (from, to, port) {
                (_, 12, 10250) => ProbeResult::NoAnswer,
                (7, _, 8472) => ProbeResult::Stalled,
                (20, 21, _) => ProbeResult::Refused,
                (30, _, _) => ProbeResult::Untested("neither python3 nor nc is there".to_owned()),
                _ => ProbeResult::Open,
            },
        })
    });
    Assessment {
        command: "preflight".to_owned(),
        cluster: Some("prod".to_owned()),
        taken: datetime!(2026-03-01 12:00:00 UTC),
        elapsed: Duration::from_millis(1840),
        strict: false,
        hosts,
        reachability: Reachability {
            sample: Some("50 of 60 hosts, all pairs of them".to_owned()),
            probes: probes.collect(),
        },
        fold: |names| names.join(","),
    }
}

#[tokio::test]
async fn a_reader_finds_what_is_wrong() {
    let Some(browser) = Browser::start().await else { return };
    let forbidden = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = forbidden.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let page = assessment(&HOSTILE.replace("PORT", &port)).to_html().unwrap();
    fleetadm::report::write_file(&file, &page).unwrap();
    let url = format!("file://{}", file.display());

    browser.look(1280, 900, "light").await;
    browser.open(&url).await;
    expect_shown(&browser, "58 of 58 hosts, 39 of 39 checks").await;
    pictures(&browser, &url).await;
    filters_combine_and_stay_in_the_address(&browser, &url).await;
    a_cell_has_details(&browser).await;
    the_keyboard_is_enough(&browser, &url).await;
    nothing_sticks_out(&browser).await;
    it_prints(&browser).await;

    assert_eq!(browser.value("window.injected ?? null").await, json!(null));
    assert_eq!(browser.value("document.querySelectorAll('img,link,iframe').length").await, 0);
    assert_eq!(browser.value("document.scripts.length").await, 1);
    assert_eq!(browser.value("performance.getEntriesByType('resource').length").await, 0);
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:?}");
    forbidden.set_nonblocking(true).unwrap();
    let asked = forbidden.accept().expect_err("the page asked a server").kind();
    assert_eq!(asked, std::io::ErrorKind::WouldBlock);
}

/// What the page says it shows; it may need a moment after a click.
async fn expect_shown(browser: &Browser, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let shown = browser.text("document.getElementById('shown').textContent").await;
        if shown == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{shown}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn panel(browser: &Browser) -> String {
    browser.text("document.getElementById('panel').innerText").await
}

/// The row's and column's heading of the cell with the focus; empty where it is elsewhere.
async fn focus(browser: &Browser) -> String {
    let script = "(() => { const cell = document.activeElement; if (cell.tagName !== 'TD') return '';
        const head = document.getElementById('grid').tHead.rows[0].cells[cell.cellIndex];
        return cell.parentElement.cells[0].textContent + ' ' + (head.title || head.textContent); })()";
    browser.text(script).await
}

async fn filters_combine_and_stay_in_the_address(browser: &Browser, url: &str) {
    browser.click("#f-host").await;
    browser.type_keys("node-00?").await;
    expect_shown(browser, "9 of 58 hosts, 36 of 39 checks").await;
    let hidden = "document.querySelectorAll('#facts > details:not([hidden])').length";
    assert_eq!(browser.value(hidden).await, 9);
    browser.click("#f-check").await;
    browser.type_keys("swap").await;
    expect_shown(browser, "9 of 58 hosts, 1 of 39 checks").await;
    browser.click("#f-p").await;
    expect_shown(browser, "3 of 58 hosts, 1 of 39 checks").await;
    let visible = "[...document.querySelectorAll('#grid td')].filter((cell) => cell.checkVisibility()).length";
    assert_eq!(browser.value(visible).await, 3);
    let articles = "[...document.querySelectorAll('article:not([hidden]) h3')].map((one) => one.innerText).join()";
    assert_eq!(browser.text(articles).await.trim(), "warn Swap");

    let hash = browser.text("location.hash").await;
    assert_eq!(hash, "#host=node-00%3F&check=swap&show=ew");
    browser.open("about:blank").await;
    browser.open(&format!("{url}{hash}")).await;
    expect_shown(browser, "3 of 58 hosts, 1 of 39 checks").await;
    assert_eq!(browser.text("document.getElementById('f-host').value").await, "node-00?");
    assert_eq!(browser.value("document.getElementById('f-p').checked").await, false);

    browser.click("#f-reset").await;
    expect_shown(browser, "58 of 58 hosts, 39 of 39 checks").await;
    browser.click("#f-check").await;
    browser.type_keys("(").await;
    expect_shown(browser, "0 of 58 hosts, 0 of 39 checks").await;
    browser.click("#f-reset").await;
}

async fn a_cell_has_details(browser: &Browser) {
    assert_eq!(browser.value("document.getElementById('panel').hidden").await, true);
    browser.click("#grid tbody tr:nth-child(2) td.e a").await;
    let text = panel(browser).await;
    for part in ["FAIL", "set to 1", "Remedy", "sysctl -w", "read on", "node-008"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("node-009"), "what was looked at elsewhere: {text}");
    browser.click("#close").await;
    assert_eq!(browser.value("document.getElementById('panel').hidden").await, true);
    // What the hostile host says is text, here as well.
    let cell = "#grid td.e a[href='#gN']";
    let script = "document.querySelectorAll('#grid td.e a').values()
        .find((link) => link.closest('tr').cells[0].textContent === 'node-002').hash";
    let hash = browser.text(script).await;
    browser.click(&cell.replace("#gN", &hash)).await;
    let text = panel(browser).await;
    assert!(text.contains("</script><script>window.injected=1</script>"), "{text}");
    browser.type_keys(ESCAPE).await;
}

async fn the_keyboard_is_enough(browser: &Browser, url: &str) {
    browser.open("about:blank").await;
    browser.open(url).await;
    browser.type_keys(TAB).await;
    assert_eq!(browser.text("document.activeElement.className").await, "skip");
    browser.type_keys(ENTER).await;
    for _ in 0..20 {
        if !focus(browser).await.is_empty() {
            break;
        }
        browser.type_keys(TAB).await;
    }
    assert_eq!(focus(browser).await, format!("node-002 {}", CHECKS[1]));
    let ring = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.text(ring).await, "solid");
    browser.type_keys(DOWN).await;
    browser.type_keys(RIGHT).await;
    browser.type_keys(RIGHT).await;
    let before = focus(browser).await;
    assert_eq!(before, "node-008 Hostname");
    browser.type_keys(END).await;
    assert_ne!(focus(browser).await, before);
    browser.type_keys(ENTER).await;
    assert_eq!(browser.text("document.activeElement.id").await, "panel");
    assert!(panel(browser).await.contains("not made on this host"));
    let cell = "document.querySelector('td.open').getBoundingClientRect().right <= innerWidth";
    assert_eq!(browser.value(cell).await, true);
    browser.type_keys(ESCAPE).await;
    assert!(!focus(browser).await.is_empty());
    let names =
        "[...document.querySelectorAll('input')].filter((one) => !one.labels.length).length";
    assert_eq!(browser.value(names).await, 0);
}

async fn nothing_sticks_out(browser: &Browser) {
    for width in [1280, 400] {
        browser.look(width, 900, "light").await;
        let wide = browser.value("document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
    }
}

async fn it_prints(browser: &Browser) {
    let pdf = browser.pdf().await;
    assert!(pdf.starts_with(b"%PDF"));
    let open = "[...document.querySelectorAll('details')].every((one) => one.open)";
    assert_eq!(browser.value(open).await, true);
    if let Some(directory) = kept() {
        std::fs::write(directory.join("print.pdf"), pdf).unwrap();
    }
}

fn kept() -> Option<PathBuf> {
    std::env::var_os("FLEETADM_SCREENSHOTS").map(PathBuf::from)
}

/// For whoever looks at the page: in light, in dark and on a narrow screen, from its top down.
async fn pictures(browser: &Browser, url: &str) {
    let Some(directory) = kept() else { return };
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(Path::new(url.trim_start_matches("file://")), directory.join("report.html"))
        .unwrap();
    for (name, width, scheme) in
        [("light", 1280, "light"), ("dark", 1280, "dark"), ("narrow", 400, "light")]
    {
        browser.look(width, 900, scheme).await;
        for section in ["top", "matrix", "findings", "silent", "reach", "facts"] {
            let place = format!(
                "(() => {{ if ('{section}' === 'top') scrollTo(0, 0);
                    else document.getElementById('{section}').scrollIntoView(); return null; }})()"
            );
            browser.value(&place).await;
            browser.screenshot(&directory.join(format!("{name}-{section}.png"))).await;
        }
        browser.click("#grid td.e a").await;
        browser.screenshot(&directory.join(format!("{name}-panel.png"))).await;
        browser.click("#close").await;
    }
    browser.look(1280, 900, "light").await;
    browser.open("about:blank").await;
    browser.open(url).await;
}
