//! Keys behind passphrases, certificates and agents against a real server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fleetadm::inventory::Host;
use fleetadm::ssh::{Connector, Environment, Exit, Input, SshError};
use futures::future::join_all;

use crate::sshd::{Agent, Sshd, connector, keygen, said};
use crate::typist::Typist;

const PASSPHRASE: &str = "open sesame";

async fn works(connector: &Connector, host: &Host) {
    let connection = connector.connect(host).await.unwrap();
    let output = connection.run("echo hello", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
}

async fn fails(connector: &Connector, host: &Host) -> String {
    let error = connector.connect(host).await.unwrap_err();
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    error.to_string()
}

fn with_files(server: &Sshd, files: &[&Path]) -> Host {
    let mut host = server.host();
    host.ssh_mut().identity_files =
        Some(said(files.iter().map(|path| path.to_path_buf()).collect()));
    host
}

fn with_agent(mut host: Host, agent: &Agent) -> Host {
    host.ssh_mut().identity_agent = Some(said(agent.socket.clone()));
    host
}

fn typing(answers: &[&str]) -> (Connector, Typist) {
    Typist::typing(Duration::ZERO, answers)
}

#[tokio::test]
async fn encrypted_keys_of_every_format() {
    let server = server!();
    let kinds: [(&str, &[&str]); 6] = [
        ("openssh", &["-t", "ed25519"]),
        ("openssh_rsa", &["-t", "rsa", "-b", "2048"]),
        ("openssh_gcm", &["-t", "ecdsa", "-b", "384", "-Z", "aes256-gcm@openssh.com"]),
        ("pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("pkcs8_rsa", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("pkcs8_ecdsa", &["-t", "ecdsa", "-m", "PKCS8"]),
    ];
    for (name, arguments) in kinds {
        eprintln!("{name}");
        let key = server.authorize(name, &[arguments, &["-N", PASSPHRASE]].concat());
        let host = with_files(&server, &[&key]);
        let (connector, typist) = typing(&[PASSPHRASE]);
        works(&connector, &host).await;
        assert_eq!(typist.asked(), [format!("Passphrase of {}: ", key.display())]);
        // Unlocked for the rest of the run.
        works(&connector, &host).await;

        // Without the public key beside it, a key that somebody named is unlocked to be offered.
        fs::remove_file(server.path(&format!("{name}.pub"))).unwrap();
        let (connector, _) = typing(&[PASSPHRASE]);
        works(&connector, &host).await;
    }
}

#[tokio::test]
async fn the_passphrase_is_asked_for_once_by_all_hosts() {
    let server = server!("ed25519", "MaxStartups 100");
    let key = server.authorize("key", &["-t", "ed25519", "-N", PASSPHRASE]);
    let hosts: Vec<Host> = (0..20).map(|_| with_files(&server, &[&key])).collect();
    let (connector, typist) = Typist::typing(Duration::from_millis(200), &["wrong", PASSPHRASE]);
    join_all(hosts.iter().map(|host| works(&connector, host))).await;
    let question = format!("Passphrase of {}: ", key.display());
    assert_eq!(typist.asked(), [question.clone(), format!("That does not open it.\n{question}")]);
}

#[tokio::test]
async fn keys_that_stay_locked() {
    let server = server!();
    let key = server.authorize("key", &["-t", "ed25519", "-N", PASSPHRASE]);
    let host = with_files(&server, &[&key]);
    let (connector, typist) = typing(&["a", "b", "c", PASSPHRASE]);
    let reason = fails(&connector, &host).await;
    assert!(reason.ends_with("key (is encrypted, and its passphrase was wrong)"), "{reason}");
    assert_eq!(typist.asked().len(), 3);

    // No answer leaves the key out, and the next one has its turn.
    let (connector, typist) = typing(&[""]);
    works(&connector, &with_files(&server, &[&key, &server.path("id_ed25519")])).await;
    assert_eq!(typist.asked().len(), 1);
}

#[tokio::test]
async fn nobody_is_asked_for_a_passphrase_the_server_does_not_want() {
    let server = server!();
    let key = server.path("key");
    keygen(&key, &["-t", "ed25519", "-N", PASSPHRASE]);
    let (connector, typist) = typing(&[]);
    works(&connector, &with_files(&server, &[&key, &server.path("id_ed25519")])).await;
    let reason = fails(&connector, &with_files(&server, &[&key])).await;
    assert!(reason.ends_with("tried ".to_owned().as_str()) || reason.ends_with("key"), "{reason}");
    assert!(typist.asked().is_empty());

    // A default key that tells nothing about itself is not asked about either.
    let home = server.path("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    keygen(&home.join(".ssh/id_rsa"), &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", PASSPHRASE]);
    fs::remove_file(home.join(".ssh/id_rsa.pub")).unwrap();
    let mut host = server.host();
    host.ssh_mut().identity_files = None;
    let environment = Environment { home: Some(home), ..Environment::default() };
    let reason = fails(&Connector::new(environment), &host).await;
    assert!(reason.contains("id_rsa (is encrypted; name it with identity_file"), "{reason}");
}

/// Sign a key with the authority of `server_with_authority`; more arguments for ssh-keygen.
fn certify(server: &Sshd, key: &Path, arguments: &[&str]) -> PathBuf {
    let public = key.with_extension("pub");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "test", "-s"])
        .arg(server.path("ca"))
        .args(arguments)
        .arg(&public)
        .status()
        .unwrap();
    assert!(status.success());
    key.with_file_name(format!("{}-cert.pub", key.file_name().unwrap().to_str().unwrap()))
}

