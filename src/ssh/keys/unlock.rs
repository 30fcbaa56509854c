//! Unlocking an encrypted key: the operator is asked for the passphrase once, whatever number of hosts wants the key.

use std::path::Path;
use std::sync::Arc;

use russh::keys::PrivateKey;
use secrecy::{ExposeSecret, SecretString};

use super::KeyRing;
use super::file::{decode, read_secret};
use crate::report::NoAnswer;
use crate::ssh::secrets::Secrets;

/// How often the operator is asked for the same passphrase, the first time included.
const ASKS: usize = 3;

/// The key, or why it stays locked.
pub(in crate::ssh) type Unlocked = Result<Arc<PrivateKey>, String>;

impl KeyRing {
    /// The private key in the encrypted file `path`. Waits while the operator types, for this host or another one.
    ///
    /// # Errors
    /// The operator wants the run to stop. Everything else is in what is returned.
    pub(in crate::ssh) async fn unlock(
        &self,
        path: &Path,
        secrets: &Secrets,
    ) -> Result<Unlocked, NoAnswer> {
        let unlocked = self.unlocked(path);
        unlocked.get_or_try_init(|| ask(path, secrets)).await.cloned()
    }
}

async fn ask(path: &Path, secrets: &Secrets) -> Result<Unlocked, NoAnswer> {
    let shown = path.display();
    let mut wrong = "";
    for _ in 0..ASKS {
        let passphrase = match secrets.ask(format!("{wrong}Passphrase of {shown}: "), false).await {
            Ok(passphrase) if !passphrase.expose_secret().is_empty() => passphrase,
            Err(NoAnswer::Interrupted) => return Err(NoAnswer::Interrupted),
            answer => {
                let reason = answer.err().unwrap_or(NoAnswer::Closed);
                return Ok(Err(format!(
                    "is encrypted, and {reason}; add it to the agent with `ssh-add {shown}`"
                )));
            }
        };
        match decrypt(path, passphrase).await {
            Ok(key) => return Ok(Ok(Arc::new(key))),
            Err(_) => wrong = "That does not open it.\n",
        }
    }
    Ok(Err("is encrypted, and its passphrase was wrong".to_owned()))
}

/// Takes about a second of computing: that is what makes passphrases hard to guess.
async fn decrypt(path: &Path, passphrase: SecretString) -> Result<PrivateKey, String> {
    let path = path.to_owned();
    let decrypting = tokio::task::spawn_blocking(move || {
        let text = read_secret(&path).map_err(|error| error.to_string())?;
        decode(&text, Some(passphrase.expose_secret())).map_err(|error| error.to_string())
    });
    decrypting.await.map_err(|error| error.to_string())?
}
