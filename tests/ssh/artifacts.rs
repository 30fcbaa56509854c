//! `[artifacts] url` through a whole phase: the host asks the mirror, this workstation does not.

use std::fs;

use crate::mirror;
use crate::registries::Desk;

/// Both of them have it.
const CONTENT: &str = "#!/bin/sh\n";
const SHA256: &str = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";
const PHASE: [&str; 3] = ["init", "phase", "prepare/binaries"];

#[test]
fn hosts_fetch_binaries_themselves() {
    let machine = machine!();
    let desk = Desk(&machine);
    machine.write("/etc/sudoers.d/test", "ops ALL=(ALL) NOPASSWD: ALL");
    machine.run("rm -f /usr/bin/kubelet /usr/bin/kubectl");
    // The same for every path.
    let (port, asked) = mirror::answering("200 OK", CONTENT);
    let list = |kubelet: &str| {
        let text = format!("{kubelet}  kubelet\n{SHA256} *kubectl\n");
        fs::write(machine.server.path("SUMS"), text).unwrap();
    };
    desk.write(
        "",
        &format!("[artifacts]\nurl = \"http://127.0.0.1:{port}/v1/\"\nchecksums = \"SUMS\"\n"),
    );
    list(SHA256);
    let paths = || {
        let mut paths: Vec<String> = asked.try_iter().collect();
        paths.sort();
        paths
    };
    // Both, the kubelet's unit, and kubeadm's drop-in.
    assert_eq!(desk.changes(&[&PHASE[..], &["--dry-run"]].concat()), 4);
    assert_eq!(paths(), Vec::<String>::new());
    assert_eq!(desk.changes(&PHASE), 4);
    assert_eq!(paths(), ["/v1/kubectl", "/v1/kubelet"]);
    assert_eq!(desk.changes(&PHASE), 0);
    assert_eq!(paths(), Vec::<String>::new());

    list(&"0".repeat(64));
    let said = desk.run(&PHASE).expect(3).stdout;
    assert!(said.contains(&format!("sha256 {SHA256} instead of 000")), "{said}");
    assert_eq!(machine.run("stat -c '%a %U' /usr/bin/kubelet"), "755 root\n");
    assert_eq!(machine.run("cat /usr/bin/kubelet; ls -A /usr/bin | grep fleetadm- || :"), CONTENT);
}
