//! What the workstation's OpenSSH does where releases differ. Distributions carry changes over to old releases, so the
//! client is asked, not its version: each question once per run, and only when a configuration makes it matter.
//!
//! Words that only newer releases know are understood whatever the client: an older one would refuse them, so nothing can be
//! read differently.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Something that not every client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Habit {
    /// What follows `Match` is read like any other arguments, with single quotes and backslashes.
    ReadsMatchAsArguments,
    /// `Match !final` asks for a final pass as `Match final` does.
    AsksByNegatedFinal,
    /// Paths of `Include` have tokens and variables.
    ExpandsInclude,
    /// `User` has tokens and variables.
    ExpandsUser,
    /// `%C` covers the jump host.
    HashesJumpHost,
    /// A `ProxyCommand` counts though it stands behind `ProxyJump none`.
    LaterCommandCounts,
    /// With `ProxyJump none`, names are completed for `CanonicalizeHostname` as without any ProxyJump.
    NoJumpIsDirect,
    /// Times may have fractions of a second, which are dropped.
    ReadsFractions,
}

/// How a client gives itself away.
enum Sign {
    /// It takes the configuration.
    Accepts,
    /// It does not.
    Refuses,
    /// It prints this, be it only for debugging.
    Prints(&'static str),
}

impl Habit {
    /// Whether the newest client does it, which counts where there is none.
    pub(super) fn is_newest(self) -> bool {
        self != Self::AsksByNegatedFinal
    }

    /// A configuration for the host `probe`, and what a client does with it that has the habit.
    fn probe(self) -> (&'static str, Sign) {
        match self {
            Self::ReadsMatchAsArguments => {
                ("Match host 'probe'\nPort 7\n", Sign::Prints("\nport 7\n"))
            }
            Self::AsksByNegatedFinal => {
                ("Match !final\n", Sign::Prints("requests final Match pass"))
            }
            Self::ExpandsInclude => ("Include /%%%\n", Sign::Refuses),
            Self::ExpandsUser => ("User is-%n\n", Sign::Prints("user is-probe\n")),
            // The token came together with it.
            Self::HashesJumpHost => ("UserKnownHostsFile %j\n", Sign::Accepts),
            Self::LaterCommandCounts => {
                ("ProxyJump none\nProxyCommand later\n", Sign::Prints("\nproxycommand later\n"))
            }
            // It does not find the name, without looking anywhere.
            Self::NoJumpIsDirect => (
                "ProxyJump none\nCanonicalizeHostname yes\nCanonicalDomains none\n\
                 CanonicalizeFallbackLocal no\n",
                Sign::Refuses,
            ),
            Self::ReadsFractions => ("ConnectTimeout 1.5\n", Sign::Accepts),
        }
    }

    /// Ask the workstation's client; `None` where there is none.
    pub(super) fn ask(self) -> Option<bool> {
        let (config, sign) = self.probe();
        let output = client(&["-v", "-G", "-F", "/dev/stdin", "probe"], config)?;
        let prints = |text: &str| {
            [&output.stdout, &output.stderr]
                .into_iter()
                .any(|bytes| String::from_utf8_lossy(bytes).contains(text))
        };
        Some(match sign {
            Sign::Accepts => output.status.success(),
            Sign::Refuses => !output.status.success(),
            Sign::Prints(text) => prints(text),
        })
    }
}

/// What `Match version` compares: `OpenSSH_9.2p1 Debian-2`. `None` where there is no client.
pub(super) fn client_version() -> Option<String> {
    let output = client(&["-V"], "")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(text.split(',').next()?.trim().to_owned()).filter(|name| name.starts_with("OpenSSH_"))
}

fn client(arguments: &[&str], input: &str) -> Option<Output> {
    let mut child = Command::new("ssh")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A client that does not read has decided already.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().ok()
}
