//! Keys such as `tenant/aoba/invoices/2026-10/INV-202610-aoba-0001.pdf`.

use object_store::path::Path;

use super::StorageError;

const MOST_BYTES: usize = 512;
/// A file name may have 255 bytes; a file being written has a few more behind it.
const MOST_SEGMENT_BYTES: usize = 240;
/// Signs that one of the stores would write in another way, so that a key would not come back.
const UNFIT: &[char] =
    &['\\', '%', '#', '?', '*', '~', '`', '^', '"', '|', '<', '>', '[', ']', '{', '}'];
/// What the storage keeps for itself.
const OWN: &str = ".yakin-";

/// A caller's key as a path of the store.
pub fn path(key: &str) -> Result<Path, StorageError> {
    if key.starts_with(OWN) {
        return Err(refused(key, "names beginning with '.yakin-' are the storage's own"));
    }
    own(key)
}

/// Any key as a path, the storage's own included.
pub fn own(key: &str) -> Result<Path, StorageError> {
    let fault = if key.is_empty() {
        "it is empty"
    } else if key.len() > MOST_BYTES {
        "it has over 512 bytes"
    } else if key.starts_with('/') {
        "it begins with '/'"
    } else if key.split('/').any(|s| s.is_empty() || s == "." || s == "..") {
        "a part of it is empty, '.' or '..'"
    } else if key.split('/').any(|s| s.len() > MOST_SEGMENT_BYTES) {
        "a part of it has over 240 bytes"
    } else if key.contains(|c: char| c.is_control() || UNFIT.contains(&c)) {
        "it has a control character or one of \\ % # ? * ~ ` ^ \" | < > [ ] { }"
    } else {
        return Path::parse(key).map_err(|e| refused(key, &e.to_string()));
    };
    Err(refused(key, fault))
}

fn refused(key: &str, reason: &str) -> StorageError {
    let shown: String = key.escape_debug().take(80).collect();
    StorageError::Refused { key: shown, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_keys_come_back_as_they_were() {
        for key in [
            "a",
            "tenant/aoba-joho/invoices/2026-10/INV-202610-aoba-joho-0001.pdf",
            "tenant/青葉/帳票 10月.pdf",
            "a/.hidden/..b/c.",
            "a=b,c;d:e@f!g'(h)&i+j$k",
        ] {
            assert_eq!(path(key).expect(key).as_ref(), key);
        }
    }

    #[test]
    fn bad_keys_are_refused_with_a_reason() {
        let long = format!("{}/b", "あ".repeat(81));
        let longer = "ab/".repeat(171) + "c";
        for (key, says) in [
            ("", "empty"),
            ("/etc/passwd", "begins with '/'"),
            ("a//b", "is empty"),
            ("a/", "is empty"),
            ("a/./b", "'.'"),
            ("..", "'..'"),
            ("a/../../b", "'..'"),
            ("a\\b", "one of \\"),
            ("a\nb", "control character"),
            ("a\0b", "control character"),
            ("a#1", "one of"),
            ("a%2F..", "one of"),
            (".yakin-store", "own"),
            (long.as_str(), "240 bytes"),
            (longer.as_str(), "512 bytes"),
        ] {
            let error = path(key).expect_err(key);
            let StorageError::Refused { reason, .. } = &error else { panic!("{error}") };
            assert!(reason.contains(says), "{key}: {reason}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
