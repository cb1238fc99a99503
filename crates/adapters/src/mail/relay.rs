//! A relay as configured, and its check: what cannot work is said at the start, not at the first
//! letter.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::dkim::DkimConfig;
use serde::{Deserialize, Deserializer};
use tokio_rustls::TlsConnector;

use super::{MailError, checks, dkim, tls};
use crate::Secret;
use crate::outgoing::Gate;

/// A mail relay.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// `smtp://host:587` (STARTTLS required), `smtps://host:465` (TLS from the first byte),
    /// `smtp+plain://host:25` (no TLS), or `file:///folder` (writes `.eml` files and sends
    /// nothing).
    pub url: String,
    /// Login, together with `password`; neither for a relay that asks for none.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// `Name <address>`; the address is the envelope's sender, too.
    pub from: String,
    pub reply_to: Option<String>,
    /// The name said in EHLO; without it the address this side of the connection.
    pub helo: Option<String>,
    pub dkim: Option<Dkim>,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub limits: Limits,
}

/// How letters are signed (RFC 6376, RFC 8463).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    pub selector: String,
    pub domain: String,
    /// A private key in PEM: RSA (PKCS#1 or PKCS#8) or Ed25519 (PKCS#8).
    pub key_file: PathBuf,
}

/// Bounds of what a relay may take; written in seconds and bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Name, connection and, with `smtps`, the TLS handshake.
    #[serde(rename = "connect_seconds", deserialize_with = "seconds")]
    pub connect: Duration,
    /// Each command and its answer.
    #[serde(rename = "command_seconds", deserialize_with = "seconds")]
    pub command: Duration,
    /// A letter's bytes and the answer to them.
    #[serde(rename = "body_seconds", deserialize_with = "seconds")]
    pub body: Duration,
    /// Everything before a session may carry letters, from the name to the login.
    #[serde(rename = "session_seconds", deserialize_with = "seconds")]
    pub session: Duration,
    /// How long an unused session is kept; shorter than the relay keeps it.
    #[serde(rename = "idle_seconds", deserialize_with = "seconds")]
    pub idle: Duration,
    /// All attachments of a mail together, before encoding.
    pub attachment_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(60),
            body: Duration::from_secs(120),
            session: Duration::from_secs(120),
            idle: Duration::from_secs(25),
            attachment_bytes: 10 * 1024 * 1024,
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Ok(Duration::from_secs(u64::from(u32::deserialize(from)?)))
}

/// How the relay is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Server { host: String, port: u16, security: Security },
    Folder(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    StartTls,
    Tls,
    Plain,
}

/// What a relay's configuration amounts to, read once.
pub(super) struct Settled {
    pub route: Route,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub dkim: Option<DkimConfig>,
    pub tls: Option<TlsConnector>,
    /// Judges the addresses of a relay that is not the operator's own.
    pub gate: Option<Gate>,
}

impl Relay {
    /// A relay without login, signature or certificates of its own.
    pub fn new(url: impl Into<String>, from: impl Into<String>) -> Relay {
        Relay {
            url: url.into(),
            user: None,
            password: None,
            from: from.into(),
            reply_to: None,
            helo: None,
            dkim: None,
            ca_file: None,
            limits: Limits::default(),
        }
    }

    /// Whether it could be used: address forms, files that can be read, a login that would not be
    /// overheard. Asks nobody.
    ///
    /// # Errors
    /// The first thing wrong, with its field's name and what was expected.
    pub fn check(&self) -> Result<(), MailError> {
        self.settle().map(|_| ())
    }

