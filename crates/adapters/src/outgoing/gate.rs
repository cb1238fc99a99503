//! The same judgement for connections that are not HTTP: hosts that operators named go through, any
//! other must have a public address at the moment of connecting.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use url::Host;

use super::address::special;
use super::lookup::{Lookup, public};
use super::rules::{self, AllowList};

/// Where other connections than HTTP go.
pub enum Passage {
    Gate(Gate),
    /// Nobody is called: what would be sent is put here.
    Folder(PathBuf),
}

/// Lets a connection through or says why not.
#[derive(Clone)]
pub struct Gate {
    pub(super) allow: Arc<AllowList>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Gate {
    /// Whether operators named this host: it may be private and go without TLS.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        parsed(host).is_some_and(|host| self.allow.holds(&host, port))
    }

    /// What to do where a host is meant all the same.
    pub fn advice(host: &str, port: u16) -> String {
        rules::add(&named(host, port))
    }

    /// Judges what is written, without asking anybody.
    ///
    /// # Errors
    /// A sentence with the host and what is wrong with its address.
    pub fn check(&self, host: &str, port: u16) -> Result<(), String> {
        let Some(parsed) = parsed(host) else {
            return Err(format!("{}: the host cannot be read", named(host, port)));
        };
        match rules::literal(&parsed).filter(|_| !self.allow.holds(&parsed, port)).and_then(special)
        {
            Some(what) => Err(rules::not_public(&named(host, port), what)),
            None => Ok(()),
        }
    }

    /// The addresses that may be connected to, looked up now: connect to these and to no others.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<IpAddr>, String> {
        self.check(host, port)?;
        let found = self.lookup.addresses(host.to_owned()).await;
        let found = found.map_err(|e| format!("no address of {host}: {e}"))?;
        if self.allows(host, port) {
            return Ok(found);
        }
        public(found).map_err(|refused| rules::not_public(&named(host, port), refused.what))
    }
}

fn named(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A host as URLs have it; IPv6 addresses may stand without brackets.
fn parsed(host: &str) -> Option<Host<String>> {
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Host::Ipv4(address),
        Ok(IpAddr::V6(address)) => Host::Ipv6(address),
        Err(_) => Host::parse(host).ok()?,
    };
    Some(rules::undotted(host))
}
