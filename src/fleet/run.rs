//! The same work on every host, a bounded number at a time.

use futures::StreamExt;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::inventory::Host;

/// What became of the work on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// It was done.
    Done(T),
    /// It failed.
    Failed(E),
    /// The run was cancelled before it began.
    Cancelled,
}

/// Run `work` for each host, at most `parallel` at a time; outcomes come in the order of `hosts`.
///
/// Once `cancel` is triggered no more work begins. What has begun is left to finish: `work` decides
/// whether it watches the token itself.
pub async fn run_all<'a, T, E, F>(
    hosts: impl IntoIterator<Item = &'a Host>,
    parallel: usize,
    cancel: &CancellationToken,
    mut work: impl FnMut(&'a Host) -> F,
) -> Vec<(&'a Host, Outcome<T, E>)>
where
    F: Future<Output = Result<T, E>>,
{
    let work = &mut work;
    let tasks = hosts.into_iter().enumerate().map(|(index, host)| {
        // The future is lazy: nothing happens for a host before its turn.
        let task = work(host);
        async move {
            let outcome = if cancel.is_cancelled() {
                Outcome::Cancelled
            } else {
                task.await.map_or_else(Outcome::Failed, Outcome::Done)
            };
            (index, host, outcome)
        }
    });
    let mut outcomes: Vec<_> =
        stream::iter(tasks).buffer_unordered(parallel.max(1)).collect().await;
    outcomes.sort_by_key(|(index, _, _)| *index);
    outcomes.into_iter().map(|(_, host, outcome)| (host, outcome)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::inventory::{Role, SshSettings};

    fn hosts(count: usize) -> Vec<Host> {
        let host = |index: usize| Host {
            name: format!("node-{index}"),
            address: "127.0.0.1".to_owned(),
            advertise_address: None,
            role: Role::Worker,
            groups: Vec::new(),
            labels: BTreeMap::new(),
            taints: None,
            kubelet_extra_args: BTreeMap::new(),
            ssh: SshSettings::default(),
            vars: serde_json::Map::new(),
        };
        (0..count).map(host).collect()
    }

    #[tokio::test]
    async fn order_is_the_inventorys_and_concurrency_is_bounded() {
        let hosts = hosts(20);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcomes = run_all(&hosts, 4, &CancellationToken::new(), async |host| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Later hosts finish sooner, so that finishing order differs from host order.
            let index: u64 = host.name.trim_start_matches("node-").parse().unwrap();
            sleep(Duration::from_millis(20 - index)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            if index.is_multiple_of(2) { Ok(index) } else { Err(index) }
        })
        .await;
        assert_eq!(most.load(Ordering::SeqCst), 4);
        for (index, (host, outcome)) in (0u64..).zip(outcomes) {
            assert_eq!(host.name, format!("node-{index}"));
            let expected =
                if index.is_multiple_of(2) { Outcome::Done(index) } else { Outcome::Failed(index) };
            assert_eq!(outcome, expected);
        }
    }

    #[tokio::test]
    async fn cancelling_lets_begun_work_finish() {
        let hosts = hosts(5);
        let cancel = CancellationToken::new();
        let outcomes = run_all(&hosts, 2, &cancel, async |host| {
            if host.name == "node-0" {
                cancel.cancel();
            }
            sleep(Duration::from_millis(5)).await;
            Ok::<_, ()>(())
        })
        .await;
        let done = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Done(())).count();
        assert_eq!(outcomes.len(), 5);
        assert_eq!(done, 1);
    }
}
