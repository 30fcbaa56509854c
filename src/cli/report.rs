//! `fleetadm report`: the runs on record. Contacts no host and needs no inventory.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::inventory::fold_hosts;
use crate::report::{
    Overview, Review, RunId, Runs, aligned, exit, host_log, overview, printable_line, read,
    write_file,
};

use super::args::{Global, OutputFormat, ReportArgs};
use super::failure::Failure;

pub fn run(global: &Global, args: ReportArgs) -> Result<u8, Failure> {
    let json = global.output == OutputFormat::Json;
    let runs = Runs::of_user();
    if args.runs.is_empty() {
        let runs = runs.map_err(Failure::usage)?;
        return super::print(&list(&runs, json).map_err(Failure::internal)?);
    }
    if args.runs.len() > 1 && !args.merge {
        return Err(Failure::usage(
            "report: one run at a time, or --merge for one report of several",
        ));
    }
    // Paths mean something without a home as well.
    let runs = runs.unwrap_or_else(|_| Runs::kept_in(Path::new("")));
    let files: Vec<PathBuf> = args
        .runs
        .iter()
        .map(|name| runs.find(name).map_err(Failure::usage))
        .collect::<Result<_, _>>()?;
    if let Some(host) = &args.host {
        return log_of(&files, host);
    }
    let records = files.iter().map(|file| read(file).map_err(Failure::usage));
    let review = Review::new(records.collect::<Result<_, _>>()?, fold_hosts);
    if let Some(path) = &args.html {
        let page = review.to_html().map_err(Failure::internal)?;
        write_file(path, &page).map_err(Failure::internal)?;
    }
    match (json, &args.html) {
        (true, _) => super::print(&format!("{}\n", review.to_json()))?,
        (false, None) => super::print(&review.to_text(global.verbose > 0))?,
        (false, Some(_)) => exit::DONE,
    };
    Ok(if args.merge { review.exit_status() } else { exit::DONE })
}

/// What happened on a host in these runs.
fn log_of(files: &[PathBuf], host: &str) -> Result<u8, Failure> {
    let log = |path: &PathBuf| {
        let log = File::open(path).and_then(|file| host_log(BufReader::new(file), host));
        log.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let logs: String = files.iter().map(log).collect::<Result<_, _>>()?;
    if logs.is_empty() {
        return Err(Failure::usage(format!(
            "report --host: nothing is on record of {host:?} there"
        )));
    }
    super::print(&logs)
}

/// All runs, the newest first: a table, or an object for each.
fn list(runs: &Runs, json: bool) -> io::Result<String> {
    let ids = runs.all()?;
    // One that another process takes away meanwhile is none.
    let known: Vec<(RunId, Overview)> = ids
        .into_iter()
        .filter_map(|id| Some((id.clone(), overview(&runs.events(&id)).ok()?)))
        .collect();
    if json {
        return Ok(known.iter().map(|(id, run)| object(id, run)).collect());
    }
    let header =
        ["RUN", "COMMAND", "BEGAN", "TOOK", "HOSTS", "FAILED", "STATUS"].map(str::to_owned);
    let rows: Vec<_> = known.iter().map(|(id, run)| row(id, run)).collect();
    Ok(aligned(&header, &rows))
}

fn row(id: &RunId, run: &Overview) -> [String; 7] {
    let dash = || "-".to_owned();
    let status = match run.exit_status {
        Some(status) => status.to_string(),
        None if run.under_way => "under way".to_owned(),
        None => "cut short".to_owned(),
    };
    [
        id.to_string(),
        printable_line(&run.command, 40),
        run.started.map_or_else(dash, seconds_only),
        elapsed(run).map_or_else(dash, |took| format!("{:.1} s", took.as_secs_f64())),
        run.hosts.to_string(),
        run.failed.map_or_else(dash, |failed| failed.to_string()),
        status,
    ]
}

fn object(id: &RunId, run: &Overview) -> String {
    let time = |time: Option<OffsetDateTime>| time.and_then(|time| time.format(&Rfc3339).ok());
    let value = json!({
        "kind": "run",
        "id": id.to_string(),
        "command": run.command,
        "started": time(run.started),
        "ended": time(run.ended),
        "seconds": elapsed(run).map(|took| took.as_secs_f64()),
        "hosts": run.hosts,
        "failed": run.failed,
        "exit_status": run.exit_status,
        "under_way": run.under_way,
    });
    format!("{value}\n")
}

fn elapsed(run: &Overview) -> Option<Duration> {
    let (started, ended) = run.started.zip(run.ended)?;
    Duration::try_from(ended - started).ok()
}

/// RFC 3339 without a fraction.
fn seconds_only(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    // Fails only for years outside RFC 3339.
    whole.format(&Rfc3339).unwrap_or_default()
}
