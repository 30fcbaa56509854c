//! `[artifacts]`: where binaries and images come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::inventory::document::{ArtifactsEntry, Text};
use crate::inventory::error::{Fault, Problems, quoted};
use crate::inventory::model::{Artifacts, Binaries};
use crate::inventory::paths::Paths;
use crate::inventory::rules;

/// What every mirror has to have.
const NEEDED: [&str; 2] = ["kubelet", "kubectl"];
/// Largest list of checksums, in bytes.
const LARGEST: u64 = 1 << 20;

pub(super) fn resolve(raw: &ArtifactsEntry, paths: &Paths, problems: &mut Problems) -> Artifacts {
    let mut directory =
        |text: &Text| problems.check_opt(text.as_ref(), |text| paths.directory_at(text));
    let (binaries, images) = (directory(&raw.binaries), directory(&raw.images));
    let mirror = mirror(raw, paths, problems);
    Artifacts { binaries: mirror.or(binaries.map(Binaries::Directory)), images }
}

fn mirror(raw: &ArtifactsEntry, paths: &Paths, problems: &mut Problems) -> Option<Binaries> {
    let Some(written) = &raw.url else {
        if let Some(checksums) = &raw.checksums {
            let fault = Fault::new("`checksums` without `url`", "of which mirror?");
            problems.push(fault.at(checksums.span()));
        }
        return None;
    };
    if let Some(binaries) = &raw.binaries {
        let fault = Fault::new("both `url` and `binaries`", "expected one of them")
            .help("hosts fetch binaries from a mirror, or get them from this workstation");
        problems.push(fault.at(written.span()).also(binaries.span(), "the other one"));
    }
    let instead = "let the mirror serve hosts by their addresses; checksums say what is right";
    let url = problems.check(written, |text| rules::mirror(text, instead));
    let list = problems.required(&written.span(), "checksums", raw.checksums.as_ref());
    let sha256 = problems.check_opt(list, |text| checksums(&paths.file(text)?));
    Some(Binaries::Mirror { url: url?, sha256: sha256? })
}

/// The sums in a list, which has those that are needed.
fn checksums(path: &Path) -> Result<BTreeMap<String, String>, Fault> {
    let shown = path.to_string_lossy();
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    let expected = "expected a file as sha256sum prints it";
    let unreadable =
        |why: &str| Fault::new(format!("cannot read {}: {why}", quoted(&shown)), expected);
    let text = read().map_err(|error| unreadable(&error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(unreadable("larger than 1 MiB"));
    }
    let sums = rules::checksums(&text).map_err(|bad| {
        let place = quoted(&format!("{shown}:{}", bad.number));
        Fault::new(format!("{place}: {}", bad.reason), expected)
    })?;
    match NEEDED.into_iter().find(|name| !sums.contains_key(*name)) {
        None => Ok(sums),
        Some(name) => {
            let title = format!("{} has no line for {}", quoted(&shown), quoted(name));
            let help = format!("add one on this workstation: `sha256sum {}`", NEEDED.join(" "));
            Err(Fault::new(title, expected).help(help))
        }
    }
}
