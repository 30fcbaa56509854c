//! The examples of the documentation are what they claim to be: the manifest is read as YAML, its command goes through a
//! shell as in a container, and what fleetadm is given there is parsed by fleetadm itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clap::Parser;
use fleetadm::cli::Cli;
use serde_json::Value;

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name))
        .unwrap()
}

/// The documents of the manifest: the inventory's ConfigMap, and the Job.
fn documents() -> (Value, Value) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&example("indexed-job.yaml")).unwrap();
    let kind = |kind: &str| documents.iter().find(|one| one["kind"] == kind).unwrap().clone();
    assert_eq!(documents.len(), 2);
    (kind("ConfigMap"), kind("Job"))
}

/// What a fleetadm in the container is started with in the pod of this index.
fn arguments(container: &Value, index: u64) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let stand_in = directory.path().join("fleetadm");
    fs::write(&stand_in, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
    let words = |key: &str| -> Vec<String> {
        container[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    let (command, args) = (words("command"), words("args"));
    let output = Command::new(&command[0])
        .args(&command[1..])
        .args(args)
        .env_clear()
        .env("PATH", directory.path())
        .env("JOB_COMPLETION_INDEX", index.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_pod_of_the_job_has_a_shard_of_its_own() {
    let (_, job) = documents();
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    let count = spec["completions"].as_u64().unwrap();
    let container = &spec["template"]["spec"]["containers"][0];
    let policy = &spec["podFailurePolicy"]["rules"][0]["onExitCodes"];
    assert_eq!(policy["containerName"], container["name"]);
    for index in 0..count {
        let arguments = arguments(container, index);
        let all = std::iter::once("fleetadm").chain(arguments.iter().map(String::as_str));
        let cli = Cli::try_parse_from(all).unwrap();
        let shard = cli.global.shard.map(|shard| shard.to_string());
        assert_eq!(shard, Some(format!("{}/{count}", index + 1)));
        assert_eq!(cli.global.limit.as_deref(), Some("worker"));
    }
}

#[test]
fn the_jobs_inventory_is_one() {
    let (map, job) = documents();
    let directory = tempfile::tempdir().unwrap();
    let (name, text) = map["data"].as_object().unwrap().iter().next().unwrap();
    let file = directory.path().join(name);
    fs::write(&file, text.as_str().unwrap()).unwrap();
    let inventory = fleetadm::inventory::load(&file).unwrap();
    assert_eq!(inventory.hosts.len(), 8003);

    // It is where the command looks for it, and so are the volumes.
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments = arguments(container, 0);
    assert!(arguments.contains(&format!("/inventory/{name}")), "{arguments:?}");
    let volumes: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| volumes.contains(&&mount["name"])));
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/inventory"));
}
