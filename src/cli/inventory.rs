//! `fleetadm inventory`: what the document resolves to. No host is contacted.

mod import;
mod show;

use std::fmt::Write as _;

use crate::inventory::{self, Inventory, Role, fold_hosts};

use super::args::{Global, InventoryCommand};
use super::failure::Failure;
use super::{print, session};

pub fn run(global: &Global, command: InventoryCommand) -> Result<u8, Failure> {
    let selected = || session::select(global);
    match command {
        InventoryCommand::Import { path, format } => import::run(&path, format),
        InventoryCommand::Check => print(&checked(&selected()?.inventory)),
        InventoryCommand::Show { host: None } => {
            print(&show::table(&selected()?.hosts, &session::connector(global)?, global.output)?)
        }
        InventoryCommand::Show { host: Some(name) } => {
            let inventory = selected()?.inventory;
            let host = inventory.hosts.iter().find(|host| host.name == name).ok_or_else(|| {
                let origin = inventory::origin(&global.inventory);
                Failure::usage(format!("there is no host {name:?} in {origin}"))
            })?;
            print(&show::host(host, &session::connector(global)?, global.output)?)
        }
    }
}

fn checked(inventory: &Inventory) -> String {
    let mut out = String::new();
    if let Some(cluster) = &inventory.cluster {
        // Writing to a String cannot fail.
        let _ =
            writeln!(out, "cluster {}: Kubernetes {}", cluster.name, cluster.kubernetes_version);
    }
    for role in [Role::ControlPlane, Role::Worker, Role::Etcd] {
        let names: Vec<&str> = inventory
            .hosts
            .iter()
            .filter(|host| host.role == role)
            .map(|host| host.name.as_str())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(out, "{role}: {} ({})", names.len(), fold_hosts(&names));
        }
    }
    out
}
