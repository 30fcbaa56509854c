//! How a host's etcd becomes a member: a learner first, which votes once it has caught up.
//!
//! One host at a time goes through this, since etcd takes one learner at a time and a cluster whose members change all
//! at once can lose its quorum. Cut short anywhere, the next run goes on from what the members list says.

use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep};

use super::member::{self, poll};
use super::{any_member, own_member, voters};
use crate::cluster::static_pods::Component;
use crate::cluster::static_pods::etcd::{InitialCluster, Member as Peer, peer_url};
use crate::etcd::{EtcdClient, EtcdError, Member, MemberId, Members, in_turn};
use crate::inventory::Role;
use crate::kubernetes::poll::Attempt;
use crate::phases::init::control_plane::control_plane_node;
use crate::phases::{Context, Done, PhaseError, diagnosis, static_pods};

const INTERVAL: Duration = Duration::from_millis(250);

/// Make the host's etcd a member that votes and is well.
///
/// # Errors
/// The host cannot be reached, etcd refuses, or the member does not become healthy in time.
pub async fn join(context: &Context) -> Result<Done, PhaseError> {
    let own_url = peer_url(context.advertise_address().await?);
    let any = any_member(&context.run).await?;
    if context.dry_run() {
        return preview(context, &any, &own_url).await;
    }

    let kept = member::initial_cluster(context).await?;
    if kept.is_none() && context.host().role == Role::ControlPlane {
        let node = control_plane_node(context).await?;
        let pod = super::pod(context.run.cluster(), &node, &InitialCluster::New)?;
        static_pods::wait_for_room(context, &pod).await?;
    }
    let turn = turn(context, &any, &own_url).await?;
    let (own, members) = ensure_member(context, &any, &own_url).await?;
    let initial = kept.unwrap_or_else(|| existing(&members, &own_url, &context.host().name));
    let batch = member::files(context, &initial).await?;
    let restarted = member::put_in_place(context, &batch).await?;
    let part_taken = async {
        if own.is_learner {
            promote(context, &any, own.id, &own_url).await?;
        }
        if restarted {
            // The next one may go down for its own restart only then.
            wait_healthy(context).await?;
        }
        drop(turn);
        wait_healthy(context).await
    };
    static_pods::readmitting(context, &[Component::Etcd], part_taken).await?;
    Ok(Done::Finished)
}

/// Say that a host's etcd would become a member of one that does not exist yet.
pub fn preview_new(context: &Context, own_url: &str) {
    context.changed(format!("add {own_url} to etcd as a learner, and promote it"));
}

async fn preview(context: &Context, any: &EtcdClient, own_url: &str) -> Result<Done, PhaseError> {
    let members = any.members().await?;
    match members.at(own_url) {
        None => preview_new(context, own_url),
        Some(member) if member.is_learner => {
            context.changed(format!("promote etcd member {own_url}"))
        }
        Some(_) => {}
    }
    let kept = member::initial_cluster(context).await?;
    let initial = kept.unwrap_or_else(|| existing(&members, own_url, &context.host().name));
    context.install(&member::files(context, &initial).await?).await?;
    Ok(Done::Finished)
}

/// What a joining member is told: everyone, itself under its node's name. The order is etcd's.
fn existing(members: &Members, own_url: &str, own_name: &str) -> InitialCluster {
    let mut peers: Vec<Peer> = Vec::new();
    for member in &members.0 {
        let is_own = member.peer_urls.iter().any(|url| url == own_url);
        let name = if is_own { own_name.to_owned() } else { member.display_name() };
        let urls = member.peer_urls.iter();
        peers.extend(urls.map(|url| Peer { name: name.clone(), peer_url: url.clone() }));
    }
    if members.at(own_url).is_none() {
        peers.push(Peer { name: own_name.to_owned(), peer_url: own_url.to_owned() });
    }
    InitialCluster::Existing(peers)
}

/// Wait until no other host's member is on its way in. One that another run left behind, whose host is not joining now,
/// would stay for ever.
async fn turn<'a>(
    context: &'a Context,
    any: &EtcdClient,
    own_url: &str,
) -> Result<MutexGuard<'a, ()>, PhaseError> {
    let run = &context.run;
    let deadline = Instant::now() + run.cluster().section.timeouts.etcd_api_call;
    loop {
        let guard = run.etcd_membership().await;
        let waiting_for = match any.members().await {
            Ok(members) => match members.learner() {
                Some(other) if !other.peer_urls.iter().any(|url| url == own_url) => format!(
                    "member {} ({}) is still a learner, and etcd takes one at a time; finish the join of its host, or \
                     take it out with `fleetadm reset --prune`",
                    other.id,
                    other.peer_urls.join(", ")
                ),
                _ => return Ok(guard),
            },
            Err(error) if error.is_transient() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        // Its own host may be waiting for its turn.
        drop(guard);
        if Instant::now() >= deadline {
            return Err(PhaseError::State(waiting_for));
        }
        tokio::select! {
            () = run.options().cancel.cancelled() => return Err(PhaseError::Interrupted),
            () = sleep(INTERVAL) => {}
        }
    }
}

