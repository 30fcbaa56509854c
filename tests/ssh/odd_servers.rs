//! Servers that no OpenSSH would be: strange rounds of questions, and hostile ones. They harm their own login only.

use std::borrow::Cow;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetadm::inventory::Host;
use fleetadm::report::{Event, Reporter};
use fleetadm::ssh::{Connector, SshError};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, Config, Handler, Response, VerifiedPublicKey, run_stream};
use russh::{MethodKind, MethodSet};
use tokio::net::TcpListener;

use crate::sshd::said;
use crate::typist::{Typist, given};

const PASSWORD: &str = "correct horse";

/// What one server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Nothing to answer, then the password, then a code.
    Rounds,
    /// The same question for ever.
    Endless,
    /// More questions at once than anybody has.
    Many,
    /// Every password is right, and never enough.
    NeverEnough,
    /// Closes the connection on a wrong password.
    Rude,
    /// Says nothing to a password.
    Mute,
    /// Wants nothing.
    Open,
    /// Takes any key.
    Keys,
}

#[derive(Clone)]
struct Server {
    manner: Manner,
    rounds: usize,
    /// Passwords that arrived, and how often nothing was offered.
    heard: Arc<Mutex<Vec<String>>>,
}

fn ask(instructions: &'static str, prompts: &'static [(Cow<'static, str>, bool)]) -> Auth {
    Auth::Partial { name: "".into(), instructions: instructions.into(), prompts: prompts.into() }
}

const CODE: &[(Cow<'static, str>, bool)] =
    &[(Cow::Borrowed("\x1b]0;title\x07Verification\x1b[2J code:\n\n"), true)];

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        if self.manner == Manner::Keys {
            self.heard.lock().unwrap().push("nothing".to_owned());
        }
        Ok(match self.manner {
            Manner::Open => Auth::Accept,
            _ => Auth::reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.manner == Manner::Keys { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.heard.lock().unwrap().push(password.to_owned());
        match self.manner {
            Manner::Rude => Err(russh::Error::Disconnect),
            Manner::Mute => std::future::pending().await,
            Manner::NeverEnough => Ok(Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::Password][..])),
                partial_success: true,
            }),
            _ => Ok(Auth::reject()),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let answers: Vec<String> = response
            .into_iter()
            .flatten()
            .map(|answer| String::from_utf8(answer.to_vec()).unwrap())
            .collect();
        self.rounds += 1;
        Ok(match (self.manner, self.rounds) {
            (Manner::Endless, _) => ask("", CODE),
            (Manner::Many, _) => Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password:".into(), false); 1000].into(),
            },
            (_, 1) => ask("Welcome to \x1b[31mthe machine.\n", &[]),
            (_, 2) => {
                assert!(answers.is_empty());
                ask("", &[(Cow::Borrowed("Password: "), false)])
            }
            (_, 3) if answers == [PASSWORD] => ask("Take your token.\n\x1b[8mLook at it.\n", CODE),
            (_, 4) if answers == ["123456"] => Auth::Accept,
            _ => Auth::reject(),
        })
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(Some(format!("\x1b[2JAuthorised use only.\n{}\nThe end.\n", "long ".repeat(10_000))))
    }
}

/// Start a server of that manner. The host to connect to, and the passwords that arrive.
async fn serve(manner: Manner) -> (Host, Arc<Mutex<Vec<String>>>, tempfile::TempDir) {
    let methods = match manner {
        Manner::Rounds | Manner::Endless | Manner::Many => MethodKind::KeyboardInteractive,
        Manner::Keys => MethodKind::PublicKey,
        _ => MethodKind::Password,
    };
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let config = Arc::new(Config {
        methods: MethodSet::from(&[methods][..]),
        keys: vec![key.clone()],
        auth_rejection_time: Duration::from_millis(10),
        ..Config::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let server = Server { manner, rounds: 0, heard: Arc::clone(&heard) };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let running = run_stream(Arc::clone(&config), stream, server.clone());
            tokio::spawn(async move { running.await?.await });
        }
    });

    let directory = tempfile::tempdir().unwrap();
    let known_hosts = directory.path().join("known_hosts");
    let public = key.public_key().to_openssh().unwrap();
    std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {public}\n")).unwrap();
    let mut host = crate::sshd::host("node", port);
    host.ssh_mut().user = Some(said("ops".to_owned()));
    host.ssh_mut().known_hosts = Some(said(vec![known_hosts]));
    (host, heard, directory)
}

