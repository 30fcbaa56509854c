//! Certificate signing requests, for an authority whose key is elsewhere.

use rcgen::CertificateParams;

use super::error::Error;
use super::issue::{alt_name_extension, name};
use super::key::PrivateKey;
use super::sans::AltNames;

/// A request in PEM for a certificate with this subject and these names. As in kubeadm's requests there are no usages:
/// the authority gives them.
///
/// # Errors
/// The cryptographic library refuses.
pub fn request(
    common_name: &str,
    organization: Option<&str>,
    alt_names: &AltNames,
    key: &PrivateKey,
) -> Result<String, Error> {
    let failed = |error| Error::crypto("making a certificate signing request", error);
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name, organization);
    params.custom_extensions.extend(alt_name_extension(alt_names));
    params.serialize_request(key).and_then(|request| request.pem()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::pki::Algorithm;

    #[test]
    fn openssl_reads_the_request() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let mut names = AltNames::default();
        names.push("k8s.example.com");
        names.push("10.0.0.1");
        let pem = request("kube-apiserver", Some("ops"), &names, &key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.csr");
        std::fs::write(&file, pem).unwrap();
        let arguments = ["req", "-noout", "-text", "-verify", "-in"];
        let Ok(output) = Command::new("openssl").args(arguments).arg(&file).output() else {
            eprintln!("SKIPPED: no openssl here");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(text.contains("DNS:k8s.example.com, IP Address:10.0.0.1"), "{text}");
        assert!(text.contains("kube-apiserver") && text.contains("ops"), "{text}");
    }
}
