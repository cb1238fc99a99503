//! Master keys on a real disk: what is sealed opens in its own place only, and bad files are told.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use yakin_adapters::keys::{Keys, KeysError, MOST_SEALED};

const CONTEXT: &str = "tenant/12/integration/7";

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("yakin-keys-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Place(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("master.keys")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
        std::fs::set_permissions(self.file(), Permissions::from_mode(0o600)).unwrap();
    }

    fn mode(&self) -> u32 {
        std::fs::metadata(self.file()).unwrap().permissions().mode() & 0o7777
    }

    fn refused(&self) -> String {
        Keys::read(&self.file()).unwrap_err().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn keys(name: &str) -> Keys {
    let place = Place::new(name);
    Keys::init(&place.file()).unwrap();
    Keys::read(&place.file()).unwrap()
}

#[test]
fn what_is_sealed_opens_in_its_own_place_only() {
    let keys = keys("place");
    let sealed = keys.seal(b"xoxb-token", CONTEXT).unwrap();
    assert_eq!(keys.open(&sealed.key_id, &sealed.bytes, CONTEXT).unwrap(), b"xoxb-token");
    for context in ["tenant/13/integration/7", "tenant/12/integration/70", ""] {
        let error = keys.open(&sealed.key_id, &sealed.bytes, context).unwrap_err();
        assert!(matches!(error, KeysError::Refused { .. }), "{error}");
    }
    let error = keys.open("k-0", &sealed.bytes, CONTEXT).unwrap_err().to_string();
    assert!(error.contains("no key 'k-0'"), "{error}");
    let long = vec![0; MOST_SEALED + 1];
    let error = keys.seal(&long, CONTEXT).unwrap_err().to_string();
    assert!(error.contains("65537 bytes, at most 65536"), "{error}");
}

#[test]
fn the_same_text_is_never_sealed_alike() {
    let keys = keys("alike");
    let seals: HashSet<Vec<u8>> =
        (0..2000).map(|_| keys.seal(b"same", CONTEXT).unwrap().bytes[..12].to_vec()).collect();
    assert_eq!(seals.len(), 2000);
}

#[test]
fn a_rotated_file_opens_the_old_and_seals_with_the_new() {
    let place = Place::new("rotate");
    let first = Keys::init(&place.file()).unwrap();
    let old = Keys::read(&place.file()).unwrap().seal(b"old", CONTEXT).unwrap();
    // a remark stays, and a rotation that was killed is no hindrance
    let text = std::fs::read_to_string(place.file()).unwrap();
    place.write(&format!("# since spring\n{text}"));
    std::fs::write(place.0.join("master.keys.new"), "half").unwrap();
    let second = Keys::rotate(&place.file()).unwrap();
    assert_eq!(place.mode(), 0o600);
    let keys = Keys::read(&place.file()).unwrap();
    assert_eq!(keys.ids(), [second.as_str(), first.as_str()]);
    assert_eq!(keys.open(&old.key_id, &old.bytes, CONTEXT).unwrap(), b"old");
    let new = keys.seal(b"new", CONTEXT).unwrap();
    assert_eq!((new.key_id.as_str(), old.key_id.as_str()), (second.as_str(), first.as_str()));
    assert!(keys.open(&first, &new.bytes, CONTEXT).is_err(), "another key must not open it");
    assert!(std::fs::read_to_string(place.file()).unwrap().contains("# since spring"));
    assert!(!place.0.join("master.keys.new").exists());
}

#[test]
fn rotating_through_a_link_changes_the_file_and_not_the_link() {
    let place = Place::new("link");
    Keys::init(&place.file()).unwrap();
    let link = place.0.join("link");
    symlink(place.file(), &link).unwrap();
    Keys::rotate(&link).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Keys::read(&place.file()).unwrap().ids().len(), 2);
}

#[test]
fn many_that_rotate_at_once_lose_no_key() {
    let place = Place::new("at-once");
    Keys::init(&place.file()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let file = place.file();
            std::thread::spawn(move || Keys::rotate(&file))
        })
        .collect();
    let made: Vec<String> = threads.into_iter().filter_map(|t| t.join().unwrap().ok()).collect();
    let keys = Keys::read(&place.file()).unwrap();
    assert!(!made.is_empty());
    assert_eq!(keys.ids().len(), made.len() + 1);
    assert!(made.iter().all(|id| keys.ids().contains(&id.as_str())), "{made:?} {keys:?}");
}

