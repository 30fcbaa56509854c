//! Passwords, in one place: where they come from, and which host may try which.
//!
//! One [`Secrets`] serves a whole run. It gives no password to anybody but the code that sends it, never in clear to a
//! log, an argument list, an environment or a file, and no wrong one to more than one host.

mod error;
mod gate;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::cache::Table;
use crate::report::{NoAnswer, Prompter};

pub use error::SecretError;
pub use gate::Candidate;
pub use source::read_descriptor;

use gate::{Gate, Pass};

/// How often the operator is asked for the same password, the first time included.
const ASKS: usize = 3;

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Logging in.
    Login,
    /// Becoming root on a host that the user is logged in to.
    Become,
}

impl Purpose {
    /// The inventory's key for the command that prints such a password.
    fn setting(self) -> &'static str {
        match self {
            Self::Login => "password_command",
            Self::Become => "become_password_command",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Login => "set password_command, or give it with --password-fd",
            Self::Become => "set become_password_command, or give it with --become-password-fd",
        }
    }
}

/// Whose password is wanted.
#[derive(Debug, Clone)]
pub struct Account {
    /// The host's name for people: in the inventory, or a jump host's address.
    pub host: String,
    /// The login user.
    pub user: String,
    /// A jump host: what is typed for it is not used for the hosts behind it.
    pub jump: bool,
    /// `password_command` of the host.
    pub password_command: Option<String>,
    /// `become_password_command` of the host; without it the login password is the one to become root with.
    pub become_password_command: Option<String>,
}

/// Accounts that have one password as far as anybody knows: a user's on all hosts, or on one jump host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Realm {
    user: String,
    jump_host: Option<String>,
}

impl Account {
    fn realm(&self) -> Realm {
        Realm { user: self.user.clone(), jump_host: self.jump.then(|| self.host.clone()) }
    }
}

/// The passwords of a run, each got once and shared by all hosts that want it.
#[derive(Default)]
pub struct Secrets {
    prompter: Option<Prompter>,
    login: Option<SecretString>,
    become_root: Option<SecretString>,
    /// What commands printed, by command and host.
    printed: Table<(String, String), OnceCell<Result<SecretString, String>>>,
    /// What the operator typed.
    typed: Table<(Purpose, Realm), tokio::sync::Mutex<Typed>>,
    gates: Mutex<Vec<Entry>>,
}

/// A password that may have been tried.
struct Entry {
    purpose: Purpose,
    realm: Realm,
    value: SecretString,
    gate: Arc<Gate>,
}

/// What the operator said.
#[derive(Default)]
struct Typed {
    value: Option<SecretString>,
    asked: usize,
    /// There was no answer: the question is not put again.
    unanswered: Option<NoAnswer>,
}

/// A password, and whether there may be another one if this one is wrong.
struct Found {
    value: SecretString,
    another: bool,
}

impl Secrets {
    /// Secrets that ask the operator for what nobody gives them.
    pub fn asking(prompter: Prompter) -> Self {
        Self { prompter: Some(prompter), ..Self::default() }
    }

    /// The passwords given on the command line, for every host without a command that prints its own.
    #[must_use]
    pub fn with_given(
        self,
        login: Option<SecretString>,
        become_root: Option<SecretString>,
    ) -> Self {
        Self { login, become_root, ..self }
    }

