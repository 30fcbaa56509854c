//! What etcd can afford to lose: the arithmetic of taking members out one after the other. Pure.

use std::fmt;

/// A member, as far as the arithmetic goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// What it is called.
    pub name: String,
    /// It answers, and sees a leader.
    pub healthy: bool,
}

/// How a cluster of etcd stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Members that vote.
    pub members: usize,
    /// Those of them that are healthy.
    pub healthy: usize,
}

impl Tally {
    /// Count the members that vote.
    pub fn of(voters: &[Voter]) -> Self {
        let healthy = voters.iter().filter(|voter| voter.healthy).count();
        Self { members: voters.len(), healthy }
    }

    /// How many have to agree: more than half.
    pub fn quorum(self) -> usize {
        self.members / 2 + 1
    }

    /// Whether anything can be agreed on.
    pub fn has_quorum(self) -> bool {
        self.healthy >= self.quorum()
    }

    fn without(self, voter: &Voter) -> Self {
        Self { members: self.members - 1, healthy: self.healthy - usize::from(voter.healthy) }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = if self.members == 1 { "member" } else { "members" };
        write!(f, "{} {members}, {} healthy, quorum {}", self.members, self.healthy, self.quorum())
    }
}

/// Why a member cannot be taken out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumLost {
    /// Nothing can be agreed on as it is, its removal included.
    #[error("etcd has no quorum ({before}), so it cannot agree to remove {name}")]
    Already {
        /// The member.
        name: String,
        /// As it stands.
        before: Tally,
    },
    /// Nothing could be agreed on afterwards.
    #[error("etcd would lose its quorum: {before}: removing {name} leaves {after}")]
    By {
        /// The member.
        name: String,
        /// As it stands when its turn comes.
        before: Tally,
        /// As it would stand without it.
        after: Tally,
    },
}

/// Take members out one by one, in this order, and say what is left. The last one that votes is never taken out of
/// etcd: it ends with its cluster.
///
/// # Errors
/// The first one that etcd cannot afford to lose. Names that are of no member are passed over.
pub fn take_out(voters: &[Voter], leaving: &[&str]) -> Result<Tally, QuorumLost> {
    let mut tally = Tally::of(voters);
    for name in leaving {
        let Some(voter) = voters.iter().find(|voter| voter.name == **name) else { continue };
        if tally.members == 1 {
            break;
        }
        let (name, before, after) = (voter.name.clone(), tally, tally.without(voter));
        if !before.has_quorum() {
            return Err(QuorumLost::Already { name, before });
        }
        if !after.has_quorum() {
            return Err(QuorumLost::By { name, before, after });
        }
        tally = after;
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn voters(healthy: &[bool]) -> Vec<Voter> {
        (1..)
            .zip(healthy)
            .map(|(number, healthy)| Voter { name: format!("cp-{number}"), healthy: *healthy })
            .collect()
    }

    fn refusal(healthy: &[bool], leaving: &[&str]) -> String {
        take_out(&voters(healthy), leaving).unwrap_err().to_string()
    }

    #[test]
    fn a_healthy_cluster_shrinks_to_one() {
        let three = voters(&[true, true, true]);
        let left = take_out(&three, &["cp-1"]).unwrap();
        assert_eq!(left.to_string(), "2 members, 2 healthy, quorum 2");
        let left = take_out(&three, &["cp-1", "cp-2"]).unwrap();
        assert_eq!(left.to_string(), "1 member, 1 healthy, quorum 1");
        // The last one is not removed, and a name of no member is no matter.
        assert_eq!(take_out(&three, &["cp-1", "cp-2", "cp-3", "n1"]).unwrap(), left);
    }

    #[test]
    fn what_would_cost_the_quorum_is_refused_with_the_numbers() {
        insta::assert_snapshot!(refusal(&[true, true, false], &["cp-1"]), @"etcd would lose its quorum: 3 members, 2 healthy, quorum 2: removing cp-1 leaves 2 members, 1 healthy, quorum 2");
        insta::assert_snapshot!(refusal(&[true, true, true, false, false], &["cp-2"]), @"etcd would lose its quorum: 5 members, 3 healthy, quorum 3: removing cp-2 leaves 4 members, 2 healthy, quorum 3");
        insta::assert_snapshot!(refusal(&[true, false], &["cp-2"]), @"etcd has no quorum (2 members, 1 healthy, quorum 2), so it cannot agree to remove cp-2");
    }

    #[test]
    fn the_order_counts() {
        // A dead member taken out first makes room for a healthy one.
        let voters = voters(&[true, true, false]);
        assert!(take_out(&voters, &["cp-3", "cp-1"]).is_ok());
        assert!(take_out(&voters, &["cp-1", "cp-3"]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_allowed_keeps_the_quorum(
            healthy in proptest::collection::vec(any::<bool>(), 1..8),
            leaving in proptest::collection::vec(0_usize..8, 0..8),
        ) {
            let voters = voters(&healthy);
            let names: Vec<&str> = leaving
                .iter()
                .filter_map(|index| voters.get(*index))
                .map(|voter| voter.name.as_str())
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect();
            if let Ok(left) = take_out(&voters, &names) {
                prop_assert!(left.members >= 1);
                prop_assert!(left.has_quorum() || Tally::of(&voters) == left);
            }
        }
    }
}
