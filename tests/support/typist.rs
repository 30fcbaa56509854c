//! Somebody at the terminal who is made up: gives prepared answers and remembers the questions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetadm::report::{NoAnswer, Prompter, Question};
use fleetadm::ssh::{Connector, Environment, Secrets};
use secrecy::SecretString;

/// Answers one question after the other, then none.
pub struct Typist(Arc<Mutex<Vec<String>>>);

impl Typist {
    /// A connector that asks somebody who types `answers`, each after `pause`.
    pub fn typing(pause: Duration, answers: &[&str]) -> (Connector, Self) {
        let (prompter, mut questions) = Prompter::channel();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let mut answers: std::vec::IntoIter<SecretString> = answers
            .iter()
            .map(|answer| SecretString::from(*answer))
            .collect::<Vec<_>>()
            .into_iter();
        let remembered = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(Question { text, reply, .. }) = questions.recv().await {
                remembered.lock().unwrap().push(text);
                tokio::time::sleep(pause).await;
                let _ = reply.send(answers.next().ok_or(NoAnswer::Closed));
            }
        });
        let connector = Connector::new(Environment::default())
            .with_secrets(Arc::new(Secrets::asking(prompter)));
        (connector, Self(asked))
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// `password`, given on the command line, and nobody to ask.
pub fn secrets(password: &str) -> Arc<Secrets> {
    Arc::new(Secrets::default().with_given(Some(SecretString::from(password)), None))
}

/// A connector that was given `password` and has nobody to ask.
pub fn given(password: &str) -> Connector {
    Connector::new(Environment::default()).with_secrets(secrets(password))
}
