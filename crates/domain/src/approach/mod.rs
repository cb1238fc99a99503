//! Standing offers: when one is due, whom it offers, and the mails that say so. One transaction writes what a due time
//! came to, its mails and the next time.

pub mod criteria;
pub mod due;
pub mod matching;
pub mod offer;
pub mod rhythm;

pub use due::{Due, due, lock};
pub use offer::{Came, come_due, fail};
