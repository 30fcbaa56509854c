//! `[registries]`, right and wrong.

use insta::assert_snapshot;

use super::{CLUSTER, inventory_of, mistakes_with};

#[test]
fn registries_have_mirrors() {
    let more = "[registries.\"registry.k8s.io\"]\nmirrors = [\"https://a.example.com/\", \"http://b:5000/v2/k8s\"]\n\
        [registries._default]\nmirrors = \"https://c\"\n";
    let registries = inventory_of(&format!("{CLUSTER}{more}")).registries;
    let shown: Vec<String> =
        registries.iter().map(|it| format!("{}: {}", it.name, it.mirrors.join(" "))).collect();
    assert_snapshot!(shown.join("\n"), @r"
    _default: https://c
    registry.k8s.io: https://a.example.com http://b:5000/v2/k8s
    ");
}

#[test]
fn mistakes_have_their_place() {
    assert_snapshot!(mistakes_with(
        "[registries.\"https://registry.k8s.io\"]\nmirrors = []\n[registries.\"docker.io\"]\n\
         mirrors = [\"mirror.example.com\", \"https://jane:hush@b\"]\n"
    ), @r#"
    error: `https://registry.k8s.io` is not a registry
     --> fleet.toml:7:13
      |
    7 | [registries."https://registry.k8s.io"]
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^ expected `host`, `host:port` or `_default`
      |
      = help: as names of images have it, in quotes: `[registries."registry.k8s.io"]`

    error: a registry without mirrors
     --> fleet.toml:8:11
      |
    8 | mirrors = []
      |           ^^ expected at least one URL

    error: this is not the URL of a mirror
      --> fleet.toml:10:12
       |
    10 | mirrors = ["mirror.example.com", "https://jane:hush@b"]
       |            ^^^^^^^^^^^^^^^^^^^^ expected `https://host`, with a port and a path where it has them

    error: the URL of a mirror has a user in it
      --> fleet.toml:10:34
       |
    10 | mirrors = ["mirror.example.com", "https://jane:hush@b"]
       |                                  ^^^^^^^^^^^^^^^^^^^^^ expected none
       |
       = help: the kubelet takes credentials of registries from image pull secrets or its credential providers
    "#);
    let no_file =
        mistakes_with("[registries.\"a.b\"]\nmirrors = \"https://a\"\nca_file = \"no-such.crt\"\n");
    assert!(no_file.contains("no-such.crt`: No such file"), "{no_file}");
    let unknown = mistakes_with("[registries.\"quay.io\"]\nmirror = \"https://a\"\n");
    assert!(unknown.contains("did you mean `mirrors`?"), "{unknown}");
}
