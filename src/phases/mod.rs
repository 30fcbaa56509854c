//! One file per kubeadm phase, named as kubeadm names it.
