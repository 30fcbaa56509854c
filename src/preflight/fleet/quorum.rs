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
    Findings::warning_if(members > 0 && members % 2 == 0, || {
        let tolerated = members / 2 - 1;
        format!(
            "{members} members of etcd go on without {tolerated} of them, as {} do: {} would go on \
             without {}",
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
        insta::assert_snapshot!(found(&Fleet::healthy(2, 1)), @"");
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
        insta::assert_snapshot!(found(&fleet), @"");
    }
}
