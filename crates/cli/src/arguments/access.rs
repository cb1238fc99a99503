//! `yakin token …`, `yakin audit …` and `yakin evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use yakin_engine::access::Role;

use super::Why;

#[derive(Subcommand, Debug, Clone)]
pub enum Token {
    /// Makes a token and prints it, alone and once: it is kept nowhere.
    #[command(
        after_help = "Examples:\n  TOKEN=$(yakin token create ci-trigger --role operator --days 90 --reason 'nightly trigger')\n  yakin token create aoba-portal --role viewer --tenant aoba-joho --reason 'their own portal'"
    )]
    Create(NewToken),
    /// Lists tokens: whose, what they may, until when, when last used; never the tokens themselves.
    List,
    /// Revokes a token: it is refused within a second.
    Revoke {
        name: String,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Args, Debug, Clone)]
pub struct NewToken {
    /// What it is called in the audit, such as ci-trigger; a name is used once.
    pub name: String,
    #[arg(long)]
    pub role: RoleWord,
    /// Only for this tenant, by code; may be given more than once [default: all].
    #[arg(long)]
    pub tenant: Vec<String>,
    /// Days until it expires, 1 to 366.
    #[arg(long, default_value_t = 90)]
    pub days: u32,
    #[command(flatten)]
    pub why: Why,
}

/// What a token may do.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum RoleWord {
    /// Looks.
    Viewer,
    /// Starts, holds, cancels, requeues, approves.
    Operator,
    /// Changes settings, stops everything.
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Role {
        match word {
            RoleWord::Viewer => Role::Viewer,
            RoleWord::Operator => Role::Operator,
            RoleWord::Admin => Role::Admin,
        }
    }
}

#[derive(Subcommand, Debug, Clone)]
pub enum Audit {
    /// Reckons the audit's chain anew: finds what was changed, added or removed, and ends with 1 if anything was.
    #[command(
        after_help = "Examples:\n  yakin audit verify\n  yakin audit verify --head 118:9f2c…    is what was noted then still part of it?"
    )]
    Verify {
        /// A number and digest that was noted before, as `verify` and the month's evidence print it.
        #[arg(long, value_name = "NUMBER:DIGEST")]
        head: Option<String>,
    },
}

#[derive(Args, Debug, Clone)]
pub struct Evidence {
    /// A Tokyo month, such as 2026-10.
    #[arg(long, value_name = "MONTH")]
    pub month: String,
    /// The folder to write it into; it is made if it is not there [default: yakin-evidence-MONTH].
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}
