//! What the client of most workstations cannot be asked about: newer words, names in full, and what is never followed.
//! Everything else is held against a real client in tests/ssh_config.

use super::evaluate::{Evaluation, Query, Root};
use super::habits::Habit;
use super::resolved::Resolved;
use super::world::{Fake, World};
use super::*;

fn world() -> Fake {
    Fake::new(Environment {
        home: Some("/home/me".into()),
        user: Some("me".to_owned()),
        ..Environment::default()
    })
}

fn query(name: &str) -> Query<'_> {
    Query { name, ..Query::default() }
}

fn resolve(world: &Fake, text: &str, query: Query<'_>) -> Result<Resolved, ConfigError> {
    let roots = [Root { file: world.parse("config", text)?, own: true }];
    Resolved::expand(Evaluation::run(query, world, &roots)?)
}

/// The port that `text` gives the host `web`.
fn port(world: &Fake, text: &str) -> Option<u16> {
    resolve(world, text, query("web")).unwrap().port.map(|said| said.value)
}

fn refusal(world: &Fake, text: &str) -> String {
    resolve(world, text, query("web")).unwrap_err().to_string()
}

#[test]
fn tags() {
    let world = world();
    assert_eq!(port(&world, "Tag a\nMatch tagged a\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Tag a\nMatch tagged \"\"\nPort 7\n"), None);
    assert_eq!(port(&world, "Match tagged \"\"\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Match tagged *\nPort 7\nMatch all\nTag a\n"), None);
    assert_eq!(port(&world, "Tag a\nTag b\nMatch !tagged b,c\nPort 7\n"), Some(7));
}

#[test]
fn the_workstation_itself() {
    let mut world = world();
    world.addresses = vec!["192.0.2.7".parse().unwrap(), "fd00::7".parse().unwrap()];
    assert_eq!(port(&world, "Match localnetwork 192.0.2.0/24\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Match localnetwork 10.0.0.0/8,fd00::/8\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Match localnetwork 10.0.0.0/8\nPort 7\n"), None);
    assert_eq!(port(&world, "Match version OpenSSH_9.*\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Match version OpenSSH_1?.*\nPort 7\n"), None);
    assert_eq!(port(&world, "Match sessiontype exec\nPort 7\n"), Some(7));
    assert_eq!(port(&world, "Match sessiontype shell\nPort 7\n"), None);
}

#[test]
fn commands_are_run_only_where_they_decide() {
    let world = world();
    let text = "Match host other exec true\nPort 1\nMatch host web exec \"%n\"\nPort 2\n\
                Match exec true user nobody\nPort 3\nHost other\nInclude nothing\n";
    assert_eq!(port(&world, text), None);
    assert_eq!(*world.commands.lock().unwrap(), ["web", "true"]);
}

#[test]
fn includes_can_depend_on_the_host() {
    let mut world = world();
    world.files.insert("/conf/web", "Port 7\n");
    assert_eq!(port(&world, "Include /conf/%h\n"), Some(7));
    assert!(refusal(&world, "Include /conf/%x\n").starts_with("config:1: `Include`: `%x`"));
    world.odd = vec![Habit::ExpandsInclude];
    assert_eq!(port(&world, "Include /conf/%h\n"), None);
}

#[test]
fn users_have_tokens_in_newer_clients() {
    let mut world = world();
    let user = |world: &Fake, text| Some(resolve(world, text, query("web")).ok()?.user?.value);
    assert_eq!(user(&world, "User %u-%n\n").as_deref(), Some("me-web"));
    assert_eq!(user(&world, "User %r\n"), None);
    assert_eq!(user(&world, "User %C\n"), None);
    assert_eq!(user(&world, "HostKeyAlias -x\nUser %k\n"), None);
    world.odd = vec![Habit::ExpandsUser];
    assert_eq!(user(&world, "User %u-%n\n").as_deref(), Some("%u-%n"));
}

