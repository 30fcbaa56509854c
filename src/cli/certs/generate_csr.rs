//! `fleetadm certs generate-csr`: keys and signing requests of the control planes, as files of the operator.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::cli::args::{GenerateCsrArgs, Global};
use crate::cli::failure::Failure;
use crate::cli::session;
use crate::fleet::{Fleet, Step, Task};
use crate::inventory::Role;
use crate::phases::certs::requests::{self, Request};
use crate::phases::{Mode, PhaseError, Run, RunOptions};
use crate::pki::{KeyPool, PrivateKey};

/// The step's name.
const STEP: &str = "certs/generate-csr";

pub fn run(global: &Global, args: GenerateCsrArgs) -> Result<u8, Failure> {
    let mut selected = session::select(global)?;
    selected.hosts.retain(|host| host.role == Role::ControlPlane);
    let hosts = &selected.hosts.clone();
    let command = "certs generate-csr";
    if hosts.is_empty() {
        return Err(Failure::usage(format!("{command}: no control plane is selected")));
    }
    let cluster = selected.cluster(global, command)?;
    let directory = args.dir;
    session::contact(
        global,
        command,
        hosts,
        Some("written"),
        |reporter, cancel, connector| async move {
            let (pace, timeout) = (global.pace(), global.timeout);
            let fleet = Arc::new(Fleet::new(connector, pace.parallel));
            let options = RunOptions {
                // Hosts are only asked for their addresses.
                mode: Mode::DryRun,
                ..RunOptions::new(cancel.clone(), reporter.clone())
            };
            let run =
                Arc::new(Run::new(selected.inventory, selected.hosts, cluster, fleet, options));
            let step = Step { name: STEP, pace, timeout, cancel, reporter };
            step.run(hosts, |task| {
                let (run, directory) = (run.clone(), directory.clone());
                async move { generate(&run, &task, &directory).await }
            })
            .await;
            run.finish().await;
            Ok(())
        },
    )
}

/// The keys and requests of one host, in a directory of its own.
async fn generate(run: &Arc<Run>, task: &Task, directory: &Path) -> Result<(), PhaseError> {
    let algorithm = run.cluster().section.encryption_algorithm;
    let context = run.context(&task.host.name, STEP, None).ok_or(PhaseError::Interrupted)?;
    let requests = requests::of_host(&context).await?;
    let ca = read(&directory.join("ca.crt"))?;
    let ca = ca.as_ref().map(|content| content.as_slice());
    let keys = tokio::task::spawn_blocking(move || {
        let mut pool = KeyPool::generate(algorithm, requests.len())?;
        requests.into_iter().map(|request| Ok((request, pool.take()?))).collect()
    });
    let keys: Result<Vec<(Request, PrivateKey)>, PhaseError> =
        keys.await.map_err(|error| PhaseError::Local(format!("making keys: {error}")))?;
    let own = directory.join(&task.host.name);
    for (request, key) in keys? {
        write_both(task, &own, &request, key, ca)?;
    }
    Ok(())
}

/// The key and the request; what is there stays, so that a request that somebody has been given stays the key's.
fn write_both(
    task: &Task,
    own: &Path,
    request: &Request,
    key: PrivateKey,
    ca: Option<&[u8]>,
) -> Result<(), PhaseError> {
    let (key_path, csr_path) = (own.join(&request.key), own.join(&request.csr));
    let key = match read(&key_path)? {
        Some(content) => request.read_key(&content)?,
        None => {
            create(task, &key_path, &request.key_file(&key, ca)?)?;
            key
        }
    };
    if read(&csr_path)?.is_none() {
        create(task, &csr_path, request.csr_file(&key)?.as_bytes())?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, PhaseError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(zeroize::Zeroizing::new(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PhaseError::Local(format!("{}: {error}", path.display()))),
    }
}

/// A new file that only its owner can read. One that was cut short is removed, so that it is not taken for a whole one.
fn create(task: &Task, path: &Path, content: &[u8]) -> Result<(), PhaseError> {
    let failed = |error| PhaseError::Local(format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    if let Err(error) = file.write_all(content).and_then(|()| file.sync_all()) {
        // The first error tells more.
        let _ = fs::remove_file(path);
        return Err(failed(error));
    }
    task.changed(format!("write {}", path.display()), None, false);
    Ok(())
}
