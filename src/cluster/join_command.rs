//! The command that joins a host by hand: kubeadm's own, as `kubeadm token create --print-join-command` writes it.

use zeroize::Zeroizing;

use crate::pki::Certificate;

/// What every `kubeadm join` of a cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinCommand {
    server: String,
    hashes: Vec<String>,
}

impl JoinCommand {
    /// For the API server at `url`, trusted by the certificates in `ca` (PEM).
    ///
    /// # Errors
    /// What is wrong with the certificates, for people.
    pub fn new(url: &str, ca: &[u8]) -> Result<Self, String> {
        let authorities = Certificate::from_pem(ca)?;
        Ok(Self {
            server: url.trim_start_matches("https://").trim_end_matches('/').to_owned(),
            hashes: authorities.iter().map(Certificate::public_key_hash).collect(),
        })
    }

    /// The command for a worker; with the key of the uploaded certificates (64 hexadecimal digits), that for a control
    /// plane. All of it is secret.
    pub fn render(&self, token: &str, certificate_key: Option<&str>) -> Zeroizing<String> {
        let hashes =
            self.hashes.iter().map(|hash| format!(" --discovery-token-ca-cert-hash {hash}"));
        let hashes: String = hashes.collect();
        // Sized up front, so that growing never leaves a copy in freed memory.
        let mut command = Zeroizing::new(String::with_capacity(1024 + hashes.len()));
        for part in ["kubeadm join ", &self.server, " --token ", token, &hashes] {
            command.push_str(part);
        }
        if let Some(key) = certificate_key {
            command.push_str(" --control-plane --certificate-key ");
            command.push_str(key);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_kubeadm() {
        let command = JoinCommand {
            server: "10.0.0.1:6443".to_owned(),
            hashes: vec!["sha256:aa".to_owned(), "sha256:bb".to_owned()],
        };
        insta::assert_snapshot!(command.render("abcdef.0123456789abcdef", None).as_str(), @"kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:aa --discovery-token-ca-cert-hash sha256:bb");
        insta::assert_snapshot!(command.render("t", Some("k")).as_str(), @"kubeadm join 10.0.0.1:6443 --token t --discovery-token-ca-cert-hash sha256:aa --discovery-token-ca-cert-hash sha256:bb --control-plane --certificate-key k");
        assert!(JoinCommand::new("https://10.0.0.1:6443", b"").is_err());
    }
}
