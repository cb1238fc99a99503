//! Mail by SMTP: a letter is composed and judged first, then handed over alone; the answer says
//! what is known of it.

mod checks;
mod compose;
mod dkim;
mod folder;
mod line;
mod office;
mod relay;
mod session;
mod tenant;
mod tls;
mod verdict;
mod wire;

pub use compose::{Attachment, Letter, MOST_ATTACHMENTS, Mail};
pub use office::Mailer;
pub use relay::{Dkim, Limits, Relay};
pub use session::Session;
pub use tenant::TenantRelay;
pub use verdict::suppresses;

/// Why a relay or a mail is refused before anything is sent. Names what is wrong, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The configuration cannot be used: an operator has to mend it.
    #[error("the relay's {field} {problem}")]
    Relay { field: &'static str, problem: String },
    /// This mail cannot be sent as it is, by any relay.
    #[error("the mail's {field} {problem}")]
    Mail { field: String, problem: String },
}

impl MailError {
    pub(crate) fn relay(field: &'static str, problem: impl Into<String>) -> MailError {
        MailError::Relay { field, problem: problem.into() }
    }

    pub(crate) fn mail(field: impl Into<String>, problem: impl Into<String>) -> MailError {
        MailError::Mail { field: field.into(), problem: problem.into() }
    }
}
