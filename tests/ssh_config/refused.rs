//! What is refused, and what is said about it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleetadm::ssh::{Connector, Environment, SshConfig, SshError};
use tempfile::TempDir;

use crate::client::{Files, host};

fn connector(home: &Path) -> Connector {
    let me = Environment::current();
    Connector::new(Environment {
        home: Some(home.to_owned()),
        uid: me.uid,
        ssh_config: SshConfig::Usual,
        ..Environment::default()
    })
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_others_may_write_to() {
    let home = TempDir::new().unwrap();
    let file = |name: &str| home.path().join(".ssh").join(name);
    fs::create_dir(file("")).unwrap();
    fs::write(file("config"), "Host a\nPort 7\nInclude more\n").unwrap();
    fs::write(file("more"), "User ops\n").unwrap();
    for name in ["config", "more"] {
        for (mode, refused) in [(0o600, false), (0o644, false), (0o664, true), (0o646, true)] {
            with_mode(&file(name), mode);
            let connector = connector(home.path());
            let settings = connector.settings(&host("a"));
            assert_eq!(settings.is_err(), refused, "{name} {mode:o}");
            assert_eq!(connector.check().is_err(), refused, "{name} {mode:o}");
            match settings {
                Ok(settings) => {
                    assert_eq!(settings.port.value, 7);
                    assert_eq!(settings.user.value.as_deref(), Some("ops"));
                    let origin = format!("{}, line 2", file("config").display());
                    assert_eq!(settings.port.origin.to_string(), origin);
                }
                Err(error) => {
                    assert!(error.could_not_reach());
                    let path = file(name);
                    let fix = format!("`chmod go-w {}`", path.display());
                    assert!(error.to_string().ends_with(&fix), "{error}");
                }
            }
        }
        with_mode(&file(name), 0o600);
    }
    // A file that the command line names is believed.
    with_mode(&file("config"), 0o666);
    let environment = Environment {
        home: Some(home.path().to_owned()),
        uid: Environment::current().uid,
        ssh_config: SshConfig::File(file("config")),
        ..Environment::default()
    };
    assert_eq!(Connector::new(environment).settings(&host("a")).unwrap().port.value, 7);
}

#[test]
fn files_that_are_not_there() {
    let home = TempDir::new().unwrap();
    assert!(connector(home.path()).check().is_ok());
    let missing = home.path().join("missing");
    let environment =
        Environment { ssh_config: SshConfig::File(missing.clone()), ..Environment::default() };
    let error = Connector::new(environment).check().unwrap_err();
    assert!(matches!(error, SshError::Config(_)));
    assert_eq!(error.to_string(), format!("{}: there is no such file", missing.display()));

    let files = Files::new("Include DIR/link\n");
    std::os::unix::fs::symlink("/nowhere", files.directory.path().join("link")).unwrap();
    let environment =
        Environment { ssh_config: SshConfig::File(files.config()), ..Environment::default() };
    let error = Connector::new(environment).check().unwrap_err().to_string();
    assert!(error.ends_with("link leads nowhere; remove it"), "{error}");
}

#[test]
fn includes_begin_at_the_operators_directories() {
    let home = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        with_mode(&path, 0o600);
    };
    write(".ssh/config", "Include ~/more parts/*\nPort 9\nUser last\n");
    write("more", "Host a\nPort 7\n");
    write(".ssh/parts/one", "Host b\nPort 8\n");
    write(".ssh/parts/two", "Host b\nUser two\n");
    let connector = connector(home.path());
    let seen = ["a", "b", "c"].map(|name| {
        let settings = connector.settings(&host(name)).unwrap();
        (settings.port.value, settings.user.value.unwrap())
    });
    let said = |port, user: &str| (port, user.to_owned());
    assert_eq!(seen, [said(7, "last"), said(8, "two"), said(9, "last")]);
}

#[test]
fn commands_run_once_for_all_hosts() {
    let files = Files::new("Match exec \"echo x >> DIR/count\"\nPort 7\n");
    let environment =
        Environment { ssh_config: SshConfig::File(files.config()), ..Environment::default() };
    let connector = Connector::new(environment);
    for number in 0..20 {
        assert_eq!(connector.settings(&host(&format!("node{number}"))).unwrap().port.value, 7);
    }
    assert_eq!(fs::read_to_string(files.directory.path().join("count")).unwrap(), "x\n");
}

#[test]
fn a_command_that_cannot_be_run_concerns_its_hosts_only() {
    let files = Files::new("Match originalhost a exec \"kill -9 $$\"\nPort 7\n");
    let environment =
        Environment { ssh_config: SshConfig::File(files.config()), ..Environment::default() };
    let connector = Connector::new(environment);
    assert!(connector.check().is_ok());
    let error = connector.settings(&host("a")).unwrap_err().to_string();
    assert!(error.contains("`kill -9 $$` ended by signal: 9"), "{error}");
    assert_eq!(connector.settings(&host("b")).unwrap().port.value, 22);
}
