//! Questions for the operator: asked by logic, put by the renderer, which owns the terminal.

use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Question {
    /// What is shown, the cursor behind it. More than one line for an explanation above the question.
    pub text: String,
    /// Whether what is typed can be seen.
    pub echo: bool,
    /// Where the answer goes. Closed when nobody waits for it any more.
    pub reply: oneshot::Sender<Result<SecretString, NoAnswer>>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody to ask.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// The operator wants the run to stop.
    #[error("interrupted")]
    Interrupted,
    /// The terminal was closed, or its end was typed in place of an answer.
    #[error("the question was not answered")]
    Closed,
    /// The terminal does not work.
    #[error("the terminal cannot be read: {0}")]
    Broken(String),
}

/// Where logic asks. Cheap to clone; questions are put one after the other.
#[derive(Debug, Clone)]
pub struct Prompter(mpsc::UnboundedSender<Question>);

impl Prompter {
    /// A prompter and the receiving end for whoever puts the questions.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Question>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Ask, and wait for the answer as long as the operator needs. `text` may contain what a host says: it is stripped
    /// of control sequences before it is shown.
    pub async fn ask(&self, text: String, echo: bool) -> Result<SecretString, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        // Either fails only when the renderer has ended, and the run with it.
        self.0.send(Question { text, echo, reply }).map_err(|_| NoAnswer::Interrupted)?;
        answer.await.unwrap_or(Err(NoAnswer::Interrupted))
    }
}
