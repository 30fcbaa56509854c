//! One connection: authentication, host keys, commands, tunnels. Knows nothing of Kubernetes.
