//! Who signs for a key: a key of this process, the agent, or nobody, which tells whether a server would take the key.

use std::sync::Arc;

use russh::SendError;
use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::{self, Signature, private::KeypairData};
use russh::keys::{HashAlg, PrivateKey};
use tokio::net::UnixStream;

use super::offers::Public;
use crate::ssh::connection::Client;

/// Signs what a server wants signed.
pub(super) enum Signer<'a> {
    /// A private key in memory.
    Key(Arc<PrivateKey>),
    /// A key in the agent. A certificate is signed for by its plain key as well.
    Agent(&'a mut AgentClient<UnixStream>, &'a AgentIdentity),
    /// Does not sign.
    Nobody,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The connection is gone.
    #[error("the connection was closed")]
    Gone,
    /// The server would take a signature, and there is nobody to give one.
    #[error("nobody signs")]
    Wanted,
    /// The agent would not sign.
    #[error("the agent did not sign: {0}")]
    Agent(russh::keys::Error),
    /// The key does not work.
    #[error("it cannot sign: {0}")]
    Key(String),
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _offered: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Key(key) => {
                sign(key, hash, data).map_err(|error| SignError::Key(error.to_string()))
            }
            Self::Agent(agent, identity) => {
                agent.sign_request(identity, hash, data).await.map_err(SignError::Agent)
            }
            Self::Nobody => Err(SignError::Wanted),
        }
    }
}

/// `data` with its signature behind it, as the protocol sends both.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut data: Vec<u8>) -> ssh_key::Result<Vec<u8>> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        pair => pair.try_sign(&data)?,
    };
    let mut encoded = Vec::new();
    signature.encode(&mut encoded)?;
    encoded.encode(&mut data)?;
    Ok(data)
}

/// Offer `public`, signed by `signer` if the server knows it.
pub(super) async fn offer(
    handle: &mut Handle<Client>,
    user: &str,
    public: &Public,
    hash: Option<HashAlg>,
    signer: &mut Signer<'_>,
) -> Result<russh::client::AuthResult, SignError> {
    match public {
        Public::Key(key) => {
            handle.authenticate_publickey_with(user, key.clone(), hash, signer).await
        }
        Public::Certificate(certificate) => {
            let certificate = certificate.as_ref().clone();
            handle.authenticate_certificate_with(user, certificate, hash, signer).await
        }
    }
}
