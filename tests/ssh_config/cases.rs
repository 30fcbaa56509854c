//! One case for each thing there is, each held against the client.

use crate::client::{Files, compare};

/// Resolve these hosts both ways.
fn agree(text: &str, hosts: &[&str]) {
    let client = client!();
    let files = Files::new(text);
    for host in hosts {
        compare(client, &files, host).unwrap_or_else(|error| panic!("{host}:\n{text}\n{error}"));
    }
}

const HOSTS: [&str; 4] = ["web1", "web2", "db1.example.com", "10.0.0.1"];

#[test]
fn first_value_wins_and_files_add_up() {
    agree(
        "Host web1\n Port 1\n IdentityFile a\n IdentityFile a\nHost web*\n Port 2\n User u\n \
         IdentityFile b\n CertificateFile c\nHost *\n Port 3\n IdentityFile a\n CertificateFile d\n",
        &HOSTS,
    );
}

#[test]
fn host_patterns() {
    for patterns in
        ["web1", "web?", "*", "!web1 *", "* !web1", "!web1", "WEB1", "*.Example.com", "10.*"]
    {
        agree(&format!("Host {patterns}\n Port 7\n"), &HOSTS);
    }
    agree("Host\tweb1  \"web2\" # db1.example.com\nPort 7\n", &HOSTS);
    agree("Host web1,web2\nPort 7\n", &["web1"]);
}

#[test]
fn syntax() {
    for line in [
        "Port=7",
        "Port = 7",
        "Port\t=\t7  ",
        "  pOrT 7",
        "Port \"7\"",
        "Port '7'",
        "\"Port\" 7",
        "Port 7 # comment",
        "Port 7#",
        "Port 7\r",
        "# Port 7",
        "\n\n\t\nPort 7\x0c",
        "Port == 7",
        "Port 7 8",
        "Port",
        "Port \"\"",
        "Port \"7",
        "Port ssh",
        "Port 0",
        "Port 65536",
        "Port -1",
        "User a\\ b",
        "User \"a b\"",
        "User a\"b c\"d",
        "User 'a\"b'",
        "User \\\"a\\\"",
        "User a\\b",
        "User \"a\" \"b\"",
        "Nonsense yes",
        "IgnoreUnknown Non*,Other\nNonsense yes\nOTHER x y",
        "IgnoreUnknown Other\nNonsense yes",
        "Nonsense yes\nIgnoreUnknown Nonsense",
        "Host web1\nIgnoreUnknown nonsense\nHost *\nNonsense yes",
        "Protocol 2",
        "UseRoaming whatever it takes",
        "RSAAuthentication yes",
        "ForwardAgent maybe\nForwardX11 maybe",
        "LogLevel DEBUG3",
        "LogLevel chatty",
        "NumberOfPasswordPrompts 1\nRekeyLimit 1G 1h\nSendEnv LANG LC_*",
        "NumberOfPasswordPrompts x",
        "ControlMaster auto\nControlPath ~/.ssh/%C\nControlPersist 10m",
        "LocalCommand echo 'a b' \"c\"",
        "UserKnownHostsFile # nothing",
    ] {
        agree(&format!("{line}\n"), &["web1", "web2"]);
        agree(line, &["web1"]);
    }
}

#[test]
fn numbers_times_and_flags() {
    for value in
        ["0", "7", "1m", "1h30m", "2W", "none", "-1", "x", "1x", "", "2147483647", "2147483648"]
    {
        agree(&format!("ConnectTimeout {value}\nConnectTimeout 9\n"), &["web1"]);
        agree(&format!("ServerAliveInterval {value}\n"), &["web1"]);
        agree(&format!("ServerAliveCountMax {value}\n"), &["web1"]);
        agree(&format!("ConnectionAttempts {value}\n"), &["web1"]);
    }
    for value in ["yes", "NO", "true", "False", "maybe", "unbound", "host-bound"] {
        for keyword in [
            "IdentitiesOnly",
            "PubkeyAuthentication",
            "PasswordAuthentication",
            "KbdInteractiveAuthentication",
            "ChallengeResponseAuthentication",
        ] {
            agree(&format!("{keyword} {value}\n"), &["web1"]);
        }
    }
    for value in ["yes", "no", "ask", "off", "accept-new", "ACCEPT-NEW", "sometimes"] {
        agree(
            &format!("StrictHostKeyChecking {value}\nStrictHostKeyChecking accept-new\n"),
            &["web1"],
        );
    }
}

