//! The two programs that `bench/preflight` and `bench/fanout` measure fleetadm with:
//!
//! - `serve FACTS CLIENT.pub HOST_KEY MILLISECONDS`: thousands of hosts in one process. Whatever address of 127.1.0.0/16 is
//!   connected to is a host; each answers every command, after so long, with the recorded FACTS, as its own, and sends back
//!   what is sent through it. Prints the port, and ends with its standard input.
//! - `loop KEY PORT COUNT PARALLEL COMMAND`: a bare loop over hosts: connect, log in, run COMMAND with what is on standard
//!   input, read what it prints.

#![expect(clippy::unwrap_used, reason = "there is nothing to measure when this fails")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, stream};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key, ssh_key};
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, Preferred, cipher, client, server};
use tokio::net::{TcpListener, TcpSocket};

/// Hosts in a block of addresses, as in 127.1.BLOCK.HOST; those of block 0 are control planes.
const BLOCK: u32 = 250;

/// 127.1.0.1, the first of them.
const FIRST: u32 = 0x7f01_0001;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", facts, client, host_key, millis] => {
            let delay = Duration::from_millis(millis.parse().unwrap());
            serve(facts, client, host_key, delay).await;
        }
        ["loop", key, port, count, parallel, command] => {
            let (port, count) = (port.parse().unwrap(), count.parse().unwrap());
            bare_loop(key, port, count, parallel.parse().unwrap(), command.to_owned()).await;
        }
        // `cargo test --benches` and `cargo bench` come by without arguments.
        _ => eprintln!("see bench/preflight and bench/fanout"),
    }
}

async fn serve(facts: &str, client: &str, host_key: &str, delay: Duration) {
    let config = Arc::new(server::Config {
        keys: vec![load_secret_key(host_key, None).unwrap()],
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        preferred: cheapest(),
        ..server::Config::default()
    });
    let facts: Arc<str> = std::fs::read_to_string(facts).unwrap().into();
    let client = Arc::new(ssh_key::PublicKey::read_openssh_file(Path::new(client)).unwrap());
    let listener = listen();
    println!("{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let IpAddr::V4(address) = stream.local_addr().unwrap().ip() else { continue };
            let host = Host {
                name: name(address),
                address,
                facts: Arc::clone(&facts),
                client: Arc::clone(&client),
                delay,
                channels: HashMap::new(),
            };
            let running = server::run_stream(Arc::clone(&config), stream, host);
            tokio::spawn(async move { running.await?.await });
        }
    });
    let parent = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(parent).await.unwrap().unwrap();
}

/// With a queue that a thousand separate hosts would not share.
fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([0, 0, 0, 0], 0).into()).unwrap();
    socket.listen(4096).unwrap()
}

/// What the inventory calls the host at 127.1.BLOCK.HOST.
fn name(address: Ipv4Addr) -> String {
    let [_, _, block, host] = address.octets().map(u32::from);
    match block {
        0 => format!("cp-{host}"),
        block => format!("node-{:04}", (block - 1) * BLOCK + host),
    }
}

/// The other way round.
fn address_of(name: &str) -> Option<Ipv4Addr> {
    let (kind, number) = name.split_once('-')?;
    let number: u32 = number.parse().ok()?;
    let (block, host) = match kind {
        "cp" => (0, number),
        _ => ((number - 1) / BLOCK + 1, (number - 1) % BLOCK + 1),
    };
    Some(Ipv4Addr::new(127, 1, u8::try_from(block).ok()?, u8::try_from(host).ok()?))
}

/// What the cluster knows a host by.
fn own_address(address: Ipv4Addr) -> Ipv4Addr {
    let [_, rest @ ..] = address.octets();
    Ipv4Addr::new(10, rest[0], rest[1], rest[2])
}

/// A host, for one connection.
struct Host {
    name: String,
    address: Ipv4Addr,
    facts: Arc<str>,
    client: Arc<ssh_key::PublicKey>,
    delay: Duration,
    channels: HashMap<ChannelId, Does>,
}

/// What goes on in a channel.
enum Does {
    /// Facts are told at the end of standard input.
    Facts { command: String },
    /// It listens on the ports that the first line of standard input names.
    Listen { read: Vec<u8>, ready: bool },
    /// What is sent comes back.
    Echo,
}

