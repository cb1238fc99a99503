//! Whom a relay's certificate must be vouched for by: the system's roots, or those of a file alone.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::MailError;

pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, MailError> {
    let roots = match ca_file {
        Some(path) => from_file(path)?,
        None => from_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| MailError::relay("tls", format!("cannot be set up: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn from_file(path: &Path) -> Result<RootCertStore, MailError> {
    let shown = path.display();
    let wrong = |why: String| MailError::relay("ca_file", format!("{shown} {why}"));
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path);
    for found in found.map_err(|e| wrong(format!("cannot be read: {e}")))? {
        let certificate = found.map_err(|e| wrong(format!("cannot be read: {e}")))?;
        roots.add(certificate).map_err(|e| wrong(format!("holds no usable certificate: {e}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate: expected PEM".to_owned()));
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, MailError> {
    let mut roots = RootCertStore::empty();
    // a broken one among the system's certificates is the system's matter
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let problem = "cannot be proved: the system has no root certificates (Debian: package \
                       ca-certificates); install them, or name a ca_file";
        return Err(MailError::relay("certificate", problem));
    }
    Ok(roots)
}
