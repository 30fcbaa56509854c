//! `fleetadm config images`: which images the cluster needs, and hosts that pull those of their role.

use std::sync::Arc;

use serde_json::json;

use crate::cluster::kubeadm_config::defaults;
use crate::fleet::{Fleet, Step};
use crate::inventory::Role;
use crate::phases::{Run, RunOptions, images};

use crate::cli::args::{Global, ImagesCommand, ImagesSource, OutputFormat};
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::session::{self, Selected};

pub(super) fn run(global: &Global, command: ImagesCommand) -> Result<u8, Failure> {
    match command {
        ImagesCommand::List(source) => list(global, source),
        ImagesCommand::Pull => pull(global),
    }
}

fn list(global: &Global, source: ImagesSource) -> Result<u8, Failure> {
    let cluster = match source.kubernetes_version {
        Some(version) => {
            let mut cluster = defaults::default_cluster(version).map_err(Failure::usage)?;
            cluster.section.image_repository = source.image_repository;
            cluster
        }
        None => session::select(global)?.cluster(global, "config images list")?,
    };
    let images = cluster.images_for(Role::ControlPlane);
    if global.output == OutputFormat::Json {
        let list = json!({
            "apiVersion": "output.kubeadm.k8s.io/v1alpha3", "kind": "Images", "images": images,
        });
        return print(&format!("{list}\n"));
    }
    print(&images.iter().map(|image| format!("{image}\n")).collect::<String>())
}

fn pull(global: &Global) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let cluster = selected.cluster(global, "config images pull")?;
    let Selected { inventory, hosts } = selected;
    let selected = &hosts;
    session::contact(
        global,
        "config images pull",
        selected,
        Some("changed"),
        |reporter, cancel, connector| async move {
            let step = Step {
                name: "config/images/pull",
                pace: global.pace(),
                timeout: global.timeout,
                cancel: cancel.clone(),
                reporter: reporter.clone(),
            };
            let options = RunOptions::new(cancel, reporter);
            let fleet = Arc::new(Fleet::new(connector, global.pace().parallel));
            let run = Run::new(inventory, selected.clone(), cluster, fleet, options);
            let run = Arc::new(run);
            step.run(selected, |task| {
                let run = run.clone();
                async move { images::pull(&run, &task).await }
            })
            .await;
            run.finish().await;
            Ok(())
        },
    )
}
