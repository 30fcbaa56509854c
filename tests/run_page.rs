//! The page of a run as its reader has it, in a real browser: a large fleet over time, and a fleet that tries to write the
//! page itself.
//!
//! `FLEETADM_SCREENSHOTS=DIR` keeps pictures of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(dead_code, reason = "the browser's helpers are shared with other tests")]

#[path = "support/browser.rs"]
mod browser;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use browser::Browser;
use fleetadm::report::{
    After, End, HostSummary, Review, RunRecord, Span, Summary, Why, write_file,
};
use serde_json::json;
use time::macros::datetime;

const HOSTILE: &str = "</script><script>window.injected=1</script>\
    <img src=x onerror=\"window.injected=1\"><!-- \" onmouseover=\"window.injected=1\" x=\"";

const WORKER: [(&str, u64); 6] = [
    ("join/preflight", 900),
    ("prepare/binaries", 2500),
    ("prepare/images", 6000),
    ("prepare/files", 300),
    ("join/kubelet-start", 3000),
    ("join/kubelet-wait", 5000),
];

const CONTROL_PLANE: [(&str, u64); 5] = [
    ("init/preflight", 1200),
    ("init/certs", 2100),
    ("init/control-plane", 900),
    ("init/wait-control-plane", 9000),
    ("init/bootstrap-token", 700),
];

fn span(host: &str, phase: &str, start: u64, took: u64, after: Option<(&str, &str)>) -> Span {
    Span {
        host: host.to_owned(),
        phase: phase.to_owned(),
        start: Duration::from_millis(start),
        elapsed: Duration::from_millis(took),
        after: after.map(|(host, phase)| After {
            host: host.to_owned(),
            phase: phase.to_owned(),
            why: Why::Need,
        }),
        end: End::Done,
    }
}

/// One control plane, 1200 workers of which some fail, and one host that says what none should.
fn record() -> RunRecord {
    let mut summary = Summary::default();
    let mut spans = Vec::new();
    let done = || HostSummary { planned: 6, ended: 6, changes: 12, ..HostSummary::default() };
    let (mut at, mut before) = (400, None);
    for (phase, took) in CONTROL_PLANE {
        spans.push(span("cp-1", phase, at, took, before.map(|phase| ("cp-1", phase))));
        at += took;
        before = Some(phase);
    }
    summary.hosts.insert("cp-1".to_owned(), done());
    for number in 1..=1200_u64 {
        let name = if number == 700 { HOSTILE.to_owned() } else { format!("node-{number:04}") };
        let mut host = done();
        let mut start = 400 + number * 5;
        for (place, (phase, took)) in WORKER.iter().enumerate() {
            let took = took + (number * 37 + place as u64 * 11) % 900;
            let joins = *phase == "join/kubelet-start";
            if joins {
                start = start.max(at);
            }
            let after = match place {
                0 => None,
                4 => Some(("cp-1", "init/bootstrap-token")),
                _ => Some((name.as_str(), WORKER[place - 1].0)),
            };
            let mut span = span(&name, phase, start, took, after);
            // Two of them at the same time.
            start += if place == 2 { 0 } else { took };
            let fails = joins && (number % 100 == 0 || number == 7);
            if fails {
                span.end = End::Failed;
                let error = if number == 700 {
                    HOSTILE
                } else {
                    "the kubelet did not start: exit status 1"
                };
                host.failure = Some(((*phase).to_owned(), error.to_owned()));
            }
            spans.push(span);
            if fails {
                break;
            }
        }
        summary.hosts.insert(name, host);
    }
    let whole = spans.iter().map(Span::end).max().unwrap();
    let started = datetime!(2026-03-01 12:00:00 UTC);
    RunRecord {
        id: "20260301T120000.000Z-00ab12".to_owned(),
        command: "apply".to_owned(),
        version: Some("0.1.0".to_owned()),
        inventory: Some("/home/ops/fleet.toml".to_owned()),
        limit: None,
        shard: None,
        started,
        ended: started + whole,
        exit_status: Some(3),
        under_way: false,
        summary,
        spans,
        left_out: 0,
    }
}

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

