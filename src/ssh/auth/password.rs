//! The method `password`: one secret, sent as it is.

use secrecy::ExposeSecret;

use super::{Attempt, Stop, Verdict, bounded};
use crate::ssh::secrets::{Candidate, Purpose, SecretError};

impl Attempt<'_> {
    /// Try passwords until one is accepted. `None` where there is none.
    pub(super) async fn password(&mut self) -> Result<Option<Verdict>, Stop> {
        let mut verdict = None;
        loop {
            let candidate = match self.candidate().await? {
                Ok(candidate) => candidate,
                Err(error) => {
                    self.note_password(&error);
                    return Ok(verdict);
                }
            };
            let user = self.login.account.user.clone();
            let sent = self.login.handle.authenticate_password(user, candidate.expose_secret());
            let answer = bounded(self.login.deadline, sent).await.map_err(|stop| match stop {
                // A request to change the password is not shown to us, so it looks like that.
                Stop::Late => Stop::Because(
                    "no decision about the password; if the host wants it changed, log in once with ssh"
                        .to_owned(),
                ),
                stop => stop,
            })?;
            match self.judge(answer) {
                Ok(accepted @ (Verdict::Accepted | Verdict::Partial(_))) => {
                    candidate.accepted();
                    self.tried.push("password".to_owned());
                    return Ok(Some(accepted));
                }
                Ok(refused @ Verdict::Refused(_)) => {
                    candidate.refused();
                    verdict = Some(refused);
                }
                Err(closed) => {
                    // Some servers show the door instead of saying no.
                    candidate.refused();
                    self.tried.push("password".to_owned());
                    return Err(closed);
                }
            }
        }
    }

    /// The password to try next, got from wherever it comes from.
    pub(super) async fn candidate(&mut self) -> Result<Result<Candidate, SecretError>, Stop> {
        let (secrets, account) = (self.login.secrets, self.login.account);
        self.patiently(secrets.password(Purpose::Login, account)).await
    }

    /// Say once why there is no password, or no other one.
    pub(super) fn note_password(&mut self, error: &SecretError) {
        let note = format!("password ({error})");
        if !self.tried.contains(&note) {
            self.tried.push(note);
        }
    }
}
