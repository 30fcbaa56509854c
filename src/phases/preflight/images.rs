//! kubeadm's ImagePull, where it is asked for: the runtime of every host pulls the images of the host's role.

use std::sync::{Arc, Mutex, PoisonError};

use crate::fleet::{Step, Task};
use crate::inventory::Host;
use crate::node::{self, Node, NodeError, SshTransport};
use crate::phases::{PhaseError, Run};
use crate::preflight::{CheckResult, image_pull};
use crate::report::Unit;

use super::fleet::{State, Survey};

/// Have the hosts pull their images, and add the check to those of the survey. As in kubeadm it comes after the others:
/// a host that has not passed them is left alone.
pub async fn pull(run: &Arc<Run>, survey: &mut Survey, step: &Step) {
    let ready = survey.hosts.iter().filter(|surveyed| match &surveyed.state {
        State::Checked(checked) => checked.passed_kubeadm() && checked.facts.runtime.is_some(),
        _ => false,
    });
    let hosts: Vec<Host> = ready.map(|surveyed| surveyed.host.clone()).collect();
    let results: Mutex<Vec<(String, CheckResult)>> = Mutex::default();
    step.run(&hosts, async |task| {
        let sockets = survey.hosts.iter().find(|surveyed| surveyed.host.name == task.host.name);
        let socket = sockets.and_then(|surveyed| match &surveyed.state {
            State::Checked(checked) => checked.facts.runtime.as_ref(),
            _ => None,
        });
        let Some(runtime) = socket else { return Ok::<_, PhaseError>(()) };
        let images = run.cluster().images_for(task.host.role);
        let problem = match pull_on(run, task, &runtime.socket, &images).await {
            Ok(()) => None,
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let result = image_pull(images.len(), problem);
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        results.push((task.host.name.clone(), result));
        Ok(())
    })
    .await;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    for surveyed in &mut survey.hosts {
        let found = results.iter().position(|(host, _)| *host == surveyed.host.name);
        if let (State::Checked(checked), Some(index)) = (&mut surveyed.state, found) {
            checked.kubeadm.push(results.swap_remove(index).1);
        }
    }
}

/// One image after the other, so that it can be told how far the host is.
async fn pull_on(
    run: &Run,
    task: &Task<'_>,
    socket: &str,
    images: &[String],
) -> Result<(), NodeError> {
    let transport = SshTransport::new(run.link(&Arc::new(task.host.clone())));
    let node = Node::new(&task.host.name, Arc::new(transport), node::Mode::Apply);
    for (done, image) in images.iter().enumerate() {
        task.progress(done as u64, images.len() as u64, Unit::Images);
        for change in node.pull_images(socket, &[image]).await? {
            task.changed(change.what, None, false);
        }
    }
    node.cleanup().await
}
