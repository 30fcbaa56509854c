//! Host keys of many hosts: looked at, compared with what is known and with what the operator trusts, and written down.
//!
//! Jump hosts come first: what is behind one is looked at through it, and it is connected to only once it is trusted itself.

mod listing;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream;
use tokio_util::sync::CancellationToken;

use self::listing::{Looked, listing, question, word};
use self::plan::plan;
use crate::inventory::Host;
use crate::report::{Event, NoAnswer, Outcome, Reporter};
use crate::ssh::{Connector, ExpectedKeys, HostKey, Offer, Recorded, Server, SshError, Standing};

/// What events call this.
const PHASE: &str = "trust";

/// What makes a new key one to be trusted.
#[derive(Debug)]
pub enum Consent {
    /// The operator says so, having seen it.
    Ask,
    /// Being the first one seen.
    FirstUse,
    /// Being in this list.
    Listed(ExpectedKeys),
}

/// Looks at the keys of hosts.
#[derive(Debug)]
pub struct Trust<'a> {
    /// Opens the connections.
    pub connector: &'a Connector,
    /// How many servers are looked at at any time.
    pub parallel: usize,
    /// Fires when the operator wants the run to stop.
    pub cancel: &'a CancellationToken,
    /// Where events go.
    pub reporter: &'a Reporter,
    /// What makes a key one to be trusted.
    pub consent: &'a Consent,
    /// Keys may take the place of others.
    pub replace: bool,
    /// Say what would be written down, and write nothing.
    pub dry_run: bool,
}

/// Why no more keys are written down.
#[derive(Debug, thiserror::Error)]
pub enum Unconfirmed {
    /// The operator said no.
    #[error("the keys were not confirmed")]
    Declined,
    /// The operator could not be asked.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// A server to look at.
struct Candidate {
    server: Server,
    /// The host that it is, or the first one behind it.
    host: usize,
    jump_host: bool,
}

/// How far it is with a host.
struct Progress<'a> {
    host: &'a Host,
    started: Instant,
    changes: usize,
    outcome: Option<Outcome>,
}

impl Progress<'_> {
    fn end(&mut self, failure: Option<String>, unreachable: bool) {
        let changes = self.changes;
        self.outcome = Some(match failure {
            Some(error) => Outcome::Failed { error, unreachable, changes },
            None => Outcome::Done { changes },
        });
    }
}

