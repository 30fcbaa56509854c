//! Which keys are offered to a server, and in what order. Pure: the agent has been asked, nothing has been sent.
//!
//! A server ends the connection after a few keys it does not know (`MaxAuthTries`, 6 by default), so the order decides
//! whether a full agent still gets in: certificates, then keys somebody named, then the rest.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

use crate::report::printable_line;
use crate::ssh::keys::{Identities, KeyFile, Private};

/// What happens next.
#[derive(Debug)]
pub(super) enum Step {
    /// Offer a key or a certificate.
    Offer(Box<Offer>),
    /// Nothing to offer here; the reason is worth telling.
    Note(String),
}

impl Step {
    /// Whether it is to offer a key for which nobody need be asked for a passphrase.
    pub(super) fn is_ready(&self) -> bool {
        let Self::Offer(offer) = self else { return false };
        match &offer.signer {
            Holder::Agent(_) => true,
            Holder::File(file) => matches!(file.private, Private::Usable(_)),
        }
    }
}

/// A key to offer.
#[derive(Debug)]
pub(super) struct Offer {
    /// Its name for people.
    pub(super) shown: String,
    /// What the server sees; `None` for what is known only once the file is unlocked.
    pub(super) public: Option<Public>,
    /// Who signs.
    pub(super) signer: Holder,
}

/// What the server sees of a key.
#[derive(Debug, Clone)]
pub(super) enum Public {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

/// Who holds the private key.
#[derive(Debug, Clone)]
pub(super) enum Holder {
    Agent(Box<AgentIdentity>),
    File(Arc<KeyFile>),
}

/// Everything to offer, in order, given what the agent holds.
pub(super) fn plan(identities: &Identities, agent: &[AgentIdentity]) -> VecDeque<Step> {
    let mut plan = Plan { agent, used: vec![false; agent.len()], steps: VecDeque::new() };
    plan.named_certificates(identities);
    // Keys of the default files are named by nobody; as with OpenSSH they come last unless the agent holds them.
    let (first, last): (Vec<_>, Vec<_>) = identities.files.iter().partition(|file| {
        identities.named || file.public.as_ref().is_some_and(|key| plan.holds(key.key_data()))
    });
    // Certificates that somebody named are the ones to use.
    let beside = identities.certificates.is_empty();
    for file in first {
        plan.file(file, identities.named, beside);
    }
    if !identities.identities_only {
        plan.rest_of_agent();
    }
    for file in last {
        plan.file(file, identities.named, beside);
    }
    plan.steps
}

struct Plan<'a> {
    agent: &'a [AgentIdentity],
    /// Which of the agent's identities are among the steps.
    used: Vec<bool>,
    steps: VecDeque<Step>,
}

