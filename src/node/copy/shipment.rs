//! What is sent to a host, as the script wants it: a tar stream of files, their checksums, and a manifest.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::CopyError;
use super::plan::{Action, Difference};
use super::source::{Kind, Wanted};

/// Piece size when a file is read.
const CHUNK: usize = 128 << 10;

/// Size of a record of a tar archive.
const RECORD: usize = 512;

/// What makes a directory usable for the one who fills it.
const FILLABLE: u32 = 0o300;

/// The differences to one host, ready to be sent.
pub(super) struct Shipment<'a> {
    files: Vec<File<'a>>,
    sums: String,
    manifest: String,
}

struct File<'a> {
    source: &'a Path,
    size: u64,
    mode: u32,
}

impl<'a> Shipment<'a> {
    pub(super) fn new(differences: &[Difference<'a>]) -> Self {
        let mut shipment = Self { files: Vec::new(), sums: String::new(), manifest: String::new() };
        for difference in differences {
            shipment.add(difference.wanted, difference.action);
        }
        shipment
    }

    fn add(&mut self, wanted: &'a Wanted, action: Action) {
        let Wanted { path, mode, kind } = wanted;
        // Writing to a String does not fail. No field is empty: the script's shell would skip it.
        let _ = match kind {
            Kind::Directory if mode & FILLABLE == FILLABLE => {
                writeln!(self.manifest, "directory\t{mode:o}\t-\t{path}")
            }
            Kind::Directory => {
                let first = mode | FILLABLE;
                writeln!(self.manifest, "directory\t{first:o}\t{mode:o}\t{path}")
            }
            Kind::Link { target } => writeln!(self.manifest, "link\t-\t-\t{path}\t{target}"),
            Kind::File { .. } if action == Action::ChangeMode => {
                writeln!(self.manifest, "mode\t{mode:o}\t-\t{path}")
            }
            Kind::File { source, size, sha256 } => {
                let member = self.files.len();
                self.files.push(File { source, size: *size, mode: *mode });
                let _ = writeln!(self.sums, "{sha256}  {member}");
                writeln!(self.manifest, "file\t{mode:o}\t{member}\t{path}")
            }
        };
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Write the stream, and tell how many bytes of files are through.
    ///
    /// # Errors
    /// A file cannot be read or has become another. That `to` takes no more is no error here: whoever reads knows why.
    pub(super) async fn write(
        &self,
        mut to: impl AsyncWrite + Unpin,
        mut progress: impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let mut through = 0;
        let mut on_bytes = |bytes| {
            through += bytes;
            progress(through);
        };
        for (member, file) in self.files.iter().enumerate() {
            let sent = file.write(&mut to, &member.to_string(), &mut on_bytes).await;
            match sent {
                Ok(()) => {}
                Err(Trouble::Reading(error)) => return Err(CopyError::local(file.source, error)),
                Err(Trouble::Writing) => return Ok(()),
            }
        }
        // Whoever reads notices when the end is missing.
        let _ = self.write_end(&mut to).await;
        Ok(())
    }

    async fn write_end(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if !self.sums.is_empty() {
            write_member(to, "sums", self.sums.as_bytes()).await?;
        }
        write_member(to, "manifest", self.manifest.as_bytes()).await?;
        to.write_all(&[0; 2 * RECORD]).await?;
        to.shutdown().await
    }
}

enum Trouble {
    Reading(io::Error),
    Writing,
}

impl File<'_> {
    async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        member: &str,
        on_bytes: &mut impl FnMut(u64),
    ) -> Result<(), Trouble> {
        let changed = || Trouble::Reading(io::Error::other("it changed while it was copied"));
        let mut file = tokio::fs::File::open(self.source).await.map_err(Trouble::Reading)?;
        let header = header(member, self.size, self.mode).map_err(Trouble::Reading)?;
        to.write_all(&header).await.map_err(|_| Trouble::Writing)?;
        let mut buffer = vec![0; CHUNK];
        let mut left = self.size;
        while left > 0 {
            let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let read = file.read(&mut buffer[..most]).await.map_err(Trouble::Reading)?;
            if read == 0 {
                return Err(changed());
            }
            to.write_all(&buffer[..read]).await.map_err(|_| Trouble::Writing)?;
            left -= read as u64;
            on_bytes(read as u64);
        }
        to.write_all(padding(self.size)).await.map_err(|_| Trouble::Writing)
    }
}