#[test]
fn host_names() {
    for line in [
        "",
        "HostName %h.example.com",
        "HostName 10.0.0.%%",
        "HostName %n",
        "HostName Node.EXAMPLE",
    ] {
        agree(
            line,
            &["web1", "WEB1", "127.1", "0x7f.0.0.1", "FD00::0:1", "999.1.1.1", "010.1.1.1"],
        );
    }
}

#[test]
fn tokens_and_variables() {
    for value in [
        "~/.ssh/%h-%n-%p-%r-%u",
        "%d/%L/%l/%i/%k/%C/%%",
        "${FLEET_KEYS}/%h",
        "~/${FLEET_KEYS}",
        "~root/x",
        "~no-such-user/x",
        "/keys/${UNSET}",
        "/keys/%x",
        "/keys/100%",
        "/keys/${FLEET_KEYS",
        "/keys/$FLEET_KEYS",
        "none",
        "NONE",
        "\"with blank\"",
    ] {
        let rest = "HostName 10.0.0.9\nPort 2222\nUser ops\nHostKeyAlias AliaS\n";
        agree(&format!("UserKnownHostsFile {value}\n{rest}"), &["web1"]);
        // The client expands these only after it has printed them.
        if !["~root", "~no-such"].iter().any(|user| value.starts_with(user)) {
            agree(&format!("GlobalKnownHostsFile {value}\n{rest}"), &["web1"]);
        }
        if !["~no-such", "/keys/"].iter().any(|wrong| value.starts_with(wrong)) {
            agree(&format!("IdentityFile {value}\n{rest}"), &["web1"]);
        }
        // It is not a word for none there, and known_hosts files, which stand in for it, have that in any case.
        if value != "NONE" && !["~no-such", "/keys/"].iter().any(|wrong| value.starts_with(wrong)) {
            agree(&format!("CertificateFile {value}\n{rest}"), &["web1"]);
        }
        agree(&format!("IdentityAgent {value}\n{rest}"), &["web1"]);
    }
    for agent in ["SSH_AUTH_SOCK", "$FLEET_AGENT", "$UNSET", "$", "$a-b", "${FLEET_AGENT}"] {
        agree(&format!("IdentityAgent {agent}\nIdentityAgent /other\n"), &["web1"]);
    }
    agree("UserKnownHostsFile a ~/b \"c d\"\nGlobalKnownHostsFile /a ~/b\n", &["web1"]);
    agree("UserKnownHostsFile none a\n", &["web1"]);
    agree("Match originalhost web1\nUser %u-%n\nMatch all\nUser plain\n", &["web1", "web2"]);
}

#[test]
fn jump_hosts_and_proxy_commands() {
    for first in [
        "ProxyJump bastion",
        "ProxyJump=ops@bastion:2222",
        "ProxyJump a,b@b,[fd00::1]:22",
        "ProxyJump 10.0.0.5",
        "ProxyJump ssh://ops@bastion:2222",
        "ProxyJump none",
        "ProxyJump None",
        "ProxyJump bastion # the old one",
        "ProxyJump a,,b",
        "ProxyJump a:x",
        "ProxyJump @a",
        "ProxyCommand nc %h %p",
        "ProxyCommand = nc -x %n:%r %h %p",
        "ProxyCommand none",
        "ProxyCommand NONE",
    ] {
        for second in ["", "ProxyJump later", "ProxyJump none", "ProxyCommand later %h"] {
            agree(&format!("{first}\n{second}\nUserKnownHostsFile %C\n"), &["web1", "WEB.example"]);
        }
    }
}

