//! What came of a company's standing offers: letters sent, taken, opened, answered, and what they led to, with their rates.

use jiff::civil::Date;
use rust_decimal::Decimal;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::month::Months;
use super::words::{Say, Words};
use super::{Cell, Compared, Part};

#[derive(Clone, Debug, sqlx::FromRow)]
struct Month {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    days: i64,
    sent: i64,
    accepted: i64,
    opened: Option<i64>,
    tracked: Option<i64>,
    replied: i64,
    met: i64,
    contracted: i64,
}

/// How many letters came so far.
type Step = fn(&Month) -> Option<i64>;

/// The letters of a report's months.
#[derive(Clone, Debug)]
pub(super) struct Funnel {
    months: [Option<Month>; 3],
}

/// Reads it, as the tenant.
pub(super) async fn load(tx: &mut Tx, months: &Months) -> Result<Funnel, Stop> {
    let rows: Vec<Month> = sqlx::query_as(include_str!("company_funnel.sql"))
        .bind(months.starts())
        .fetch_all(tx)
        .await?;
    Ok(Funnel { months: months.pick(&rows, |m| m.first) })
}

/// How many per cent of `all`; there is no rate of nothing.
fn rate(part: Option<i64>, all: Option<i64>) -> Cell {
    let (part, all) = (part.map(Decimal::from), all.map(Decimal::from));
    let of = |(part, all): (Decimal, Decimal)| {
        (all > Decimal::ZERO).then(|| part * Decimal::ONE_HUNDRED / all)
    };
    Cell::percent(part.zip(all).and_then(of))
}

impl Funnel {
    fn of(&self, figure: impl Fn(&Month) -> Cell) -> [Cell; 3] {
        self.months.each_ref().map(|m| m.as_ref().map_or(Cell::Missing, &figure))
    }

    /// The table and what must be known to read it; where nothing was counted, that alone.
    pub(super) fn parts(&self, words: Words) -> Vec<Part> {
        let note = |say: Say| Part::Note(words.say(say).to_owned());
        let Some(this) = &self.months[0] else {
            return vec![note(Say::FunnelMissing)];
        };
        let mut rows = Compared::new(words);
        rows.row(words.say(Say::FunnelDays), self.of(|m| Cell::Count(m.days)));
        rows.row(words.say(Say::Letters), self.of(|m| Cell::Count(m.sent)));
        let steps: [(Say, Say, Step); 5] = [
            (Say::LettersTaken, Say::TakenRate, |m| Some(m.accepted)),
            (Say::Opened, Say::OpenedRate, |m| m.opened),
            (Say::Replied, Say::RepliedRate, |m| Some(m.replied)),
            (Say::Met, Say::MetRate, |m| Some(m.met)),
            (Say::Contracted, Say::ContractedRate, |m| Some(m.contracted)),
        ];
        for (name, share, step) in steps {
            let base = |m: &Month| if name == Say::Opened { m.tracked } else { Some(m.sent) };
            rows.row(words.say(name), self.of(|m| Cell::count(step(m))));
            rows.row(words.say(share), self.of(|m| rate(step(m), base(m))));
        }
        let mut parts = vec![rows.table(), note(Say::FunnelNote)];
        match (this.opened, this.tracked) {
            (None, _) => parts.push(note(Say::OpensUntracked)),
            (_, tracked) if tracked != Some(this.sent) => parts.push(note(Say::OpensPartly)),
            _ => {}
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_and_of_what_was_not_measured_is_missing() {
        assert_eq!(rate(Some(1), Some(3)), Cell::Percent(Decimal::new(333, 1)));
        assert_eq!(rate(Some(0), Some(0)), Cell::Missing);
        assert_eq!(rate(None, Some(3)), Cell::Missing);
        assert_eq!(rate(Some(0), Some(3)), Cell::Percent(Decimal::new(0, 1)));
    }
}
