//! `fleetadm tunnel`: a port of the workstation that leads to the API server, by itself or for a command.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::inventory::Host;
use crate::phases::access::{kubeconfig, tunnel};
use crate::phases::{PhaseError, Run};
use crate::report::{Event, TemporarySecret};

use super::args::{Global, TunnelArgs};
use super::ask::Target;
use super::failure::Failure;
use super::kubeconfig::{SERVER_NAME, local_url, text};
use super::session::Subject;

/// How long a command may take to end once it is asked to.
const GRACE: Duration = Duration::from_secs(10);

pub fn run(global: &Global, args: TunnelArgs) -> Result<u8, Failure> {
    let target = Target::select(global, "tunnel")?;
    let hosts = target.control_planes();
    // Before any host is contacted, and on this address alone: the tunnel is nobody else's.
    let taken = |error| Failure::usage(format!("--port {}: {error}", args.port));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(taken)?;
    let port = listener.local_addr().map_err(taken)?.port();
    // Ctrl-C is the command's while it runs.
    let running = Arc::new(AtomicBool::new(false));
    let ended = OnceLock::new();
    let subject = Subject::Program(running.clone());
    let status = target.step(subject, global, "tunnel", async |_, run| {
        let cancel = &run.options().cancel;
        let listener = listener.try_clone();
        let listener = listener.map_err(|error| PhaseError::Local(error.to_string()))?;
        let forward = tunnel::open(run, hosts, listener)?;
        let host = tokio::select! {
            host = forward.probe() => host?,
            () = cancel.cancelled() => return Err(PhaseError::Interrupted),
        };
        let work = async {
            match args.command.split_first() {
                None => {
                    announce(run, host, port);
                    cancel.cancelled().await;
                    Ok(())
                }
                Some((program, arguments)) => {
                    let secret = credentials(run, port).await?;
                    let mut child = start(program, arguments, &secret)?;
                    running.store(true, Ordering::Relaxed);
                    let status = tokio::select! {
                        status = child.wait() => status,
                        () = cancel.cancelled() => stop(&mut child).await,
                    };
                    running.store(false, Ordering::Relaxed);
                    let status = status.map_err(|error| PhaseError::Local(error.to_string()))?;
                    // Set only here.
                    let _ = ended.set(code(status));
                    Ok(())
                }
            }
        };
        tokio::select! {
            result = work => result,
            () = forward.serve() => Ok(()),
        }
    })?;
    Ok(ended.get().copied().unwrap_or(status))
}

/// Tell how the tunnel is used.
fn announce(run: &Run, host: &Host, port: u16) {
    let (url, name) = (local_url(port), &host.name);
    let object = json!({"host": name, "port": port, "server": url, "tls_server_name": SERVER_NAME});
    let object = SecretString::from(object.to_string());
    run.reporter().emit(Event::Object { kind: "tunnel", object });
    run.reporter().emit(Event::Message {
        text: format!(
            "{url} leads to the API server of {name} until Ctrl-C. A kubeconfig for it, in another shell:\n  \
             fleetadm kubeconfig --tunnel {port} --merge FILE && kubectl --kubeconfig FILE get nodes",
        ),
    });
}

/// The administrator's kubeconfig for the tunnel, in a file.
async fn credentials(run: &Arc<Run>, port: u16) -> Result<TemporarySecret, PhaseError> {
    let (mut config, warnings) = kubeconfig::admin(run).await?;
    for text in warnings {
        let (host, phase) = (run.control_plane().name().to_owned(), "tunnel".to_owned());
        run.reporter().emit(Event::Warning { host, phase, text });
    }
    config.set_server(&local_url(port), Some(SERVER_NAME));
    let content = text(&config)?;
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    TemporarySecret::write(runtime.as_deref(), "admin.conf", content.expose_secret().as_bytes())
        .map_err(|error| PhaseError::Local(error.to_string()))
}

fn start(
    program: &OsString,
    arguments: &[OsString],
    secret: &TemporarySecret,
) -> Result<Child, PhaseError> {
    let child = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", secret.path())
        .kill_on_drop(true)
        .spawn();
    child.map_err(|error| {
        PhaseError::Local(format!("cannot run {}: {error}", program.to_string_lossy()))
    })
}

/// Ask the command to end, and make it end if it does not.
async fn stop(child: &mut Child) -> std::io::Result<ExitStatus> {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        // It may have ended by itself.
        let _ = kill_process(id, Signal::TERM);
    }
    match timeout(GRACE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// The exit status as shells have it: 128 and the number for a signal.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_shells() {
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(15)), 143);
    }

    #[tokio::test]
    async fn a_command_ends_when_it_is_asked_to() {
        let runtime = tempfile::tempdir().unwrap();
        let secret = TemporarySecret::write(Some(runtime.path()), "admin.conf", b"x").unwrap();
        let shell =
            |script: &str| start(&"sh".into(), &["-c".into(), script.into()], &secret).unwrap();
        let status = shell("test \"$(cat \"$KUBECONFIG\")\" = x; exit $((7 + $?))").wait().await;
        assert_eq!(code(status.unwrap()), 7);
        let mut sleeping = shell("exec sleep 60");
        assert_eq!(code(stop(&mut sleeping).await.unwrap()), 143);
        assert!(start(&"/nonexistent".into(), &[], &secret).is_err());
    }
}
