//! How many members etcd has, and will have.

use super::Checks;
use crate::inventory::Role;
use crate::preflight::result::Findings;

impl Checks<'_> {
    pub(super) fn quorum(&mut self) {
        let count = |role| self.everyone.iter().filter(|other| **other == role).count();
        let (control_planes, members) = (count(Role::ControlPlane), count(Role::Etcd));
        let stacked = self.stacked_etcd();
        self.each("ControlPlaneCount", |host| {
            let findings = || if stacked { even(control_planes) } else { Findings::default() };
            (host.role == Role::ControlPlane)
                .then(|| findings().saw("control planes", control_planes))
        });
        self.each("EtcdMembers", |host| {
            (host.role == Role::Etcd).then(|| even(members).saw("members of etcd", members))
        });
    }
}

/// A majority has to be there: of 2n members n + 1, so that one more than 2n - 1 is one more that can fail, and no more
/// that may.
fn even(members: usize) -> Findings {
    even_members(members).map_or_else(Findings::default, Findings::warning)
}

/// What is to be said of an even number of members.
pub fn even_members(members: usize) -> Option<String> {
    (members > 0 && members.is_multiple_of(2)).then(|| {
        let tolerated = members / 2 - 1;
        format!(
            "etcd with {members} members survives the loss of {tolerated}, as with {}; with {} it \
             would survive that of {}",
            members - 1,
            members + 1,
            tolerated + 1
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::inventory::Role;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn odd_numbers_are_better() {
        assert_eq!(found(&Fleet::healthy(3, 1)), "");
        insta::assert_snapshot!(found(&Fleet::healthy(2, 1)), @r"
        cp-1 warning ControlPlaneCount: etcd with 2 members survives the loss of 0, as with 1; with 3 it would survive that of 1
        cp-2 warning ControlPlaneCount: etcd with 2 members survives the loss of 0, as with 1; with 3 it would survive that of 1
        ");
    }

    #[test]
    fn who_does_not_answer_counts() {
        let mut fleet = Fleet::healthy(2, 0);
        fleet.silent.push(Role::ControlPlane);
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn external_members_count_instead() {
        let mut fleet = Fleet::healthy(2, 0);
        fleet.add("etcd-1", Role::Etcd);
        assert_eq!(found(&fleet), "");
        fleet.add("etcd-2", Role::Etcd);
        fleet.add("etcd-3", Role::Etcd);
        fleet.add("etcd-4", Role::Etcd);
        insta::assert_snapshot!(found(&fleet), @r"
        etcd-1 warning EtcdMembers: etcd with 4 members survives the loss of 1, as with 3; with 5 it would survive that of 2
        etcd-2 warning EtcdMembers: etcd with 4 members survives the loss of 1, as with 3; with 5 it would survive that of 2
        etcd-3 warning EtcdMembers: etcd with 4 members survives the loss of 1, as with 3; with 5 it would survive that of 2
        etcd-4 warning EtcdMembers: etcd with 4 members survives the loss of 1, as with 3; with 5 it would survive that of 2
        ");
    }
}
