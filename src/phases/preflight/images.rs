//! kubeadm's ImagePull, where it is asked for: the runtime of every host pulls the images of the host's role.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fleet::Step;
use crate::inventory::Host;
use crate::phases::images::pull_on;
use crate::phases::{PhaseError, Run};
use crate::preflight::{CheckResult, image_pull};

use super::fleet::{State, Survey};

/// Have the hosts pull their images, and add the check to those of the survey. As in kubeadm it comes after the others:
/// a host that has not passed them is left alone.
pub async fn pull(run: &Arc<Run>, survey: &mut Survey, step: &Step) {
    let ready = survey.hosts.iter().filter_map(|surveyed| match &surveyed.state {
        State::Checked(checked) if checked.passed_kubeadm() => {
            Some((surveyed.host.clone(), checked.facts.runtime.as_ref()?.socket.clone()))
        }
        _ => None,
    });
    let (hosts, sockets): (Vec<Arc<Host>>, Vec<String>) = ready.unzip();
    let results = step.run(&hosts, |task| {
        let (run, socket) = (run.clone(), sockets[task.place].clone());
        async move {
            let images = run.cluster().images_for(task.host.role);
            let problem = match pull_on(&run, &task, &socket, &images).await {
                Ok(()) => None,
                Err(error) if error.is_unreachable() => return Err(error.into()),
                Err(error) => Some(error.to_string()),
            };
            Ok::<_, PhaseError>(image_pull(images.len(), problem))
        }
    });
    let results = hosts.iter().zip(results.await);
    let mut results: HashMap<&str, CheckResult> =
        results.filter_map(|(host, result)| Some((host.name.as_str(), result?.ok()?))).collect();
    for surveyed in &mut survey.hosts {
        if let State::Checked(checked) = &mut surveyed.state {
            checked.kubeadm.extend(results.remove(surveyed.host.name.as_str()));
        }
    }
}
