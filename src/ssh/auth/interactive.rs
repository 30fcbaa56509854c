//! The method `keyboard-interactive`: the server asks, in rounds. A question for the password is answered with it;
//! everything else, such as a one-time code, is for the operator, host by host.

use std::time::Duration;

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Response, Prompt};
use secrecy::{ExposeSecret, SecretString};

use super::{Attempt, SHORT_WAIT, Stop, Verdict, bounded};
use crate::report::printable_line;
use crate::ssh::secrets::Candidate;

const NAME: &str = "keyboard-interactive";

/// More rounds than any server needs.
const MAX_ROUNDS: usize = 10;

/// More questions than any server has in one round.
const MAX_PROMPTS: usize = 8;

/// How much of a question is shown, in characters.
const PROMPT_LIMIT: usize = 200;

impl Attempt<'_> {
    /// Answer until the server has decided; again with the next password where the first was wrong.
    pub(super) async fn keyboard_interactive(&mut self) -> Result<Verdict, Stop> {
        let mut conversation = Conversation::default();
        loop {
            let verdict = self.converse(&mut conversation).await;
            let sent = conversation.sent.take();
            match (verdict, sent) {
                (Ok(accepted @ (Verdict::Accepted | Verdict::Partial(_))), sent) => {
                    if let Some(right) = sent {
                        right.accepted();
                    }
                    self.tried.push(NAME.to_owned());
                    return Ok(accepted);
                }
                (Ok(refused), None) => {
                    // Servers offer the method to everybody, also where they have nothing to ask.
                    if conversation.asked {
                        self.tried.push(NAME.to_owned());
                    }
                    return Ok(refused);
                }
                (Ok(refused), Some(wrong)) => {
                    wrong.refused();
                    match self.candidate().await? {
                        Ok(next) => conversation.next = Some(next),
                        Err(error) => {
                            self.note_password(&error);
                            return Ok(refused);
                        }
                    }
                }
                (Err(stop), sent) => {
                    let closed = matches!(stop, Stop::Closed(_));
                    // A server that was tired of waiting is seen to be gone only when it is answered.
                    self.outwaited |= closed && self.waited > SHORT_WAIT;
                    if let (true, false, Some(wrong)) = (closed, self.outwaited, sent) {
                        // Some servers show the door instead of saying no.
                        wrong.refused();
                    }
                    return Err(stop);
                }
            }
        }
    }

    async fn converse(&mut self, conversation: &mut Conversation) -> Result<Verdict, Stop> {
        let user = self.login.account.user.clone();
        let started =
            self.login.handle.authenticate_keyboard_interactive_start(user, None::<String>);
        let mut response = bounded(self.login.deadline, started).await?;
        for _ in 0..MAX_ROUNDS {
            let answers = match response {
                Ok(Response::InfoRequest { name, instructions, prompts }) => {
                    self.waited = Duration::ZERO;
                    self.answer(conversation, &name, &instructions, &prompts).await?
                }
                Ok(Response::Success) => return Ok(Verdict::Accepted),
                Ok(Response::Failure { remaining_methods, partial_success }) => {
                    return self
                        .judge(Ok(AuthResult::Failure { remaining_methods, partial_success }));
                }
                Err(error) => return self.judge(Err(error)),
            };
            let answers = answers.iter().map(|answer| answer.expose_secret().to_owned()).collect();
            let sent = self.login.handle.authenticate_keyboard_interactive_respond(answers);
            response = bounded(self.login.deadline, sent).await?;
        }
        Err(Stop::Because(format!("{NAME} did not come to an end")))
    }

    /// The answers of one round; a round without questions has none.
    async fn answer(
        &mut self,
        conversation: &mut Conversation,
        name: &str,
        instructions: &str,
        prompts: &[Prompt],
    ) -> Result<Vec<SecretString>, Stop> {
        if prompts.len() > MAX_PROMPTS {
            return Err(Stop::Because(format!(
                "the server asks {} questions at once",
                prompts.len()
            )));
        }
        conversation.asked |= !prompts.is_empty();
        let for_password = conversation.sent.is_none().then(|| password_prompt(prompts)).flatten();
        let mut answers = Vec::with_capacity(prompts.len());
        let mut above = format!("{name}\n{instructions}");
        if prompts.is_empty() {
            self.login.banner.hear(&above);
        }
        for (index, prompt) in prompts.iter().enumerate() {
            answers.push(if for_password == Some(index) {
                self.password_for(conversation).await?
            } else {
                self.operator_says(prompt, &std::mem::take(&mut above)).await?
            });
        }
        Ok(answers)
    }

    async fn password_for(
        &mut self,
        conversation: &mut Conversation,
    ) -> Result<SecretString, Stop> {
        let candidate = match conversation.next.take() {
            Some(candidate) => candidate,
            None => match self.candidate().await? {
                Ok(candidate) => candidate,
                // There is no way to leave a question open and go on with another method.
                Err(error) => return Err(Stop::Because(error.to_string())),
            },
        };
        let answer = candidate.clone();
        conversation.sent = Some(candidate);
        Ok(answer)
    }

    async fn operator_says(&mut self, prompt: &Prompt, above: &str) -> Result<SecretString, Stop> {
        let (more, question) = split(&prompt.prompt);
        let account = self.login.account;
        let above = explanation(&format!("{above}\n{more}"));
        // Whose question it is, so that no host can pass for another, or for the workstation.
        let text = format!("{above}({}@{}) {question} ", account.user, account.host);
        let asked = self.login.secrets.ask(text, prompt.echo);
        self.patiently(asked)
            .await?
            .map_err(|reason| Stop::Because(format!("the server asks {question:?}, and {reason}")))
    }
}

