//! Passwords against an operator and hosts that are made up.

use std::sync::Mutex;

use futures::future::join_all;
use tokio::sync::mpsc;

use super::*;
use crate::report::Question;

fn account(host: &str) -> Account {
    Account {
        host: host.to_owned(),
        user: "ops".to_owned(),
        jump: false,
        password_command: None,
        become_password_command: None,
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// Answers one question after the other from a list, then nothing more; remembers what was asked.
struct Operator(Arc<Mutex<Vec<String>>>);

impl Operator {
    fn typing(answers: &[&str]) -> (Secrets, Self) {
        let (prompter, questions) = Prompter::channel();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        tokio::spawn(serve(questions, answers, Arc::clone(&asked)));
        (Secrets::asking(prompter), Self(asked))
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn serve(
    mut questions: mpsc::UnboundedReceiver<Question>,
    answers: Vec<String>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut answers = answers.into_iter();
    while let Some(Question { text, echo, reply }) = questions.recv().await {
        assert!(!echo);
        asked.lock().unwrap().push(text);
        // Others come meanwhile.
        tokio::task::yield_now().await;
        let answer = answers.next().map(SecretString::from).ok_or(NoAnswer::Closed);
        let _ = reply.send(answer);
    }
}

/// A host with one right password, as the login code treats it: how often a password was tried, and how it ended.
async fn log_in(
    secrets: &Secrets,
    purpose: Purpose,
    account: &Account,
    right: &str,
) -> (usize, Result<(), String>) {
    let mut tries = 0;
    loop {
        match secrets.password(purpose, account).await {
            Ok(candidate) => {
                tries += 1;
                tokio::task::yield_now().await;
                if candidate.expose_secret() == right {
                    candidate.accepted();
                    return (tries, Ok(()));
                }
                candidate.refused();
            }
            Err(error) => return (tries, Err(error.to_string())),
        }
    }
}

async fn log_in_to_all(
    secrets: &Secrets,
    hosts: usize,
    right: &str,
) -> Vec<(usize, Result<(), String>)> {
    let accounts: Vec<Account> =
        (0..hosts).map(|index| account(&format!("node-{index}"))).collect();
    join_all(accounts.iter().map(|account| log_in(secrets, Purpose::Login, account, right))).await
}

#[tokio::test]
async fn the_operator_is_asked_once_for_all_hosts() {
    let (secrets, operator) = Operator::typing(&["right"]);
    for outcome in log_in_to_all(&secrets, 20, "right").await {
        assert_eq!(outcome, (1, Ok(())));
    }
    insta::assert_snapshot!(operator.asked().join("\n"), @"Password of ops (node-0 wants it; used on every host that does): ");
}

#[tokio::test]
async fn a_mistyped_password_is_tried_on_one_host_and_asked_for_again() {
    let (secrets, operator) = Operator::typing(&["wrong", "right"]);
    let outcomes = log_in_to_all(&secrets, 20, "right").await;
    assert!(outcomes.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(outcomes.iter().map(|(tries, _)| tries).sum::<usize>(), 21);
    assert_eq!(operator.asked().len(), 2);
    assert!(operator.asked()[1].starts_with("The password was refused.\n"));
}

#[tokio::test]
async fn the_operator_is_asked_three_times_at_most() {
    let (secrets, operator) = Operator::typing(&["wrong", "wrong", "bad", "right"]);
    let outcomes = log_in_to_all(&secrets, 20, "right").await;
    assert_eq!(operator.asked().len(), 3);
    // The same answer given twice is not tried twice.
    assert_eq!(outcomes.iter().map(|(tries, _)| tries).sum::<usize>(), 2);
    let errors: std::collections::BTreeSet<String> =
        outcomes.into_iter().map(|(_, result)| result.unwrap_err()).collect();
    assert!(errors.contains("the password was refused"), "{errors:?}");
    assert!(errors.iter().any(|error| error.ends_with("and was not tried here")), "{errors:?}");
}

#[tokio::test]
async fn no_answer_is_final() {
    let (secrets, operator) = Operator::typing(&[""]);
    for (tries, result) in log_in_to_all(&secrets, 5, "right").await {
        assert_eq!(tries, 0);
        insta::allow_duplicates! {
            insta::assert_snapshot!(result.unwrap_err(), @"no password: the question was not answered; set password_command, or give it with --password-fd");
        }
    }
    assert_eq!(operator.asked().len(), 1);
    let (_, result) = log_in(&Secrets::default(), Purpose::Become, &account("a"), "right").await;
    insta::assert_snapshot!(result.unwrap_err(), @"no password: there is no terminal to ask on; set become_password_command, or give it with --become-password-fd");
}

#[tokio::test]
async fn a_given_password_that_is_wrong_is_tried_once() {
    let secrets = Secrets::default().with_given(Some(secret("wrong")), None);
    let outcomes = log_in_to_all(&secrets, 20, "right").await;
    assert_eq!(outcomes.iter().map(|(tries, _)| tries).sum::<usize>(), 1);
    assert_eq!(outcomes[0], (1, Err("the password was refused".to_owned())));
    let other = "the password was refused by node-0 and was not tried here";
    assert!(outcomes[1..].iter().all(|outcome| *outcome == (0, Err(other.to_owned()))));
}

#[tokio::test]
async fn a_host_that_differs_does_not_harm_the_others() {
    let secrets = Secrets::default().with_given(Some(secret("right")), None);
    let login = async |host: &str, right: &str| {
        log_in(&secrets, Purpose::Login, &account(host), right).await
    };
    assert_eq!(login("a", "right").await, (1, Ok(())));
    let (tries, result) = login("b", "other").await;
    assert_eq!(tries, 1);
    insta::assert_snapshot!(result.unwrap_err(), @"the password was refused, though a accepted it; give this host its own with password_command");
    assert_eq!(login("c", "right").await, (1, Ok(())));
}

#[tokio::test]
async fn commands_come_first_and_run_once_per_host() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let command = format!("echo run >> {}; echo secret-of-$FLEETADM_HOST", log.display());
    let (secrets, operator) = Operator::typing(&[]);
    let secrets = secrets.with_given(Some(secret("given")), None);
    let with_command =
        |host: &str| Account { password_command: Some(command.clone()), ..account(host) };
    for host in ["a", "b", "a"] {
        let right = format!("secret-of-{host}");
        let outcome = log_in(&secrets, Purpose::Login, &with_command(host), &right).await;
        assert_eq!(outcome, (1, Ok(())));
    }
    // Becoming root takes the login password where nothing else is said, the command's before one that is given.
    let outcome = log_in(&secrets, Purpose::Become, &with_command("a"), "secret-of-a").await;
    assert_eq!(outcome, (1, Ok(())));
    let outcome = log_in(&secrets, Purpose::Become, &account("c"), "given").await;
    assert_eq!(outcome, (1, Ok(())));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "run\nrun\n");
    assert!(operator.asked().is_empty());

    let broken = Account { password_command: Some("exit 7".to_owned()), ..account("d") };
    let (_, result) = log_in(&secrets, Purpose::Login, &broken, "right").await;
    insta::assert_snapshot!(result.unwrap_err(), @"password_command gave no password: it ended with exit status: 7");
}

#[tokio::test]
async fn commands_that_print_one_password_for_all_are_kept_from_locking_it() {
    let secrets = Secrets::default();
    let accounts: Vec<Account> = (0..5)
        .map(|index| Account {
            password_command: Some("echo wrong".to_owned()),
            ..account(&format!("node-{index}"))
        })
        .collect();
    let logins = accounts.iter().map(|account| log_in(&secrets, Purpose::Login, account, "right"));
    let tries: usize = join_all(logins).await.into_iter().map(|(tries, _)| tries).sum();
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn the_login_password_is_the_one_to_become_root_with() {
    let (secrets, operator) = Operator::typing(&["login", "root"]);
    let (a, b) = (account("a"), account("b"));
    assert_eq!(log_in(&secrets, Purpose::Login, &a, "login").await, (1, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Become, &a, "login").await, (1, Ok(())));
    assert_eq!(operator.asked().len(), 1);

    // Unless it turns out not to be.
    let (secrets, operator) = Operator::typing(&["login", "root"]);
    assert_eq!(log_in(&secrets, Purpose::Login, &a, "login").await, (1, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Become, &a, "root").await, (2, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Become, &b, "root").await, (1, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Login, &b, "login").await, (1, Ok(())));
    insta::assert_snapshot!(operator.asked()[1], @r"
    The password was refused.
    Password of ops for becoming root (a wants it; used on every host that does): 
    ");
}

#[tokio::test]
async fn users_and_jump_hosts_have_passwords_of_their_own() {
    let (secrets, operator) = Operator::typing(&["bastion", "fleet", "admin"]);
    let bastion = Account { jump: true, ..account("bastion") };
    let admin = Account { user: "admin".to_owned(), ..account("a") };
    assert_eq!(log_in(&secrets, Purpose::Login, &bastion, "bastion").await, (1, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Login, &account("a"), "fleet").await, (1, Ok(())));
    assert_eq!(log_in(&secrets, Purpose::Login, &admin, "admin").await, (1, Ok(())));
    insta::assert_snapshot!(operator.asked()[0], @"Password of ops@bastion: ");
}

#[tokio::test]
async fn nothing_is_shown_by_accident() {
    let secrets = Secrets::default().with_given(Some(secret("hidden")), None);
    let candidate = secrets.password(Purpose::Login, &account("a")).await.unwrap();
    assert!(!format!("{secrets:?} {candidate:?}").contains("hidden"));
}
