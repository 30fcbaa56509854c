//! fleetadm: what kubeadm does on one machine, done for a whole inventory over SSH.
//!
//! The layers, top to bottom; each imports only from those below it:
//!
//! | module | what lives there |
//! |---|---|
//! | [`cli`] | one file per command: its arguments, and what it prints |
//! | [`workflow`] | phases as data, and the scheduler that runs (phase, host) tasks as a graph |
//! | [`phases`] | one file per kubeadm phase, where cluster knowledge meets hosts |
//! | [`preflight`] | checks: pure functions over facts |
//! | [`etcd`] | membership and health of etcd, asked over a tunnel |
//! | [`kubernetes`] | API objects fleetadm owns, and a client through an SSH tunnel |
//! | [`cluster`] | the desired state: releases, manifests, kubelet configuration, kubeconfigs |
//! | [`pki`] | keys, certificate authorities, leaf certificates |
//! | [`node`] | one host as root sees it: facts, files, services, container runtime |
//! | [`fleet`] | many hosts at once: selection, concurrency, outcomes |
//! | [`ssh`] | one connection: authentication, host keys, commands, tunnels |
//! | [`inventory`] | TOML or JSON to resolved hosts and cluster section |
//! | [`report`] | events, and the one renderer that owns the terminal |

pub mod cli;
pub mod cluster;
pub mod etcd;
pub mod fleet;
pub mod inventory;
pub mod kubernetes;
pub mod node;
pub mod phases;
pub mod pki;
pub mod preflight;
pub mod report;
pub mod ssh;
pub mod workflow;