    /// Ask the operator whether to go on. `text` ends with the question; anything but a clear yes is a no.
    ///
    /// # Errors
    /// There is nobody to ask, or no answer.
    pub async fn confirm(&self, text: &str) -> Result<bool, NoAnswer> {
        let prompter = self.prompter.as_ref().ok_or(NoAnswer::NoTerminal)?;
        let answer = prompter.ask(format!("{text} [y/N] "), true).await?;
        Ok(matches!(answer.expose_secret().trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// The password to try next for `account`. Waits while another host tries the same one, or the operator types.
    ///
    /// Say of the candidate whether it was accepted; after a refusal ask again, as there may be another.
    pub async fn password(
        &self,
        purpose: Purpose,
        account: &Account,
    ) -> Result<Candidate, SecretError> {
        let realm = account.realm();
        loop {
            let Found { value, another } = self.find(purpose, account, &realm).await?;
            let gate = self.gate(purpose, &realm, &value);
            return match gate.pass(&value, &account.host).await {
                Pass::Try(candidate) => Ok(candidate),
                Pass::RefusedHere(Some(accepted_by)) => {
                    Err(SecretError::RefusedHere { accepted_by, setting: purpose.setting() })
                }
                Pass::RefusedHere(None) | Pass::RefusedBy(_) if another => continue,
                Pass::RefusedHere(None) => Err(SecretError::Refused),
                Pass::RefusedBy(by) => Err(SecretError::RefusedElsewhere { by }),
            };
        }
    }

    /// The first source that has one.
    async fn find(
        &self,
        purpose: Purpose,
        account: &Account,
        realm: &Realm,
    ) -> Result<Found, SecretError> {
        let login = (Purpose::Login, &account.password_command, &self.login);
        let become_root = (Purpose::Become, &account.become_password_command, &self.become_root);
        // What is not said about becoming root holds from logging in.
        let sources = match purpose {
            Purpose::Login => vec![login],
            Purpose::Become => vec![become_root, login],
        };
        for (purpose, command, given) in sources {
            if let Some(command) = command {
                let printed = self.printed.get((command.clone(), account.host.clone()));
                let value = printed.get_or_init(|| source::run(command, &account.host)).await;
                return match value {
                    Ok(value) => Ok(Found { value: value.clone(), another: false }),
                    Err(reason) => Err(SecretError::Command {
                        setting: purpose.setting(),
                        reason: reason.clone(),
                    }),
                };
            }
            if let Some(value) = given {
                return Ok(Found { value: value.clone(), another: false });
            }
        }
        self.typed(purpose, account, realm).await
    }

    /// What the operator types, asked for where nobody has asked yet or all hosts refused it so far.
    async fn typed(
        &self,
        purpose: Purpose,
        account: &Account,
        realm: &Realm,
    ) -> Result<Found, SecretError> {
        let slot = self.typed.get((purpose, realm.clone()));
        let mut typed = slot.lock().await;
        if purpose == Purpose::Become && typed.value.is_none() {
            typed.value = self.login_password(realm).await;
        }
        let wrong =
            typed.value.as_ref().is_some_and(|value| self.gate(purpose, realm, value).is_wrong());
        match &typed.value {
            Some(value) if !wrong || typed.asked >= ASKS => {
                return Ok(Found { value: value.clone(), another: typed.asked < ASKS });
            }
            _ => {}
        }
        let answer = match &typed.unanswered {
            Some(reason) => Err(reason.clone()),
            None => self.ask(question(purpose, account, wrong), false).await,
        };
        typed.asked += 1;
        match answer {
            Ok(value) if !value.expose_secret().is_empty() => {
                typed.value = Some(value.clone());
                Ok(Found { value, another: typed.asked < ASKS })
            }
            Err(NoAnswer::Interrupted) => Err(SecretError::Interrupted),
            answer => {
                // Nothing typed is no answer as well.
                let reason = answer.err().unwrap_or(NoAnswer::Closed);
                typed.unanswered = Some(reason.clone());
                Err(SecretError::NotGiven { reason, hint: purpose.hint() })
            }
        }
    }

    /// What was typed for logging in, if it was right.
    async fn login_password(&self, realm: &Realm) -> Option<SecretString> {
        let slot = self.typed.get((Purpose::Login, realm.clone()));
        let value = slot.lock().await.value.clone()?;
        self.gate(Purpose::Login, realm, &value).is_right().then_some(value)
    }

    /// Ask the operator anything else. What is shown is made printable by whoever shows it.
    pub(super) async fn ask(&self, text: String, echo: bool) -> Result<SecretString, NoAnswer> {
        match &self.prompter {
            Some(prompter) => prompter.ask(text, echo).await,
            None => Err(NoAnswer::NoTerminal),
        }
    }

    /// The gate that all hosts pass that try `value`, wherever they have it from.
    fn gate(&self, purpose: Purpose, realm: &Realm, value: &SecretString) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let known = gates.iter().find(|entry| {
            entry.purpose == purpose
                && entry.realm == *realm
                && entry.value.expose_secret() == value.expose_secret()
        });
        if let Some(entry) = known {
            return Arc::clone(&entry.gate);
        }
        let gate = Arc::<Gate>::default();
        gates.push(Entry {
            purpose,
            realm: realm.clone(),
            value: value.clone(),
            gate: Arc::clone(&gate),
        });
        gate
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

fn question(purpose: Purpose, account: &Account, wrong: bool) -> String {
    let Account { host, user, .. } = account;
    let refused = if wrong { "The password was refused.\n" } else { "" };
    let purpose = match purpose {
        Purpose::Login => "",
        Purpose::Become => " for becoming root",
    };
    if account.jump {
        format!("{refused}Password of {user}@{host}{purpose}: ")
    } else {
        format!(
            "{refused}Password of {user}{purpose} ({host} wants it; used on every host that does): "
        )
    }
}

#[cfg(test)]
mod tests;