impl Trust<'_> {
    /// Look at `hosts` and the jump hosts before them, and write down what is new and trusted. How it ended for each host
    /// goes to the reporter.
    ///
    /// # Errors
    /// The operator did not confirm the keys. Those of jump hosts may have been written down before.
    pub async fn run(&self, hosts: &[Arc<Host>]) -> Result<(), Unconfirmed> {
        let progress = hosts.iter().map(|host| {
            let (name, phase) = named(host);
            self.reporter.emit(Event::PhaseStarted { host: name, phase, after: None });
            Progress { host, started: Instant::now(), changes: 0, outcome: None }
        });
        let mut progress: Vec<Progress<'_>> = progress.collect();
        let rounds = self.rounds(hosts, &mut progress).await;
        let mut result = Ok(());
        for candidates in rounds.values() {
            result = self.round(candidates, &mut progress).await;
            if result.is_err() || self.cancel.is_cancelled() {
                break;
            }
        }
        let reason = if self.cancel.is_cancelled() { "interrupted" } else { "not confirmed" };
        for Progress { host, started, outcome, .. } in progress {
            let (host, phase) = named(host);
            self.reporter.emit(Event::PhaseFinished {
                host,
                phase,
                outcome: outcome.unwrap_or(Outcome::Skipped { reason: reason.to_owned() }),
                elapsed: started.elapsed(),
            });
        }
        result
    }

    /// The servers to look at by how many jump hosts are before them; each jump host once.
    async fn rounds(
        &self,
        hosts: &[Arc<Host>],
        progress: &mut [Progress<'_>],
    ) -> BTreeMap<usize, Vec<Candidate>> {
        let mut rounds: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for (host, of) in hosts.iter().enumerate() {
            let servers = match self.connector.servers(of).await {
                Ok(servers) => servers,
                Err(error) => {
                    progress[host].end(Some(error.to_string()), true);
                    continue;
                }
            };
            let last = servers.len().saturating_sub(1);
            for (depth, server) in servers.into_iter().enumerate() {
                let jump_host = depth < last;
                if !jump_host || seen.insert(server.key()) {
                    rounds.entry(depth).or_default().push(Candidate { server, host, jump_host });
                }
            }
        }
        rounds
    }

    /// Look at servers that nothing keeps from being reached, and write down what is trusted.
    async fn round(
        &self,
        candidates: &[Candidate],
        progress: &mut [Progress<'_>],
    ) -> Result<(), Unconfirmed> {
        let (candidates, looked) = self.look_at(candidates, progress).await;
        self.show(&looked);
        let all = || candidates.iter().copied().zip(&looked);
        for (candidate, looked) in all().filter(|(_, looked)| looked.plan.add.is_empty()) {
            // What is wrong with a jump host keeps the hosts behind it from being reached, and they say so.
            if !candidate.jump_host {
                progress[candidate.host].end(looked.plan.failure.clone(), false);
            }
        }
        let wanted = || all().filter(|(_, looked)| !looked.plan.add.is_empty());
        self.confirm(&wanted().map(|(_, looked)| looked).collect::<Vec<_>>()).await?;
        for (candidate, looked) in wanted() {
            let progress = &mut progress[candidate.host];
            let failure = match self.record(candidate, looked).await {
                Ok(recorded) => {
                    self.tell(looked, &recorded, progress);
                    None
                }
                Err(reason) => Some(format!("the host key cannot be added to {reason}")),
            };
            if !candidate.jump_host {
                progress.end(failure, false);
            }
        }
        Ok(())
    }

    /// The servers that could be looked at, in the order of `candidates`.
    async fn look_at<'c>(
        &self,
        candidates: &'c [Candidate],
        progress: &mut [Progress<'_>],
    ) -> (Vec<&'c Candidate>, Vec<Looked>) {
        let look = |(index, candidate): (usize, &'c Candidate)| async move {
            let begun = !self.cancel.is_cancelled();
            let offer = if begun { Some(self.offer(candidate).await) } else { None };
            (index, candidate, offer)
        };
        let looks = stream::iter(candidates.iter().enumerate().map(look));
        let mut offers: Vec<_> = looks.buffer_unordered(self.parallel.max(1)).collect().await;
        offers.sort_by_key(|(index, _, _)| *index);
        let mut all = (Vec::new(), Vec::new());
        for (_, candidate, offer) in offers {
            let progress = &mut progress[candidate.host];
            match offer {
                Some(Ok(offer)) => {
                    all.0.push(candidate);
                    all.1.push(self.judge(candidate, progress.host, offer));
                }
                Some(Err(error)) if !candidate.jump_host => {
                    progress.end(Some(error.to_string()), true);
                }
                Some(Err(_)) | None => {}
            }
        }
        all
    }

    async fn offer(&self, candidate: &Candidate) -> Result<Offer, SshError> {
        self.connector.host_keys(&candidate.server).await
    }

    fn judge(&self, candidate: &Candidate, host: &Host, offer: Offer) -> Looked {
        let Candidate { server, jump_host, .. } = candidate;
        let address = server.endpoint();
        let name = if *jump_host { address.clone() } else { host.name.clone() };
        let listed = match self.consent {
            Consent::Listed(list) => Some(server.listed(list, &name, &keys(&offer))),
            Consent::Ask | Consent::FirstUse => None,
        };
        let plan = plan(&offer, listed.as_ref(), self.replace);
        let (through, file) = (server.through(), server.known_hosts_file());
        Looked { name, jump_host: *jump_host, address, through, offer, listed, plan, file }
    }

    fn show(&self, all: &[Looked]) {
        for looked in all {
            if let Some(reason) = &looked.offer.uncertified {
                self.reporter.emit(Event::Warning {
                    host: looked.name.clone(),
                    phase: PHASE.to_owned(),
                    text: reason.clone(),
                });
            }
            for (index, (key, standing)) in looked.offer.keys.iter().enumerate() {
                let known = match standing {
                    Standing::Changed(line) | Standing::Revoked(line) => Some(line),
                    Standing::Known | Standing::Certified | Standing::New => None,
                };
                self.reporter.emit(Event::HostKey {
                    host: looked.name.clone(),
                    jump_host: looked.jump_host,
                    address: looked.address.clone(),
                    through: looked.through.clone(),
                    key_type: key.kind(),
                    fingerprint: key.fingerprint(),
                    status: word(standing),
                    known: known.map(|line| (line.file.to_path_buf(), line.line, line.key.clone())),
                    listed: looked.is_listed(index),
                });
            }
        }
        if !all.is_empty() {
            self.reporter.emit(Event::Listing { text: listing(all) });
        }
    }

    async fn confirm(&self, wanted: &[&Looked]) -> Result<(), Unconfirmed> {
        if wanted.is_empty() || self.dry_run || !matches!(self.consent, Consent::Ask) {
            return Ok(());
        }
        match self.connector.secrets().confirm(&question(wanted)).await? {
            true => Ok(()),
            false => Err(Unconfirmed::Declined),
        }
    }

    async fn record(&self, candidate: &Candidate, looked: &Looked) -> Result<Recorded, String> {
        let Looked { offer, plan, file, .. } = looked;
        let server = &candidate.server;
        if !self.dry_run {
            let has = keys(offer);
            return self.connector.record_host_keys(server, &has, &plan.add, plan.replace).await;
        }
        let replaced = |standing: &Standing| match standing {
            Standing::Changed(line) if plan.replace => Some(line.key.clone()),
            _ => None,
        };
        Ok(Recorded {
            added: plan.add.iter().map(ToString::to_string).collect(),
            removed: offer.keys.iter().filter_map(|(_, standing)| replaced(standing)).collect(),
            file: file.clone().unwrap_or_default(),
        })
    }

    fn tell(&self, looked: &Looked, recorded: &Recorded, progress: &mut Progress<'_>) {
        let Recorded { added, removed, file } = recorded;
        let of = match looked.jump_host {
            true => format!(" of jump host {}", looked.name),
            false => String::new(),
        };
        let removed = removed.iter().map(|key| format!("remove {key}{of} from {file}"));
        let added = added.iter().map(|key| format!("add {key}{of} to {file}"));
        for what in removed.chain(added) {
            progress.changes += 1;
            let (host, phase) = named(progress.host);
            let dry_run = self.dry_run;
            self.reporter.emit(Event::Changed { host, phase, what, detail: None, dry_run });
        }
    }
}

fn named(host: &Host) -> (String, String) {
    (host.name.clone(), PHASE.to_owned())
}

fn keys(offer: &Offer) -> Vec<HostKey> {
    offer.keys.iter().map(|(key, _)| key.clone()).collect()
}
