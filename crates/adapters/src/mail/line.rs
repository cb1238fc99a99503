//! One connection to a relay and the commands of a letter on it, each within its time.

mod connect;

use std::fmt::Display;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

pub(super) use connect::Target;

use super::compose::Letter;
use super::relay::Limits;
use super::verdict::{Fault, Step};
use super::wire::Wire;
use crate::Answer;

/// Written at once while a letter goes out, in bytes.
const CHUNK: usize = 64 * 1024;

/// A connection that has said EHLO, and whatever else the relay's configuration asks for.
pub(super) struct Line {
    smtp: AsyncSmtpConnection,
    wire: Wire,
    hello: ClientId,
    offers: Offers,
    limits: Limits,
    /// A letter was begun and not ended: RSET comes before the next.
    begun: bool,
}

/// What the relay said it can do.
#[derive(Debug, Default)]
struct Offers {
    starttls: bool,
    size: Option<u64>,
    eight_bit: bool,
    utf8: bool,
    plain: bool,
    login: bool,
}

impl Offers {
    fn of(response: &Response) -> Offers {
        let mut offers = Offers::default();
        for line in response.message().skip(1) {
            let upper = line.to_ascii_uppercase();
            let mut words = upper.split([' ', '=']).filter(|w| !w.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                // 0 is no limit (RFC 1870 §4)
                Some("SIZE") => {
                    offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("AUTH") => {
                    for mechanism in words {
                        offers.plain |= mechanism == "PLAIN";
                        offers.login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

impl Line {
    /// Refuses a letter that the relay has said it would not take.
    pub fn fits(&self, letter: &Letter) -> Result<(), Answer> {
        let bytes = letter.bytes.len() as u64;
        if let Some(most) = self.offers.size.filter(|most| *most > 0 && bytes > *most) {
            let reason = format!("too large: the letter has {bytes} bytes, the relay takes {most}");
            return Err(Answer::Permanent { reason });
        }
        let to = &letter.recipient;
        let takes_utf8 = self.offers.utf8 && self.offers.eight_bit;
        if !to.to_string().is_ascii() && !takes_utf8 {
            let reason = format!("{to} is not ASCII, and the relay does not offer SMTPUTF8");
            return Err(Answer::Permanent { reason });
        }
        Ok(())
    }

    /// RSET where a letter was left open, then MAIL.
    pub async fn begin(&mut self, letter: &Letter) -> Result<(), Fault> {
        if self.begun {
            // whatever it says instead is no verdict on the next letter
            let unfit =
                |fault| Fault::Lost(format!("RSET did not end the letter before: {fault:?}"));
            self.say(Rset).await.map_err(unfit)?;
        }
        let mut parameters = Vec::new();
        if self.offers.size.is_some() {
            parameters.push(MailParameter::Size(letter.bytes.len()));
        }
        if !letter.recipient.to_string().is_ascii() {
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.begun = true;
        self.say(Mail::new(Some(letter.sender.clone()), parameters)).await.map(|_| ())
    }

    pub async fn recipient(&mut self, letter: &Letter) -> Result<(), Fault> {
        self.say(Rcpt::new(letter.recipient.clone(), Vec::new())).await.map(|_| ())
    }

    pub async fn data(&mut self) -> Result<(), Fault> {
        let response = self.ask(Data).await?;
        if response.has_code(354) { Ok(()) } else { Err(Fault::unexpected(&response)) }
    }

    /// The letter and the relay's answer to it. A fault comes with how far it went: before the
    /// ending dot began to be written nothing can have been taken.
    pub async fn letter(&mut self, bytes: &[u8]) -> Result<Response, (Step, Fault)> {
        // the ending dot is sent with a line end of its own before it
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let ending = AtomicBool::new(false);
        let mut chunks = bytes.chunks(CHUNK);
        let chunks = std::iter::from_fn(|| {
            let next = chunks.next();
            // asked for another, the writer has written all: the dot is next
            ending.fetch_or(next.is_none(), Ordering::Relaxed);
            next
        });
        self.wire.await_answer();
        let heard = limited("the letter", self.limits.body, self.smtp.message_iter(chunks)).await;
        let step = if ending.load(Ordering::Relaxed) { Step::End } else { Step::Body };
        let response =
            heard.or_else(|fault| self.understand(fault)).map_err(|fault| (step, fault))?;
        if !is_done(&response) {
            return Err((step, Fault::unexpected(&response)));
        }
        self.begun = false;
        Ok(response)
    }

    /// Takes leave; whether the relay answers is of no interest any more.
    pub async fn quit(mut self) {
        let most = self.limits.command.min(Duration::from_secs(5));
        let _ = timeout(most, self.smtp.command(Quit)).await;
    }

    /// A command whose only good answer is 2xx.
    async fn say(&mut self, command: impl Display) -> Result<Response, Fault> {
        let response = self.ask(command).await?;
        if is_done(&response) { Ok(response) } else { Err(Fault::unexpected(&response)) }
    }

    async fn ask(&mut self, command: impl Display) -> Result<Response, Fault> {
        self.wire.await_answer();
        let command = self.smtp.command(command);
        let heard = limited("an answer", self.limits.command, command).await;
        heard.or_else(|fault| self.understand(fault))
    }

    /// A reply may be its code alone (RFC 5321 §4.2), which the client below takes for no reply.
    fn understand(&self, fault: Fault) -> Result<Response, Fault> {
        match (&fault, self.wire.bare_code()) {
            (Fault::Senseless, Some(code)) if code.is_positive() => {
                Ok(Response::new(code, Vec::new()))
            }
            (Fault::Senseless, Some(code)) => {
                Err(Fault::Refused { code: code.into(), text: String::new() })
            }
            _ => Err(fault),
        }
    }
}

async fn limited<T, E: Into<Fault>>(
    what: &str,
    most: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(most, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(too_slow(what, most)),
    }
}

fn too_slow(what: &str, most: Duration) -> Fault {
    Fault::Lost(format!("waited {most:?} for {what}"))
}

fn is_done(response: &Response) -> bool {
    response.code().severity == Severity::PositiveCompletion
}
