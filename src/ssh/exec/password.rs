//! The one password that may be sent during one run of one command.

use bytes::Bytes;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::ssh::secrets::Candidate;

/// A password, and whether it has been sent.
#[derive(Debug)]
pub(super) struct Password {
    candidate: Option<Candidate>,
    sent: bool,
}

impl Password {
    pub(super) fn new(candidate: Option<Candidate>) -> Self {
        Self { candidate, sent: false }
    }

    /// What to type where a password is asked for; `None` where there is none, or for the second time. It is gone from
    /// memory once it has been sent.
    pub(super) fn line(&mut self) -> Option<Bytes> {
        let password = self.candidate.as_ref().filter(|_| !self.sent)?.expose_secret();
        let mut line = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        line.extend_from_slice(password.as_bytes());
        line.push(b'\n');
        self.sent = true;
        Some(Bytes::from_owner(line))
    }

    /// The command has begun: what was sent is right. What was not asked for is nobody's turn any longer.
    pub(super) fn worked(&mut self) {
        if let Some(accepted) = self.candidate.take().filter(|_| self.sent) {
            accepted.accepted();
        }
    }

    /// The password that was sent and has not been found right.
    pub(super) fn tried(self) -> Option<Candidate> {
        self.candidate.filter(|_| self.sent)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::ssh::secrets::{Account, Purpose, SecretError, Secrets};

    async fn candidate(secrets: &Secrets) -> Result<Candidate, SecretError> {
        let account = Account {
            host: "node-1".to_owned(),
            user: "ops".to_owned(),
            jump: false,
            password_command: None,
            become_password_command: None,
        };
        secrets.password(Purpose::Become, &account).await
    }

    #[tokio::test]
    async fn it_is_typed_once() {
        let secrets = Secrets::default().with_given(None, Some(SecretString::from("secret")));
        let mut password = Password::new(Some(candidate(&secrets).await.unwrap()));
        assert_eq!(password.line().unwrap(), "secret\n");
        assert_eq!(password.line(), None);
        assert!(!format!("{password:?}").contains("secret"));
        password.tried().unwrap().refused();
        assert!(candidate(&secrets).await.is_err());
        assert_eq!(Password::new(None).line(), None);
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_neither_right_nor_wrong() {
        let secrets = Secrets::default().with_given(None, Some(SecretString::from("secret")));
        let mut password = Password::new(Some(candidate(&secrets).await.unwrap()));
        password.worked();
        assert!(password.tried().is_none());
        let mut password = Password::new(Some(candidate(&secrets).await.unwrap()));
        assert!(password.line().is_some());
        password.worked();
        assert!(password.tried().is_none());
        assert!(candidate(&secrets).await.is_ok());
    }
}
