//! The members of an etcd cluster, and what they can afford to lose.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A member's ID, which etcd draws when the member is added and writes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    /// The gateway writes 64-bit numbers as strings, as protobuf's JSON mapping has it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| serde::de::Error::custom("a member ID is no number"))
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its ID.
    #[serde(rename = "ID")]
    pub id: MemberId,
    /// The name it started with; empty until it has started for the first time.
    #[serde(default)]
    pub name: String,
    /// Where other members reach it.
    #[serde(rename = "peerURLs", default)]
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started for the first time.
    #[serde(rename = "clientURLs", default)]
    pub client_urls: Vec<String>,
    /// It receives the log and does not vote.
    #[serde(rename = "isLearner", default)]
    pub is_learner: bool,
}

impl Member {
    /// Whether it has ever started.
    pub fn has_started(&self) -> bool {
        !self.name.is_empty()
    }

    /// The name it is known under: its own, or its ID in hexadecimal as kubeadm writes it.
    pub fn display_name(&self) -> String {
        if self.name.is_empty() { self.id.to_string() } else { self.name.clone() }
    }
}

/// All members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(pub Vec<Member>);

impl Members {
    /// The member that other members reach at this URL.
    pub fn at(&self, peer_url: &str) -> Option<&Member> {
        self.0.iter().find(|member| member.peer_urls.iter().any(|url| url == peer_url))
    }

    /// The member with this ID.
    pub fn get(&self, id: MemberId) -> Option<&Member> {
        self.0.iter().find(|member| member.id == id)
    }

    /// Those that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(|member| !member.is_learner)
    }

    /// The one that does not vote yet. etcd allows one at a time.
    pub fn learner(&self) -> Option<&Member> {
        self.0.iter().find(|member| member.is_learner)
    }
}

/// How many of so many voters must agree.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str, learner: bool) -> Member {
        Member {
            id: MemberId(id),
            name: name.to_owned(),
            peer_urls: vec![format!("https://10.0.0.{id}:2380")],
            client_urls: Vec::new(),
            is_learner: learner,
        }
    }

    #[test]
    fn members_are_found_by_their_peer_url() {
        let members = Members(vec![member(1, "cp-1", false), member(10, "", true)]);
        assert_eq!(members.at("https://10.0.0.10:2380").unwrap().display_name(), "a");
        assert!(members.at("https://10.0.0.2:2380").is_none());
        assert_eq!(members.learner().unwrap().id, MemberId(10));
        assert!(!members.learner().unwrap().has_started());
        assert_eq!(members.voters().count(), 1);
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        assert_eq!([1, 2, 3, 4, 5].map(quorum), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn what_the_gateway_leaves_out_is_the_default() {
        let text = r#"{"ID":"17237436991929493444","peerURLs":["https://10.0.0.1:2380"]}"#;
        let member: Member = serde_json::from_str(text).unwrap();
        assert_eq!(member.id.to_string(), "ef37ad9dc622a7c4");
        assert!(!member.is_learner && !member.has_started());
        assert!(serde_json::from_str::<Member>(r#"{"ID":"x"}"#).is_err());
    }
}
