//! The method `publickey`: keys and certificates, of files and of the agent.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use russh::MethodKind;
use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey};
use tokio::net::UnixStream;

use super::offers::{Holder, Offer, Public, Step, plan};
use super::sign::{self, SignError, Signer};
use super::{Attempt, Stop, Verdict, bounded};
use crate::ssh::connection::Client;
use crate::ssh::keys::{KeyFile, Private, doubt};

impl Attempt<'_> {
    /// Offer keys until one is accepted. None is offered twice on one connection: after a partial success the next
    /// ones are, as a server that wants two keys wants different ones. `None` when there was nothing to offer.
    pub(super) async fn public_keys(&mut self) -> Result<Option<Verdict>, Stop> {
        let mut verdict = None;
        while let Some(step) = self.next_step().await? {
            let offer = match step {
                Step::Offer(offer) => *offer,
                Step::Note(note) => {
                    self.tried.push(note);
                    continue;
                }
            };
            match self.offer(offer).await? {
                Some(accepted @ (Verdict::Accepted | Verdict::Partial(_))) => {
                    return Ok(Some(accepted));
                }
                Some(Verdict::Refused(left)) => {
                    let over = !left.contains(&MethodKind::PublicKey);
                    verdict = Some(Verdict::Refused(left));
                    if over {
                        break;
                    }
                }
                None => {}
            }
        }
        Ok(verdict)
    }

    /// Offer the first key, if it can be used without asking anybody, to a server that has not named its methods. `None` when
    /// there is no such key, or the server did not answer with methods.
    pub(super) async fn first_key(&mut self) -> Result<Option<Verdict>, Stop> {
        self.make_plan().await?;
        let first =
            self.steps.as_mut().and_then(|steps| steps.pop_front_if(|step| step.is_ready()));
        let Some(Step::Offer(offer)) = first else { return Ok(None) };
        match self.offer(*offer).await {
            // It has no methods, and still listens: it may want nothing.
            Err(Stop::Closed(_)) if !self.login.handle.is_closed() => Ok(None),
            answer => answer,
        }
    }

    async fn make_plan(&mut self) -> Result<(), Stop> {
        if self.steps.is_none() {
            let held = self.ask_agent().await?;
            self.steps = Some(plan(self.login.identities, &held));
        }
        Ok(())
    }

    async fn next_step(&mut self) -> Result<Option<Step>, Stop> {
        self.make_plan().await?;
        Ok(self.steps.as_mut().and_then(|steps| steps.pop_front()))
    }

    /// What the agent holds. An agent that does not work is worth a word, and no more.
    async fn ask_agent(&mut self) -> Result<Vec<AgentIdentity>, Stop> {
        let Some(socket) = &self.login.identities.agent else { return Ok(Vec::new()) };
        match bounded(self.login.deadline, connect_agent(socket, self.login.handle)).await? {
            Ok((agent, held)) => {
                if held.is_empty() {
                    self.tried.push(format!("the agent at {} (holds no keys)", socket.display()));
                }
                self.agent = Some(agent);
                Ok(held)
            }
            Err(error) => {
                self.tried.push(format!("the agent at {} ({error})", socket.display()));
                Ok(Vec::new())
            }
        }
    }

    /// Offer one key. `None` when it was not offered or could not sign; why is noted then.
    async fn offer(&mut self, offer: Offer) -> Result<Option<Verdict>, Stop> {
        let Offer { shown, public, signer } = offer;
        match (signer, public) {
            (Holder::Agent(identity), Some(public)) => {
                let Some(mut agent) = self.agent.take() else { return Ok(None) };
                let signer = Signer::Agent(&mut agent, &identity);
                let verdict = self.send(&shown, &public, signer).await;
                self.agent = Some(agent);
                verdict
            }
            (Holder::Agent(_), None) => Ok(None),
            (Holder::File(file), public) => self.offer_file(&shown, &file, public).await,
        }
    }

    async fn offer_file(
        &mut self,
        shown: &str,
        file: &KeyFile,
        public: Option<Public>,
    ) -> Result<Option<Verdict>, Stop> {
        let key = match &file.private {
            Private::Usable(key) => Arc::clone(key),
            _ => {
                // Nobody is asked for the passphrase of a key that the server does not want.
                if let Some(public) = &public
                    && let Some(refused) = self.probe(shown, public).await?
                {
                    return Ok(Some(refused));
                }
                match self.unlock(&file.path).await? {
                    Ok(key) => key,
                    Err(reason) => {
                        self.tried.push(format!("{shown} ({reason})"));
                        return Ok(None);
                    }
                }
            }
        };
        let public = public.unwrap_or_else(|| Public::Key(key.public_key().clone()));
        self.send(shown, &public, Signer::Key(key)).await
    }

    /// Ask whether the server would take a key. `None` if it would.
    async fn probe(&mut self, shown: &str, public: &Public) -> Result<Option<Verdict>, Stop> {
        let hash = self.hash(public).await?;
        let user = &self.login.account.user;
        let mut nobody = Signer::Nobody;
        let asked = sign::offer(self.login.handle, user, public, hash, &mut nobody);
        match bounded(self.login.deadline, asked).await? {
            Err(SignError::Wanted) => Ok(None),
            Err(_) => Err(self.closed()),
            Ok(answer) => {
                let verdict = self.judge(Ok(answer))?;
                self.tried.push(format!("{shown}{}", self.doubt(public)));
                Ok(Some(verdict))
            }
        }
    }

    async fn unlock(&mut self, path: &Path) -> Result<Result<Arc<PrivateKey>, String>, Stop> {
        let (key_ring, secrets) = (self.login.key_ring, self.login.secrets);
        let unlocked = self.patiently(key_ring.unlock(path, secrets)).await?;
        unlocked
            .map_err(|_| Stop::Because("interrupted while a passphrase was asked for".to_owned()))
    }

    /// Offer a key, and have it signed if the server knows it.
    async fn send(
        &mut self,
        shown: &str,
        public: &Public,
        mut signer: Signer<'_>,
    ) -> Result<Option<Verdict>, Stop> {
        let hash = self.hash(public).await?;
        let user = &self.login.account.user;
        let sent = sign::offer(self.login.handle, user, public, hash, &mut signer);
        let answer = bounded(self.login.deadline, sent).await?;
        match answer {
            Ok(answer) => {
                let verdict = self.judge(Ok(answer));
                let doubt = match verdict {
                    Ok(Verdict::Accepted | Verdict::Partial(_)) => String::new(),
                    _ => self.doubt(public),
                };
                self.tried.push(format!("{shown}{doubt}"));
                verdict.map(Some)
            }
            // The agent would not sign (key removed, declined, locked); the next key may do.
            Err(error) if !self.login.handle.is_closed() => {
                self.tried.push(format!("{shown} ({error})"));
                Ok(None)
            }
            Err(_) => Err(self.closed()),
        }
    }

    /// What a certificate itself says about a refusal.
    fn doubt(&self, public: &Public) -> String {
        let doubt = match public {
            Public::Key(_) => None,
            Public::Certificate(certificate) => {
                doubt(certificate, &self.login.account.user, SystemTime::now())
            }
        };
        doubt.map(|doubt| format!(" ({doubt})")).unwrap_or_default()
    }

    /// The hash to sign with; RSA has a choice. SHA-2 only: a server that does not say what it takes is assumed to take
    /// SHA-512.
    async fn hash(&mut self, public: &Public) -> Result<Option<HashAlg>, Stop> {
        let algorithm = match public {
            Public::Key(key) => key.algorithm(),
            Public::Certificate(certificate) => certificate.algorithm(),
        };
        if !algorithm.is_rsa() {
            return Ok(None);
        }
        if self.rsa_hash.is_none() {
            let asked = self.login.handle.best_supported_rsa_hash();
            self.rsa_hash = match bounded(self.login.deadline, asked).await? {
                Ok(Some(Some(hash))) => Some(hash),
                // Only SHA-1: the offer will be refused, which is the answer wanted.
                Ok(Some(None) | None) => Some(HashAlg::Sha512),
                Err(_) => return Err(self.closed()),
            };
        }
        Ok(self.rsa_hash)
    }
}

async fn connect_agent(
    socket: &Path,
    handle: &Handle<Client>,
) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), russh::keys::Error> {
    let mut agent = AgentClient::connect_uds(socket).await?;
    if let Some(session) = handle.agent_session_binding() {
        // For keys that may be used for some hosts only. An agent that does not know of such keys has none.
        let _ = agent.bind_session(session, false).await;
    }
    let held = agent.request_identities().await?;
    Ok((agent, held))
}
