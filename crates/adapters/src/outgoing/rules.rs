//! What may be called at all, judged by the URL alone: scheme, user name, literal addresses, and
//! the operators' allow-list.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::special;
use super::{Failed, OutgoingError};

/// Hosts that operators named: they may be private and speak plain http.
pub(super) struct AllowList(Vec<(Host<String>, Option<u16>)>);

/// A URL that may be called.
pub(super) struct Checked {
    pub url: Url,
    /// Host and port, for messages.
    pub host: String,
    /// Named by the operators: its addresses are not judged.
    pub allowed: bool,
}

impl AllowList {
    /// Reads entries `host` and `host:port`; IPv6 addresses stand in brackets.
    pub(super) fn parse(entries: &[String]) -> Result<AllowList, OutgoingError> {
        let parse = |entry: &String| {
            parse_entry(entry.trim()).ok_or_else(|| OutgoingError::Allow { entry: entry.clone() })
        };
        entries.iter().map(parse).collect::<Result<_, _>>().map(AllowList)
    }

    pub(super) fn holds(&self, host: &Host<String>, port: u16) -> bool {
        self.0.iter().any(|(name, at)| name == host && at.is_none_or(|at| at == port))
    }
}

fn parse_entry(entry: &str) -> Option<(Host<String>, Option<u16>)> {
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    Some((undotted(Host::parse(host).ok()?), port))
}

/// Judges a URL. Refusals name its host and the rule, never its path: a webhook's path is a
/// secret.
pub(super) fn check(allow: &AllowList, text: &str) -> Result<Checked, Failed> {
    let url = Url::parse(text)
        .map_err(|error| Failed::Refused(format!("the address is not a URL: {error}")))?;
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return refuse("the address has no host: expected https://host/…".to_owned());
    };
    let host = undotted(host.to_owned());
    let named = format!("{host}:{port}");
    if matches!(&host, Host::Domain(name) if name.is_empty()) {
        return refuse("the address has no host: expected https://host/…".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(format!(
            "{named}: a user name or password in an address is refused: configure it as a secret"
        ));
    }
    let allowed = allow.holds(&host, port);
    match url.scheme() {
        "https" => {}
        "http" if allowed => {}
        "http" => {
            return refuse(format!(
                "{named}: plain http is refused: use https, or {}",
                add(&named)
            ));
        }
        other => return refuse(format!("{named}: {other} is refused: use https")),
    }
    match literal(&host).filter(|_| !allowed).and_then(special) {
        Some(what) => refuse(not_public(&named, what)),
        None => Ok(Checked { url, host: named, allowed }),
    }
}

/// The sentence for an address that is not public.
pub(super) fn not_public(host: &str, what: &str) -> String {
    format!("{host}: its address is not public ({what}): {}", add(host))
}

pub(super) fn add(host: &str) -> String {
    format!("add {host} to outgoing.allow if it is meant")
}

fn refuse<T>(reason: String) -> Result<T, Failed> {
    Err(Failed::Refused(reason))
}

pub(super) fn literal(host: &Host<String>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        Host::Domain(_) => None,
    }
}

/// `example.com.` is `example.com`.
pub(super) fn undotted(host: Host<String>) -> Host<String> {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_owned()),
        address => address,
    }
}