/// The host's member, added where there is none. One that has lost its data is replaced: etcd does not let it come back
/// under its old ID.
async fn ensure_member(
    context: &Context,
    any: &EtcdClient,
    own_url: &str,
) -> Result<(Member, Members), PhaseError> {
    let has_data = member::had_data(context).await?;
    let action = format!("add {own_url} to etcd");
    let added = poll(context).until(&context.run.options().cancel, &action, || async {
        settle(match try_member(context, any, own_url, has_data).await {
            Err(PhaseError::Etcd(error)) => Err(error),
            other => Ok(other),
        })
    });
    let member = added.await???;
    let members = any.members().await?;
    Ok((member, members))
}

async fn try_member(
    context: &Context,
    any: &EtcdClient,
    own_url: &str,
    has_data: bool,
) -> Result<Member, PhaseError> {
    let members = any.members().await?;
    let others = || voters(&context.run, &members);
    match members.at(own_url) {
        Some(member) if has_data || !member.has_started() => return Ok(member.clone()),
        Some(member) => {
            let id = member.id;
            let change = async |client: EtcdClient| client.remove(id).await;
            in_turn(any.clone(), others, change).await?;
            context.changed(format!(
                "remove etcd member {} ({own_url}), whose data is lost",
                member.id
            ));
        }
        None if has_data => {
            return Err(PhaseError::State(format!(
                "{} holds data of a member that etcd does not know (any more); run `fleetadm reset --limit {}` first",
                context.run.cluster().section.etcd.data_dir,
                context.host().name
            )));
        }
        None => {}
    }
    let change = async |client: EtcdClient| client.add_learner(own_url).await;
    let member = in_turn(any.clone(), others, change).await?;
    context.changed(format!("add etcd member {} ({own_url}) as a learner", member.id));
    Ok(Member { is_learner: true, ..member })
}

/// etcd refuses until the learner has nearly all of the log.
pub(in crate::phases) async fn promote(
    context: &Context,
    any: &EtcdClient,
    id: MemberId,
    own_url: &str,
) -> Result<(), PhaseError> {
    let action = format!("promote etcd member {id}");
    let promoted = poll(context).until(&context.run.options().cancel, &action, || async {
        settle(match any.promote(id).await {
            // It may have been carried out by a request whose answer was lost.
            Err(error) if error.is_precondition() => match any.members().await {
                Ok(members) if members.at(own_url).is_some_and(|own| !own.is_learner) => Ok(()),
                _ => Err(error),
            },
            other => other,
        })
    });
    match promoted.await {
        Ok(result) => result?,
        Err(error) => return Err(diagnosis::etcd_member(context, error).await),
    }
    context.changed(format!("promote etcd member {id}"));
    Ok(())
}

/// A member that has just been promoted may serve nobody for some seconds.
pub(in crate::phases) async fn wait_healthy(context: &Context) -> Result<(), PhaseError> {
    let own = own_member(context).await?;
    let action = "see the host's etcd member healthy";
    let healthy = poll(context).until(&context.run.options().cancel, action, || async {
        settle(own.check_health().await)
    });
    match healthy.await {
        Ok(result) => Ok(result?),
        Err(error) => Err(diagnosis::etcd_member(context, error).await),
    }
}

/// What may change by itself is tried again; everything else is an answer.
pub(in crate::phases) fn settle<T>(
    result: Result<T, EtcdError>,
) -> Result<Attempt<Result<T, EtcdError>>, crate::kubernetes::ApiError> {
    Ok(match result {
        Err(error) if error.is_transient() => Attempt::NotYet(error.to_string()),
        other => Attempt::Done(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joining_member_is_told_of_everyone_and_itself() {
        let member = |id, name: &str, url: &str| Member {
            id: MemberId(id),
            name: name.to_owned(),
            peer_urls: vec![url.to_owned()],
            client_urls: Vec::new(),
            is_learner: name.is_empty(),
        };
        let own = "https://10.0.0.2:2380";
        let members =
            Members(vec![member(1, "cp-1", "https://10.0.0.1:2380"), member(11, "", own)]);
        let peer = |name: &str, url: &str| Peer { name: name.to_owned(), peer_url: url.to_owned() };
        let expected = vec![peer("cp-1", "https://10.0.0.1:2380"), peer("cp-2", own)];
        assert_eq!(existing(&members, own, "cp-2"), InitialCluster::Existing(expected));
        let unnamed = peer("b", own);
        let InitialCluster::Existing(peers) = existing(&members, "https://10.0.0.3:2380", "cp-3")
        else {
            panic!("it joins")
        };
        assert_eq!((peers.len(), &peers[1]), (3, &unnamed));
    }
}
