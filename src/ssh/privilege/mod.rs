//! Becoming somebody else: which program does it on a host, how, and what is learnt when it refuses.
//!
//! Every connection begins with the way that costs nothing, `sudo -n` or `doas -n`. A refusal that names what is missing,
//! a password or a terminal, changes the way for the rest of the connection; any other is an error. A password is sent
//! once per host: [`Secrets`] has no other for the second time, unless the operator types one.

mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::error::{PrivilegeError, SshError};
use super::exec::{Exit, RunAs};
use super::secrets::{Account, Candidate, Purpose, Secrets};
use super::settings::Settings;
use crate::inventory::Become;

use refusal::Refusal;

/// How one connection's user becomes somebody else, and what has been learnt about it.
#[derive(Debug)]
pub(super) struct Privilege {
    become_root: Become,
    become_user: String,
    account: Account,
    secrets: Arc<Secrets>,
    /// The program wants a password.
    password: AtomicBool,
    /// The program wants a terminal.
    terminal: AtomicBool,
    /// A command has begun the present way.
    proven: AtomicBool,
}

/// How a command is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// What makes the login user somebody else; `None` where that is not needed.
    pub(super) becoming: Option<Becoming>,
    /// The program may ask for a password. Otherwise it is told not to.
    pub(super) password: bool,
    /// There is a terminal, which carries everything.
    pub(super) terminal: bool,
    /// Administrators' commands are to be found.
    pub(super) administrator: bool,
    /// It has worked before, or there is nothing that could fail.
    pub(super) proven: bool,
}

/// How the login user becomes somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Becoming {
    /// sudo or doas.
    pub(super) by: Become,
    /// Whom.
    pub(super) user: String,
}

impl Becoming {
    /// The program's name.
    pub(super) fn program(&self) -> &'static str {
        self.by.as_str()
    }
}

impl Way {
    /// Whether standard input has to wait for the command to begin.
    pub(super) fn handshake(&self) -> bool {
        self.password || self.terminal
    }

    /// Whether passwords are asked for in the words of doas.
    pub(super) fn is_doas(&self) -> bool {
        matches!(self.becoming, Some(Becoming { by: Become::Doas, .. }))
    }
}

impl Privilege {
    pub(super) fn new(settings: &Settings, account: Account, secrets: Arc<Secrets>) -> Self {
        Self {
            become_root: settings.become_root.value,
            become_user: settings.become_user.value.clone(),
            account,
            secrets,
            password: AtomicBool::new(false),
            terminal: AtomicBool::new(false),
            proven: AtomicBool::new(false),
        }
    }

    /// The way to run a command as far as it is known.
    pub(super) fn way(&self, run_as: RunAs) -> Result<Way, PrivilegeError> {
        let becoming = match (run_as, self.become_root) {
            (RunAs::LoginUser, _) | (_, Become::None) => None,
            (RunAs::Root, _) if self.become_user != "root" => {
                return Err(PrivilegeError::NotRoot { user: self.become_user.clone() });
            }
            (_, by) => Some(Becoming { by, user: self.become_user.clone() }),
        };
        let learnt = |what: &AtomicBool| becoming.is_some() && what.load(Ordering::SeqCst);
        Ok(Way {
            password: learnt(&self.password),
            terminal: learnt(&self.terminal),
            administrator: run_as != RunAs::LoginUser,
            proven: becoming.is_none() || learnt(&self.proven),
            becoming,
        })
    }

    /// The password to send if the program asks for one.
    pub(super) async fn password(&self, way: &Way) -> Result<Option<Candidate>, PrivilegeError> {
        let Some(becoming) = way.becoming.as_ref().filter(|_| way.password) else {
            return Ok(None);
        };
        // Few commands need one, and every command would have the room for asking.
        let candidate = Box::pin(self.secrets.password(Purpose::Become, &self.account)).await;
        candidate.map(Some).map_err(|reason| PrivilegeError::Password {
            program: becoming.program(),
            user: self.account.user.clone(),
            reason,
        })
    }

    /// A command has begun this way.
    pub(super) fn worked(&self, way: &Way) {
        if way.becoming.is_some() {
            self.proven.store(true, Ordering::SeqCst);
        }
    }

    /// A command has not begun. `exit` is how the program ended, `None` where it asked for a password once more; `tried` is
    /// the password that was sent. Ok where there is something else to try, which the next [`Self::way`] is.
    pub(super) fn refused(
        &self,
        way: &Way,
        exit: Option<&Exit>,
        tried: Option<Candidate>,
        said: &str,
    ) -> Result<(), SshError> {
        let Some(becoming) = &way.becoming else {
            return Err(SshError::LoginShell { reason: refusal::last_words(exit, said) });
        };
        let user = || self.account.user.clone();
        let refusal = match exit {
            Some(exit) => refusal::read(exit, said, tried.is_some()),
            None => Refusal::WrongPassword,
        };
        let error = match refusal {
            Refusal::PasswordRequired if !way.password => {
                self.password.store(true, Ordering::SeqCst);
                // doas reads it from nowhere else.
                if way.is_doas() {
                    self.terminal.store(true, Ordering::SeqCst);
                }
                return Ok(());
            }
            Refusal::TerminalRequired if !way.terminal => {
                self.terminal.store(true, Ordering::SeqCst);
                return Ok(());
            }
            Refusal::WrongPassword => {
                if let Some(tried) = tried {
                    tried.refused();
                }
                // Whether there is another is for the secrets to say.
                return Ok(());
            }
            Refusal::NotAllowed => {
                // It says so after a right password only, where it asks at all.
                if let Some(tried) = tried {
                    tried.accepted();
                }
                PrivilegeError::NotAllowed { program: becoming.program(), user: user() }
            }
            Refusal::Missing(missing) => PrivilegeError::Missing { program: missing },
            Refusal::PasswordRequired | Refusal::TerminalRequired | Refusal::Other => {
                PrivilegeError::Failed {
                    program: becoming.program(),
                    reason: refusal::last_words(exit, said),
                }
            }
        };
        Err(error.into())
    }

    /// A command has not begun within `limit`.
    pub(super) fn silent(&self, way: &Way, limit: Duration, said: &str) -> SshError {
        match &way.becoming {
            None => SshError::Timeout { limit },
            Some(becoming) => {
                let words = refusal::last_words(None, said);
                let reason = format!("nothing within {} s; {words}", limit.as_secs_f64());
                PrivilegeError::Failed { program: becoming.program(), reason }.into()
            }
        }
    }
}
