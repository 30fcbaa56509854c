use std::path::Path;

use super::listing::{Looked, listing, question};
use super::plan::{Plan, plan};
use crate::ssh::{HostKey, KnownLine, Offer, Standing};

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

fn key(text: &str) -> HostKey {
    text.parse().unwrap()
}

/// A known_hosts line with `text`.
fn line(text: &str) -> KnownLine {
    KnownLine { file: Path::new("known_hosts").into(), line: 3, key: key(text).to_string() }
}

fn offer(keys: &[(&str, Standing)]) -> Offer {
    let keys = keys.iter().map(|(text, standing)| (key(text), standing.clone())).collect();
    Offer { keys, uncertified: None }
}

fn add(keys: &[&str]) -> Plan {
    Plan { add: keys.iter().map(|text| key(text)).collect(), ..Plan::default() }
}

#[test]
fn new_keys_are_added() {
    let new = offer(&[(A, Standing::New), (ECDSA, Standing::New)]);
    assert_eq!(plan(&new, None, false), add(&[A, ECDSA]));
    assert_eq!(plan(&new, Some(&Ok(vec![false, true])), false), add(&[ECDSA]));
    let mixed = offer(&[(A, Standing::Known), (ECDSA, Standing::New)]);
    assert_eq!(plan(&mixed, None, true), add(&[ECDSA]));
}

#[test]
fn nothing_is_done_twice() {
    let known = offer(&[(A, Standing::Known), (ECDSA, Standing::Known)]);
    assert_eq!(plan(&known, None, true), Plan::default());
    assert_eq!(plan(&known, Some(&Ok(vec![true, false])), false), Plan::default());
    assert_eq!(plan(&offer(&[(A, Standing::Certified)]), None, false), Plan::default());
}

#[test]
fn what_must_not_be_trusted_spoils_the_host() {
    let fault = |keys: &[(&str, Standing)], listed: Option<Result<Vec<bool>, String>>, replace| {
        let plan = plan(&offer(keys), listed.as_ref(), replace);
        assert_eq!(plan.add, []);
        plan.failure.unwrap()
    };
    let changed = [(ECDSA, Standing::New), (A, Standing::Changed(line(B)))];
    insta::assert_snapshot!(fault(&changed, None, false), @"the host key has changed: ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg in place of ssh-ed25519 SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE in known_hosts:3; someone may be intercepting the connection; if the host was reinstalled, say --replace");
    insta::assert_snapshot!(fault(&changed, Some(Ok(vec![true, false])), true), @"the host key has changed: ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg in place of ssh-ed25519 SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE in known_hosts:3; the list does not have the new one");
    let revoked = [(ECDSA, Standing::New), (A, Standing::Revoked(line(A)))];
    insta::assert_snapshot!(fault(&revoked, None, true), @"the host key is revoked: ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg is marked @revoked in known_hosts:3; give the host a new key");
    let unlisted = Err("none of its keys is in the list".to_owned());
    assert_eq!(
        fault(&[(A, Standing::New)], Some(unlisted), false),
        "none of its keys is in the list"
    );
    assert_eq!(fault(&[], None, false), "the host offers no key of a type that can be checked");
}

#[test]
fn changed_keys_are_replaced_where_that_is_wanted() {
    let changed = offer(&[(A, Standing::Changed(line(B))), (ECDSA, Standing::New)]);
    let replace = |keys: &[&str]| Plan { replace: true, ..add(keys) };
    assert_eq!(plan(&changed, None, true), replace(&[A, ECDSA]));
    assert_eq!(plan(&changed, Some(&Ok(vec![true, false])), true), replace(&[A]));
    let all_changed =
        offer(&[(ECDSA, Standing::Changed(line(B))), (A, Standing::Changed(line(B)))]);
    assert_eq!(plan(&all_changed, Some(&Ok(vec![false, true])), true), replace(&[A]));
}

fn looked(name: &str, keys: &[(&str, Standing)]) -> Looked {
    let offer = offer(keys);
    Looked {
        name: name.to_owned(),
        jump_host: false,
        address: "10.0.0.1:22".to_owned(),
        through: Vec::new(),
        plan: plan(&offer, None, true),
        offer,
        listed: None,
        file: Some("known_hosts".to_owned()),
    }
}

#[test]
fn hosts_with_nothing_new_share_a_line() {
    let known = |name| looked(name, &[(A, Standing::Known)]);
    let other = looked("node-2", &[(B, Standing::Known), (ECDSA, Standing::Known)]);
    let certified = looked("node-9", &[(A, Standing::Certified)]);
    insta::assert_snapshot!(listing(&[known("node-1"), other, known("node-3"), certified]), @r"
    node-[1-3] (3 servers): known
    node-9 (10.0.0.1:22): certified
    ");
}

#[test]
fn every_new_key_is_shown() {
    let bastion = Looked {
        jump_host: true,
        ..looked("bastion.example.com:22", &[(A, Standing::Known), (ECDSA, Standing::New)])
    };
    let behind = Looked {
        through: vec!["bastion.example.com:22".to_owned(), "10.1.0.1:22".to_owned()],
        ..looked(
            "node-1",
            &[(A, Standing::Changed(line(B))), (ECDSA, Standing::Revoked(line(ECDSA)))],
        )
    };
    let listed =
        Looked { listed: Some(Ok(vec![false])), ..looked("node-2", &[(B, Standing::Known)]) };
    insta::assert_snapshot!(listing(&[bastion, behind, listed]), @r"
    bastion.example.com:22 (jump host)
      known      ssh-ed25519          SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg
      new        ecdsa-sha2-nistp256  SHA256:JQ6FV0rf7qqJHZqIj4zNH8eV0oB8KLKh9Pph3FTD98g
    node-1 (10.0.0.1:22 through bastion.example.com:22, 10.1.0.1:22)
      changed    ssh-ed25519          SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg in place of ssh-ed25519 SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE in known_hosts:3
      revoked    ecdsa-sha2-nistp256  SHA256:JQ6FV0rf7qqJHZqIj4zNH8eV0oB8KLKh9Pph3FTD98g marked @revoked in known_hosts:3
    node-2 (10.0.0.1:22)
      known      ssh-ed25519          SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE, not in the list
    ");
}

#[test]
fn equal_keys_stand_out() {
    let new = |name| looked(name, &[(A, Standing::New)]);
    insta::assert_snapshot!(listing(&[new("node-1"), looked("node-2", &[(B, Standing::New)]), new("node-3")]), @r"
    node-[1,3] (2 servers with the same keys: copies of one machine?)
      new        ssh-ed25519          SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg
    node-2 (10.0.0.1:22)
      new        ssh-ed25519          SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE
    ");
}

#[test]
fn the_question_says_what_is_added_where() {
    let new = looked("node-1", &[(A, Standing::New), (ECDSA, Standing::New)]);
    let changed = looked("node-2", &[(A, Standing::Changed(line(B)))]);
    insta::assert_snapshot!(question(&[&new, &changed]), @r"
    3 host keys of node-[1-2] are to be added to known_hosts. For 1 of these servers they REPLACE the keys known so far. Whoever can intercept the connections may have shown them: compare the fingerprints with what `ssh-keygen -lf` says of the keys in /etc/ssh on the host itself.
    Are they right?
    ");
}