#[test]
fn a_key_file_is_its_owners_and_is_not_replaced() {
    let place = Place::new("mode");
    let missing = place.refused();
    assert!(missing.contains("is not there") && missing.contains("yakin keys init"), "{missing}");
    Keys::init(&place.file()).unwrap();
    assert_eq!(place.mode(), 0o600);
    let before = std::fs::read(place.file()).unwrap();
    let error = Keys::init(&place.file()).unwrap_err().to_string();
    assert!(error.contains("is there already") && error.contains("keys rotate"), "{error}");
    assert_eq!(std::fs::read(place.file()).unwrap(), before);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        std::fs::set_permissions(place.file(), Permissions::from_mode(mode)).unwrap();
        let error = place.refused();
        assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 600"));
        assert!(Keys::rotate(&place.file()).is_err());
    }
    std::fs::set_permissions(place.file(), Permissions::from_mode(0o400)).unwrap();
    Keys::read(&place.file()).unwrap();
    let error = Keys::read(&place.0).unwrap_err().to_string();
    assert!(error.contains("not a file") || error.contains("mode"), "{error}");
}

#[test]
fn a_bad_line_is_named_by_its_number_and_never_shown() {
    let place = Place::new("lines");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (text, says) in [
        (format!("a {key}\nb\n"), "line 2: expected a key id"),
        (format!("# x\n\na {key} more\n"), "line 3: expected a key id"),
        (format!("a {key}\na {key}\n"), "line 2: this key id stands"),
        (format!("a/b {key}\n"), "line 1: a key id has"),
        ("a AAECAwQFBgc!\n".to_owned(), "line 1: the key is not base64"),
        ("a AAECAwQFBgcICQoLDA0ODw==\n".to_owned(), "line 1: the key does not have 32 bytes"),
        ("# nothing\n".to_owned(), "it has no key"),
        ("x".repeat(300 << 10), "over 256 KiB"),
    ] {
        place.write(&text);
        let error = place.refused();
        assert!(error.contains(says) && error.contains("master.keys"), "{error}");
        assert!(!error.contains("AAECAwQF"), "{error}");
    }
    place.write(&format!("  a\t{key}  \r\n"));
    assert_eq!(Keys::read(&place.file()).unwrap().ids(), ["a"]);
}

#[test]
fn no_output_shows_a_key_or_what_was_sealed() {
    let place = Place::new("debug");
    Keys::init(&place.file()).unwrap();
    let text = std::fs::read_to_string(place.file()).unwrap();
    let key = text.split_whitespace().nth(1).unwrap().to_owned();
    let keys = Keys::read(&place.file()).unwrap();
    let sealed = keys.seal(b"plain words", CONTEXT).unwrap();
    let refused = keys.open(&sealed.key_id, &sealed.bytes, "else").unwrap_err();
    let shown = format!("{keys:?} {sealed:?} {refused:?} {refused}");
    assert!(!shown.contains(&key[..12]) && !shown.contains("plain"), "{shown}");
    assert!(!sealed.bytes.windows(5).any(|w| w == b"plain"));
    assert!(shown.contains(&sealed.key_id), "{shown}");
}

/// One that opens the seals of every run: the format must not change by accident.
#[test]
fn a_seal_of_an_earlier_version_opens() {
    let place = Place::new("earlier");
    place.write("k-old AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let keys = Keys::read(&place.file()).unwrap();
    let bytes: Vec<u8> = EARLIER.as_bytes().chunks(2).map(byte).collect();
    assert_eq!(keys.open("k-old", &bytes, CONTEXT).unwrap(), b"secret");
}

/// Made with another implementation of ChaCha20-Poly1305.
const EARLIER: &str = "6465666768696a6b6c6d6e6f4774d8b8fdd18e4e6f6519d386a5905a106362ca10b2";

fn byte(hex: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn anything_comes_back_and_nothing_changed_does(
        plain in proptest::collection::vec(any::<u8>(), 0..300),
        context in ".{0,40}",
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let keys = one();
        let sealed = keys.seal(&plain, &context).unwrap();
        prop_assert_eq!(&keys.open(&sealed.key_id, &sealed.bytes, &context).unwrap(), &plain);
        let mut changed = sealed.bytes.clone();
        let at = at.index(changed.len());
        changed[at] ^= flip;
        prop_assert!(keys.open(&sealed.key_id, &changed, &context).is_err());
        prop_assert!(keys.open(&sealed.key_id, &sealed.bytes[..at], &context).is_err());
        prop_assert!(keys.open(&sealed.key_id, &sealed.bytes[1..], &context).is_err());
        let mut longer = sealed.bytes.clone();
        longer.push(flip);
        prop_assert!(keys.open(&sealed.key_id, &longer, &context).is_err());
        let other = format!("{context}/");
        prop_assert!(keys.open(&sealed.key_id, &sealed.bytes, &other).is_err());
    }
}

/// The same keys for all cases.
fn one() -> &'static Keys {
    static KEYS: std::sync::OnceLock<Keys> = std::sync::OnceLock::new();
    KEYS.get_or_init(|| keys("cases"))
}
