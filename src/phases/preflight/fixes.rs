//! `--fix`: the safe remedies of what was found, shown with their way back, then carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fleet::{Step, Task};
use crate::inventory::{Host, fold_hosts};
use crate::node::{FileBatch, NodeError, NodeFile, ServiceAction};
use crate::phases::{PhaseError, Run};
use crate::preflight::fix::{FSTAB_MARK, Fix, MODULES_FILE, SYSCTL_FILE, fixes};
use crate::report::Event;

use super::fleet::{State, Survey};

const FSTAB: &str = "/etc/fstab";
const FILE_MODE: u32 = 0o644;

/// Show what can safely be fixed on each host and, unless this is a dry run, fix it. Says whether there was anything.
pub async fn apply(run: &Arc<Run>, survey: &Survey, step: &Step, dry_run: bool) -> bool {
    let planned = plan(run, survey);
    if planned.is_empty() {
        return false;
    }
    step.reporter.emit(Event::Message { text: told(&planned) });
    let hosts: Vec<Arc<Host>> = planned.iter().map(|(host, _)| (*host).clone()).collect();
    step.run(&hosts, |task| {
        let (run, fixes) = (run.clone(), planned[task.place].1.clone());
        async move {
            if !dry_run {
                fix(&run, &task.host, &fixes).await?;
            }
            for fix in &fixes {
                tell(&task, fix, dry_run);
            }
            Ok::<_, PhaseError>(())
        }
    })
    .await;
    true
}

fn plan<'a>(run: &Run, survey: &'a Survey) -> Vec<(&'a Arc<Host>, Vec<Fix>)> {
    let section = Some(&run.cluster().section);
    let hosts = survey.hosts.iter().filter_map(|surveyed| {
        let State::Checked(checked) = &surveyed.state else { return None };
        let results: Vec<_> = checked.kubeadm.iter().chain(&checked.fleet).collect();
        Some((&surveyed.host, fixes(&results, &checked.facts, section)))
    });
    hosts.filter(|(_, fixes)| !fixes.is_empty()).collect()
}

/// The plan for people: equal remedies once, with the hosts they are for and the way back.
fn told(planned: &[(&Arc<Host>, Vec<Fix>)]) -> String {
    let mut order = Vec::new();
    let mut hosts: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for (host, fixes) in planned {
        for fix in fixes {
            let key = (fix.describe(), fix.undo());
            let named = hosts.entry(key.clone()).or_default();
            if named.is_empty() {
                order.push(key);
            }
            named.push(&host.name);
        }
    }
    let mut text = "safe remedies, with the command that undoes each:".to_owned();
    for key in order {
        let names = fold_hosts(&hosts[&key]);
        let (what, undo) = key;
        text += &format!("\n  {names}: {what}\n      undo: {undo}");
    }
    text
}

fn tell(task: &Task, fix: &Fix, dry_run: bool) {
    task.changed(fix.describe(), Some(format!("undo: {}", fix.undo())), dry_run);
}

/// Files come first: where the run is cut short after them, the next boot finishes it, and so does the next run.
async fn fix(run: &Run, host: &Arc<Host>, fixes: &[Fix]) -> Result<(), NodeError> {
    let node = run.node_for_changes(host);
    let files = node.read(&[MODULES_FILE, SYSCTL_FILE, FSTAB]).await?;
    let mut batch = FileBatch::default();
    for path in [MODULES_FILE, SYSCTL_FILE, FSTAB] {
        let old = files.get(path).map(|file| String::from_utf8_lossy(&file.content));
        let old = old.as_deref().unwrap_or_default();
        let new = fixes.iter().fold(old.to_owned(), |text, fix| lasting(path, &text, fix));
        if new != old {
            batch.files.push(NodeFile::public(path, new, FILE_MODE));
        }
    }
    node.install(&batch).await?;
    for fix in fixes {
        match fix {
            Fix::LoadModule(name) => drop(node.load_modules(&[name]).await?),
            Fix::SetSysctl { key, value, .. } => {
                node.set_sysctls(&[&format!("{key}={value}")]).await?;
            }
            Fix::SwapOff { devices } => {
                let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
                node.swap_off(&devices).await?;
            }
            Fix::EnableService { name, .. } => {
                node.service(ServiceAction::Enable, name).await?;
            }
            Fix::StartService { name, .. } => {
                node.service(ServiceAction::Start, name).await?;
            }
        }
    }
    node.cleanup().await
}

/// The text of the file at `path` once a remedy is to last.
fn lasting(path: &str, text: &str, fix: &Fix) -> String {
    match (path, fix) {
        (MODULES_FILE, Fix::LoadModule(name)) => {
            let there = text.lines().any(|line| line.trim() == *name);
            if there { text.to_owned() } else { with_line(text, name) }
        }
        (SYSCTL_FILE, Fix::SetSysctl { key, value, .. }) => {
            let key = key.replace('/', ".");
            let is_it =
                |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
            let others: String =
                text.lines().filter(|line| !is_it(line)).map(|line| format!("{line}\n")).collect();
            with_line(&others, &format!("{key} = {value}"))
        }
        (FSTAB, Fix::SwapOff { .. }) => text.split_inclusive('\n').map(without_swap).collect(),
        _ => text.to_owned(),
    }
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}\n")
}

/// A line of fstab, marked where it is about swap.
fn without_swap(line: &str) -> String {
    let is_swap =
        !line.trim_start().starts_with('#') && line.split_whitespace().nth(2) == Some("swap");
    if is_swap { format!("{FSTAB_MARK}{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_last_and_are_written_once() {
        let module = Fix::LoadModule("br_netfilter");
        let once = lasting(MODULES_FILE, "overlay", &module);
        assert_eq!(once, "overlay\nbr_netfilter\n");
        assert_eq!(lasting(MODULES_FILE, &once, &module), once);

        let sysctl = Fix::SetSysctl { key: "net/ipv4/ip_forward", value: 1, before: None };
        let old = "# ours\nnet.ipv4.ip_forward=0\nvm.swappiness = 1\n";
        let once = lasting(SYSCTL_FILE, old, &sysctl);
        assert_eq!(once, "# ours\nvm.swappiness = 1\nnet.ipv4.ip_forward = 1\n");
        assert_eq!(lasting(SYSCTL_FILE, &once, &sysctl), once);
        assert_eq!(lasting(MODULES_FILE, old, &sysctl), old);
    }

    #[test]
    fn swap_leaves_fstab_and_finds_its_way_back() {
        let off = Fix::SwapOff { devices: Vec::new() };
        let old = "UUID=1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n# /x none swap sw\n\
                   \t/swapfile\tnone\tswap\tsw 0 0";
        let once = lasting(FSTAB, old, &off);
        assert_eq!(once.matches(FSTAB_MARK).count(), 2);
        assert_eq!(lasting(FSTAB, &once, &off), once);
        // What the way back that is shown does.
        assert_eq!(once.replace(FSTAB_MARK, ""), old);
    }
}