#[test]
fn each_match_criterion() {
    let user = std::env::var("USER").unwrap_or_default();
    for criteria in [
        "all",
        "!all",
        "canonical",
        "!canonical",
        "final",
        "!final",
        "canonical all",
        "final all",
        "host web1",
        "host web*,!web2",
        "!host web1",
        "host WEB1",
        "host=web1",
        "host = web1",
        "host 10.9.9.9",
        "originalhost web1",
        "originalhost web1,db1*",
        "!originalhost web1",
        "user ops",
        "user o*,!ops",
        "!user ops",
        "localuser root",
        "localuser nobody-else",
        "exec true",
        "exec false",
        "!exec false",
        "exec \"test %h = web1\"",
        "exec \"test %n-%p-%r = web1-22-ops\"",
        "exec \"test '%L' = '%L'\"",
        "exec \"exit 3\"",
        "exec \"test %x\"",
        "host web1 user ops exec true",
        "host web1 exec false",
        "host web1 all",
        "final host web1",
        "host",
        "host \"\"",
        "nonsense x",
        "all host web1",
        "# nothing",
        &format!("localuser {user}x,{user}"),
    ] {
        agree(&format!("Host web1\nUser ops\nMatch {criteria}\nPort 7\n"), &HOSTS);
        agree(
            &format!(
                "Host web1\nHostName 10.9.9.9\nUser ops\nMatch {criteria} # comment\nPort 7\n"
            ),
            &HOSTS,
        );
    }
}

#[test]
fn the_final_pass_looks_again() {
    agree(
        "Match final host 10.9.9.9\n Port 7\n IdentityFile late\nHost 10.9.9.9\n User second\n \
         IdentityFile later\nHost web1\n HostName 10.9.9.9\n IdentityFile early\n",
        &HOSTS,
    );
    agree("Host 10.9.9.9\n User second\nHost web1\n HostName 10.9.9.9\n", &HOSTS);
    agree("Host WEB1\n User upper\nMatch final\n User lower\n HostName other\n", &["WEB1", "web1"]);
    agree("Host web1\n HostName 10.9.9.9\nHost 10.9.9.9\n Port 9\nMatch !final\n User a\n", &HOSTS);
}

#[test]
fn includes() {
    let client = client!();
    for (main, included) in [
        ("Include DIR/a.conf\nPort 1\n", "Port 2\n"),
        ("Port 1\nInclude DIR/a.conf\n", "Port 2\nUser b\n"),
        ("Include DIR/a.conf\nUser after\n", "Host web1\nPort 2\n"),
        ("Host web1\nInclude DIR/a.conf\nUser after\n", "Port 2\nHost web2\nPort 3\n"),
        ("Host web1\nInclude DIR/a.conf\nUser after\n", "Match all\nPort 2\n"),
        ("Match host web2\nInclude DIR/a.conf\n", "Match final\nPort 2\n"),
        (
            "Host 10.9.9.9\nUser u\nHost web1\nHostName 10.9.9.9\nHost no\nInclude DIR/a.conf\n",
            "Match final\n",
        ),
        ("Include DIR/*.conf DIR/b*\n", "Port 2\n"),
        ("Include \"DIR/[a-b].conf\"\n", "Port 2\n"),
        ("Include DIR/missing DIR/missing*\nPort 1\n", ""),
        ("Host no\nInclude DIR/a.conf\n", "Port x\n"),
        ("Host no\nInclude DIR/a.conf\n", "Nonsense x\n"),
        ("IgnoreUnknown nonsense\nInclude DIR/a.conf\n", "Nonsense x\n"),
        ("Include DIR/a.conf\n", "Include DIR/a.conf\n"),
        ("Include DIR/a.conf\n", "Include DIR/b.conf\nPort 3\n"),
        ("Include \"\"\n", ""),
        ("Include DIR\n", ""),
        ("Include ~no-such-user/x\nPort 1\n", ""),
        ("Include relative-and-missing\nPort 1\n", ""),
    ] {
        let files = Files::new(main);
        files.write("a.conf", included);
        files.write("b.conf", "User from-b\n");
        for host in ["web1", "web2"] {
            compare(client, &files, host)
                .unwrap_or_else(|error| panic!("{host}:\n{main}---\n{included}\n{error}"));
        }
    }
}

#[test]
fn names_in_full() {
    // Nothing is looked up: names with more dots than this, addresses, and hosts behind others.
    let text = "CanonicalizeHostname yes\nCanonicalDomains example.com\nCanonicalizeMaxDots 0\n\
                Host web1.lan\nPort 7\nHost behind\nProxyJump bastion\nHost *.example.com\nPort 9\n";
    agree(text, &["WEB1.lan", "10.0.0.1", "behind"]);
    agree("CanonicalizeHostname sometimes\n", &["web1"]);
    agree("CanonicalDomains -x\n", &["web1"]);
}
