//! `fleetadm certs renew`: the control planes one after the other, then the other hosts.

use super::phase::{Phase, Scope};
use crate::phases::certs::renew::{self, NAMES};

static CONTROL_PLANE: Phase = Phase {
    name: "renew/control-plane",
    summary: "Renew the certificates of a control plane and have its components use them",
    scope: Scope::EveryHost,
    needs: &[],
    parts: &NAMES,
    run: |context| Box::pin(renew::control_plane(context)),
};

static KUBELET: Phase = Phase {
    name: "renew/kubelet",
    summary: "Renew the kubelet's client certificate",
    scope: Scope::EveryHost,
    needs: &[],
    parts: &[],
    run: |context| Box::pin(renew::node(context)),
};

/// On hosts of the control plane, to be run on one host at a time.
pub static RENEW_CONTROL_PLANES: &[&Phase] = &[&CONTROL_PLANE];

/// On the other hosts.
pub static RENEW_KUBELETS: &[&Phase] = &[&KUBELET];
