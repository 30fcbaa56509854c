//! One member after the other is asked to change who the members are.

use std::future::Future;

use super::client::EtcdClient;
use super::error::EtcdError;

/// Have `first` carry out a change of the members, or where it refuses for now, the first of the `others` that does.
///
/// A member refuses as long as it holds too many of the others for lost, and goes by its own connections alone. After a
/// restart of one of them it may be wrong about that for good (etcd's issue 14523) while everyone else knows better.
///
/// # Errors
/// What `first` said, where the others refuse for now, too, or do not answer.
pub async fn in_turn<T, Others, Asked>(
    first: EtcdClient,
    others: impl FnOnce() -> Others,
    change: impl Fn(EtcdClient) -> Asked,
) -> Result<T, EtcdError>
where
    Others: Future<Output = Vec<EtcdClient>>,
    Asked: Future<Output = Result<T, EtcdError>>,
{
    let refused = match change(first).await {
        Err(error) if error.is_refused_for_now() => error,
        result => return result,
    };
    for other in others().await {
        match change(other).await {
            Err(error) if error.is_transient() => {}
            result => return result,
        }
    }
    Err(refused)
}
