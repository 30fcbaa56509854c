//! Dropbear as the server, as small hosts have it, with root logging in.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fleetadm::inventory::{Become, Host};
use fleetadm::ssh::{Exit, Input, RunAs, RunOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::machine::{Machine, PASSWORD};
use crate::sshd::{connector, free_port, said};

/// A Dropbear in a machine. Dropping it ends it.
struct Dropbear {
    machine: Machine,
    host: Host,
    child: Child,
}

impl Dropbear {
    fn start() -> Option<Self> {
        let machine = Machine::start("")?;
        let path = |name: &str| machine.server.path(name).display().to_string();
        // The keys of the machine's own sshd will do.
        machine.run(&format!(
            "dropbearconvert openssh dropbear {} {}
            mkdir -p -m 0700 /root/.ssh /home/ops/.ssh
            cp {keys} /root/.ssh/authorized_keys
            cp {keys} /home/ops/.ssh/authorized_keys
            chown -R ops /home/ops",
            path("host_ed25519"),
            path("host_dropbear"),
            keys = path("authorized_keys"),
        ));
        let port = free_port();
        let child = machine
            .inside()
            .args(["dropbear", "-F", "-E", "-s", "-p", &format!("127.0.0.1:{port}"), "-r"])
            .arg(path("host_dropbear"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "Dropbear does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let line = machine.server.known_hosts_line("host_ed25519.pub");
        let of_sshd = format!(":{} ", machine.server.port);
        machine.server.write_known_hosts(&line.replace(&of_sshd, &format!(":{port} ")));
        let mut host = machine.host("root");
        host.ssh_mut().port = Some(said(port));
        Some(Self { machine, host, child })
    }
}

impl Drop for Dropbear {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn commands_input_and_tunnels() {
    let Some(server) = Dropbear::start() else { return };
    let connection = connector().connect(&server.host).await.unwrap();
    let output = connection.run_as_root("id -u; cat; echo err >&2; exit 3", "in\0put".into()).await;
    let output = output.unwrap();
    assert_eq!(output.stdout, b"0\nin\0put");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.exit, Exit::Code(3));
    let output = connection.run("kill -TERM $$", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Signal("TERM".to_owned()));

    let data = vec![7; 8 << 20];
    let output = connection.run("cat", data.clone().into()).await.unwrap();
    assert!(output.stdout == data);

    // One after the other: at once, Dropbear now and then forgets to say how a command ended.
    for number in 0..20 {
        let output = connection.run(&format!("echo {number}"), Input::None).await.unwrap();
        assert_eq!(output.stdout_text().trim(), number.to_string());
    }

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let mut tunnel = connection.tunnel("127.0.0.1", port).await.unwrap();
    tunnel.write_all(b"through the tunnel").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut echoed = String::new();
    tunnel.read_to_string(&mut echoed).await.unwrap();
    assert_eq!(echoed, "through the tunnel");
    echo.await.unwrap();
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_terminated() {
    let Some(server) = Dropbear::start() else { return };
    let connection = connector().connect(&server.host).await.unwrap();
    let timeout = Some(Duration::from_secs(2));
    let options = RunOptions { timeout, run_as: RunAs::Root, ..RunOptions::default() };
    let command = "exec sleep 1234";
    let error = connection.run_with(command, Input::None, &options).await.unwrap_err();
    assert!(error.to_string().contains("did not finish"), "{error}");
    let running = || server.machine.processes().iter().any(|line| line.contains("sleep 1234"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while running() {
        assert!(Instant::now() < deadline, "the command was not terminated");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn a_user_who_becomes_root() {
    let Some(server) = Dropbear::start() else { return };
    server.machine.write("/etc/sudoers.d/test", "Defaults requiretty\nops ALL=(ALL) ALL");
    server.machine.write("/etc/doas.conf", "permit ops");
    for by in [Become::Sudo, Become::Doas] {
        let mut host = server.host.clone();
        host.ssh_mut().user = Some(said("ops".to_owned()));
        host.ssh_mut().become_root = Some(said(by));
        let connection = super::privilege::knowing(PASSWORD).connect(&host).await.unwrap();
        super::privilege::works(&connection).await;
        super::privilege::much(&connection, 4).await;
    }
}
