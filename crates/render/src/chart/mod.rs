//! Charts as SVG text, for a document's template and for a page alike: lines, bars, rankings, heat, sparks. What is
//! missing is a gap, never a zero.

mod axis;
mod bars;
mod frame;
mod heat;
mod lines;
mod ranking;
mod spark;
mod svg;
mod theme;

pub use axis::figure;
pub use bars::bars;
pub use heat::heat;
pub use lines::lines;
pub use ranking::ranking;
pub use spark::spark;
pub use theme::Theme;

/// What a chart is called, how large it is and what its figures are.
#[derive(Clone, Debug, PartialEq)]
pub struct Plate {
    /// Unlike that of any other chart of the page; letters, digits, hyphens.
    pub id: String,
    /// For those who cannot see it; not drawn.
    pub title: String,
    /// What is to be seen, in a sentence.
    pub description: String,
    /// In units of which text is 11 high.
    pub width: f64,
    /// As the width.
    pub height: f64,
    /// Of the values, such as `ms`; drawn over the axis.
    pub unit: String,
    /// The word for a gap, such as `データなし`.
    pub no_data: String,
}

impl Plate {
    /// A plate of the usual size, 680 × 220, without unit.
    pub fn new(id: &str, title: &str, description: &str, no_data: &str) -> Plate {
        Plate {
            id: id.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            width: 680.0,
            height: 220.0,
            unit: String::new(),
            no_data: no_data.to_owned(),
        }
    }

    /// The same in this size.
    pub fn sized(self, width: f64, height: f64) -> Plate {
        Plate { width, height, ..self }
    }

    /// The same with a unit.
    pub fn of(self, unit: &str) -> Plate {
        Plate { unit: unit.to_owned(), ..self }
    }
}

/// Values of one kind, in the order of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    /// None, or a value that is no number, is a gap.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// A series of that name.
    pub fn new(name: &str, values: Vec<Option<f64>>) -> Series {
        Series { name: name.to_owned(), values }
    }

    /// The value at a place, where there is one.
    fn at(&self, place: usize) -> Option<f64> {
        known(self.values.get(place).copied().flatten())
    }
}

/// A value, unless it is no number.
fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}