    pub(super) fn settle(&self) -> Result<Settled, MailError> {
        let route = route(&self.url)?;
        let from = checks::mailbox(&self.from)
            .and_then(|from| checks::ascii(&from.email).map(|()| from))
            .map_err(|problem| MailError::relay("from", problem))?;
        let reply_to = self.reply_to.as_deref().map(checks::mailbox).transpose();
        let reply_to = reply_to.map_err(|problem| MailError::relay("reply_to", problem))?;
        if let Some(name) = &self.helo {
            checks::host(name).map_err(|problem| MailError::relay("helo", problem))?;
        }
        self.check_login(&route)?;
        self.check_limits()?;
        let tls = match &route {
            Route::Server { security: Security::StartTls | Security::Tls, .. } => {
                Some(tls::connector(self.ca_file.as_deref())?)
            }
            _ if self.ca_file.is_some() => {
                let problem = "is of no use without TLS: leave it out, or use smtp:// or smtps://";
                return Err(MailError::relay("ca_file", problem));
            }
            _ => None,
        };
        let dkim = self.dkim.as_ref().map(dkim::load).transpose()?;
        Ok(Settled { route, from, reply_to, dkim, tls, gate: None })
    }

    fn check_login(&self, route: &Route) -> Result<(), MailError> {
        match (&self.user, &self.password) {
            (None, None) => return Ok(()),
            (Some(_), None) => return Err(MailError::relay("password", "is missing beside user")),
            (None, Some(_)) => return Err(MailError::relay("user", "is missing beside password")),
            (Some(user), Some(password)) => {
                let empty = user.is_empty() || password.reveal().is_empty();
                if empty || user.contains('\0') || password.reveal().contains('\0') {
                    return Err(MailError::relay("user or password", "is empty or holds a NUL"));
                }
            }
        }
        match route {
            Route::Server { host, security: Security::Plain, .. } if !is_this_machine(host) => {
                let problem =
                    "would be sent readable for all: use smtp:// or smtps://, or no login";
                Err(MailError::relay("password", problem))
            }
            _ => Ok(()),
        }
    }

    fn check_limits(&self) -> Result<(), MailError> {
        let l = &self.limits;
        if [l.connect, l.command, l.body, l.session, l.idle].contains(&Duration::ZERO) {
            return Err(MailError::relay("limits", "hold a 0: every wait needs at least a second"));
        }
        Ok(())
    }
}

impl fmt::Debug for Relay {
    /// The URL without what stands before an `@`: a password put there by mistake stays hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.rsplit_once('@').map_or(self.url.as_str(), |(_, rest)| rest);
        f.debug_struct("Relay").field("url", &url).field("from", &self.from).finish_non_exhaustive()
    }
}

/// Parses the URL; errors never show it where it holds a login.
pub(super) fn route(url: &str) -> Result<Route, MailError> {
    let wrong = |problem: &str| Err(MailError::relay("url", problem));
    if url.contains('@') {
        return wrong("holds an @: a login belongs into user and password");
    }
    if let Some(folder) = url.strip_prefix("file://") {
        let folder = PathBuf::from(folder);
        let climbs = folder.components().any(|c| c == std::path::Component::ParentDir);
        if !folder.is_absolute() || climbs || url.chars().any(char::is_control) {
            return wrong("is not a folder: expected file:///an/absolute/folder without ..");
        }
        return Ok(Route::Folder(folder));
    }
    let kinds = [
        ("smtp://", Security::StartTls, 587),
        ("smtps://", Security::Tls, 465),
        ("smtp+plain://", Security::Plain, 25),
    ];
    let Some((rest, security, usual)) =
        kinds.iter().find_map(|(s, k, port)| url.strip_prefix(s).map(|rest| (rest, *k, *port)))
    else {
        return wrong(
            "is of an unknown kind: expected smtp://host:587, smtps://host:465, \
             smtp+plain://host:25 or file:///folder",
        );
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) if port != 0 => (host, port),
            _ => return wrong("has no port behind the colon: expected 1 to 65535"),
        },
        _ => (rest, usual),
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare {
        Some(v6) if v6.parse::<IpAddr>().is_err() => return wrong("has no IPv6 address in []"),
        None if checks::host(host).is_err() || host.contains(':') => {
            return wrong("has no host: expected a name or an address behind //");
        }
        _ => {}
    }
    Ok(Route::Server { host: bare.unwrap_or(host).to_owned(), port, security })
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
