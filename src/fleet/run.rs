//! The same work on every host: a bounded number at a time, in batches, until too many failed.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::stream;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;

/// What became of the work on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// It was done.
    Done(T),
    /// It failed.
    Failed(E),
    /// The run was cancelled before it began.
    Cancelled,
    /// It did not begin because too many hosts had failed, as this says.
    NotStarted(String),
}

/// Run `work` for each host, which is told by its place among them, too, at the given pace; outcomes come in the order of
/// `hosts`. `on_batch` is told the hosts of each batch, as indices, before it begins.
///
/// Once `cancel` is triggered or too many hosts failed, no more work begins. What has begun is left to
/// finish: `work` decides whether it watches the token itself.
pub async fn run_all<'a, H, T, E, F>(
    hosts: &'a [H],
    pace: &Pace,
    cancel: &CancellationToken,
    mut on_batch: impl FnMut(Range<usize>),
    work: impl Fn(usize, &'a H) -> F,
) -> Vec<(&'a H, Outcome<T, E>)>
where
    F: Future<Output = Result<T, E>>,
{
    let budget = Mutex::new(pace.budget(hosts.len()));
    let budget = || budget.lock().unwrap_or_else(PoisonError::into_inner);
    let work = &work;
    let on_host = |index: usize| {
        let host = &hosts[index];
        async move {
            let refused = budget().used_up();
            let outcome = match refused {
                _ if cancel.is_cancelled() => Outcome::Cancelled,
                Some(reason) => Outcome::NotStarted(reason),
                None => work(index, host).await.map_or_else(Outcome::Failed, Outcome::Done),
            };
            if let Outcome::Failed(_) = outcome {
                budget().host_failed();
            }
            (index, host, outcome)
        }
    };
    let mut outcomes = Vec::with_capacity(hosts.len());
    for batch in pace.batches(hosts.len()) {
        if !cancel.is_cancelled() && budget().used_up().is_none() {
            on_batch(batch.clone());
        }
        let tasks = stream::iter(batch.map(on_host));
        outcomes.extend(tasks.buffer_unordered(pace.parallel.max(1)).collect::<Vec<_>>().await);
    }
    outcomes.sort_by_key(|(index, _, _)| *index);
    outcomes.into_iter().map(|(_, host, outcome)| (host, outcome)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::fleet::Share;
    use crate::inventory::{Host, Role};

    pub(in crate::fleet) fn hosts(count: usize) -> Vec<Arc<Host>> {
        let host = |index: usize| Host {
            name: format!("node-{index}"),
            address: "127.0.0.1".to_owned(),
            advertise_address: None,
            role: Role::Worker,
            groups: Vec::new(),
            labels: BTreeMap::new(),
            taints: None,
            kubelet_extra_args: BTreeMap::new(),
            ssh: Arc::default(),
            vars: serde_json::Map::new(),
        };
        (0..count).map(|index| Arc::new(host(index))).collect()
    }

    #[tokio::test]
    async fn order_is_the_inventorys_and_concurrency_is_bounded() {
        let hosts = hosts(20);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (pace, cancel) = (Pace::parallel(4), CancellationToken::new());
        let outcomes = run_all(
            &hosts,
            &pace,
            &cancel,
            |_| {},
            async |_, host| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Later hosts finish sooner, so that finishing order differs from host order.
                let index: u64 = host.name.trim_start_matches("node-").parse().unwrap();
                sleep(Duration::from_millis(20 - index)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                if index.is_multiple_of(2) { Ok(index) } else { Err(index) }
            },
        )
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
        let outcomes = run_all(
            &hosts,
            &Pace::parallel(2),
            &cancel,
            |_| {},
            async |_, host| {
                if host.name == "node-0" {
                    cancel.cancel();
                }
                sleep(Duration::from_millis(5)).await;
                Ok::<_, ()>(())
            },
        )
        .await;
        let done = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Done(())).count();
        assert_eq!(outcomes.len(), 5);
        assert_eq!(done, 1);
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_one_before() {
        let hosts = hosts(7);
        let pace = Pace { serial: Some(Share::Count(3)), ..Pace::parallel(8) };
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut batches = Vec::new();
        let cancel = CancellationToken::new();
        let announce = |batch| {
            assert_eq!(running.load(Ordering::SeqCst), 0);
            batches.push(batch);
        };
        let outcomes = run_all(&hosts, &pace, &cancel, announce, async |_, _| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(5)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(())
        })
        .await;
        assert_eq!((outcomes.len(), most.into_inner()), (7, 3));
        assert_eq!(batches, [0..3, 3..6, 6..7]);
    }

    #[tokio::test]
    async fn no_host_begins_once_too_many_failed() {
        let hosts = hosts(9);
        let pace = Pace {
            serial: Some(Share::Count(3)),
            max_failures: Some(Share::Count(1)),
            ..Pace::parallel(8)
        };
        let mut batches = 0;
        let cancel = CancellationToken::new();
        // The second of each batch fails.
        let outcomes = run_all(
            &hosts,
            &pace,
            &cancel,
            |_| batches += 1,
            async |_, host| {
                let index: usize = host.name.trim_start_matches("node-").parse().unwrap();
                sleep(Duration::from_millis(2)).await;
                if index % 3 == 1 { Err(()) } else { Ok(()) }
            },
        )
        .await;
        assert_eq!(batches, 2);
        for (index, (_, outcome)) in outcomes.into_iter().enumerate() {
            let expected = match index {
                1 | 4 => Outcome::Failed(()),
                0..6 => Outcome::Done(()),
                _ => {
                    Outcome::NotStarted("not started: 2 hosts failed, --max-failures 1".to_owned())
                }
            };
            assert_eq!(outcome, expected, "{index}");
        }
    }

    #[tokio::test]
    async fn the_limit_holds_within_a_batch_too() {
        let hosts = hosts(5);
        let pace = Pace { max_failures: Some(Share::Count(0)), ..Pace::parallel(2) };
        let cancel = CancellationToken::new();
        let outcomes = run_all(&hosts, &pace, &cancel, |_| {}, async |_, _| Err::<(), _>(())).await;
        let begun = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Failed(())).count();
        assert_eq!(begun, 1);
    }
}
