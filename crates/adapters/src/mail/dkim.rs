//! Keys for DKIM as tools write them today, turned into the forms the signing code reads.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;
use pkcs8::der::pem::LineEnding;
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::{PrivateKeyInfo, SecretDocument};

use super::relay::Dkim;
use super::{MailError, checks};

/// Signed where present: what a reader sees and what tells letters apart.
const SIGNED: &[&str] =
    &["From", "Reply-To", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"];
const RSA: &str = "1.2.840.113549.1.1.1";
const ED25519: &str = "1.3.101.112";
/// A private key's file in bytes.
const LARGEST_FILE: u64 = 64 * 1024;

pub(super) fn load(dkim: &Dkim) -> Result<DkimConfig, MailError> {
    checks::host(&dkim.selector).map_err(|p| MailError::relay("dkim.selector", p))?;
    checks::host(&dkim.domain).map_err(|p| MailError::relay("dkim.domain", p))?;
    let shown = dkim.key_file.display();
    let wrong = |problem: String| MailError::relay("dkim.key_file", format!("{shown} {problem}"));
    let size = fs::metadata(&dkim.key_file).map(|m| m.len());
    match size {
        Ok(size) if size > LARGEST_FILE => return Err(wrong("is no key: too large".to_owned())),
        Ok(_) => {}
        Err(e) => return Err(wrong(format!("cannot be read: {e}"))),
    }
    let pem = fs::read_to_string(&dkim.key_file).map(Zeroizing::new);
    let pem = pem.map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let key = signing_key(&pem).map_err(wrong)?;
    let canonicalization = DkimCanonicalization {
        header: DkimCanonicalizationType::Relaxed,
        body: DkimCanonicalizationType::Relaxed,
    };
    let headers = SIGNED.iter().map(|name| HeaderName::new_from_ascii_str(name)).collect();
    Ok(DkimConfig::new(dkim.selector.clone(), dkim.domain.clone(), key, headers, canonicalization))
}

fn signing_key(pem: &str) -> Result<DkimSigningKey, String> {
    let unknown = || {
        "holds no key that can sign: expected PEM of RSA or Ed25519, as written by \
         `openssl genpkey -algorithm ed25519` or `openssl genrsa 2048`"
            .to_owned()
    };
    if pem.contains("BEGIN RSA PRIVATE KEY") {
        let key = DkimSigningKey::new(pem, DkimSigningAlgorithm::Rsa);
        return key.map_err(|_| "holds an RSA key that cannot be read".to_owned());
    }
    let (label, document) = SecretDocument::from_pem(pem).map_err(|_| unknown())?;
    if label != "PRIVATE KEY" {
        return Err(format!("holds a {label}: expected a PRIVATE KEY without a passphrase"));
    }
    let info = PrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| unknown())?;
    match info.algorithm.oid.to_string().as_str() {
        RSA => {
            let inner = SecretDocument::try_from(info.private_key).map_err(|_| unknown())?;
            let pem = inner.to_pem("RSA PRIVATE KEY", LineEnding::LF).map_err(|_| unknown())?;
            DkimSigningKey::new(&pem, DkimSigningAlgorithm::Rsa).map_err(|_| unknown())
        }
        ED25519 => {
            // an octet string of 32 bytes within the octet string (RFC 8410 §7)
            let seed = info.private_key.strip_prefix(&[4, 32]).ok_or_else(unknown)?;
            let text = Zeroizing::new(STANDARD.encode(seed));
            DkimSigningKey::new(&text, DkimSigningAlgorithm::Ed25519).map_err(|_| unknown())
        }
        other => Err(format!("holds a key of kind {other}: expected RSA or Ed25519")),
    }
}