#[test]
fn clients_differ_about_final_passes_and_proxies() {
    let mut world = world();
    let negated = "HostName other\nMatch !final\nUser x\nHost other\nPort 7\n";
    assert_eq!(port(&world, negated), None);
    let both = "ProxyJump none\nProxyCommand nc %h\n";
    let command = |world: &Fake| {
        resolve(world, both, query("web")).unwrap().proxy_command.and_then(|said| said.value)
    };
    assert_eq!(command(&world).as_deref(), Some("nc web"));
    world.odd = vec![Habit::AsksByNegatedFinal, Habit::LaterCommandCounts];
    assert_eq!(port(&world, negated), Some(7));
    assert_eq!(command(&world), None);
}

#[test]
fn times_have_fractions_in_newer_clients() {
    let mut world = world();
    let timeout = |world: &Fake| {
        let resolved = resolve(world, "ConnectTimeout 2.5\n", query("web"));
        resolved.ok()?.connect_timeout.map(|said| said.value)
    };
    assert_eq!(timeout(&world), Some(2));
    world.odd = vec![Habit::ReadsFractions];
    assert_eq!(timeout(&world), None);
}

#[test]
fn names_in_full() {
    let mut world = world();
    world.names = ["web.example.com.", "full.example.net.", "a.b.example.com."].into();
    let host_name = |world: &Fake, more: &str, name| {
        let text = format!(
            "{more}\nCanonicalizeHostname yes\nCanonicalDomains example.org example.com\n\
             Host *.example.com\nPort 7\n"
        );
        resolve(world, &text, query(name))
            .map(|found| (found.host_name, found.port.map(|p| p.value)))
    };
    let found = |name: &str, port: Option<u16>| Ok((name.to_owned(), port));
    assert_eq!(host_name(&world, "", "WEB"), found("web.example.com", Some(7)));
    assert_eq!(host_name(&world, "", "db"), found("db", None));
    assert_eq!(host_name(&world, "", "full.example.net."), found("full.example.net", None));
    assert_eq!(host_name(&world, "", "a.b"), found("a.b.example.com", Some(7)));
    assert_eq!(host_name(&world, "CanonicalizeMaxDots 0", "a.b"), found("a.b", None));
    assert_eq!(host_name(&world, "CanonicalDomains none", "web"), found("web", None));
    assert_eq!(host_name(&world, "ProxyJump bastion", "web"), found("web", None));
    assert_eq!(host_name(&world, "ProxyCommand nc", "web"), found("web", None));
    assert_eq!(
        host_name(&world, "ProxyJump bastion\nCanonicalizeHostname always", "web"),
        found("web.example.com", Some(7))
    );
    let refused = host_name(&world, "CanonicalizeFallbackLocal no", "db").unwrap_err().to_string();
    assert!(refused.starts_with("config:1: db has no address in any"), "{refused}");
    let refused = host_name(&world, "CanonicalizePermittedCNAMEs *:*", "web").unwrap_err();
    assert!(refused.to_string().contains("is not supported"), "{refused}");
    let none = "CanonicalizePermittedCNAMEs none";
    assert_eq!(host_name(&world, none, "web"), found("web.example.com", Some(7)));

    assert_eq!(host_name(&world, "ProxyJump none", "web"), found("web.example.com", Some(7)));
    world.odd = vec![Habit::NoJumpIsDirect];
    assert_eq!(host_name(&world, "ProxyJump none", "web"), found("web", None));
}

