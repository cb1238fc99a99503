//! What a receiver said to a message, in the words by which deliveries are judged.

use std::time::Duration;

/// A receiver's answer. Only [`Answer::Sent`] ends a delivery well; what the others mean for later attempts is the
/// delivery policy's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted; the receiver's own name for it, when it gives one.
    Sent { receipt: Option<String> },
    /// Refused for now, or the receiver failed: may be tried again.
    Temporary { reason: String },
    /// Refused for good: this recipient, this channel or this content.
    Permanent { reason: String },
    /// The sender's login or token was refused: no fault of the recipient.
    Auth { reason: String },
    /// Too many messages; how long to wait, when the receiver says it.
    Throttled { wait: Option<Duration>, reason: String },
    /// Nothing was handed over: the receiver could not be reached.
    Unreachable { reason: String },
    /// Handed over, but no answer came: it may have arrived or not.
    Uncertain { reason: String },
}

impl Answer {
    /// The word for it in tables and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Answer::Sent { .. } => "sent",
            Answer::Temporary { .. } => "temporary",
            Answer::Permanent { .. } => "permanent",
            Answer::Auth { .. } => "auth",
            Answer::Throttled { .. } => "throttled",
            Answer::Unreachable { .. } => "unreachable",
            Answer::Uncertain { .. } => "uncertain",
        }
    }

    /// Why, in the receiver's words; empty when it was sent.
    pub fn reason(&self) -> &str {
        match self {
            Answer::Sent { .. } => "",
            Answer::Temporary { reason }
            | Answer::Permanent { reason }
            | Answer::Auth { reason }
            | Answer::Throttled { reason, .. }
            | Answer::Unreachable { reason }
            | Answer::Uncertain { reason } => reason,
        }
    }
}
