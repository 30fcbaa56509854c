//! Inventories from a program, from standard input and in JSON: what they mean, and what is wrong with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use insta::assert_snapshot;
use tempfile::TempDir;

use fleetadm::inventory;

const JSON: &str = r#"{
  "ssh": {"user": "ops", "identity_file": "keys/fleet"},
  "groups": {"gpu": {"labels": {"gpu": true}, "vars": {"cards": [0, 1]}}},
  "hosts": [
    {"name": "cp1", "role": "control-plane", "address": "10.0.0.1"},
    {"name": "node-[1-3]", "groups": ["gpu"]}
  ]
}"#;

const TOML: &str = r#"
[ssh]
user = "ops"
identity_file = "keys/fleet"
[groups.gpu]
labels = { gpu = true }
vars = { cards = [0, 1] }
[[hosts]]
name = "cp1"
role = "control-plane"
address = "10.0.0.1"
[[hosts]]
name = "node-[1-3]"
groups = ["gpu"]
"#;

fn fleetadm() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_fleetadm"));
    command.env_remove("FLEETADM_INVENTORY");
    command
}

/// Writes a program without ever having it open for writing: a test beside this one may be starting a
/// process right now, which would hold it open.
fn program(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let source = directory.path().join(format!("{name}.txt"));
    let path = directory.path().join(name);
    fs::write(&source, text).expect("the program can be written");
    let install = Command::new("install").args(["-m", "755"]).args([&source, &path]).status();
    assert!(install.expect("install runs").success());
    path
}

fn mistakes(json: &str) -> String {
    let parsed = inventory::parse(json, Path::new("/"), "fleet.json");
    parsed.expect_err("the document has a mistake").to_string()
}