impl Plan<'_> {
    fn named_certificates(&mut self, identities: &Identities) {
        for file in &identities.certificates {
            let shown = file.path.display();
            let certificate = match &file.certificate {
                Ok(certificate) => certificate,
                Err(reason) => {
                    self.note(format!("{shown} ({reason})"));
                    continue;
                }
            };
            let key = certificate.public_key();
            let in_file = || identities.files.iter().find(|file| can_sign_for(file, key));
            let holder = self
                .identity(key)
                .map(|identity| Holder::Agent(Box::new(identity.clone())))
                .or_else(|| in_file().map(|file| Holder::File(Arc::clone(file))));
            match holder {
                Some(signer) => self.offer(Offer {
                    shown: shown.to_string(),
                    public: Some(Public::Certificate(Box::new(certificate.clone()))),
                    signer,
                }),
                None => self.note(format!(
                    "{shown} (its private key is neither in the agent nor an identity_file)"
                )),
            }
        }
    }

    /// A key file, its certificate first: a server that knows only the authority refuses the key itself.
    fn file(&mut self, file: &Arc<KeyFile>, named: bool, with_certificate: bool) {
        let shown = file.path.display().to_string();
        let key = file.public.as_ref().map(PublicKey::key_data);
        if key.is_some_and(|key| self.has(key)) {
            return;
        }
        let held = key.and_then(|key| self.identity(key));
        let signer = match held {
            Some(identity) => Holder::Agent(Box::new(identity.clone())),
            None => Holder::File(Arc::clone(file)),
        };
        let can_sign =
            held.is_some() || matches!(file.private, Private::Usable(_) | Private::Encrypted);
        if let (true, true, Some(certificate)) = (with_certificate, can_sign, &file.certificate)
            && key == Some(certificate.public_key())
        {
            self.offer(Offer {
                shown: format!("{shown}-cert.pub"),
                public: Some(Public::Certificate(Box::new(certificate.clone()))),
                signer: signer.clone(),
            });
        }
        if let Some(key) = key {
            // The agent may hold certificates for the key that lie in no file.
            self.agent_identities(|identity| {
                matches!(identity, AgentIdentity::Certificate { certificate, .. }
                    if certificate.public_key() == key)
            });
        }
        match (&file.private, &file.public) {
            (_, Some(key)) if can_sign => {
                self.mark(key.key_data());
                self.offer(Offer { shown, public: Some(Public::Key(key.clone())), signer });
            }
            (Private::Encrypted, _) if named => {
                self.offer(Offer { shown, public: None, signer });
            }
            (Private::Encrypted, _) => self.note(locked_default(&file.path)),
            (Private::Unusable(reason), _) => self.note(format!("{shown} ({reason})")),
            (Private::Missing, Some(_)) if named => {
                self.note(format!(
                    "{shown} (no such file, and the agent does not hold the key of {shown}.pub)"
                ));
            }
            (Private::Missing, None) if named => self.note(format!("{shown} (no such file)")),
            (Private::Missing | Private::Usable(_), _) => {}
        }
    }

    fn rest_of_agent(&mut self) {
        self.agent_identities(|_| true);
    }

    /// Offer what the agent holds and `wanted` likes, unless it is among the steps already.
    fn agent_identities(&mut self, wanted: impl Fn(&AgentIdentity) -> bool) {
        for (index, identity) in self.agent.iter().enumerate() {
            if self.used[index] || !wanted(identity) {
                continue;
            }
            self.used[index] = true;
            let public = match identity {
                AgentIdentity::PublicKey { key, .. } => Public::Key(key.clone()),
                AgentIdentity::Certificate { certificate, .. } => {
                    Public::Certificate(Box::new(certificate.clone()))
                }
            };
            self.offer(Offer {
                shown: agent_name(identity),
                public: Some(public),
                signer: Holder::Agent(Box::new(identity.clone())),
            });
        }
    }

    /// The plain key of the agent, or a certificate for it: either signs.
    fn identity(&self, key: &KeyData) -> Option<&AgentIdentity> {
        let plain = |identity: &&AgentIdentity| matches!(identity, AgentIdentity::PublicKey { key: held, .. } if held.key_data() == key);
        self.agent
            .iter()
            .find(plain)
            .or_else(|| self.agent.iter().find(|identity| identity.public_key().key_data() == key))
    }

    fn holds(&self, key: &KeyData) -> bool {
        self.identity(key).is_some()
    }

    /// Whether the plain key is among the steps: the same file, or the public key beside it, may be named twice.
    fn has(&self, key: &KeyData) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Offer(offer) => {
                matches!(&offer.public, Some(Public::Key(offered)) if offered.key_data() == key)
            }
            Step::Note(_) => false,
        })
    }

    /// The plain key is among the steps.
    fn mark(&mut self, key: &KeyData) {
        for (used, identity) in self.used.iter_mut().zip(self.agent) {
            if let AgentIdentity::PublicKey { key: held, .. } = identity {
                *used |= held.key_data() == key;
            }
        }
    }

    fn offer(&mut self, offer: Offer) {
        self.steps.push_back(Step::Offer(Box::new(offer)));
    }

    fn note(&mut self, text: String) {
        self.steps.push_back(Step::Note(text));
    }
}

fn can_sign_for(file: &KeyFile, key: &KeyData) -> bool {
    matches!(file.private, Private::Usable(_) | Private::Encrypted)
        && file.public.as_ref().is_some_and(|public| public.key_data() == key)
}

fn locked_default(path: &Path) -> String {
    let shown = path.display();
    format!(
        "{shown} (is encrypted; name it with identity_file, or add it to the agent with `ssh-add {shown}`)"
    )
}

