//! A tenant's own relay: what a tenant may say of one, and no more. Nothing of it reaches a file or a
//! private address of the operator's.

use serde::Deserialize;

use super::office::Mailer;
use super::relay::{Limits, Relay, Route, Security, Settled};
use super::{MailError, relay};
use crate::Secret;
use crate::outgoing::{Gate, Outgoing, Passage};

/// A relay as a tenant enters it. Its limits are the usual ones.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRelay {
    /// `smtp://host:587` (STARTTLS required) or `smtps://host:465`; `smtp+plain://` only to hosts
    /// that the operators' `outgoing.allow` names.
    pub url: String,
    /// Login, together with `password`.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// `Name <address>`; the address is the envelope's sender, too.
    pub from: String,
    pub reply_to: Option<String>,
    /// The name said in EHLO.
    pub helo: Option<String>,
}

impl Mailer {
    /// A tenant's relay: reached over TLS, at public addresses only, judged at the moment of
    /// connecting; the exceptions are the operators' (`outgoing.allow`). Where outgoing calls go
    /// into a folder, its letters do.
    ///
    /// # Errors
    /// The first thing wrong, with its field's name and what was expected.
    pub fn of_tenant(of: TenantRelay, outgoing: &Outgoing) -> Result<Mailer, MailError> {
        let relay = Relay {
            url: of.url,
            user: of.user,
            password: of.password,
            from: of.from,
            reply_to: of.reply_to,
            helo: of.helo,
            dkim: None,
            ca_file: None,
            limits: Limits::default(),
        };
        if matches!(relay::route(&relay.url)?, Route::Folder(_)) {
            let problem = "is a folder: expected smtp://host:587 or smtps://host:465";
            return Err(MailError::relay("url", problem));
        }
        let mut settled = relay.settle()?;
        match outgoing.passage() {
            Passage::Gate(gate) => bar(&mut settled, gate)?,
            Passage::Folder(folder) => settled.route = Route::Folder(folder),
        }
        Ok(Mailer::with(relay, settled))
    }
}

fn bar(settled: &mut Settled, gate: Gate) -> Result<(), MailError> {
    if let Route::Server { host, port, security } = &settled.route {
        if *security == Security::Plain && !gate.allows(host, *port) {
            let advice = Gate::advice(host, *port);
            let problem = format!("is without TLS: use smtp:// or smtps://, or {advice}");
            return Err(MailError::relay("url", problem));
        }
        let checked = gate.check(host, *port);
        checked.map_err(|why| MailError::relay("url", format!("is refused: {why}")))?;
    }
    settled.gate = Some(gate);
    Ok(())
}
