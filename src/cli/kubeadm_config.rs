//! Files of kubeadm's documents, wherever a command takes one.

use std::path::Path;

use crate::cluster::kubeadm_config::Documents;
use crate::inventory::{self, Inventory};

use super::args::Global;
use super::failure::Failure;

/// Read a file; - is standard input.
pub(super) fn read(option: &str, path: &Path) -> Result<Documents, Failure> {
    let origin = inventory::origin(path);
    let text = if inventory::is_standard_input(path) {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::usage(format!("{option} {origin}: {error}")))?;
    Documents::read(&text, &origin).map_err(Failure::usage)
}

/// Have the documents of `--kubeadm-config`, or of the inventory's `kubeadm_config`, take the place of `[cluster]`.
pub(super) fn take_place(global: &Global, inventory: &mut Inventory) -> Result<(), Failure> {
    let (option, path) = match (&global.kubeadm_config, &inventory.kubeadm_config) {
        (Some(path), _) => ("--kubeadm-config", path.clone()),
        (None, Some(path)) => ("kubeadm_config", path.clone()),
        (None, None) => return Ok(()),
    };
    let origin = inventory::origin(&global.inventory);
    if inventory.cluster.is_some() {
        return Err(Failure::usage(format!(
            "--kubeadm-config: {origin} has a [cluster] section; the cluster is described by one of them"
        )));
    }
    if inventory::is_standard_input(&path) && inventory::is_standard_input(&global.inventory) {
        return Err(Failure::usage("--kubeadm-config -: the inventory comes from there already"));
    }
    let documents = read(option, &path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    documents.describe(inventory, &directory).map_err(Failure::usage)
}