async fn reason(connector: &Connector, host: &Host) -> String {
    let error = connector.connect(host).await.unwrap_err();
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    error.to_string().split_once(": ").unwrap().1.to_owned()
}

#[tokio::test]
async fn rounds_of_questions() {
    let (host, _, _directory) = serve(Manner::Rounds).await;
    let (connector, typist) = Typist::typing(Duration::ZERO, &[PASSWORD, "123456"]);
    connector.connect(&host).await.unwrap();
    insta::assert_snapshot!(typist.asked()[1], @r"
    Take your token.
    Look at it.
    (ops@node) Verification code: 
    ");
    // A wrong code says nothing good about the password, so that no other host tries it.
    let (connector, typist) = Typist::typing(Duration::ZERO, &[PASSWORD, "0", ""]);
    let said = reason(&connector, &host).await;
    assert!(
        said.starts_with("tried password (no password: the question was not answered"),
        "{said}"
    );
    assert_eq!(typist.asked().len(), 3);
    insta::assert_snapshot!(reason(&given(PASSWORD), &host).await, @r#"the server asks "Verification code:", and there is no terminal to ask on"#);
}

#[tokio::test]
async fn questions_without_end() {
    let (host, _, _directory) = serve(Manner::Endless).await;
    let (connector, typist) = Typist::typing(Duration::ZERO, &["1"; 100]);
    insta::assert_snapshot!(reason(&connector, &host).await, @"keyboard-interactive did not come to an end");
    assert_eq!(typist.asked().len(), 10);

    let (host, _, _directory) = serve(Manner::Many).await;
    let (connector, typist) = Typist::typing(Duration::ZERO, &[]);
    insta::assert_snapshot!(reason(&connector, &host).await, @"the server asks 1000 questions at once");
    assert!(typist.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_never_has_enough() {
    let (host, heard, _directory) = serve(Manner::NeverEnough).await;
    let said = reason(&given(PASSWORD), &host).await;
    assert!(said.ends_with("the server never has enough"), "{said}");
    assert!(heard.lock().unwrap().len() < 20);
}

#[tokio::test]
async fn closing_the_connection_is_a_refusal() {
    let (host, heard, _directory) = serve(Manner::Rude).await;
    let connector = given(PASSWORD);
    let said = reason(&connector, &host).await;
    assert!(said.starts_with("tried password; "), "{said}");
    let mut other = host.clone();
    other.name = "other".to_owned();
    insta::assert_snapshot!(reason(&connector, &other).await, @"tried password (the password was refused by node and was not tried here)");
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_decide() {
    let (mut host, heard, _directory) = serve(Manner::Mute).await;
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(3)));
    insta::assert_snapshot!(reason(&given(PASSWORD), &host).await, @"no decision about the password; if the host wants it changed, log in once with ssh");
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_wants_nothing_and_says_much() {
    let (host, _, _directory) = serve(Manner::Open).await;
    let (reporter, mut events) = Reporter::channel();
    let connector = given(PASSWORD).reporting_to(reporter);
    connector.connect(&host).await.unwrap();
    drop(connector);
    let mut notes = Vec::new();
    while let Some(Event::Note { host, text }) = events.recv().await {
        assert_eq!(host, "node");
        notes.push(text);
    }
    assert_eq!(notes[0], "banner: Authorised use only.");
    assert_eq!(notes.len(), 2);
    assert!(notes[1].chars().count() < 220, "{}", notes[1]);
}

#[tokio::test]
async fn a_key_at_hand_is_offered_before_anything_is_asked() {
    for manner in [Manner::Keys, Manner::Open] {
        let (mut host, heard, directory) = serve(manner).await;
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[8; 32]));
        let file = directory.path().join("key");
        std::fs::write(&file, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        host.ssh_mut().identity_files = Some(said(vec![file]));
        // One that wants nothing refuses the key, and is asked then.
        given(PASSWORD).connect(&host).await.unwrap();
        assert!(heard.lock().unwrap().is_empty());
    }
}
