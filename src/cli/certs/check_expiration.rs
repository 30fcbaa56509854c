//! `fleetadm certs check-expiration`: when certificates expire, on every selected host at once.

use std::collections::HashMap;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::cli::args::{CertsFormat, CheckExpirationArgs, Global, OutputFormat};
use crate::cli::failure::Failure;
use crate::cli::session;
use crate::fleet::{Fleet, Step, StepError, Task};
use crate::inventory::{Host, Role, fold_hosts};
use crate::node::NodeError;
use crate::phases::certs::expiration::{self, Found, State};
use crate::report::{Event, aligned};
use crate::ssh::SshError;

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("{what}")]
    Due { what: String, certificates: Vec<Found> },
}

impl StepError for Refused {
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Ssh(error) => error.could_not_reach() || error.is_lost(),
            Self::Node(error) => error.is_unreachable(),
            Self::Due { .. } => false,
        }
    }
}

pub fn run(global: &Global, args: CheckExpirationArgs) -> Result<u8, Failure> {
    let format = match (args.format, global.output) {
        (Some(CertsFormat::Table), OutputFormat::Json) => {
            return Err(Failure::usage("--output json is for --format json only"));
        }
        (format, _) => format.unwrap_or(CertsFormat::Table),
    };
    let within = args.within.unwrap_or_default();
    let within = Duration::try_from(within)
        .map_err(|_| Failure::usage("--within is longer than time goes on"))?;
    let selected = session::select(global)?;
    let hosts = &selected.hosts;
    let serving: Option<String> = selected.inventory.cluster.as_ref().and_then(|cluster| {
        cluster.kubelet_configuration.get("tlsCertFile")?.as_str().map(str::to_owned)
    });
    let command = "certs check-expiration";
    session::contact(global, command, hosts, None, |reporter, cancel, connector| async move {
        let (pace, timeout) = (global.pace(), global.timeout);
        let step = Step { name: "certs/check-expiration", pace, timeout, cancel, reporter };
        let fleet = Arc::new(Fleet::new(connector, pace.parallel));
        let now = OffsetDateTime::now_utc();
        let found = step.run(hosts, |task| {
            let (fleet, serving) = (fleet.clone(), serving.clone());
            async move {
                let result = gather(&fleet, &task, serving.as_deref()).await;
                fleet.disconnect(&task.host).await;
                let certificates = result?;
                if certificates.is_empty() {
                    task.warn("no certificates of a cluster are here");
                }
                match due(&certificates, now, within) {
                    Some(what) => Err(Refused::Due { what, certificates }),
                    None => Ok(certificates),
                }
            }
        });
        let certificates = |found: Option<Result<_, Refused>>| match found? {
            Ok(certificates) | Err(Refused::Due { certificates, .. }) => Some(certificates),
            Err(_) => None,
        };
        let found = hosts.iter().zip(found.await);
        let found =
            found.filter_map(|(host, found)| Some((host.name.clone(), certificates(found)?)));
        let all = in_order(hosts, found.collect());
        for event in events(&all, format, now) {
            step.reporter.emit(event);
        }
        fleet.close().await;
        Ok(())
    })
}

async fn gather(
    fleet: &Arc<Fleet>,
    task: &Task,
    serving: Option<&str>,
) -> Result<Vec<Found>, Refused> {
    let node = session::onlooker(fleet, &task.host).await?;
    Ok(expiration::gather(&node, task.host.role, serving).await?)
}