/// What a command prints when it is refused, with the status that goes with it.
fn refusal(command: &mut assert_cmd::Command) -> String {
    let output = command.output().expect("fleetadm runs");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn json_means_what_toml_means() {
    let directory = Path::new("/inventory");
    let [json, toml] =
        [JSON, TOML].map(|text| inventory::parse(text, directory, "same").unwrap().hosts);
    let shown = |hosts: &[Arc<inventory::Host>]| {
        let plain = |host: &Arc<inventory::Host>| {
            let files = host.ssh.identity_files.as_ref().map(|files| &files.value);
            let user = host.ssh.user.as_ref().map(|user| &user.value);
            format!(
                "{} {} {} {:?} {:?}",
                host.name,
                host.address,
                host.role,
                host.groups,
                (files, user)
            ) + &format!("{:?} {:?}", host.labels, host.vars)
        };
        hosts.iter().map(plain).collect::<Vec<_>>()
    };
    assert_eq!(shown(&json), shown(&toml));
    assert_eq!(json[0].ssh.user.as_ref().unwrap().place.to_string(), "[ssh], line 2");
}

#[test]
fn mistakes_in_json_have_a_place() {
    assert_snapshot!(mistakes(r#"{
  "cluster": {"kubernetes_version": 1.36},
  "ssh": {"usr": "root", "port": 70000},
  "hosts": [
    {"adress": "10.0.0.1"},
    {"name": "a", "groups": ["gpu", 7]},
    "b",
    {"name": "c", "ssh": "none"}
  ]
}"#), @r#"
    error: floating point `1.36` is not of the right type
     --> fleet.json:2:37
      |
    2 |   "cluster": {"kubernetes_version": 1.36},
      |                                     ^^^^ expected a string
      |
      = help: put it in quotes

    error: unknown key `usr`
     --> fleet.json:3:11
      |
    3 |   "ssh": {"usr": "root", "port": 70000},
      |           ^^^^^ not a key of this object
      |
      = help: did you mean `user`?

    error: unknown key `adress`
     --> fleet.json:5:6
      |
    5 |     {"adress": "10.0.0.1"},
      |      ^^^^^^^^ not a key of this object
      |
      = help: did you mean `address`?

    error: integer `7` is not of the right type
     --> fleet.json:6:37
      |
    6 |     {"name": "a", "groups": ["gpu", 7]},
      |                                     ^ expected a string
      |
      = help: put it in quotes

    error: string "b" is not of the right type
     --> fleet.json:7:5
      |
    7 |     "b",
      |     ^^^ expected an object

    error: string "none" is not of the right type
     --> fleet.json:8:26
      |
    8 |     {"name": "c", "ssh": "none"}
      |                          ^^^^^^ expected an object
    "#);
}

#[test]
fn rules_point_into_json() {
    assert_snapshot!(mistakes(r#"{"hosts": [
  {"name": "node-[1-2]", "address": "10.0.0.1"}, {"role": "master"},
  {"name": "Ä", "groups": ["gpu"], "taints": ["x"]}
], "artifacts": {}}"#), @r#"
    error: `address` stands for 1, `name` for 2
     --> fleet.json:2:37
      |
    2 |   {"name": "node-[1-2]", "address": "10.0.0.1"}, {"role": "master"},
      |            ------------ 2 here      ^^^^^^^^^^ 1 here
      |
      = help: every host needs its own: write a range of the same length

    error: missing key `name`
     --> fleet.json:2:50
      |
    2 |   {"name": "node-[1-2]", "address": "10.0.0.1"}, {"role": "master"},
      |                                                  ^ `name` is required here

    error: `master` is not a role
     --> fleet.json:2:59
      |
    2 |   {"name": "node-[1-2]", "address": "10.0.0.1"}, {"role": "master"},
      |                                                           ^^^^^^^^ expected `control-plane`, `worker` or `etcd`
      |
      = help: did you mean `control-plane`?

    error: `Ä` cannot be a host name
     --> fleet.json:3:12
      |
    3 |   {"name": "Ä", "groups": ["gpu"], "taints": ["x"]}
      |            ^^^ expected lower-case letters, digits, `-` and `.`, as node names are (DNS-1123)

    error: unknown group `gpu`
     --> fleet.json:3:28
      |
    3 |   {"name": "Ä", "groups": ["gpu"], "taints": ["x"]}
      |                            ^^^^^ no `[groups.NAME]` table has this name
      |
      = help: define it, as `[groups.NAME]` for `gpu`

    error: `x` is not a taint: it has no effect
     --> fleet.json:3:47
      |
    3 |   {"name": "Ä", "groups": ["gpu"], "taints": ["x"]}
      |                                               ^^^ expected `key=value:Effect` or `key:Effect`
    "#);
}

#[test]
fn mistakes_in_the_syntax_of_json() {
    for (text, title, label) in [
        ("{\"hosts\": [}", "not valid JSON: unexpected `}`", "expected a value"),
        ("{\"hosts\" []}", "not valid JSON: unexpected `[`", "expected `:` after the key"),
        ("{hosts: []}", "not valid JSON: unexpected `hosts`", "expected a key in quotes"),
        ("{\"ssh\": {}", "not valid JSON: it ends too early", "expected `,` or `}`"),
        (
            "{\"ssh\": {},}",
            "not valid JSON: a comma without an item after it",
            "expected no comma before `}`",
        ),
        ("{\"ssh\": {}} x", "not valid JSON: unexpected `x`", "expected the end of the document"),
        ("{\"ssh\": 01}", "not valid JSON: `01` is not a number", "expected a number"),
        ("{\"ssh\": \"a\\q\"}", "not valid JSON: invalid escape", "in this string"),
        ("{\"ssh\": \"a}", "not valid JSON: a string without an end", "expected `\"`"),
        ("{\"ssh\": null}", "`null` is not a value here", "expected a value"),
        ("[]", "not valid JSON: unexpected `[`", "expected an object: `{`"),
        ("", "not valid JSON: it ends too early", "expected an object: `{`"),
    ] {
        let error = mistakes(text);
        assert!(error.starts_with(&format!("error: {title}\n --> fleet.json:1:")), "{error}");
        assert!(
            error.contains(&format!("^ {label}")) || error.contains(&format!("- {label}")),
            "{error}"
        );
    }
    assert_snapshot!(mistakes("{\n  \"ssh\": {},\n  \"hosts\": [],\n  \"ssh\": {}\n}"), @r#"
    error: not valid JSON: duplicate key
     --> fleet.json:4:3
      |
    2 |   "ssh": {},
      |   ----- first here
    3 |   "hosts": [],
    4 |   "ssh": {}
      |   ^^^^^ this object has the key already
    "#);
}

#[test]
fn one_long_line_is_shown_in_part() {
    let hosts: Vec<String> = (0..500).map(|n| format!("{{\"name\": \"node-{n}\"}}")).collect();
    let error = mistakes(&format!("{{\"hosts\": [{}, {{\"nmae\": \"x\"}}]}}", hosts.join(", ")));
    assert!(error.contains("did you mean `name`?"), "{error}");
    assert!(error.lines().all(|line| line.len() < 200), "{error}");
}

#[test]
fn standard_input_is_an_inventory() {
    for text in [JSON, TOML] {
        let run = fleetadm().args(["inventory", "check", "-i", "-"]).write_stdin(text).assert();
        run.success().stdout("control-plane: 1 (cp1)\nworker: 3 (node-[1-3])\n");
    }
    let mut check = fleetadm();
    check.args(["inventory", "check", "-i", "-"]);
    let error = refusal(check.write_stdin("nonsense = 1"));
    assert!(error.contains(" --> standard input:1:1\n"), "{error}");
    let error = refusal(check.write_stdin(vec![0xff]));
    let said =
        "error: cannot read the inventory standard input: stream did not contain valid UTF-8\n";
    assert_eq!(error, said);
    let mut apply = fleetadm();
    let error = refusal(apply.args(["apply", "-i", "-"]).write_stdin(TOML));
    assert!(error.contains("needs a [cluster] section, and standard input has none"), "{error}");
}

#[test]
fn relative_paths_start_where_the_inventory_is() {
    let directory = TempDir::new().unwrap();
    let path = program(&directory, "inventory", &format!("#!/bin/sh\ncat <<'END'\n{TOML}END\n"));
    let files = |path: &Path| {
        let hosts = inventory::load(path).unwrap().hosts;
        hosts[0].ssh.identity_files.clone().unwrap().value
    };
    assert_eq!(files(&path), [directory.path().join("keys/fleet")]);

    let show = ["inventory", "show", "cp1", "-i", "-"];
    let run = fleetadm().args(show).current_dir(&directory).write_stdin(TOML).assert().success();
    let shown = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let directory = directory.path().canonicalize().unwrap();
    assert!(shown.contains(&*directory.join("keys/fleet").to_string_lossy()), "{shown}");
}

#[test]
fn reset_asks_nobody_when_the_inventory_comes_on_standard_input() {
    let document = format!("[cluster]\nkubernetes_version = \"1.36.2\"\n{TOML}");
    let mut reset = fleetadm();
    let error = refusal(reset.args(["reset", "-i", "-"]).write_stdin(document));
    assert!(
        error.contains("the inventory comes on standard input") && error.contains("--force"),
        "{error}"
    );
}

#[test]
fn a_program_is_run_and_prints_an_inventory() {
    let directory = TempDir::new().unwrap();
    let text = format!("#!/bin/sh\ntest $# = 0 || exit 9\ncat\ncat <<'END'\n{JSON}\nEND\n");
    program(&directory, "inventory.sh", &text);
    // A name without a slash is not looked for in PATH.
    for path in ["inventory.sh", "./inventory.sh"] {
        let run =
            fleetadm().args(["inventory", "check", "-i", path]).current_dir(&directory).assert();
        run.success().stdout("control-plane: 1 (cp1)\nworker: 3 (node-[1-3])\n");
    }
}

#[test]
fn programs_that_give_no_inventory() {
    let directory = TempDir::new().unwrap();
    for (name, text, error) in [
        (
            "fails",
            "#!/bin/sh\necho 'no \x1b[31mdatabase' >&2\nexit 3\n",
            "failed (exit status: 3): no database",
        ),
        ("silent", "#!/bin/sh\n", "printed nothing; it has to print an inventory as TOML or JSON"),
        ("plain", "hosts = []\n", "cannot be run: "),
        ("binary", "#!/bin/sh\nprintf '\\377'\n", "did not print UTF-8 text"),
    ] {
        program(&directory, name, text);
        let mut check = fleetadm();
        check.args(["inventory", "check", "-i", &format!("./{name}")]).current_dir(&directory);
        let said = refusal(&mut check);
        assert!(said.starts_with(&format!("error: the inventory ./{name} {error}")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let path = program(&directory, "wrong", "#!/bin/sh\necho 'nonsense = 1'\n");
    let error = inventory::load(&path).unwrap_err().to_string();
    assert!(error.contains(&format!(" --> {}:1:1\n", path.display())), "{error}");
}

#[test]
fn documents_are_not_run() {
    let directory = TempDir::new().unwrap();
    for (name, text) in [("fleet.toml", TOML), ("fleet.json", JSON)] {
        let path = program(&directory, name, text);
        assert_eq!(inventory::load(&path).unwrap().hosts.len(), 4);
    }
}