#[test]
fn what_is_decided_above_takes_part() {
    let world = world();
    let text = "Match user root\nPort 1\nMatch user ops\nIdentityFile %r-%p-%k-%j\nHost *\nUser x\n\
                ProxyJump later\nHostKeyAlias later\n";
    let above = Query {
        user: Some("ops"),
        port: Some(2222),
        host_key_alias: Some("alias"),
        jump_host: Some("bastion"),
        ..query("web")
    };
    let files = resolve(&world, text, above).unwrap().identity_files.unwrap();
    assert_eq!(files[0].value.to_str(), Some("ops-2222-alias-bastion"));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let world = world();
    insta::assert_snapshot!(refusal(&world, "Match host web command x\nPort 1\n"), @"config:1: cannot tell whether `Match` is about web: fleetadm connects before it knows the `command`; match by other things");
    assert_eq!(port(&world, "Match command x host other\nPort 1\n"), None);
    insta::assert_snapshot!(refusal(&world, "RefuseConnection \"not from here\"\n"), @"config:1: `RefuseConnection` refuses this host: not from here");
    assert_eq!(port(&world, "Host other\nRefuseConnection no\n"), None);
    insta::assert_snapshot!(refusal(&world, "RevokedHostKeys /keys\n"), @"config:1: `RevokedHostKeys` is not supported; mark the keys @revoked in known_hosts, and set it to `none`");
    assert_eq!(port(&world, "RevokedHostKeys none\n"), None);
    insta::assert_snapshot!(refusal(&world, "ProxyCommand x\nProxyUseFdpass yes\n"), @"config:2: `ProxyUseFdpass` is not supported; use a ProxyCommand that copies data instead");
    assert_eq!(port(&world, "ProxyCommand none\nProxyUseFdpass yes\n"), None);
    insta::assert_snapshot!(refusal(&world, "ConnectionAttempts 0\n"), @"config:1: `ConnectionAttempts`: expected 1 or more, not 0");
    insta::assert_snapshot!(refusal(&world, "IdentityFile /%x\n"), @"config:1: `IdentityFile`: `%x` is not a token here; write `%%` for a percent sign");
    insta::assert_snapshot!(refusal(&world, "HostName %n\n"), @"config:1: `HostName`: `%n` is not a token here; write `%%` for a percent sign");
}

#[test]
fn wrong_lines_say_what_to_do() {
    let world = world();
    for (line, expected) in [
        (
            "Prot 22",
            "config:1: OpenSSH knows no keyword `prot`; correct it, or name it in `IgnoreUnknown` before",
        ),
        ("Port x", "config:1: `Port`: expected 1 to 65535, not `x`"),
        ("Port", "config:1: `Port` has nothing behind it; add a value, or remove the line"),
        ("Port 1 2", "config:1: `Port`: expected one argument; put one with blanks in quotes"),
        ("User \"a", "config:1: a quote behind `User` is not closed; close it"),
        ("IdentitiesOnly maybe", "config:1: `IdentitiesOnly`: expected `yes` or `no`, not `maybe`"),
        ("ForwardX11 maybe", "config:1: `ForwardX11`: expected `yes` or `no`"),
        (
            "UserKnownHostsFile none a",
            "config:1: `UserKnownHostsFile`: `none` stands alone; leave out the other arguments",
        ),
        (
            "ProxyJump a b",
            "config:1: `ProxyJump`: expected hosts as `user@host:port`, separated by commas, not `a b`",
        ),
        ("Match nonsense a", "config:1: `Match`: `Match` knows no \"nonsense\"; correct it"),
        (
            "IdentityAgent ${UNSET}",
            "config:1: `IdentityAgent`: the environment variable \"UNSET\" is not set; set it or leave it out",
        ),
    ] {
        assert_eq!(refusal(&world, line), expected);
    }
    assert!(world.parse("config", "# not text: \u{0}\n").is_ok());
    assert!(world.parse("config", "User \u{0}\n").is_err());
}

#[test]
fn mistakes_are_found_without_a_host() {
    let mut world = world();
    world.files.insert("/broken", "Nonsense 1\n");
    let check = |world: &Fake, text: &str| {
        let roots = [Root { file: world.parse("config", text).unwrap(), own: true }];
        check::check(world, &roots).map_err(|error| error.to_string())
    };
    assert!(check(&world, "Host a\nInclude /broken\n").unwrap_err().starts_with("/broken:1: "));
    assert!(check(&world, "Host a\nNonsense 1\n").is_err());
    // Evaluation knows better whether this counts.
    assert!(check(&world, "Nonsense 1\nHost b\nIgnoreUnknown non*\n").is_ok());
    world.files.insert("/loop", "Include /loop\n");
    assert!(check(&world, "Include /loop\n").unwrap_err().ends_with("do they form a loop?"));
    assert!(world.client_does(Habit::ExpandsInclude) && check(&world, "Include /%h\n").is_ok());
}
