//! What people do: every act takes a reason and stands in the audit, in the same transaction. CLI, API and console
//! call these functions and nothing else.

pub mod dead;
pub mod firings;
pub mod runs;
pub mod settings;
pub mod switches;
