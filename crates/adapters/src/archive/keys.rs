//! Who can open archives: recipients (public, on every node) and identities (secret, only where archives are opened).

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::stream::{StreamReader, StreamWriter};
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};

use super::{ArchiveError, Result};

/// The longest identity file, in bytes.
const MOST_BYTES: u64 = 64 << 10;

/// Seals archives for its recipients: each of them alone can open them.
#[derive(Clone)]
pub struct Sealer(Vec<Recipient>);

impl Sealer {
    /// For these recipients (`age1…`), one at least.
    pub fn new(recipients: &[String]) -> Result<Sealer> {
        let read = recipients.iter().map(|text| {
            let wrong = |_| ArchiveError::Recipient { text: text.chars().take(80).collect() };
            Recipient::from_str(text.trim()).map_err(wrong)
        });
        let recipients = read.collect::<Result<Vec<_>>>()?;
        if recipients.is_empty() {
            return Err(ArchiveError::Recipient { text: String::new() });
        }
        Ok(Sealer(recipients))
    }

    /// The recipients' public keys: what says in a manifest whose key is needed.
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    pub(super) fn wrap<W: Write>(&self, to: W) -> std::io::Result<StreamWriter<W>> {
        let recipients = self.0.iter().map(|r| r as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients);
        encryptor.map_err(std::io::Error::other)?.wrap_output(to)
    }
}

/// Opens archives with the identities of a file.
pub struct Opener {
    path: PathBuf,
    identities: Vec<Identity>,
}

impl Opener {
    /// Reads an identity file as `yakin keys backup` and age-keygen write it. It must belong to its owner alone.
    pub fn read(path: &Path) -> Result<Opener> {
        let wrong = |fault: String| {
            let path = path.display().to_string();
            ArchiveError::Identity { path, fault }
        };
        let meta = fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            let text = format!("mode {mode:04o} lets others at it, expected 0600: chmod 600 it");
            return Err(wrong(text));
        }
        if meta.len() > MOST_BYTES {
            return Err(wrong(format!("{} bytes, expected lines AGE-SECRET-KEY-1…", meta.len())));
        }
        let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let mut identities = Vec::new();
        for (n, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // the line itself stays unsaid: it may be a key with a slip
            let wrong = |_| wrong(format!("line {}, expected AGE-SECRET-KEY-1…", n + 1));
            identities.push(Identity::from_str(line).map_err(wrong)?);
        }
        if identities.is_empty() {
            return Err(wrong("no key in it, expected a line AGE-SECRET-KEY-1…".to_owned()));
        }
        Ok(Opener { path: path.to_owned(), identities })
    }

    /// The public keys of its identities.
    pub fn recipients(&self) -> Vec<String> {
        self.identities.iter().map(|i| i.to_public().to_string()).collect()
    }

    pub(super) fn decrypt<R: Read>(&self, name: &str, from: R) -> Result<StreamReader<R>> {
        let damaged = |e: DecryptError| {
            let path = name.to_owned();
            match e {
                DecryptError::NoMatchingKeys => {
                    ArchiveError::OtherKey { path, keys: self.path.display().to_string() }
                }
                DecryptError::Io(source)
                    if source.kind() != std::io::ErrorKind::UnexpectedEof
                        && source.raw_os_error().is_some() =>
                {
                    ArchiveError::File { path, source }
                }
                other => ArchiveError::Damaged { path, fault: other.to_string() },
            }
        };
        let identities = self.identities.iter().map(|i| i as &dyn age::Identity);
        Decryptor::new(from).and_then(|d| d.decrypt(identities)).map_err(damaged)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Opener").field(&self.path).finish()
    }
}

/// Makes an identity file that nobody else can read; gives the recipient that belongs to it.
pub fn init(path: &Path) -> Result<String> {
    let wrong = |e: std::io::Error| {
        let fault = match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                "is there already; archives sealed for it need it, so it is not replaced".to_owned()
            }
            _ => e.to_string(),
        };
        ArchiveError::Identity { path: path.display().to_string(), fault }
    };
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(wrong)?;
    let secret = identity.to_string();
    write!(file, "# recipient: {recipient}\n{}\n", secret.expose_secret()).map_err(wrong)?;
    file.sync_all().map_err(wrong)?;
    Ok(recipient)
}
