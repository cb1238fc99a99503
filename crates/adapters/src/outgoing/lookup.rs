//! Names become addresses here and nowhere else: what is dropped here cannot be connected to, so
//! no name can be one address when it is judged and another when it is called.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::special;

/// Asks for a host's addresses.
pub trait Lookup: Send + Sync {
    /// All addresses of a host, public or not.
    fn addresses(&self, host: String) -> Found;
}

/// What [`Lookup`] answers.
pub type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// The machine's own resolver.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: String) -> Found {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// No address of the host is public.
#[derive(Debug)]
pub(super) struct NotPublic {
    pub what: &'static str,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no public address ({})", self.what)
    }
}

impl std::error::Error for NotPublic {}

/// Hands addresses to the HTTP client; the public ones only, unless `open`.
pub(super) struct Guard {
    pub lookup: Arc<dyn Lookup>,
    pub open: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, open) = (self.lookup.addresses(name.as_str().to_owned()), self.open);
        Box::pin(async move {
            let found = looking.await?;
            let kept = if open { found } else { public(found)? };
            // port 0: the client puts the URL's in its place
            let kept = kept.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(kept) as Addrs)
        })
    }
}

/// The public ones of these addresses; an error when there are others only.
pub(super) fn public(found: Vec<IpAddr>) -> Result<Vec<IpAddr>, NotPublic> {
    let mut refused = None;
    let mut keep = |address: &IpAddr| match special(*address) {
        None => true,
        Some(what) => {
            refused = Some(what);
            false
        }
    };
    let kept: Vec<IpAddr> = found.into_iter().filter(|address| keep(address)).collect();
    match refused {
        Some(what) if kept.is_empty() => Err(NotPublic { what }),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_of_a_mixed_answer_are_kept() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mixed = vec![address("10.0.0.1"), address("8.8.8.8"), address("::1")];
        assert_eq!(public(mixed).unwrap(), [address("8.8.8.8")]);
        assert_eq!(public(vec![address("127.0.0.1")]).unwrap_err().what, "loopback");
        assert_eq!(public(vec![]).unwrap(), Vec::<IpAddr>::new());
    }
}
