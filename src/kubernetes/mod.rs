//! API objects that fleetadm owns, and a client that reaches the API server through an SSH tunnel.
