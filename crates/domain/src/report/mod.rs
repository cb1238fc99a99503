//! Reports: what one says, once, as data; a PDF (by the template `report`) and a workbook are written from the same. What
//! was made for whom is registered: a second run makes nothing again.

pub mod company;
pub mod contacts;
pub mod engineers;
mod funnel;
pub mod letters;
pub mod month;
pub mod paper;
pub mod registry;
pub mod revenue;
pub mod system;
pub mod words;

use jiff::civil::Date;
use rust_decimal::Decimal;

use words::Words;

/// A report, whoever reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub words: Words,
    pub title: String,
    /// Whom it is about.
    pub about: String,
    /// Whether it is addressed to them.
    pub addressed: bool,
    /// What it is about: a month, a week.
    pub period: String,
    pub made_on: Date,
    /// Facts of the cover.
    pub facts: Vec<(String, Cell)>,
    /// What is missing or odd: stands on the cover.
    pub notes: Vec<String>,
    pub chapters: Vec<Chapter>,
}

/// A chapter: also a sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Chapter {
    pub title: String,
    pub parts: Vec<Part>,
}

/// A piece of a chapter.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Table(Table),
    Series(Series),
    Note(String),
}

/// Rows under a head, which is repeated on each page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// Whether the last row is a sum of the others.
    pub summed: bool,
}

/// Values over days, as bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub title: String,
    /// A day and its value; none where nothing was measured.
    pub points: Vec<(Date, Option<Decimal>)>,
}

/// A value that is shown. What was not measured is missing, never zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Missing,
    Text(String),
    Count(i64),
    /// With as many digits behind the point as it has.
    Number(Decimal),
    Percent(Decimal),
    Money(Decimal, String),
    Day(Date),
}

/// What stands for a missing value.
pub const MISSING: &str = "–";

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// A count that may not have been measured.
    pub fn count(count: Option<i64>) -> Cell {
        count.map_or(Cell::Missing, Cell::Count)
    }

    /// A number, rounded to so many digits behind the point.
    pub fn number(number: Option<Decimal>, digits: u32) -> Cell {
        number.map_or(Cell::Missing, |n| Cell::Number(rounded(n, digits)))
    }

    /// A share in percent, with one digit behind the point.
    pub fn percent(percent: Option<Decimal>) -> Cell {
        percent.map_or(Cell::Missing, |n| Cell::Percent(rounded(n, 1)))
    }

    /// A share in percent that is not rounded up: three digits behind the point, so that all but good is not all good.
    pub fn uptime(percent: Option<Decimal>) -> Cell {
        let cut = |n: Decimal| {
            let mut n = n.trunc_with_scale(3);
            n.rescale(3);
            n
        };
        percent.map_or(Cell::Missing, |n| Cell::Percent(cut(n)))
    }

    /// Bytes as megabytes of 1,048,576, the unit of the price list's gigabytes.
    pub fn megabytes(bytes: Option<Decimal>) -> Cell {
        Cell::number(bytes.map(|b| b / Decimal::from(1_048_576)), 1)
    }

    /// Money that may not be known.
    pub fn money(amount: Option<Decimal>, currency: &str) -> Cell {
        amount.map_or(Cell::Missing, |a| Cell::Money(a.normalize(), currency.to_owned()))
    }

    /// How much more it is than the other, where both are known and alike.
    pub fn minus(&self, other: &Cell) -> Cell {
        match (self, other) {
            (Cell::Count(a), Cell::Count(b)) => Cell::Count(a - b),
            (Cell::Number(a), Cell::Number(b)) => Cell::Number(a - b),
            (Cell::Percent(a), Cell::Percent(b)) => Cell::Percent(a - b),
            (Cell::Money(a, of), Cell::Money(b, same)) if of == same => {
                Cell::Money(a - b, of.clone())
            }
            _ => Cell::Missing,
        }
    }

    /// Whether it stands to the right.
    pub fn is_number(&self) -> bool {
        !matches!(self, Cell::Text(_) | Cell::Day(_))
    }
}

fn rounded(number: Decimal, digits: u32) -> Decimal {
    let mut number =
        number.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    number.rescale(digits);
    number
}

/// Figures of this month beside those of the month before and of the same month a year ago.
#[derive(Clone, Debug)]
pub struct Compared {
    words: Words,
    rows: Vec<Vec<Cell>>,
}

impl Compared {
    /// An empty one.
    pub fn new(words: Words) -> Compared {
        Compared { words, rows: Vec::new() }
    }

    /// Adds a figure: of this month, the month before, a year ago.
    pub fn row(&mut self, label: &str, [this, before, year_ago]: [Cell; 3]) {
        let change = this.minus(&before);
        self.rows.push(vec![Cell::text(label), this, before, change, year_ago]);
    }

    /// The table.
    pub fn table(self) -> Part {
        let head = self.words.compared().map(str::to_owned).to_vec();
        Part::Table(Table { head, rows: self.rows, summed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_no_zero_and_gives_no_change() {
        assert_eq!(Cell::count(None), Cell::Missing);
        assert_eq!(Cell::Count(3).minus(&Cell::Missing), Cell::Missing);
        assert_eq!(Cell::Count(3).minus(&Cell::Count(5)), Cell::Count(-2));
        let yen = |n: i64| Cell::money(Some(n.into()), "JPY");
        assert_eq!(yen(5).minus(&Cell::money(Some(5.into()), "USD")), Cell::Missing);
        assert_eq!(yen(5).minus(&yen(7)), yen(-2));
    }

    #[test]
    fn an_uptime_short_of_everything_is_not_rounded_up_to_it() {
        let uptime = |good: i64, all: i64| {
            Cell::uptime(Some(Decimal::from(good * 100) / Decimal::from(all)))
        };
        assert_eq!(uptime(999_999, 1_000_000), Cell::Percent(Decimal::new(99_999, 3)));
        assert_eq!(uptime(3, 4), Cell::Percent(Decimal::new(75_000, 3)));
        assert_eq!(Cell::uptime(None), Cell::Missing);
    }

    #[test]
    fn bytes_become_megabytes_with_one_digit() {
        assert_eq!(Cell::megabytes(Some((30 << 20).into())), Cell::Number(Decimal::new(300, 1)));
    }
}
