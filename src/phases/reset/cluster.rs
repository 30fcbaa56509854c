//! The cluster as a reset finds it, asked once per run through a control plane that stays, where there is one. Also
//! what a reset has to take back in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::cluster::Release;
use crate::inventory::Role;
use crate::kubernetes::objects::node;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{ApiClient, ApiError, Poll, Timing, drain, nodes};
use crate::phases::run::{HostState, Run};
use crate::phases::{Context, Mode, PhaseError};
use crate::phases::{control_plane, kubelet};
use crate::report::Event;

use super::departure::{HostView, NodeView, View};
use super::etcd::Etcd;
use super::quorum::Tally;

/// How long a cluster that may be gone is asked, in all.
const SHORT: Timing = Timing {
    request: Duration::from_secs(5),
    total: Duration::from_secs(10),
    interval: Duration::from_millis(500),
};

/// How long until a cluster that may come back is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// How the cluster stands.
pub enum Standing {
    /// No control plane of the inventory was ever set up.
    Absent,
    /// It does not answer, because of this.
    Silent(String),
    /// It answers.
    Living(Box<Living>),
}

/// A cluster that answers.
pub struct Living {
    /// Its API, through a control plane that stays if one does.
    pub api: ApiClient,
    /// Its etcd, through the same or a host of etcd; `None` where that is not the cluster's own, or does not answer.
    pub etcd: Option<Etcd>,
    /// Who leaves and who stays.
    pub view: View,
}

impl Living {
    /// Whether the API and a quorum of etcd are well.
    ///
    /// # Errors
    /// What is not, in words for people.
    async fn check(&self) -> Result<(), String> {
        let once = self.api.with_timing(Timing::once(SHORT.request));
        once.probe("/readyz").await.map_err(|error| error.to_string())?;
        let Some(etcd) = &self.etcd else { return Ok(()) };
        let members = etcd.members().await.map_err(|error| error.to_string())?;
        let tally = Tally::of(&self.view.with_members(members).voters());
        match tally.has_quorum() {
            true => Ok(()),
            false => Err(format!("etcd has no quorum: {tally}")),
        }
    }

    /// Wait until it is: an API server that has just started, or lost a member of etcd, takes a moment.
    ///
    /// # Errors
    /// It is not within `timeout`.
    pub async fn until_well(&self, context: &Context, timeout: Duration) -> Result<(), ApiError> {
        let poll = Poll { timeout, interval: Duration::from_millis(500) };
        let action = format!("see the cluster well without {}", context.host().name);
        let check = || async {
            Ok(match self.check().await {
                Ok(()) => Attempt::Done(()),
                Err(problem) => Attempt::NotYet(problem),
            })
        };
        poll.until(&context.run.options().cancel, &action, check).await
    }
}

