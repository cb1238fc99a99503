//! The children that render documents in this package's tests.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(yakin_render::child()?)
}
