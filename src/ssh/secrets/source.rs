//! Where passwords come from besides the operator: a command of the workstation, or a file descriptor.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::report::printable_line;

/// How long a password command may take. Long enough for somebody to touch a token or to unlock a key ring.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of the output is looked at; passwords are shorter than that.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// The first line that `command` prints, run by a shell that finds the host's name in `FLEETADM_HOST`. The error is
/// the reason, for people.
pub(super) async fn run(command: &str, host: &str) -> Result<SecretString, String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("FLEETADM_HOST", host)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run sh ({error})"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async { tokio::join!(read(stdout), read(stderr), child.wait()) };
    let (stdout, stderr, status) = timeout(COMMAND_TIMEOUT, ended)
        .await
        .map_err(|_| format!("it did not end within {} s", COMMAND_TIMEOUT.as_secs()))?;
    let status = status.map_err(|error| error.to_string())?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(": {}", printable_line(line.trim(), 200)));
        return Err(format!("it ended with {status}{}", last.unwrap_or_default()));
    }
    first_line(&stdout).map_err(|reason| format!("it printed {reason}"))
}

/// Up to the limit. The rest is read as well, so that whoever writes it can end.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Zeroizing<Vec<u8>> {
    // As long as it gets, so that no half of a secret stays behind where a shorter one was.
    let mut output = Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT));
    let Some(mut pipe) = pipe else { return output };
    let mut part = Zeroizing::new([0; 1024]);
    while let Ok(length @ 1..) = pipe.read(part.as_mut_slice()).await {
        append(&mut output, &part[..length]);
    }
    output
}

/// The first line of what file descriptor `number` holds, which the shell has opened. Waits for it. The error is the
/// reason, for people.
pub fn read_descriptor(number: u32) -> Result<SecretString, String> {
    let cannot = |error: std::io::Error| {
        format!(
            "file descriptor {number} cannot be read ({error}); open it in the shell, as in `{number}< FILE`"
        )
    };
    let mut file = File::open(format!("/dev/fd/{number}")).map_err(cannot)?;
    let mut text = Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT));
    let mut part = Zeroizing::new([0; 1024]);
    while !text.contains(&b'\n') && text.len() < OUTPUT_LIMIT {
        let length = file.read(part.as_mut_slice()).map_err(cannot)?;
        if length == 0 {
            break;
        }
        append(&mut text, &part[..length]);
    }
    first_line(&text).map_err(|reason| format!("file descriptor {number} holds {reason}"))
}

fn append(text: &mut Vec<u8>, part: &[u8]) {
    let room = OUTPUT_LIMIT - text.len();
    text.extend_from_slice(&part[..part.len().min(room)]);
}

fn first_line(text: &[u8]) -> Result<SecretString, &'static str> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err("an empty first line");
    }
    if line.len() == OUTPUT_LIMIT {
        return Err("a line that is too long for a password");
    }
    let line = std::str::from_utf8(line).map_err(|_| "something that is not UTF-8")?;
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn commands_print_passwords() {
        let said = async |command: &str| {
            run(command, "node-1").await.map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(said("echo secret; echo more").await.unwrap(), "secret");
        assert_eq!(said("printf 'a b\\r\\n'").await.unwrap(), "a b");
        assert_eq!(said("printf \"for $FLEETADM_HOST\"").await.unwrap(), "for node-1");
        // Whether it reads its input or prints without end: it does not hang.
        assert_eq!(said("cat; echo done").await.unwrap(), "done");
        assert_eq!(said("echo secret; head -c 100000 /dev/zero").await.unwrap(), "secret");
    }

    #[tokio::test]
    async fn commands_that_fail() {
        let reason = async |command: &str| run(command, "node-1").await.unwrap_err();
        insta::assert_snapshot!(reason("echo secret; echo 'it is \x1b[1mlocked' >&2; exit 3").await, @"it ended with exit status: 3: it is locked");
        insta::assert_snapshot!(reason("exit 1").await, @"it ended with exit status: 1");
        insta::assert_snapshot!(reason("true").await, @"it printed an empty first line");
        insta::assert_snapshot!(reason("printf '\\377\\n'").await, @"it printed something that is not UTF-8");
        insta::assert_snapshot!(reason("head -c 20000 /dev/zero").await, @"it printed a line that is too long for a password");
    }

    #[test]
    fn descriptors() {
        use std::io::Write;
        use std::os::fd::AsRawFd;

        let (reader, mut writer) = std::io::pipe().unwrap();
        // The writer stays open: the first line is enough.
        writer.write_all(b"secret\nmore\n").unwrap();
        let number = u32::try_from(reader.as_raw_fd()).unwrap();
        assert_eq!(read_descriptor(number).unwrap().expose_secret(), "secret");
        drop(writer);

        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        let number = u32::try_from(reader.as_raw_fd()).unwrap();
        assert!(read_descriptor(number).unwrap_err().contains("an empty first line"));
        assert!(read_descriptor(987_654).unwrap_err().contains("open it in the shell"));
    }
}