async fn write_member(
    to: &mut (impl AsyncWrite + Unpin),
    name: &str,
    content: &[u8],
) -> io::Result<()> {
    let size = content.len() as u64;
    to.write_all(&header(name, size, 0o600)?).await?;
    to.write_all(content).await?;
    to.write_all(padding(size)).await
}

fn header(name: &str, size: u64, mode: u32) -> io::Result<[u8; RECORD]> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(mode);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// What fills the last record of a member.
fn padding(size: u64) -> &'static [u8] {
    static ZEROES: [u8; RECORD] = [0; RECORD];
    let used = usize::try_from(size % RECORD as u64).unwrap_or_default();
    &ZEROES[..(RECORD - used) % RECORD]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn wanted(path: &str, mode: u32, kind: Kind) -> Wanted {
        Wanted { path: path.to_owned(), mode, kind }
    }

    fn file(source: &Path, size: u64) -> Kind {
        Kind::File { source: source.to_owned(), size, sha256: "abc".to_owned() }
    }

    fn difference(wanted: &Wanted, action: Action) -> Difference<'_> {
        Difference { wanted, action, details: Vec::new(), content: true }
    }

    #[tokio::test]
    async fn everything_is_in_the_stream() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("a");
        let content: Vec<u8> = (0..=250).cycle().take(300_001).collect();
        std::fs::write(&source, &content).unwrap();
        let all = [
            wanted("d", 0o755, Kind::Directory),
            wanted("d/locked", 0o555, Kind::Directory),
            wanted("d/a b", 0o4640, file(&source, 300_001)),
            wanted("d/l", 0o777, Kind::Link { target: "../x y".to_owned() }),
            wanted("d/m", 0o600, file(&source, 300_001)),
            wanted("d/same", 0o644, file(&source, 300_001)),
        ];
        let mut differences: Vec<_> =
            all.iter().map(|wanted| difference(wanted, Action::Create)).collect();
        differences[4].action = Action::ChangeMode;
        let shipment = Shipment::new(&differences);
        assert_eq!(shipment.size(), 600_002);

        let (mut stream, mut told) = (Vec::new(), Vec::new());
        shipment.write(&mut stream, |bytes| told.push(bytes)).await.unwrap();
        assert_eq!(told.last(), Some(&600_002));
        let mut archive = tar::Archive::new(stream.as_slice());
        let mut members = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mode = entry.header().mode().unwrap();
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            if ["0", "1"].contains(&name.as_str()) {
                assert!(text == content);
                text.clear();
            }
            members.push(format!("{name} {mode:o}\n{}", String::from_utf8(text).unwrap()));
        }
        insta::assert_snapshot!(members.concat().replace('\t', "|"), @r"
        0 4640
        1 644
        sums 600
        abc  0
        abc  1
        manifest 600
        directory|755|-|d
        directory|755|555|d/locked
        file|4640|0|d/a b
        link|-|-|d/l|../x y
        mode|600|-|d/m
        file|644|1|d/same
        ");
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("a");
        std::fs::write(&source, "short").unwrap();
        let wanted = wanted("a", 0o644, file(&source, 6));
        let shipment = Shipment::new(&[difference(&wanted, Action::Create)]);
        let error = shipment.write(&mut Vec::new(), |_| {}).await.unwrap_err();
        assert!(error.to_string().ends_with("/a: it changed while it was copied"), "{error}");
    }

    #[tokio::test]
    async fn a_reader_that_left_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("a");
        std::fs::write(&source, vec![0; 100_000]).unwrap();
        let wanted = wanted("a", 0o644, file(&source, 100_000));
        let shipment = Shipment::new(&[difference(&wanted, Action::Create)]);
        let (reader, writer) = tokio::io::duplex(1000);
        drop(reader);
        shipment.write(writer, |_| {}).await.unwrap();
    }

    #[test]
    fn members_end_with_whole_records() {
        for (size, length) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size).len(), length, "{size}");
        }
    }
}
