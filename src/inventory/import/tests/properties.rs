//! What holds for every inventory.

use proptest::prelude::*;
use serde_json::Value;

use super::{Format, convert, documents, import_as, load};
use crate::inventory::import::ansible::Inventory;
use crate::inventory::import::{fleet, ini};

/// One line of a host.
fn host_line() -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        "[a-c][1-4]",
        Just("n[1:4]".to_owned()),
        Just("n[02:06:2].dc1:2022".to_owned()),
        "[A-B]_[1-2]",
        "10\\.0\\.0\\.[1-4]",
    ];
    let variable = prop_oneof![
        "v[1-3]='(1|-2|1\\.5|True|yes|a b|None|\\[1, \"x\"\\]|\\{\\{ v1 \\}\\})'",
        "ansible_user=(root|ops)",
        "ansible_port=[1-3]",
        "ansible_host=192\\.0\\.2\\.[1-9]",
        "ansible_become=(yes|no)",
        "ansible_ssh_common_args='-(J a|J b@c|C|p 7|l me)'",
    ];
    (pattern, prop::collection::vec(variable, 0..4))
        .prop_map(|(pattern, variables)| format!("{pattern} {}\n", variables.join(" ")))
}

/// One line of a group's variables.
fn variable_line() -> impl Strategy<Value = String> {
    "(v[1-3]=(1|[xy]|\\[2\\])|ansible_user=(root|ops)|ansible_port=[4-6]|ansible_become=(True|False)|ansible_become_method=doas|ansible_group_priority=[1-3]|ansible_ssh_common_args=-J (a|none)|db_password=x)\n"
}

/// Sections of a group: hosts, groups of a later name, variables.
fn inventory() -> impl Strategy<Value = String> {
    let names = ["all", "g1", "g2", "etcd", "kube_node", "masters", "a1"];
    let section = move |index: usize| {
        let hosts = prop::collection::vec(host_line(), 0..3);
        let children = prop::collection::vec(index + 1..names.len().max(index + 2), 0..2);
        let variables = prop::collection::vec(variable_line(), 0..4);
        (hosts, children, variables).prop_map(move |(hosts, children, variables)| {
            let name = names[index];
            let children: String = children
                .iter()
                .filter_map(|child| names.get(*child))
                .map(|n| format!("{n}\n"))
                .collect();
            let hosts = hosts.concat();
            let variables = variables.concat();
            format!("[{name}]\n{hosts}[{name}:children]\n{children}[{name}:vars]\n{variables}")
        })
    };
    let sections: Vec<_> = (0..names.len()).map(section).collect();
    sections.prop_map(|sections| sections.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is imported loads, and every host has what Ansible's rules give it: no more, no less.
    #[test]
    fn hosts_get_exactly_what_is_theirs(text in inventory()) {
        let mut inventory = Inventory::new();
        ini::read(&mut inventory, &"x".into(), &text).unwrap();
        inventory.settle();
        let wanted = fleet::wanted(&inventory);
        match import_as("x", &text) {
            Err(error) => prop_assert!(wanted.is_empty(), "{error}"),
            Ok(imported) => {
                let loaded = load(&imported);
                prop_assert_eq!(loaded.hosts.len(), wanted.len());
                for (host, (name, ssh, variables)) in loaded.hosts.iter().zip(wanted) {
                    prop_assert_eq!(&host.name, &name);
                    prop_assert_eq!(Value::from(host.vars.clone()), variables);
                    let said = |key: &str| ssh.get(key).and_then(|value| value.as_str());
                    let user = host.ssh.user.as_ref().map(|user| user.value.as_str());
                    prop_assert_eq!(user, said("user"));
                    let port = host.ssh.port.as_ref().map(|port| i64::from(port.value));
                    prop_assert_eq!(port, ssh.get("port").and_then(|port| port.as_integer()));
                    let way = host.ssh.become_root.as_ref().map(|way| way.value.as_str());
                    prop_assert_eq!(way, said("become"));
                    let hops = host.ssh.jump.as_ref().map(|jump| jump.value.len());
                    prop_assert_eq!(hops, ssh.get("jump").and_then(|jump| jump.as_array()).map(Vec::len));
                }
            }
        }
        let imported = import_as("x", &text);
        prop_assert!(!imported.is_ok_and(|imported| imported.document.contains("db_password")));
    }
}

proptest! {
    #[test]
    fn any_ini_is_answered(text in "([a-c]|\\[|\\]|:|=|'|\"|#|1|\n|\n\\[a\\]\n|children|vars| |\\{\\{|ä){0,30}") {
        if let Ok(imported) = convert(&documents("x", &text), Format::Ini, "x") {
            load(&imported);
        }
    }

    #[test]
    fn any_yaml_is_answered(text in "(a|b|: |\n|\n  |\n    |hosts:|vars:|children:|\\[|\\]|\\{|\\}|'|\"|- |1|~|&a |\\*a|!vault |<<: ){0,30}") {
        if let Ok(imported) = convert(&documents("x", &text), Format::Yaml, "x") {
            load(&imported);
        }
    }
}
