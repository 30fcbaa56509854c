//! `fleetadm certs`: the certificates of a running cluster.

mod check_expiration;
mod generate_csr;
mod renew;

use super::args::{CertsCommand, Global};
use super::failure::Failure;
use crate::kubernetes::objects::upload_certs::CertificateKey;

pub fn run(global: &Global, command: CertsCommand) -> Result<u8, Failure> {
    match command {
        CertsCommand::CheckExpiration(args) => check_expiration::run(global, args),
        CertsCommand::Renew(args) => renew::run(global, args),
        CertsCommand::GenerateCsr(args) => generate_csr::run(global, args),
        CertsCommand::CertificateKey => {
            let key = CertificateKey::generate().map_err(Failure::internal)?;
            super::print(&format!("{}\n", key.expose().as_str()))
        }
    }
}