/// What the tasks of a reset share.
#[derive(Default)]
pub struct Shared {
    standing: OnceCell<Standing>,
    pruned: OnceCell<()>,
    /// Nodes that this run has cordoned and whose hosts may still stay.
    cordoned: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Remember that this run has cordoned a Node.
    pub fn has_cordoned(&self, name: &str) {
        self.cordoned.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// The host of this Node cannot stay any more. Returns whether this run has cordoned it.
    pub fn is_leaving(&self, name: &str) -> bool {
        self.cordoned.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// Remove what no host stands for, unless that has been done; another caller waits for it.
    ///
    /// # Errors
    /// Those of `prune`. The next caller tries anew.
    pub async fn once_pruned<F, Fut>(&self, prune: F) -> Result<(), PhaseError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<(), PhaseError>>,
    {
        self.pruned.get_or_try_init(prune).await.copied()
    }

    fn still_cordoned(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.cordoned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How the cluster stands, asked at the first use in a run.
pub async fn standing(context: &Context) -> &Standing {
    let run = &context.run;
    run.reset().standing.get_or_init(|| look_until_back(context)).await
}

/// Look, and again where the cluster does not answer, or etcd cannot spare who leaves, although there are kubelets that start
/// what is missing: after an outage they take their time.
async fn look_until_back(context: &Context) -> Standing {
    let run = &context.run;
    let options = &run.options().reset;
    // Those go on without it.
    if options.force || options.whole || run.mode() == Mode::DryRun {
        return look(run).await;
    }
    let timeout = run.cluster().section.timeouts.control_plane_component_health_check;
    let last = Mutex::new(None);
    let look_again = || async {
        let standing = look(run).await;
        let Some((what, why)) = missing(run, &standing).await else {
            return Ok(Attempt::Done(standing));
        };
        let before = last.lock().unwrap_or_else(PoisonError::into_inner).replace(standing);
        if before.is_none() {
            let seconds = timeout.as_secs();
            context.warn(format!("{what}, {seconds} s at most ({why})"));
        }
        Ok(Attempt::NotYet(why))
    };
    let poll = Poll { timeout, interval: AGAIN };
    let standing = poll.until(&run.options().cancel, "see the cluster answer", look_again).await;
    let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    standing.unwrap_or_else(|error| match last {
        Some(living @ Standing::Living(_)) => living,
        _ => Standing::Silent(error.reason()),
    })
}

/// What is worth waiting for, and why: what a kubelet that runs may still start.
async fn missing(run: &Run, standing: &Standing) -> Option<(&'static str, String)> {
    let control_planes = run.control_plane().hosts().iter();
    match standing {
        Standing::Absent => None,
        Standing::Silent(why) => {
            let leaving = run.hosts();
            let stays = |name: &str| !leaving.iter().any(|host| host.name == name);
            let what = "the cluster does not answer; its kubelets run, so it is waited for";
            let among = control_planes.filter(|state| stays(&state.host.name));
            kubelet_runs(run, among).await.then(|| (what, why.clone()))
        }
        Standing::Living(living) => {
            let awaited = living.view.awaited()?;
            let is_ill = |name: &str| awaited.hosts.iter().any(|host| host == name);
            let what = "members of etcd are not well; their kubelets run, so they are waited for";
            let etcd_hosts = run.etcd_hosts().into_iter().flat_map(|hosts| hosts.hosts());
            let among = control_planes.chain(etcd_hosts).filter(|state| is_ill(&state.host.name));
            kubelet_runs(run, among).await.then_some((what, awaited.why))
        }
    }
}

/// Whether a kubelet runs on one of these.
async fn kubelet_runs(run: &Run, among: impl Iterator<Item = &Arc<HostState>>) -> bool {
    for state in among {
        let Ok(node) = run.node(state).await else { continue };
        if node.processes(&[kubelet::SERVICE]).await.is_ok_and(|found| !found.is_empty()) {
            return true;
        }
    }
    false
}

/// The end of a run: Nodes that were drained and whose hosts stay take pods again.
pub async fn take_back(run: &Run) {
    let cordoned = run.reset().still_cordoned();
    let Some(Standing::Living(living)) = run.reset().standing.get() else { return };
    for name in cordoned {
        let phase = "finish".to_owned();
        let event = match drain::uncordon(&living.api, &name).await {
            Ok(()) => Event::Changed {
                host: name.clone(),
                phase,
                what: format!("uncordon Node {name}, whose host is not reset"),
                detail: None,
                dry_run: false,
            },
            Err(error) => Event::Warning {
                host: name.clone(),
                phase,
                text: format!(
                    "Node {name} is cordoned still; `kubectl uncordon {name}` lets pods back: {error}"
                ),
            },
        };
        run.reporter().emit(event);
    }
}

async fn look(run: &Arc<Run>) -> Standing {
    let leaving: BTreeSet<String> = run.hosts().iter().map(|host| host.name.clone()).collect();
    let mut candidates: Vec<&Arc<HostState>> = run.control_plane().hosts().iter().collect();
    // One that stays answers to the end.
    candidates.sort_by_key(|state| leaving.contains(&state.host.name));
    let mut problems = Vec::new();
    for state in candidates {
        let opened = match open(run, state).await {
            Ok(None) => continue,
            Ok(Some(api)) => nodes::list(&api).await.map(|nodes| (api, nodes)).map_err(Into::into),
            Err(error) => Err(error),
        };
        match opened {
            Ok((api, nodes)) => {
                let mut view = view(run, &leaving, &nodes);
                let api = api.with_timing(Timing::default());
                // With everybody gone there is nothing to remove a member from.
                let etcd = match run.options().reset.whole {
                    true => None,
                    false => look_at_etcd(run, state, &leaving, &mut view).await,
                };
                return Standing::Living(Box::new(Living { api, etcd, view }));
            }
            Err(error) => problems.push(format!("{}: {error}", state.host.name)),
        }
    }
    match problems.is_empty() {
        true => Standing::Absent,
        false => Standing::Silent(problems.join("; ")),
    }
}

/// The way to etcd, with its members put into the view, or what is the matter with it.
async fn look_at_etcd(
    run: &Run,
    control_plane: &HostState,
    leaving: &BTreeSet<String>,
    view: &mut View,
) -> Option<Etcd> {
    let mut candidates: Vec<&HostState> = match run.etcd_hosts() {
        None => vec![control_plane],
        Some(hosts) => hosts.hosts().iter().map(|state| &**state).collect(),
    };
    candidates.sort_by_key(|state| leaving.contains(&state.host.name));
    let mut found = None;
    for state in candidates {
        let asked = async {
            let Some(etcd) = Etcd::through(run, state).await? else { return Ok(None) };
            let members = etcd.members().await;
            Ok::<_, PhaseError>(Some((etcd, members)))
        };
        match asked.await {
            Ok(None) => {}
            Ok(Some((etcd, Ok(members)))) => {
                view.members = members;
                view.etcd_problem = None;
                return Some(etcd);
            }
            // It may answer later.
            Ok(Some((etcd, Err(error)))) => {
                view.etcd_problem = Some(error.to_string());
                found.get_or_insert(etcd);
            }
            Err(error) => view.etcd_problem = Some(error.to_string()),
        }
    }
    found
}

/// A client of the API server on this host; `None` where none was set up.
async fn open(run: &Arc<Run>, state: &HostState) -> Result<Option<ApiClient>, PhaseError> {
    let Some((api, _)) = control_plane::api_of(run, state).await? else { return Ok(None) };
    // Where all goes, a cluster that is gone already must not be waited for.
    let once = run.mode() == Mode::DryRun || run.options().reset.whole;
    Ok(Some(api.with_timing(if once { Timing::once(SHORT.request) } else { SHORT })))
}

/// The inventory's hosts and these Nodes; etcd has not been asked yet.
pub fn view(run: &Run, leaving: &BTreeSet<String>, nodes: &[Value]) -> View {
    let host = |host: &Arc<crate::inventory::Host>| HostView {
        name: host.name.clone(),
        address: host.advertise_address.map(|address| address.to_string()),
        control_plane: host.role == Role::ControlPlane,
        etcd: host.role == Role::Etcd,
        leaves: leaving.contains(&host.name),
    };
    View {
        hosts: run.inventory().hosts.iter().map(host).collect(),
        nodes: nodes.iter().map(|node| node_view(&run.cluster().release, node)).collect(),
        members: Vec::new(),
        etcd_problem: None,
        prune: run.options().reset.prune,
    }
}

fn node_view(release: &Release, node: &Value) -> NodeView {
    let labels = &node["metadata"]["labels"];
    let is_role = |label: &&&str| label.starts_with("node-role.kubernetes.io/");
    let addresses = node["status"]["addresses"].as_array();
    let internal = |address: &&Value| address["type"] == "InternalIP";
    let text = |address: &Value| address["address"].as_str().map(str::to_owned);
    NodeView {
        name: node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        ready: node::ready(node).is_ok(),
        control_plane: release
            .nodes
            .control_plane_labels
            .iter()
            .filter(is_role)
            .any(|label| labels[*label].is_string()),
        addresses: addresses.into_iter().flatten().filter(internal).filter_map(text).collect(),
    }
}
