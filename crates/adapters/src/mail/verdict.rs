//! What an SMTP reply, or its absence, means: judged by the step of the conversation it came at.

use lettre::transport::smtp;

use crate::Answer;

/// The relay's own words in an answer, in characters.
const LONGEST_TEXT: usize = 300;

/// Steps of a conversation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Hello,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    /// The letter's bytes, before the dot that ends them.
    Body,
    /// From that dot to its answer.
    End,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Connect => "the connection",
            Step::Hello => "EHLO",
            Step::StartTls => "STARTTLS",
            Step::Login => "AUTH",
            Step::Sender => "MAIL",
            Step::Recipient => "RCPT",
            Step::Data => "DATA",
            Step::Body => "the letter",
            Step::End => "the letter's end",
        }
    }
}

/// Why a step did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A reply of 400 to 599.
    Refused { code: u16, text: String },
    /// No reply that could be understood: the connection is of no more use.
    Lost(String),
    /// An answer that is no reply; of no more use either.
    Senseless,
    /// The relay has no way of login that this side knows.
    NoLogin,
}

impl Fault {
    /// Whether this connection carries nothing more.
    pub fn ended(&self) -> bool {
        matches!(self, Fault::Lost(_) | Fault::Senseless | Fault::Refused { code: 421, .. })
    }

    pub fn unexpected(response: &smtp::response::Response) -> Fault {
        Fault::Lost(format!("the relay answered out of turn: {}", receipt(response)))
    }
}

impl From<smtp::Error> for Fault {
    fn from(e: smtp::Error) -> Fault {
        let source = std::error::Error::source(&e).map(ToString::to_string);
        match e.status() {
            Some(code) => {
                Fault::Refused { code: code.into(), text: bounded(&source.unwrap_or_default()) }
            }
            None => match source.as_deref() {
                Some("incomplete response") => {
                    Fault::Lost("the relay closed the connection".into())
                }
                _ if e.is_response() => Fault::Senseless,
                Some(why) => Fault::Lost(bounded(why)),
                None => Fault::Lost(bounded(&e.to_string())),
            },
        }
    }
}

/// The reply to a letter that was taken: code and text on one line.
pub(super) fn receipt(response: &smtp::response::Response) -> String {
    let text = response.message().collect::<Vec<_>>().join(" ");
    bounded(&format!("{} {text}", response.code()))
}

pub(super) fn bounded(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_TEXT).collect::<String>().trim().to_owned()
}

/// What a fault at a step means for the letter.
pub(super) fn answer(step: Step, fault: Fault) -> Answer {
    match fault {
        Fault::Refused { code, text } => refused(step, code, &text),
        Fault::Lost(why) => lost(step, &why),
        Fault::Senseless => lost(step, "the relay's answer is no SMTP reply"),
        Fault::NoLogin => {
            let reason = "the relay offers no AUTH PLAIN or LOGIN, but a login is configured";
            Answer::Auth { reason: reason.to_owned() }
        }
    }
}

fn refused(step: Step, code: u16, text: &str) -> Answer {
    let at = step.word();
    let reason = if text.is_empty() {
        format!("{code} (at {at})")
    } else {
        format!("{code} {text} (at {at})")
    };
    match (code, step) {
        (421 | 450 | 452, _) => Answer::Throttled { wait: None, reason },
        (..500, _) => Answer::Temporary { reason },
        // what the relay says before it knows a letter is no fault of any letter
        (_, Step::Connect | Step::Hello | Step::StartTls) => Answer::Unreachable { reason },
        (530 | 534 | 535 | 538, _) | (_, Step::Login) => Answer::Auth { reason },
        (552, Step::Sender | Step::Data | Step::End) => {
            Answer::Permanent { reason: format!("{code} {text} (at {at}: too large)") }
        }
        _ => Answer::Permanent { reason },
    }
}

fn lost(step: Step, why: &str) -> Answer {
    let at = step.word();
    match step {
        Step::Connect | Step::Hello | Step::StartTls | Step::Login | Step::Sender => {
            Answer::Unreachable { reason: format!("{why} (at {at})") }
        }
        Step::Recipient | Step::Data | Step::Body => {
            Answer::Temporary { reason: format!("{why} (at {at}: nothing was taken)") }
        }
        Step::End => {
            Answer::Uncertain { reason: format!("{why} (at {at}: it may have been taken)") }
        }
    }
}

/// Whether an answer says that this recipient takes no mail, so that none should be sent there
/// again: 550, 551 or 553 to the recipient, unless its second code (5.7.x, RFC 3463) says that the
/// sender was refused by policy.
pub fn suppresses(answer: &Answer) -> bool {
    let Answer::Permanent { reason } = answer else { return false };
    let Some(said) = reason.strip_suffix(" (at RCPT)") else { return false };
    let mut words = said.split_whitespace();
    matches!(words.next(), Some("550" | "551" | "553"))
        && !words.next().is_some_and(|code| code.trim_start_matches('#').starts_with("5.7."))
}
