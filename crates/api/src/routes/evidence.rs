//! An auditor's package of a month, as a tar.

use std::fs::{DirBuilder, remove_dir_all};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use yakin_domain::evidence::{self, EvidenceError, Month};

use crate::app::{App, to_its_end};
use crate::extract::Named;
use crate::problem::Problem;

/// So many packages are made or sent by a node at a time: each takes room on its disk.
pub const AT_A_TIME: usize = 2;

/// A month's evidence: who ran what, invoices, acts, backups; with digests
///
/// A tar of CSV tables and `MANIFEST.csv`: the digest of each, and the head of the audit's chain, which `yakin audit
/// verify --head` compares with what stands. `yakin evidence` writes the same into a folder, also for
/// a month that takes longer than an answer may. A node makes two packages at a time.
#[utoipa::path(get, path = "/admin/batch/evidence/{month}", tag = "evidence",
    params(("month" = String, Path, description = "a Tokyo month", example = "2026-10")),
    responses((status = 200, description = "the package", body = String, content_type = "application/x-tar",
               headers(("Content-Disposition" = String, description = "attachment, with its name"))),
              (status = 429, description = "too many calls, or two packages are under way; `Retry-After` says how long to wait",
               body = Problem, content_type = "application/problem+json",
               headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn month(
    State(app): State<App>,
    Named(month): Named<String>,
) -> Result<Response, Problem> {
    let month = month.parse::<Month>().map_err(Problem::not_found)?;
    let room = app.packages.clone().try_acquire_owned().map_err(|_| {
        Problem::busy("two packages are under way on this node, which makes no third")
    })?;
    let folder = Folder::new().map_err(|error| {
        tracing::error!(%error, "no folder for a package of evidence");
        Problem::unavailable("this node has no room for temporary files; its log says why")
    })?;
    let (pool, now) = (app.engine.pool.clone(), app.engine.clock.now());
    let longest = app.settings.longest_reading;
    let made = to_its_end(async move {
        let package = evidence::write(&pool, month, &folder.0, Some(longest)).await?;
        // its files are open: they go when they have been sent, or nobody wants them any more
        let pieces = evidence::archive(&package, month, &folder.0, now).await?;
        Ok::<_, EvidenceError>((pieces, room))
    });
    let (pieces, room) = made.await??;
    let pieces = pieces.map(move |piece| {
        let _ = &room;
        piece.inspect_err(|error| tracing::error!(%error, "a package of evidence broke off"))
    });
    let named = format!("attachment; filename=\"{}.tar\"", month.package());
    let named = HeaderValue::try_from(named).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (header::CONTENT_DISPOSITION, named),
    ];
    Ok((headers, axum::body::Body::from_stream(pieces)).into_response())
}

impl From<EvidenceError> for Problem {
    fn from(error: EvidenceError) -> Problem {
        match error {
            EvidenceError::Engine(error) => error.into(),
            error => {
                tracing::error!(%error, "a package of evidence could not be made");
                Problem::unavailable("the package could not be written; the node's log says why")
            }
        }
    }
}

/// A temporary folder that nobody else may enter; it goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("yakin-evidence-{}-{n}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Folder(path)),
                // of an earlier process of the same number
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_all(&self.0) {
            tracing::error!(%error, folder = %self.0.display(), "a temporary folder stays");
        }
    }
}
