//! Templates + data → PDF. Typesetting runs in child processes of the program itself, which get a
//! document's files over a pipe and can open nothing else.

mod built_in;
pub mod chart;
mod child;
mod documents;
mod error;
mod message;
mod pool;
mod process;
mod renderer;

pub use child::child;
pub use error::RenderError;
pub use message::{MAX_DATA_BYTES, MAX_PDF_BYTES};
pub use renderer::{Checked, Rendered, Renderer, Settings};

/// The argument a program is started with to become a child: it calls [`child()`] and nothing else.
pub const CHILD_COMMAND: &str = "render-child";
