//! Master keys: what tenants' credentials are sealed with before they become rows.

mod file;

use std::io;
use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, KeysError>;

/// The most that is sealed at once, in bytes: credentials, not files.
pub const MOST_SEALED: usize = 64 << 10;
/// Sets these seals apart from any other use of the same key.
const PURPOSE: &[u8] = b"yakin sealed credential 1\0";

/// Keys that could not be read, made or used. No message holds a key or what was sealed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("key file {path}: {source}")]
    File { path: String, source: io::Error },
    #[error("key file {path} is not there; make one with `yakin keys init`")]
    Missing { path: String },
    #[error(
        "key file {path} has mode {mode:04o}, which lets others at it; expected 0600: chmod 600 it"
    )]
    Mode { path: String, mode: u32 },
    #[error("key file {path} line {line}: {fault}")]
    Line { path: String, line: usize, fault: &'static str },
    #[error("key file {path}: {fault}")]
    Unusable { path: String, fault: &'static str },
    #[error("key file {path} is there already; `yakin keys rotate` adds a key to it")]
    Exists { path: String },
    #[error("no key '{key_id}' in the key file; put the line with it back from the backup")]
    Unknown { key_id: String },
    #[error(
        "what was sealed with key '{key_id}' for '{context}' does not open: it was sealed for \
             something else, cut, or changed"
    )]
    Refused { key_id: String, context: String },
    #[error("sealing for '{context}': {size} bytes, at most {MOST_SEALED} are taken")]
    TooLong { context: String, size: usize },
    #[error("this machine gives no random numbers")]
    Random,
}

/// The keys of a key file. The first seals; all open.
pub struct Keys(Vec<Key>);

struct Key {
    id: String,
    key: LessSafeKey,
}

/// What can be stored: without the key it tells nothing but its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key_id: String,
    /// 12 bytes of nonce, the ciphertext, 16 bytes of tag.
    pub bytes: Vec<u8>,
}

impl Keys {
    /// Reads a key file. It must belong to its owner alone (0600 or less).
    pub fn read(path: &Path) -> Result<Keys> {
        file::read(path)
    }

    /// Makes a key file with one key, and its folder where it is missing. Gives the key's id.
    pub fn init(path: &Path) -> Result<String> {
        file::init(path)
    }

    /// Puts a new key before the others, which stay to open what they sealed. Gives its id.
    pub fn rotate(path: &Path) -> Result<String> {
        file::rotate(path)
    }

    /// The ids, newest first.
    pub fn ids(&self) -> Vec<&str> {
        self.0.iter().map(|k| k.id.as_str()).collect()
    }

    /// Seals with the newest key, for one context (such as `tenant/12/integration/7`): what was
    /// sealed for one place does not open in another. A key is good for some billions of seals.
    pub fn seal(&self, plain: &[u8], context: &str) -> Result<Sealed> {
        if plain.len() > MOST_SEALED {
            return Err(KeysError::TooLong { context: context.to_owned(), size: plain.len() });
        }
        let Some(key) = self.0.first() else {
            return Err(KeysError::Unknown { key_id: String::new() });
        };
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| KeysError::Random)?;
        let mut sealed = Zeroizing::new(plain.to_vec());
        let tag = key.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound_to(context)),
            &mut sealed,
        );
        let tag = tag.map_err(|_| KeysError::Random)?;
        let bytes = [&nonce[..], &sealed, tag.as_ref()].concat();
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    /// Opens what was sealed for the same context.
    pub fn open(&self, key_id: &str, bytes: &[u8], context: &str) -> Result<Vec<u8>> {
        let key = self.0.iter().find(|k| k.id == key_id);
        let key = key.ok_or_else(|| KeysError::Unknown { key_id: key_id.to_owned() })?;
        let (key_id, context_text) = (key_id.to_owned(), context.to_owned());
        let refused = KeysError::Refused { key_id, context: context_text };
        let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE_LEN>() else {
            return Err(refused);
        };
        let mut plain = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        match key.key.open_in_place(nonce, Aad::from(bound_to(context)), &mut plain) {
            Ok(plain) => Ok(plain.to_vec()),
            Err(_) => Err(refused),
        }
    }
}

impl Key {
    fn new(id: &str, bytes: &[u8]) -> Option<Key> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
        Some(Key { id: id.to_owned(), key: LessSafeKey::new(key) })
    }
}

fn bound_to(context: &str) -> Vec<u8> {
    [PURPOSE, context.as_bytes()].concat()
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keys").field(&self.ids()).finish()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("key_id", &self.key_id)
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .finish()
    }
}