async fn count(browser: &Browser, selector: &str) -> u64 {
    let script = format!("document.querySelectorAll({}).length", json!(selector));
    browser.value(&script).await.as_u64().unwrap()
}

#[tokio::test]
async fn a_reader_sees_hosts_over_time() {
    let Some(browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.html");
    let page = Review::new(vec![record()], |names| names.join(",")).to_html().unwrap();
    assert!(page.len() < 1_000_000, "{}", page.len());
    write_file(&file, &page).unwrap();
    browser.look(1280, 900, "light").await;
    browser.open(&format!("file://{}", file.display())).await;

    // Those that failed come first, then the critical path.
    expect_shown(&browser, "1 to 100 of 1201 hosts").await;
    assert_eq!(count(&browser, "#chart .row").await, 101);
    assert_eq!(count(&browser, "#chart rect.f").await, 13);
    let heading = browser.text("document.querySelector('h1').textContent").await;
    assert_eq!(heading, "13 hosts failed");
    pictures(&browser).await;
    browser.click("#on").await;
    expect_shown(&browser, "101 to 200 of 1201 hosts").await;
    browser.click("#back").await;
    browser.click("#f-bad").await;
    expect_shown(&browser, "13 hosts of 1201 in all").await;
    browser.click("#f-bad").await;
    browser.click("#f-path").await;
    expect_shown(&browser, "2 hosts of 1201 in all").await;
    assert_eq!(count(&browser, "#chart rect.critical").await, 7);
    assert_eq!(count(&browser, "#path tbody tr").await, 7);
    browser.click("#f-path").await;
    browser.click("#f-host").await;
    browser.type_keys("node-000?").await;
    expect_shown(&browser, "9 hosts of 1201 in all").await;

    // A bar says what it is, to whoever points at it and to whoever taps on it.
    let title = "document.querySelector('#chart rect.f').textContent";
    let told = "node-0007 join/kubelet-start, from 14.3 s, took 3.3 s, failed: the kubelet did not start: exit status 1";
    assert_eq!(browser.text(title).await, told);
    let tap = "(() => { document.querySelector('#chart rect.f').dispatchEvent(new MouseEvent('click', {bubbles: true}));
        return document.getElementById('told').textContent; })()";
    assert_eq!(browser.text(tap).await, told);
    let width = "Math.round(document.querySelector('#chart rect.f').getBoundingClientRect().width)";
    assert!(browser.value(width).await.as_u64().unwrap() > 20);

    for width in [1280, 400] {
        browser.look(width, 900, "light").await;
        let wide = browser.value("document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
    }
    assert_eq!(browser.value("window.injected ?? null").await, json!(null));
    assert_eq!(count(&browser, "img,link,iframe").await, 0);
    assert_eq!(browser.value("document.scripts.length").await, 2);
    assert_eq!(browser.value("performance.getEntriesByType('resource').length").await, 0);
    let unnamed =
        "[...document.querySelectorAll('input')].filter((one) => !one.labels.length).length";
    assert_eq!(browser.value(unnamed).await, 0);
    assert!(browser.pdf().await.starts_with(b"%PDF"));
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:?}");
}

/// For whoever looks at the page.
async fn pictures(browser: &Browser) {
    let Some(directory) = std::env::var_os("FLEETADM_SCREENSHOTS").map(PathBuf::from) else {
        return;
    };
    std::fs::create_dir_all(&directory).unwrap();
    for (name, width, scheme) in
        [("light", 1280, "light"), ("dark", 1280, "dark"), ("narrow", 400, "light")]
    {
        browser.look(width, 900, scheme).await;
        for section in ["causes", "time", "path"] {
            let place = format!(
                "(() => {{ document.getElementById('{section}').scrollIntoView(); return null; }})()"
            );
            browser.value(&place).await;
            browser.screenshot(&directory.join(format!("run-{name}-{section}.png"))).await;
        }
    }
    browser.look(1280, 900, "light").await;
}
