//! What a node needs to reach recipients: its relays, guarded HTTP, the tenants' credentials, files and templates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use yakin_adapters::keys::Keys;
use yakin_adapters::mail::Mailer;
use yakin_adapters::outgoing::Outgoing;
use yakin_adapters::storage::Storage;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::Attempt;

use super::senders::Client;
use super::templates::Templates;

/// A relay of the operator's.
#[derive(Debug)]
pub struct PlatformRelay {
    /// Its name in the configuration.
    pub name: String,
    pub rate_per_minute: i64,
    pub mailer: Arc<Mailer>,
}

/// Everything outside, as configured; given to batches by `engine.provide`.
pub struct Outside {
    pub outgoing: Outgoing,
    /// Opens the tenants' credentials; without keys no tenant's integration can be used.
    pub keys: Option<Keys>,
    /// The operator's relays, in the order they are tried.
    pub relays: Vec<PlatformRelay>,
    pub storage: Option<Arc<Storage>>,
    pub templates: Templates,
    /// Where operators are told by mail of what tenants did not get.
    pub operations: Option<String>,
    clients: Mutex<HashMap<(i64, i64), Known>>,
}

/// A tenant's client, kept with the credentials it was made of: tokens and connections live on between runs.
#[derive(Debug)]
struct Known {
    credentials: Vec<u8>,
    client: Client,
}

/// How many tenants' clients are kept at the most.
const CLIENTS: usize = 2_000;

impl Outside {
    /// An outside with guarded HTTP and templates alone; the rest is set where it is configured.
    pub fn new(outgoing: Outgoing, templates: Templates) -> Outside {
        Outside {
            outgoing,
            keys: None,
            relays: Vec::new(),
            storage: None,
            templates,
            operations: None,
            clients: Mutex::default(),
        }
    }

    /// The outside that this node was given.
    pub fn of(run: &Attempt) -> Result<Arc<Outside>, Stop> {
        run.resource()
            .ok_or_else(|| Stop::give_up(Cause::Data, "this node has no way to recipients"))
    }

    /// The client made of exactly these (sealed) credentials, if it is known.
    pub(super) fn client(&self, of: (i64, i64), credentials: &[u8]) -> Option<Client> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(&of).filter(|k| k.credentials == credentials).map(|k| k.client.clone())
    }

    pub(super) fn keep(&self, of: (i64, i64), credentials: Vec<u8>, client: Client) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(of, Known { credentials, client });
    }
}
