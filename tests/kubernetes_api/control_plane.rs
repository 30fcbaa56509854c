//! A throw-away etcd, API server and controller manager on the loopback interface.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleetadm::kubernetes::{ApiClient, Credentials, Dial};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256,
};
use serde_json::json;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// A control plane without nodes. Its processes end with it.
pub struct ControlPlane {
    directory: tempfile::TempDir,
    processes: Vec<Child>,
    etcd_port: u16,
    port: u16,
    controller_manager_port: u16,
    ca: String,
    admin: (String, String),
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            for name in ["etcd", "kube-apiserver", "kube-controller-manager"] {
                let log =
                    fs::read_to_string(self.directory.path().join(name).with_extension("log"))
                        .unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                eprintln!("--- {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn certificate(
    issuer: &Issuer<'_, KeyPair>,
    organization: Option<&str>,
    name: &str,
    sans: &[&str],
) -> (String, String) {
    let sans: Vec<_> = sans.iter().map(|&san| san.to_owned()).collect();
    let mut params = CertificateParams::new(sans).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

/// A new CA: its certificate as PEM, and what signs with it.
pub fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "throw-away");
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

impl ControlPlane {
    /// Starts the processes and does not wait for them.
    pub fn start(binaries: &Path) -> Self {
        let (ca, issuer) = authority();
        let (serving, serving_key) =
            certificate(&issuer, None, "kube-apiserver", &["kubernetes", "127.0.0.1"]);
        let admin = certificate(&issuer, Some("system:masters"), "admin", &[]);
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let accounts = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let [ca_file, crt, key, sa, admin_crt, admin_key] = [
            write("ca.crt", &ca),
            write("apiserver.crt", &serving),
            write("apiserver.key", &serving_key),
            write("sa.key", &accounts.serialize_pem()),
            write("admin.crt", &admin.0),
            write("admin.key", &admin.1),
        ];
        let [etcd, peer, port, controller_manager_port] = [(); 4].map(|()| free_port());
        let kubeconfig = write(
            "admin.conf",
            &json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "x",
                "clusters": [{"name": "x", "cluster": {
                    "server": format!("https://127.0.0.1:{port}"), "certificate-authority": ca_file}}],
                "users": [{"name": "x", "user": {
                    "client-certificate": admin_crt, "client-key": admin_key}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            })
            .to_string(),
        );
        let mut this = Self {
            directory,
            processes: Vec::new(),
            etcd_port: etcd,
            port,
            controller_manager_port,
            ca,
            admin,
        };
        let etcd_binary = etcd_for(binaries).unwrap();
        this.spawn(
            "etcd",
            &etcd_binary,
            &[
                format!("--data-dir={}", this.directory.path().join("etcd").display()),
                format!("--listen-client-urls=http://127.0.0.1:{etcd}"),
                format!("--advertise-client-urls=http://127.0.0.1:{etcd}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
            ],
        );
        this.spawn(
            "kube-apiserver",
            &binaries.join("kube-apiserver"),
            &[
                format!("--etcd-servers=http://127.0.0.1:{etcd}"),
                "--bind-address=127.0.0.1".into(),
                "--advertise-address=192.0.2.1".into(),
                "--endpoint-reconciler-type=none".into(),
                format!("--secure-port={port}"),
                format!("--client-ca-file={ca_file}"),
                format!("--tls-cert-file={crt}"),
                format!("--tls-private-key-file={key}"),
                "--authorization-mode=Node,RBAC".into(),
                "--enable-bootstrap-token-auth=true".into(),
                "--allow-privileged=true".into(),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                format!("--service-account-key-file={sa}"),
                format!("--service-account-signing-key-file={sa}"),
                "--service-cluster-ip-range=10.96.0.0/12".into(),
            ],
        );
        this.spawn(
            "kube-controller-manager",
            &binaries.join("kube-controller-manager"),
            &[
                format!("--kubeconfig={kubeconfig}"),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={controller_manager_port}"),
                format!("--cert-dir={}", this.directory.path().display()),
                "--leader-elect=false".into(),
                "--controllers=bootstrapsigner,tokencleaner".into(),
            ],
        );
        this
    }

    fn spawn(&mut self, name: &str, binary: &Path, arguments: &[String]) {
        let log = fs::File::create(self.directory.path().join(name).with_extension("log")).unwrap();
        let mut command = Command::new(binary);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        match command.spawn() {
            Ok(process) => self.processes.push(process),
            Err(error) => panic!("{}: {error}", binary.display()),
        }
    }

    /// A client of the administrator.
    pub fn client(&self) -> ApiClient {
        self.client_trusting(&self.ca)
    }

    /// The cluster's CA, PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Where the controller manager serves its health.
    pub fn controller_manager_port(&self) -> u16 {
        self.controller_manager_port
    }

    /// Takes a key out of etcd, behind the API server's back.
    pub fn forget(&self, key: &str) {
        let body = json!({"key": STANDARD.encode(key)}).to_string();
        let mut etcd = std::net::TcpStream::connect(("127.0.0.1", self.etcd_port)).unwrap();
        write!(
            etcd,
            "POST /v3/kv/deleterange HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        etcd.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(r#""deleted":"1""#), "{answer}");
    }

    /// Everything is in here; `admin.conf` is the administrator's kubeconfig.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Straight to the loopback interface.
    pub fn dial() -> Arc<dyn Dial> {
        Arc::new(|host: String, port: u16| async move {
            TcpStream::connect((host.as_str(), port)).await
        })
    }

    /// A client of the administrator that trusts only this CA.
    pub fn client_trusting(&self, ca: &str) -> ApiClient {
        let credentials = Credentials {
            ca: ca.as_bytes().to_vec(),
            certificate: self.admin.0.clone().into_bytes(),
            key: Zeroizing::new(self.admin.1.clone().into_bytes()),
        };
        ApiClient::new(Self::dial(), "127.0.0.1", self.port, &credentials).unwrap()
    }
}

/// The etcd that goes with the binaries of a release: beside them, in `PATH`, or the one that the lab has unpacked.
pub fn etcd_for(binaries: &Path) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(binaries.to_owned())
        .chain(std::env::split_paths(&path))
        .chain([home.join(".cache/fleetadm/etcd/usr/bin")]);
    directories.map(|directory| directory.join("etcd")).find(|etcd| etcd.is_file())
}
