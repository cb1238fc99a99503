//! From a relay's name to a line that may carry letters: address, TLS, EHLO, login.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Auth, Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Line, Offers, is_done, limited, too_slow};
use crate::Answer;
use crate::mail::relay::{Relay, Security};
use crate::mail::verdict::{Fault, Step, answer};
use crate::mail::wire::Wire;
use crate::outgoing::Gate;

/// Steps of one login; LOGIN takes two.
const MOST_CHALLENGES: usize = 3;

/// Where and how a relay is reached.
pub(in crate::mail) struct Target<'a> {
    pub host: &'a str,
    pub port: u16,
    pub security: Security,
    pub tls: Option<&'a TlsConnector>,
    /// Says which addresses may be connected to; without it, all.
    pub gate: Option<&'a Gate>,
    pub relay: &'a Relay,
}

impl Line {
    /// Connects, and does all that must come before the first letter.
    ///
    /// # Errors
    /// `Unreachable`, `Auth`, `Temporary` or `Throttled`; nothing of any letter was handed over.
    pub async fn open(target: Target<'_>) -> Result<Line, Answer> {
        let most = target.relay.limits.session;
        match timeout(most, open(target)).await {
            Ok(opened) => opened.map_err(|(step, fault)| answer(step, fault)),
            Err(_) => Err(answer(Step::Connect, too_slow("a session", most))),
        }
    }

    async fn hello(&mut self) -> Result<(), Fault> {
        let response = self.say(Ehlo::new(self.hello.clone())).await?;
        self.offers = Offers::of(&response);
        Ok(())
    }

    async fn secure(&mut self, target: &Target<'_>) -> Result<(), Fault> {
        if !self.offers.starttls {
            let why = "the relay does not offer STARTTLS, without which nothing is sent: use \
                       smtps://, or smtp+plain:// if it may go readable for all";
            return Err(Fault::Lost(why.to_owned()));
        }
        self.say(Starttls).await?;
        handshake(&self.wire, target, self.limits.command).await
    }

    async fn log_in(&mut self, relay: &Relay) -> Result<(), Fault> {
        let (Some(user), Some(password)) = (&relay.user, &relay.password) else { return Ok(()) };
        let mechanism = match (self.offers.plain, self.offers.login) {
            (true, _) => Mechanism::Plain,
            (false, true) => Mechanism::Login,
            (false, false) => return Err(Fault::NoLogin),
        };
        let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
        let heard = self.answer_challenges(mechanism, &credentials).await;
        heard.map_err(|fault| without_secret(fault, user, password.reveal()))
    }

    async fn answer_challenges(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
    ) -> Result<(), Fault> {
        let mut command = Auth::new(mechanism, credentials.clone(), None)?;
        for _ in 0..MOST_CHALLENGES {
            let response = self.ask(command).await?;
            if !response.has_code(334) {
                return if is_done(&response) { Ok(()) } else { Err(Fault::unexpected(&response)) };
            }
            command = Auth::new_from_response(mechanism, credentials.clone(), &response)?;
        }
        Err(Fault::Lost("the relay asked too often during the login".to_owned()))
    }
}

async fn open(target: Target<'_>) -> Result<Line, (Step, Fault)> {
    let at = |step: Step| move |fault: Fault| (step, fault);
    let limits = target.relay.limits.clone();
    let reached = limited("a connection", limits.connect, async {
        let tcp = reach(&target, limits.connect).await?;
        let own = tcp.local_addr().map_err(|e| Fault::Lost(e.to_string()))?;
        let wire = Wire::new(tcp).map_err(|e| Fault::Lost(e.to_string()))?;
        if target.security == Security::Tls {
            handshake(&wire, &target, limits.connect).await?;
        }
        Ok::<_, Fault>((own, wire))
    });
    let (own, wire) = reached.await.map_err(at(Step::Connect))?;
    let hello = match (&target.relay.helo, own.ip()) {
        (Some(name), _) => ClientId::Domain(name.clone()),
        (None, IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        (None, IpAddr::V6(ip)) => ClientId::Ipv6(ip),
    };
    let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &hello);
    let greeted = limited("a greeting", limits.command, greeted).await;
    let smtp = greeted.map_err(at(Step::Connect))?;
    let offers = Offers::default();
    let mut line = Line { smtp, wire, hello, offers, limits, begun: false };
    line.hello().await.map_err(at(Step::Hello))?;
    if target.security == Security::StartTls {
        line.secure(&target).await.map_err(at(Step::StartTls))?;
        // what was offered in clear may have been anybody's
        line.hello().await.map_err(at(Step::Hello))?;
    }
    line.log_in(target.relay).await.map_err(at(Step::Login))?;
    Ok(line)
}

/// Tries the host's addresses in turn; each gets an equal share of the time that is left.
async fn reach(target: &Target<'_>, most: Duration) -> Result<TcpStream, Fault> {
    let (host, port) = (target.host, target.port);
    let end = Instant::now() + most;
    let found = addresses(target).await?;
    let mut why = format!("no address of {host}");
    for (tried, address) in found.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // commands are small and each waits for its answer
                tcp.set_nodelay(true).map_err(|e| Fault::Lost(e.to_string()))?;
                return Ok(tcp);
            }
            Ok(Err(e)) => why = format!("{host}:{port}: {e}"),
            Err(_) => why = format!("{host}:{port}: no connection in {share:.1?}"),
        }
    }
    Err(Fault::Lost(why))
}

/// What is connected to is what was judged: a name is looked up once.
async fn addresses(target: &Target<'_>) -> Result<Vec<SocketAddr>, Fault> {
    let (host, port) = (target.host, target.port);
    if let Some(gate) = target.gate {
        let found = gate.addresses(host, port).await.map_err(Fault::Lost)?;
        return Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect());
    }
    let found = lookup_host((host, port)).await;
    Ok(found.map_err(|e| Fault::Lost(format!("no address of {host}: {e}")))?.collect())
}

async fn handshake(wire: &Wire, target: &Target<'_>, most: Duration) -> Result<(), Fault> {
    let name = ServerName::try_from(target.host.to_owned())
        .map_err(|_| Fault::Lost(format!("{} cannot stand in a certificate", target.host)))?;
    let tls = target.tls.ok_or_else(|| Fault::Lost("TLS is not set up".to_owned()))?;
    match timeout(most, wire.secure(tls, name)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(Fault::Lost(format!("no TLS with {}: {e}", target.host))),
        Err(_) => Err(too_slow("a TLS handshake", most)),
    }
}

/// Some relays repeat what they refuse.
fn without_secret(fault: Fault, user: &str, password: &str) -> Fault {
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    let encoded = STANDARD.encode(password);
    let hide = |text: String| {
        [plain.as_str(), encoded.as_str(), password]
            .iter()
            .fold(text, |text, secret| text.replace(secret, "…"))
    };
    match fault {
        Fault::Refused { code, text } => Fault::Refused { code, text: hide(text) },
        Fault::Lost(why) => Fault::Lost(hide(why)),
        Fault::NoLogin | Fault::Senseless => fault,
    }
}