/// A server that accepts no key, only what its authority has signed.
fn server_with_authority() -> Option<Sshd> {
    let server = Sshd::start()?;
    keygen(&server.path("ca"), &["-t", "ed25519", "-N", ""]);
    let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
    fs::write(server.path("authorized_keys"), format!("cert-authority {ca}")).unwrap();
    Some(server)
}

#[tokio::test]
async fn certificates_beside_the_key_and_elsewhere() {
    let server = server!(@ server_with_authority());
    let user = server.host().ssh.user.clone().unwrap().value;
    let kinds: [(&str, &[&str]); 3] =
        [("ed25519", &[]), ("ecdsa", &["-b", "521"]), ("rsa", &["-b", "2048"])];
    for (kind, arguments) in kinds {
        eprintln!("{kind}");
        let key = server.path(kind);
        keygen(&key, &[&["-t", kind, "-N", ""], arguments].concat());
        let host = with_files(&server, &[&key]);
        let reason = fails(&connector(), &host).await;
        assert!(reason.ends_with(kind), "{reason}");

        let certificate = certify(&server, &key, &["-n", &user]);
        works(&connector(), &host).await;

        let elsewhere = server.path(&format!("{kind}.crt"));
        fs::rename(certificate, &elsewhere).unwrap();
        let mut host = with_files(&server, &[&key]);
        host.ssh_mut().certificate_files = Some(said(vec![elsewhere]));
        works(&connector(), &host).await;
    }
}

#[tokio::test]
async fn a_certificate_for_an_encrypted_key() {
    let server = server!(@ server_with_authority());
    let user = server.host().ssh.user.clone().unwrap().value;
    let key = server.path("key");
    keygen(&key, &["-t", "ed25519", "-N", PASSPHRASE]);
    certify(&server, &key, &["-n", &user]);
    let (connector, typist) = typing(&[PASSPHRASE]);
    works(&connector, &with_files(&server, &[&key])).await;
    assert_eq!(typist.asked().len(), 1);
}

#[tokio::test]
async fn certificates_that_do_not_hold_say_why() {
    let server = server!(@ server_with_authority());
    let user = server.host().ssh.user.clone().unwrap().value;
    let key = server.path("key");
    keygen(&key, &["-t", "ed25519", "-N", ""]);
    let host = with_files(&server, &[&key]);
    for (arguments, expected) in [
        (["-n", "somebody,else", "-V", "always:forever"], "(is for somebody, else)"),
        (["-n", &user, "-V", "20200101:20210101"], "(expired on 20"),
        (["-n", &user, "-V", "20990101:20990201"], "(is not valid before 209"),
    ] {
        certify(&server, &key, &arguments);
        let reason = fails(&connector(), &host).await;
        assert!(reason.contains(&format!("key-cert.pub {expected}")), "{reason}");
    }
    let mut host = host;
    host.ssh_mut().certificate_files = Some(said(vec![server.path("absent"), server.path("key")]));
    let reason = fails(&connector(), &host).await;
    assert!(reason.contains("absent (no such file)"), "{reason}");
    assert!(reason.contains("key (is not an OpenSSH certificate"), "{reason}");
}

#[tokio::test]
async fn certificates_with_keys_in_the_agent() {
    let server = server!(@ server_with_authority());
    let user = server.host().ssh.user.clone().unwrap().value;
    let agent = Agent::start(server.directory.path());
    for (kind, bits) in [("ed25519", "256"), ("rsa", "2048")] {
        let key = server.path(kind);
        keygen(&key, &["-t", kind, "-b", bits, "-N", ""]);
        // The agent has the key alone, the certificate lies in a file.
        agent.add(&key);
        let certificate = certify(&server, &key, &["-n", &user]);
        let mut host = with_agent(server.host(), &agent);
        host.ssh_mut().identity_files = None;
        host.ssh_mut().certificate_files = Some(said(vec![certificate]));
        works(&connector(), &host).await;
        // The agent has both.
        agent.add(&key);
        host.ssh_mut().certificate_files = None;
        works(&connector(), &host).await;
        agent.forget_all();
    }
}

