//! Nothing secret where other users of the host could read it.

use std::fs;
use std::path::PathBuf;

use fleetadm::inventory::Become;

use super::{SUDOERS, connect, knowing};
use crate::machine::PASSWORD;

/// What any user of a host can see of its processes, and what their owners can.
fn processes() -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["cmdline", "environ"];
    let directories = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let directories = directories.filter(|path| path.join("cmdline").exists());
    let files = directories.flat_map(|path| names.map(|name| path.join(name)));
    // Processes come and go.
    files.filter_map(|path| fs::read(&path).ok().map(|content| (path, content))).collect()
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test]
async fn passwords_and_input_show_up_nowhere() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults timestamp_timeout=0\nops ALL=(ALL) ALL");
    machine.write("/etc/doas.conf", "permit ops");
    for by in [Become::Sudo, Become::Doas] {
        let connection = connect(&machine, &knowing(PASSWORD), by).await;
        let input = "a secret on standard input";
        let mark = machine.server.path(by.as_str());
        let command =
            format!("cat >/dev/null; touch {}; sleep 2; echo '{by:?} ran'", mark.display());
        let run = connection.run_as_root(&command, input.into());
        let look = async {
            let mut seen = Vec::new();
            while !mark.exists() {
                seen.extend(processes());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            seen.extend(processes());
            seen
        };
        let (output, seen) = tokio::join!(run, look);
        assert_eq!(output.unwrap().stdout_text(), format!("{by:?} ran\n"));
        // The command itself was there to be seen.
        assert!(seen.iter().any(|(_, text)| contains(text, &format!("{by:?} ran"))));
        for (path, text) in &seen {
            for secret in [PASSWORD, input, "YSBzZWNyZXQ"] {
                // This process knows them both.
                let own = path.starts_with(format!("/proc/{}", std::process::id()));
                assert!(own || !contains(text, secret), "{}", path.display());
            }
        }
    }
    for secret in [PASSWORD, "a secret on standard input"] {
        assert_eq!(machine.logged(&[secret]), 0, "{}", machine.log());
    }
}