impl Host {
    /// The recorded facts as this host's own.
    fn facts(&self, command: &str) -> String {
        let inner = own_address(self.address);
        let [_, a, b, c] = inner.octets();
        let mark = format!("{a:02x}{b:02x}{c:02x}");
        let mut device = "";
        for line in self.facts.lines() {
            if let Some(route) = line.strip_prefix("default4 ") {
                device = route.split(' ').next().unwrap_or_default();
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut text = String::with_capacity(self.facts.len() + 2048);
        for line in self.facts.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let mut words = value.split(' ');
            let first = words.next().unwrap_or_default();
            // Writing to a String does not fail.
            let _ = match key {
                "clock" => writeln!(text, "clock {}.{:09}", now.as_secs(), now.subsec_nanos()),
                "hostname" => writeln!(text, "hostname {}", self.name),
                "machine_id" => writeln!(text, "machine_id {mark:0>32}"),
                "product_uuid" => {
                    writeln!(text, "product_uuid 00000000-0000-0000-0000-{mark:0>12}")
                }
                "ssh_host_key" => writeln!(text, "ssh_host_key {first} AAAA{mark}"),
                "link" if first != "lo" => {
                    let rest: Vec<&str> = words.skip(1).collect();
                    writeln!(
                        text,
                        "link {first} 02:00:00:{a:02x}:{b:02x}:{c:02x} {}",
                        rest.join(" ")
                    )
                }
                "address" if first == device => writeln!(text, "address {first} {inner}"),
                "resolved" => Ok(()),
                "end" => {
                    let own = [self.name.as_str()];
                    let asked = command.split("--resolve ").skip(1);
                    let asked = asked.filter_map(|rest| rest.split(' ').next());
                    for name in asked.chain(own) {
                        let found =
                            address_of(name).map(own_address).map(|found| format!(" {found}"));
                        let _ = writeln!(text, "resolved {name}{}", found.unwrap_or_default());
                    }
                    writeln!(text, "end")
                }
                _ => writeln!(text, "{line}"),
            };
        }
        text
    }
}

/// The script that a request has `sh` run: see `ssh/shell.rs`.
fn script(request: &[u8]) -> String {
    let request = String::from_utf8_lossy(request);
    let words = request.split_once("\"$@\")\"' sh '").map_or("", |(_, words)| words);
    let mut text = String::with_capacity(words.len());
    let mut rest = words.trim_end_matches('\'');
    while let Some(at) = rest.find(['\\', '\'']) {
        text.push_str(&rest[..at]);
        if let Some(octal) = rest[at..].strip_prefix("\\0") {
            text.push(char::from(u8::from_str_radix(&octal[..3], 8).unwrap()));
            rest = &octal[3..];
        } else {
            // The end of a word and the beginning of the next.
            rest = &rest[at + 3..];
        }
    }
    text + rest
}

impl server::Handler for Host {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        _: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = key.public_key.key_data() == self.client.key_data();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), Does::Echo);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        request: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let script = script(request);
        session.channel_success(channel)?;
        // The bare loop wants no mark.
        if let Some((_, mark)) = script.split_once("fleetadm-%s-begin\\n' ") {
            let begin = Bytes::from(format!("fleetadm-{}-begin\n", &mark[..16]));
            session.data(channel, begin.clone())?;
            session.extended_data(channel, 1, begin)?;
        }
        let does = match script.contains("fleetadm-listen") {
            true => Does::Listen { read: Vec::new(), ready: false },
            false => Does::Facts { command: script },
        };
        self.channels.insert(channel, does);
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.get_mut(&channel) {
            Some(Does::Echo) => session.data(channel, Bytes::copy_from_slice(data))?,
            Some(Does::Listen { read, ready }) if !*ready => {
                read.extend_from_slice(data);
                let Some(end) = read.iter().position(|byte| *byte == b'\n') else { return Ok(()) };
                *ready = true;
                let line = String::from_utf8_lossy(&read[..end]).into_owned();
                let ports = line.split(' ').filter(|word| word.parse::<u16>().is_ok());
                let told: String = ports.map(|port| format!("listening {port}\n")).collect();
                session.data(channel, Bytes::from(told + "ready\n"))?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.remove(&channel) {
            Some(Does::Facts { command }) => {
                // Only this connection waits.
                tokio::time::sleep(self.delay).await;
                session.data(channel, Bytes::from(self.facts(&command)))?;
                session.exit_status_request(channel, 0)?;
            }
            Some(Does::Listen { .. }) => session.exit_status_request(channel, 0)?,
            _ => {}
        }
        session.eof(channel)?;
        session.close(channel)
    }
}

/// What costs least, as in fleetadm.
fn cheapest() -> Preferred {
    const CIPHERS: &[cipher::Name] = &[cipher::AES_128_GCM];
    Preferred { cipher: Cow::Borrowed(CIPHERS), ..Preferred::default() }
}

/// Knows no host keys and asks for none.
struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn bare_loop(key: &str, port: u16, count: u32, parallel: usize, command: String) {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    let (input, command) = (Bytes::from(input), Bytes::from(command));
    let key = Arc::new(load_secret_key(key, None).unwrap());
    let config =
        client::Config { preferred: cheapest(), nodelay: true, ..client::Config::default() };
    let config = Arc::new(config);
    let one = |host: u32| {
        let (config, key) = (Arc::clone(&config), Arc::clone(&key));
        let (command, input) = (command.clone(), input.clone());
        tokio::spawn(async move {
            let address = Ipv4Addr::from(FIRST + ((host / BLOCK) << 8) + host % BLOCK);
            let mut session = client::connect(config, (address, port), Anybody).await.unwrap();
            let key = PrivateKeyWithHashAlg::new(key, None);
            assert!(session.authenticate_publickey("root", key).await.unwrap().success());
            let mut channel = session.channel_open_session().await.unwrap();
            channel.exec(true, command.to_vec()).await.unwrap();
            channel.data_bytes(input).await.unwrap();
            channel.eof().await.unwrap();
            let (mut output, mut status) = (Vec::new(), None);
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => output.extend_from_slice(&data),
                    ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                    _ => {}
                }
            }
            assert_eq!(status, Some(0));
        })
    };
    let mut running = stream::iter(0..count).map(one).buffer_unordered(parallel);
    while let Some(ended) = running.next().await {
        ended.unwrap();
    }
}
