//! An account with a password, for one test: the server runs in a mount namespace of its own, with an /etc of its own.
//! Nothing of the machine is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

pub const USER: &str = "fleet";
pub const PASSWORD: &str = "correct horse";

/// `PASSWORD` as /etc/shadow has it.
const HASH: &str = "$6$fleetadmtest$C2y98c6ttjqW8joqULxKXdn0zQB6zGdEQMh5k8LMKvJJjUrIFqFWTliEJqjRBtKSEXsO8BFVVNe3EHYh.LP6Q.";

/// PAM as a distribution sets it up, without the pause after a wrong password.
pub const PAM: &str = "auth required pam_unix.so nodelay\n";

/// A command that runs a program, given as more arguments, where the account exists and sshd's PAM service has the
/// lines `auth`: there /etc is a copy in `directory`, to be changed at will. `None`, loudly, where that cannot be had.
pub fn with_account(directory: &Path, auth: &str) -> Option<Command> {
    const NAMESPACE: [&str; 3] = ["--mount", "--propagation", "private"];
    let tried =
        Command::new("unshare").args(NAMESPACE).args(["mount", "--bind", "/tmp", "/etc"]).output();
    if !Path::new("/etc/pam.d/sshd").exists() || !tried.is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: needs root, unshare and mount namespaces, and sshd with PAM");
        return None;
    }
    let etc = directory.join("etc");
    let copied = Command::new("cp").arg("-a").arg("/etc").arg(&etc).status().unwrap();
    assert!(copied.success());
    let add = |file: &str, line: String| {
        let path = etc.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{}\n{line}\n", text.trim_end())).unwrap();
    };
    add("passwd", format!("{USER}:x:4242:4242::/:/bin/sh"));
    add("shadow", format!("{USER}:{HASH}:19000:0:99999:7:::"));
    let rest = [
        "account required pam_unix.so",
        "password required pam_unix.so",
        "session required pam_permit.so",
    ];
    fs::write(etc.join("pam.d/sshd"), format!("{auth}{}\n", rest.join("\n"))).unwrap();
    // The account's keys are read as the account.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(NAMESPACE).args([
        "sh",
        "-c",
        r#"mount --bind "$1" /etc && shift && exec "$@""#,
        "sh",
    ]);
    unshare.arg(etc);
    Some(unshare)
}