fn agent_name(identity: &AgentIdentity) -> String {
    let fingerprint = identity.public_key().fingerprint(HashAlg::Sha256);
    let kind = match identity {
        AgentIdentity::PublicKey { .. } => "key",
        AgentIdentity::Certificate { .. } => "certificate",
    };
    match identity.comment() {
        "" => format!("agent {kind} {fingerprint}"),
        comment => format!("agent {kind} {fingerprint} {}", printable_line(comment, 60)),
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;
    use crate::ssh::keys::CertificateFile;

    fn key(seed: u8) -> PrivateKey {
        Ed25519Keypair::from_seed(&[seed; 32]).into()
    }

    fn certificate(seed: u8) -> Certificate {
        let data = key(seed).public_key().key_data().clone();
        let mut builder = Builder::new([0; 16], data, 0, u64::MAX).unwrap();
        builder.cert_type(CertType::User).unwrap().key_id("test").unwrap();
        builder.all_principals_valid().unwrap();
        builder.sign(&key(99)).unwrap()
    }

    /// A file with the key `seed`.
    fn file(path: &str, seed: u8) -> KeyFile {
        KeyFile {
            path: path.into(),
            private: Private::Usable(Arc::new(key(seed))),
            public: Some(key(seed).public_key().clone()),
            certificate: None,
        }
    }

    fn in_agent(seed: u8, comment: &str) -> AgentIdentity {
        AgentIdentity::PublicKey {
            key: key(seed).public_key().clone(),
            comment: comment.to_owned(),
        }
    }

    fn named(files: Vec<KeyFile>) -> Identities {
        Identities {
            files: files.into_iter().map(Arc::new).collect(),
            named: true,
            certificates: Vec::new(),
            agent: None,
            identities_only: false,
        }
    }

    fn default(files: Vec<KeyFile>) -> Identities {
        Identities { named: false, ..named(files) }
    }

    /// One line per step: what is offered, and who signs.
    fn shown(identities: &Identities, agent: &[AgentIdentity]) -> String {
        let line = |step: Step| match step {
            Step::Note(text) => format!("note: {text}"),
            Step::Offer(offer) => {
                let public = match offer.public {
                    Some(Public::Key(_)) => "key",
                    Some(Public::Certificate(_)) => "certificate",
                    None => "locked",
                };
                let signer = match offer.signer {
                    Holder::Agent(identity) => format!("agent's {}", identity.comment()),
                    Holder::File(file) => file.path.display().to_string(),
                };
                // Fingerprints are of no interest here.
                let name: Vec<&str> =
                    offer.shown.split(' ').filter(|word| !word.starts_with("SHA256:")).collect();
                format!("{public} {} by {signer}", name.join(" "))
            }
        };
        plan(identities, agent).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn named_files_come_before_the_agent_and_default_files_after_it() {
        let agent = [in_agent(1, "one"), in_agent(2, "two"), in_agent(3, "three")];
        let files = || vec![file("/a", 7), file("/b", 2)];
        insta::assert_snapshot!(shown(&named(files()), &agent), @r"
        key /a by /a
        key /b by agent's two
        key agent key one by agent's one
        key agent key three by agent's three
        ");
        insta::assert_snapshot!(shown(&default(files()), &agent), @r"
        key /b by agent's two
        key agent key one by agent's one
        key agent key three by agent's three
        key /a by /a
        ");
    }

    #[test]
    fn no_key_is_offered_twice() {
        let public = KeyFile { private: Private::Missing, ..file("/a.pub", 1) };
        let files = vec![file("/a", 1), file("/a", 1), public];
        assert_eq!(shown(&named(files), &[in_agent(1, "one")]), "key /a by agent's one");
    }

    #[test]
    fn identities_only_leaves_the_rest_of_the_agent_out() {
        let agent = [in_agent(1, "one"), in_agent(2, "two")];
        let only = Identities { identities_only: true, ..named(vec![file("/b", 2)]) };
        insta::assert_snapshot!(shown(&only, &agent), @"key /b by agent's two");
        let only =
            Identities { identities_only: true, ..default(vec![file("/a", 7), file("/b", 2)]) };
        insta::assert_snapshot!(shown(&only, &agent), @r"
        key /b by agent's two
        key /a by /a
        ");
    }

    #[test]
    fn a_public_key_names_a_key_of_the_agent() {
        let public_only = |private| KeyFile { private, ..file("/b", 2) };
        let agent = [in_agent(1, "one"), in_agent(2, "two")];
        let only = |private, agent: &[AgentIdentity]| {
            let only = Identities { identities_only: true, ..named(vec![public_only(private)]) };
            shown(&only, agent)
        };
        let unusable = || Private::Unusable("is a public key".to_owned());
        assert_eq!(only(Private::Missing, &agent), "key /b by agent's two");
        assert_eq!(only(unusable(), &agent), "key /b by agent's two");
        assert_eq!(only(unusable(), &[]), "note: /b (is a public key)");
        insta::assert_snapshot!(only(Private::Missing, &[]), @"note: /b (no such file, and the agent does not hold the key of /b.pub)");
    }

    #[test]
    fn encrypted_keys_are_offered_when_their_public_key_is_known() {
        let locked = |public: bool| KeyFile {
            private: Private::Encrypted,
            public: public.then(|| key(1).public_key().clone()),
            ..file("/a", 1)
        };
        assert_eq!(shown(&default(vec![locked(true)]), &[]), "key /a by /a");
        insta::assert_snapshot!(shown(&default(vec![locked(false)]), &[]), @"note: /a (is encrypted; name it with identity_file, or add it to the agent with `ssh-add /a`)");
        assert_eq!(shown(&named(vec![locked(false)]), &[]), "locked /a by /a");
    }

    #[test]
    fn certificates_come_before_their_keys() {
        let with = |seed| KeyFile { certificate: Some(certificate(seed)), ..file("/a", 1) };
        insta::assert_snapshot!(shown(&named(vec![with(1)]), &[]), @r"
        certificate /a-cert.pub by /a
        key /a by /a
        ");
        insta::assert_snapshot!(shown(&named(vec![with(1)]), &[in_agent(1, "one")]), @r"
        certificate /a-cert.pub by agent's one
        key /a by agent's one
        ");
        // A certificate of another key lies there by mistake.
        assert_eq!(shown(&named(vec![with(2)]), &[]), "key /a by /a");
        // The agent's own certificate for a named key counts as named.
        let held =
            AgentIdentity::Certificate { certificate: certificate(1), comment: "held".to_owned() };
        let agent = [in_agent(5, "five"), held];
        let only = Identities { identities_only: true, ..named(vec![file("/a", 1)]) };
        insta::assert_snapshot!(shown(&only, &agent), @r"
        certificate agent certificate held by agent's held
        key /a by agent's held
        ");
    }

    #[test]
    fn named_certificates_come_first_and_alone() {
        let named_certificate = |seed| {
            let certificate = Ok(certificate(seed));
            vec![Arc::new(CertificateFile { path: "/c".into(), certificate })]
        };
        let beside = || KeyFile { certificate: Some(certificate(1)), ..file("/a", 1) };
        let identities = Identities {
            certificates: named_certificate(1),
            ..named(vec![file("/x", 9), beside()])
        };
        insta::assert_snapshot!(shown(&identities, &[]), @r"
        certificate /c by /a
        key /x by /x
        key /a by /a
        ");
        let identities = Identities { certificates: named_certificate(3), ..default(vec![]) };
        insta::assert_snapshot!(shown(&identities, &[in_agent(3, "three")]), @r"
        certificate /c by agent's three
        key agent key three by agent's three
        ");
        insta::assert_snapshot!(shown(&identities, &[]), @"note: /c (its private key is neither in the agent nor an identity_file)");
    }

    #[test]
    fn missing_files_are_worth_a_word_when_somebody_named_them() {
        let missing = || KeyFile { private: Private::Missing, public: None, ..file("/a", 1) };
        assert_eq!(shown(&named(vec![missing()]), &[]), "note: /a (no such file)");
        assert_eq!(shown(&default(vec![missing()]), &[]), "");
    }
}