/// What is kept over the rounds.
#[derive(Default)]
struct Conversation {
    /// The server has asked something.
    asked: bool,
    /// The password to answer with when it is asked for.
    next: Option<Candidate>,
    /// The one that was sent.
    sent: Option<Candidate>,
}

/// Which of `prompts` asks for the password, if exactly one does.
fn password_prompt(prompts: &[Prompt]) -> Option<usize> {
    let mut asking = prompts
        .iter()
        .enumerate()
        .filter(|(_, prompt)| !prompt.echo && asks_for_password(&prompt.prompt));
    match (asking.next(), asking.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// Whether it asks for the password that the account has, not for a new one or for one that is used once.
fn asks_for_password(prompt: &str) -> bool {
    const OTHERS: [&str; 9] =
        ["new", "again", "retype", "repeat", "confirm", "one-time", "onetime", "otp", "token"];
    let prompt = split(prompt).1.to_lowercase();
    let words = |wanted: &str| {
        prompt.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == wanted)
    };
    ["password", "passwort", "kennwort", "mot de passe"].iter().any(|name| prompt.contains(name))
        && !OTHERS.iter().any(|other| words(other))
}

/// What stands above the question itself, which is the last line of a prompt, made printable.
fn split(prompt: &str) -> (&str, String) {
    let prompt = prompt.trim_end();
    let (above, question) = prompt.rsplit_once('\n').unwrap_or(("", prompt));
    (above, printable_line(question.trim(), PROMPT_LIMIT))
}

/// What the server says above its questions, cut short.
fn explanation(text: &str) -> String {
    const LINES: usize = 6;
    let lines = text.lines().map(|line| printable_line(line.trim(), PROMPT_LIMIT));
    lines.filter(|line| !line.is_empty()).take(LINES).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prompt(text: &str) -> Prompt {
        Prompt { prompt: text.to_owned(), echo: false }
    }

    #[test]
    fn questions_for_the_password() {
        for text in ["Password: ", "(ops@node) Password:", "ops's password: ", "Current password: "]
        {
            assert_eq!(password_prompt(&[prompt(text)]), Some(0), "{text}");
        }
        for text in [
            "Verification code: ",
            "New password: ",
            "Retype new password: ",
            "One-time password (OATH) for `ops': ",
            "Enter PASSCODE: ",
            "",
        ] {
            assert_eq!(password_prompt(&[prompt(text)]), None, "{text}");
        }
        let echoed = Prompt { prompt: "Password: ".to_owned(), echo: true };
        assert_eq!(password_prompt(&[echoed]), None);
        assert_eq!(password_prompt(&[prompt("Code: "), prompt("Password: ")]), Some(1));
        assert_eq!(password_prompt(&[prompt("Password: "), prompt("Password: ")]), None);
        assert_eq!(password_prompt(&[]), None);
    }

    #[test]
    fn explanations_are_short_and_harmless() {
        let text = explanation("Two factors\n\n\x1b[2JTouch the key\r\n  or type a code.\n");
        insta::assert_snapshot!(text, @r"
        Two factors
        Touch the key
        or type a code.
        ");
        assert_eq!(explanation("\n"), "");
        let prompt =
            "You have to change it.\nThe new one is to be longer.\n\x1b[1mCurrent password: \n";
        let (above, question) = split(prompt);
        assert_eq!(above, "You have to change it.\nThe new one is to be longer.");
        assert_eq!(question, "Current password:");
        assert!(asks_for_password(prompt));
    }

    proptest! {
        #[test]
        fn explanations_are_bounded(text in "(.{0,300}\n){0,10}") {
            let text = explanation(&text);
            prop_assert!(text.lines().count() <= 6);
            prop_assert!(text.lines().all(|line| line.chars().count() <= PROMPT_LIMIT + 1));
        }
    }
}