#[tokio::test]
async fn agent_keys_of_every_kind() {
    let server = server!();
    let agent = Agent::start(server.directory.path());
    for (name, kind, bits) in [
        ("ed25519", "ed25519", "256"),
        ("ecdsa", "ecdsa", "256"),
        ("ecdsa384", "ecdsa", "384"),
        ("ecdsa521", "ecdsa", "521"),
        ("rsa", "rsa", "3072"),
    ] {
        eprintln!("{name}");
        agent.add(&server.authorize(name, &["-t", kind, "-b", bits, "-N", ""]));
        let mut host = with_agent(server.host(), &agent);
        host.ssh_mut().identity_files = None;
        works(&connector(), &host).await;
        agent.forget_all();
    }
}

/// An agent with more keys than the server has patience for, the right one last.
fn full_agent(server: &Sshd) -> (Agent, PathBuf) {
    let agent = Agent::start(server.directory.path());
    for index in 0..8 {
        let stranger = server.path(&format!("stranger{index}"));
        keygen(&stranger, &["-t", "ed25519", "-N", "", "-C", &format!("stranger {index}")]);
        agent.add(&stranger);
    }
    let right = server.authorize("right", &["-t", "ed25519", "-N", ""]);
    agent.add(&right);
    (agent, right)
}

#[tokio::test]
async fn a_full_agent() {
    let server = server!("ed25519", "MaxAuthTries 6");
    let (agent, right) = full_agent(&server);
    let mut host = with_agent(server.host(), &agent);
    host.ssh_mut().identity_files = None;
    let reason = fails(&connector(), &host).await;
    assert!(reason.contains("Too many authentication failures; name the right key"), "{reason}");
    assert!(reason.contains("stranger 0"), "{reason}");

    // A key that somebody names comes first: by its file, or, where only the agent has it, by its public key.
    works(&connector(), &with_agent(with_files(&server, &[&right]), &agent)).await;
    fs::remove_file(&right).unwrap();
    for path in [right.clone(), right.with_extension("pub")] {
        works(&connector(), &with_agent(with_files(&server, &[&path]), &agent)).await;
    }

    // And with identities_only it is the only one.
    let mut host = with_agent(with_files(&server, &[&server.path("stranger3.pub")]), &agent);
    host.ssh_mut().identities_only = Some(said(true));
    let reason = fails(&connector(), &host).await;
    assert!(reason.ends_with("stranger3.pub"), "{reason}");
    assert_eq!(server.logged("Too many authentication failures"), 1);
}

#[tokio::test]
async fn agents_that_do_not_help() {
    let server = server!();
    let with_file = || with_files(&server, &[&server.path("id_ed25519")]);

    // Nothing listens there: the file does.
    let mut host = with_file();
    host.ssh_mut().identity_agent = Some(said(server.path("no-agent")));
    works(&connector(), &host).await;
    host.ssh_mut().identity_files = None;
    let reason = fails(&connector(), &host).await;
    assert!(reason.contains("the agent at ") && reason.contains("no-agent"), "{reason}");

    // A key that is not to be used without confirmation, and nobody there who could give it.
    let agent = Agent::start(server.directory.path());
    let key = server.authorize("confirm", &["-t", "ed25519", "-N", ""]);
    agent.add_with(&["-c"], &key);
    let mut host = with_agent(with_file(), &agent);
    host.ssh_mut().identity_files = None;
    let reason = fails(&connector(), &host).await;
    assert!(reason.contains("the agent did not sign"), "{reason}");
    let mut host = with_agent(
        with_files(&server, &[&key.with_extension("pub"), &server.path("id_ed25519")]),
        &agent,
    );
    works(&connector(), &host).await;

    // An agent that accepts connections and says nothing.
    let silent = server.path("silent");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    host.ssh_mut().identity_agent = Some(said(silent));
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(3)));
    let reason = fails(&connector(), &host).await;
    assert!(reason.contains("no decision within 3 s"), "{reason}");
}

#[tokio::test]
async fn keys_made_by_openssl() {
    let server = server!();
    for (name, arguments) in [
        ("ed25519", "genpkey -algorithm ed25519"),
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("sec1", "ecparam -name secp384r1 -genkey"),
    ] {
        eprintln!("{name}");
        let key = server.path(name);
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .arg("-out")
            .arg(&key)
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: needs openssl");
            return;
        }
        // ssh-keygen does not read all of these, so the server learns the key from the one who made it.
        let text = fs::read_to_string(&key).unwrap();
        let public = russh::keys::decode_secret_key(&text, None).unwrap();
        let public = public.public_key().to_openssh().unwrap();
        fs::write(server.path("authorized_keys"), format!("{public}\n")).unwrap();
        works(&connector(), &with_files(&server, &[&key])).await;
    }
}