/// What is wrong with a host's certificates, if anything.
fn due(certificates: &[Found], now: OffsetDateTime, within: Duration) -> Option<String> {
    let names = |test: &dyn Fn(&Found) -> bool| {
        let names = certificates.iter().filter(|one| test(one)).map(|one| one.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let expired = |one: &Found| one.left(now).is_some_and(|left| left <= Duration::ZERO);
    let kinds = [
        ("cannot be read", names(&|one| matches!(one.state, State::Unreadable(_)))),
        ("expired", names(&expired)),
        (
            "about to expire",
            names(&|one| one.left(now).is_some() && !expired(one) && one.is_due(now, within)),
        ),
    ];
    let said = kinds.iter().filter(|(_, names)| !names.is_empty());
    let said: Vec<String> = said.map(|(what, names)| format!("{what}: {names}")).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// What was found, in the inventory's order, and with what a worker cannot know of the authority: whether its key is on
/// no control plane.
fn in_order(
    hosts: &[Arc<Host>],
    mut found: HashMap<String, Vec<Found>>,
) -> Vec<(&Host, Vec<Found>)> {
    let mut all: Vec<(&Host, Vec<Found>)> =
        hosts.iter().filter_map(|host| Some((host.as_ref(), found.remove(&host.name)?))).collect();
    let mut keys =
        all.iter().filter(|(host, _)| host.role == Role::ControlPlane).filter_map(|(_, found)| {
            found.iter().find(|one| one.is_authority && one.name == "ca")?.external
        });
    let external = keys.next().map(|first| first && keys.all(|other| other));
    for one in all.iter_mut().flat_map(|(_, found)| found) {
        if one.authority == Some("ca") {
            one.external = one.external.or(external);
        }
    }
    all
}

fn events(all: &[(&Host, Vec<Found>)], format: CertsFormat, now: OffsetDateTime) -> Vec<Event> {
    let certificates = || {
        all.iter().flat_map(|(host, found)| found.iter().map(move |one| (host.name.as_str(), one)))
    };
    let mut events: Vec<Event> = certificates()
        .map(|(host, one)| Event::Found { kind: "certificate", fields: one.to_json(host, now) })
        .collect();
    match format {
        CertsFormat::Json => {
            let line = |(host, one): (&str, &Found)| format!("{}\n", one.to_json(host, now));
            events.push(Event::Data { text: certificates().map(line).collect() });
        }
        CertsFormat::Table => events.extend(tables(all, now)),
    }
    events
}

/// kubeadm's two tables with a column for hosts, authorities once for all hosts that have the same.
fn tables(all: &[(&Host, Vec<Found>)], now: OffsetDateTime) -> Option<Event> {
    let yes_no = |external: Option<bool>| match external {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    let mut leaves = Vec::new();
    let mut authorities: Vec<([String; 4], Vec<&str>)> = Vec::new();
    for (host, one) in all.iter().flat_map(|(host, found)| found.iter().map(move |one| (host, one)))
    {
        let [name, expires, left] = one.cells(now);
        let external = yes_no(one.external).to_owned();
        if one.is_authority {
            let row = [name, expires, left, external];
            match authorities.iter_mut().find(|(known, _)| *known == row) {
                Some((_, hosts)) => hosts.push(&host.name),
                None => authorities.push((row, vec![&host.name])),
            }
        } else {
            let authority = one.authority.unwrap_or("-").to_owned();
            leaves.push([host.name.clone(), name, expires, left, authority, external]);
        }
    }
    let header = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let (certificate, authority) = ("CERTIFICATE", "CERTIFICATE AUTHORITY");
    let mut text = String::new();
    if !leaves.is_empty() {
        let words =
            ["HOST", certificate, "EXPIRES", "RESIDUAL TIME", authority, "EXTERNALLY MANAGED"];
        text += &aligned(&header(&words), &leaves);
    }
    if !authorities.is_empty() {
        let words = ["HOST", authority, "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"];
        let rows: Vec<Vec<String>> = authorities
            .into_iter()
            .map(|(row, hosts)| [fold_hosts(&hosts)].into_iter().chain(row).collect())
            .collect();
        text += "\n";
        text += &aligned(&header(&words), &rows);
    }
    (!text.is_empty()).then_some(Event::Listing { text })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    fn found(name: &'static str, hours: i64) -> Found {
        Found {
            name,
            path: format!("/{name}"),
            is_authority: name == "ca",
            authority: Some("ca"),
            external: None,
            state: State::Valid { until: NOW + Duration::hours(hours) },
        }
    }

    #[test]
    fn what_is_due_is_named() {
        let unreadable =
            Found { state: State::Unreadable("damaged".to_owned()), ..found("admin.conf", 1) };
        let missing = Found { state: State::Missing, ..found("etcd-peer", 1) };
        let all = [found("apiserver", 0), unreadable, found("ca", 5), missing, found("late", 9)];
        let due = |within| due(&all, NOW, Duration::hours(within)).unwrap_or_default();
        insta::assert_snapshot!(due(0), @"cannot be read: admin.conf; expired: apiserver");
        insta::assert_snapshot!(due(5), @"cannot be read: admin.conf; expired: apiserver; about to expire: ca");
        assert_eq!(super::due(&all[4..], NOW, Duration::hours(8)), None);
    }

    #[test]
    fn authorities_are_shown_once_and_workers_take_their_word_from_control_planes() {
        let hosts = crate::inventory::parse(
            "[[hosts]]\nname = \"cp-[1-2]\"\naddress = \"10.0.0.[1-2]\"\nrole = \"control-plane\"\n\
             [[hosts]]\nname = \"node-1\"\naddress = \"10.0.0.9\"\n",
            std::path::Path::new("/"),
            "x.toml",
        );
        let hosts = hosts.unwrap().hosts;
        let authority = |external| Found { external: Some(external), ..found("ca", 24 * 400) };
        let of = |external| {
            HashMap::from([
                ("cp-1".to_owned(), vec![found("apiserver", 25), authority(external)]),
                ("cp-2".to_owned(), vec![authority(external)]),
                ("node-1".to_owned(), vec![found("kubelet.conf", 1)]),
            ])
        };
        let all = in_order(&hosts, of(true));
        let Some(Event::Listing { text }) = tables(&all, NOW) else { panic!("no table") };
        insta::assert_snapshot!(text, @r"
        HOST    CERTIFICATE   EXPIRES                 RESIDUAL TIME  CERTIFICATE AUTHORITY  EXTERNALLY MANAGED
        cp-1    apiserver     Nov 24, 2026 11:00 UTC  1d             ca                     yes
        node-1  kubelet.conf  Nov 23, 2026 11:00 UTC  1h             ca                     yes

        HOST      CERTIFICATE AUTHORITY  EXPIRES                 RESIDUAL TIME  EXTERNALLY MANAGED
        cp-[1-2]  ca                     Dec 28, 2027 10:00 UTC  1y             yes
        ");
        assert!(in_order(&hosts, of(false)).iter().all(|(_, all)| all[0].external == Some(false)));
    }
}
