//! DKIM signatures, verified from the letter's bytes as a receiver would.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, SigningKey, Verifier};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::sha2::{Digest, Sha256};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use yakin_adapters::mail::{Attachment, Dkim, Mail, Mailer, Relay};

use super::{Ground, mail};

fn mailer(key_file: PathBuf) -> Mailer {
    let mut relay = Relay::new("smtp+plain://localhost", "夜勤 <night@sender.example>");
    let (selector, domain) = ("s2026".to_owned(), "sender.example".to_owned());
    relay.dkim = Some(Dkim { selector, domain, key_file });
    Mailer::new(relay).unwrap()
}

fn mails() -> Vec<Mail> {
    let plain = mail("d-1", "sato@tenant.example");
    let mut full = plain.clone();
    full.html = Some("<p>請求書</p>".to_owned());
    full.attachments = vec![Attachment {
        name: "請求書.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        bytes: vec![0; 300],
    }];
    let mut dots = plain.clone();
    ".\n  two  spaces \n\n\n".clone_into(&mut dots.text);
    vec![plain, full, dots]
}

/// A letter taken apart: the digest that was signed, and the signature. Fails where the body's
/// digest differs.
fn taken_apart(letter: &str, algorithm: &str) -> (Vec<u8>, Vec<u8>) {
    let (head, body) = letter.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let relaxed = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        let words = value.split([' ', '\t']).filter(|w| !w.is_empty()).collect::<Vec<_>>();
        format!("{}:{}", name.trim().to_lowercase(), words.join(" "))
    };
    let headers: Vec<String> = unfolded.split("\r\n").map(relaxed).collect();
    let signature = headers.iter().find(|h| h.starts_with("dkim-signature:")).unwrap();
    let tag = |name: &str| {
        let tags = signature.split_once(':').unwrap().1.split(';').map(str::trim);
        let found = tags.filter_map(|t| t.split_once('=')).find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("no {name} in {signature}")).1.replace(' ', "")
    };
    assert_eq!((tag("a"), tag("c")), (format!("{algorithm}-sha256"), "relaxed/relaxed".to_owned()));
    assert_eq!((tag("d"), tag("s")), ("sender.example".to_owned(), "s2026".to_owned()));

    let lines: Vec<String> = body
        .split("\r\n")
        .map(|line| {
            let squeezed = line.split([' ', '\t']).enumerate();
            let words: Vec<&str> =
                squeezed.filter(|(n, w)| *n == 0 || !w.is_empty()).map(|(_, w)| w).collect();
            words.join(" ").trim_end().to_owned()
        })
        .collect();
    let end = lines.iter().rposition(|l| !l.is_empty()).map_or(0, |n| n + 1);
    let relaxed_body: String = lines[..end].iter().map(|l| format!("{l}\r\n")).collect();
    assert_eq!(tag("bh"), STANDARD.encode(Sha256::digest(relaxed_body)));

    let mut signed = String::new();
    for name in tag("h").split(':') {
        if let Some(header) = headers.iter().rfind(|h| h.starts_with(&format!("{name}:"))) {
            signed += &format!("{header}\r\n");
        }
    }
    for name in ["from", "to", "subject", "date", "message-id"] {
        assert!(signed.contains(&format!("{name}:")), "{name} is not signed");
    }
    let (before, _) = signature.split_once("; b=").unwrap();
    signed += &format!("{before}; b=");
    (Sha256::digest(signed).to_vec(), STANDARD.decode(tag("b")).unwrap())
}

#[test]
fn letters_are_signed_with_ed25519() {
    let ground = Ground::new();
    let seed = [42; 32];
    let der =
        [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed]
            .concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    let mailer = mailer(ground.file("ed.key", &pem));
    let key = SigningKey::from_bytes(&seed).verifying_key();
    for mail in mails() {
        let letter = mailer.compose(&mail).unwrap();
        let letter = String::from_utf8(letter.bytes().to_vec()).unwrap();
        let (digest, signature) = taken_apart(&letter, "ed25519");
        key.verify(&digest, &Signature::from_slice(&signature).unwrap()).unwrap();
        let changed = letter.replace("sato@", "kato@");
        let (digest, signature) = taken_apart(&changed, "ed25519");
        assert!(key.verify(&digest, &Signature::from_slice(&signature).unwrap()).is_err());
    }
}

#[test]
fn letters_are_signed_with_rsa_in_both_forms_of_its_key() {
    let ground = Ground::new();
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
    let new = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let old = key.to_pkcs1_pem(LineEnding::LF).unwrap();
    for pem in [new, old] {
        let mailer = mailer(ground.file("rsa.key", &pem));
        for mail in mails() {
            let letter = mailer.compose(&mail).unwrap();
            let letter = String::from_utf8(letter.bytes().to_vec()).unwrap();
            let (digest, signature) = taken_apart(&letter, "rsa");
            let scheme = Pkcs1v15Sign::new::<Sha256>();
            key.to_public_key().verify(scheme, &digest, &signature).unwrap();
        }
    }
}
