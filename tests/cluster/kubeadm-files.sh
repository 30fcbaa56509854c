# What the real kubeadm (/tmp/kubeadm, configuration /tmp/kubeadm.yaml) puts on this host, as a tar archive on
# standard output. It runs in a mount namespace with empty directories in the usual places, so nothing of the host is
# touched, and no path has to be told differently.
set -eu
unshare --mount sh -eu <<'INSIDE' >&2
scratch=$(mktemp -d /tmp/oracle-XXXXXX)
echo "$scratch" >/tmp/oracle
mkdir "$scratch/bin" "$scratch/lib"
cp -a /etc "$scratch/etc"
rm -rf "$scratch/etc/kubernetes"
mount --bind "$scratch/etc" /etc
mount --bind "$scratch/lib" /var/lib
# kubeadm starts the kubelet; here nothing is to be started.
printf '#!/bin/sh\n' >"$scratch/bin/systemctl"
chmod 755 "$scratch/bin/systemctl"
export PATH="$scratch/bin:$PATH" HOME=/tmp
kubeadm() { /tmp/kubeadm "$@" --config /tmp/kubeadm.yaml; }
# First, on an empty host: every object that it would write.
kubeadm init --dry-run --skip-phases preflight --skip-token-print >"$scratch/lib/dry-run"
rm -rf /etc/kubernetes /var/lib/kubelet
kubeadm init phase certs all
kubeadm init phase kubeconfig all
kubeadm init phase etcd local
kubeadm init phase control-plane all
kubeadm init phase kubelet-start
# The kubelet's client certificate is what this phase looks for before it points the kubeconfig there.
mkdir -p /var/lib/kubelet/pki
touch /var/lib/kubelet/pki/kubelet-client-current.pem
kubeadm init phase kubelet-finalize all
rm -r /var/lib/kubelet/pki
INSIDE
scratch=$(cat /tmp/oracle)
tar -C "$scratch" --transform 's|^lib/|var/lib/|' --transform 's|^lib$|var/lib|' -cf - etc/kubernetes lib
rm -rf "$scratch" /tmp/oracle
