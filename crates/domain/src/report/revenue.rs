//! The month's revenue, from the invoices that were issued and from nothing else: sums to the last yen, by plan; contracts
//! won, lost and changed; what recurs.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::day_of;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::month::Months;
use super::words::{Say, Words};
use super::{Cell, Chapter, Compared, Part, Report, Table};

/// How many companies, or contracts, a cover names.
const NAMED: usize = 20;

#[derive(Clone, Debug, sqlx::FromRow)]
struct Sum {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    currency: String,
    invoices: i64,
    companies: i64,
    subtotal: Decimal,
    tax: Decimal,
    total: Decimal,
    held: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Plan {
    plan_code: String,
    name: Option<String>,
    currency: String,
    invoices: i64,
    companies: i64,
    subtotal: Decimal,
    tax: Decimal,
    total: Decimal,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Contracts {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    currency: Option<String>,
    in_force: i64,
    begun: i64,
    ended: i64,
    changed: i64,
    recurring: Decimal,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Invoice {
    number: String,
    name: String,
    kind: String,
    currency: String,
    subtotal: Decimal,
    tax: Decimal,
    total: Decimal,
}

/// Everything a revenue report is made of.
#[derive(Clone, Debug)]
pub struct Loaded {
    sums: Vec<Sum>,
    plans: Vec<Plan>,
    contracts: Vec<Contracts>,
    invoices: Vec<Invoice>,
    open: Vec<String>,
    unknown: Vec<String>,
}

/// Why there can be no revenue report of the month, if there cannot: contracts, and not one invoice.
pub async fn impossible(tx: &mut Tx, months: &Months) -> Result<Option<String>, Stop> {
    let open = open(tx, months).await?;
    let invoiced: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM app.invoices WHERE state IN ('issued', 'paid', 'overdue')
                           AND period_start >= $1 AND period_start < $2)",
    )
    .bind(months.this.start.to_sqlx())
    .bind(months.this.end.to_sqlx())
    .fetch_one(tx)
    .await?;
    let why = || {
        format!(
            "{} companies have contracts in {} and no invoice of it is issued (BATCH-302, MONTHLY_001)",
            open.len(),
            months.this
        )
    };
    Ok((!invoiced && !open.is_empty()).then(why))
}

async fn open(tx: &mut Tx, months: &Months) -> Result<Vec<String>, Stop> {
    Ok(sqlx::query_scalar(include_str!("revenue_open.sql"))
        .bind(months.this.start.to_sqlx())
        .bind(months.this.end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// Reads the month's invoices and contracts, as the platform.
pub async fn load(tx: &mut Tx, months: &Months) -> Result<Loaded, Stop> {
    let (start, end) = (months.this.start.to_sqlx(), months.this.end.to_sqlx());
    Ok(Loaded {
        sums: sqlx::query_as(include_str!("revenue_sums.sql"))
            .bind(months.starts())
            .fetch_all(&mut *tx)
            .await?,
        plans: sqlx::query_as(include_str!("revenue_plans.sql"))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *tx)
            .await?,
        contracts: sqlx::query_as(include_str!("revenue_contracts.sql"))
            .bind(months.starts())
            .fetch_all(&mut *tx)
            .await?,
        invoices: sqlx::query_as(include_str!("revenue_invoices.sql"))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *tx)
            .await?,
        open: open(tx, months).await?,
        unknown: sqlx::query_scalar(include_str!("revenue_unknown.sql"))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *tx)
            .await?,
    })
}

impl Loaded {
    /// The report and what its cover says is missing.
    pub fn report(
        &self,
        months: &Months,
        (words, now): (Words, jiff::Timestamp),
    ) -> (Report, Option<String>) {
        let missing = self.missing(words);
        let held: i64 =
            self.sums.iter().filter(|s| s.first == months.this.start).map(|s| s.held).sum();
        let held = (held > 0).then(|| words.held(held));
        let mut chapters: Vec<Chapter> =
            self.currencies().iter().map(|c| self.sums_of(c, months, words)).collect();
        chapters.extend([self.by_plan(words), self.each_invoice(words)]);
        let report = Report {
            words,
            title: words.say(Say::RevenueReport).to_owned(),
            about: words.say(Say::WholeService).to_owned(),
            addressed: false,
            period: words.month(months.this),
            made_on: day_of(now),
            facts: self.facts(words, months),
            notes: missing.iter().cloned().chain(held).collect(),
            chapters,
        };
        let missing = (!missing.is_empty()).then(|| missing.join(" / "));
        (report, missing)
    }

    /// What the cover says is missing: invoices, and plans that are in no price list.
    fn missing(&self, words: Words) -> Vec<String> {
        let named = |all: &[String], say: fn(Words, usize, &str, usize) -> String| {
            let first = &all[..all.len().min(NAMED)];
            let more = all.len() - first.len();
            (!first.is_empty()).then(|| say(words, all.len(), &first.join(", "), more))
        };
        let open = named(&self.open, Words::without_invoice);
        open.into_iter().chain(named(&self.unknown, Words::unknown_plans)).collect()
    }

    fn currencies(&self) -> Vec<String> {
        let of_sums = self.sums.iter().map(|s| s.currency.clone());
        let mut all: Vec<String> =
            of_sums.chain(self.contracts.iter().filter_map(|c| c.currency.clone())).collect();
        all.sort();
        all.dedup();
        all
    }

    fn facts(&self, words: Words, months: &Months) -> Vec<(String, Cell)> {
        let mut facts =
            vec![(words.say(Say::Period).to_owned(), Cell::text(words.from_to(months.this)))];
        for sum in self.sums.iter().filter(|s| s.first == months.this.start) {
            let name = format!("{} ({})", words.say(Say::Total), sum.currency);
            facts.push((name, Cell::money(Some(sum.total), &sum.currency)));
        }
        facts
    }

    /// Sums, contracts and averages in one currency.
    fn sums_of(&self, currency: &str, months: &Months, words: Words) -> Chapter {
        let sums: Vec<Sum> = self.sums.iter().filter(|s| s.currency == currency).cloned().collect();
        let sums = months.pick(&sums, |s| s.first);
        let money = |of: fn(&Sum) -> Decimal| {
            sums.each_ref().map(|s| Cell::money(s.as_ref().map(of), currency))
        };
        let count = |of: fn(&Sum) -> i64| sums.each_ref().map(|s| Cell::count(s.as_ref().map(of)));
        let digits = if currency == "JPY" { 0 } else { 2 };
        let mean = |s: &Sum| {
            (s.companies > 0).then(|| (s.total / Decimal::from(s.companies)).round_dp(digits))
        };
        let mut table = Compared::new(words);
        table.row(words.say(Say::Invoices), count(|s| s.invoices));
        table.row(words.say(Say::InvoicedCompanies), count(|s| s.companies));
        table.row(words.say(Say::Subtotal), money(|s| s.subtotal));
        table.row(words.say(Say::Tax), money(|s| s.tax));
        table.row(words.say(Say::Total), money(|s| s.total));
        let means = sums.each_ref().map(|s| Cell::money(s.as_ref().and_then(mean), currency));
        table.row(words.say(Say::MeanOfCompany), means);
        let contracts: Vec<Contracts> = self
            .contracts
            .iter()
            .filter(|c| c.currency.as_deref() == Some(currency))
            .cloned()
            .collect();
        let contracts = months.pick(&contracts, |c| c.first);
        let of = |figure: fn(&Contracts) -> i64| {
            contracts.each_ref().map(|c| Cell::count(c.as_ref().map(figure)))
        };
        table.row(words.say(Say::ContractsInForce), of(|c| c.in_force));
        table.row(words.say(Say::ContractsNew), of(|c| c.begun));
        table.row(words.say(Say::ContractsLost), of(|c| c.ended));
        table.row(words.say(Say::ContractsChanged), of(|c| c.changed));
        let recurring =
            contracts.each_ref().map(|c| Cell::money(c.as_ref().map(|c| c.recurring), currency));
        table.row(words.say(Say::Recurring), recurring);
        let note = Part::Note(words.say(Say::RecurringNote).to_owned());
        Chapter {
            title: format!("{} ({currency})", words.say(Say::Revenue)),
            parts: vec![table.table(), note],
        }
    }

    fn by_plan(&self, words: Words) -> Chapter {
        let head = [
            Say::Plan,
            Say::Currency,
            Say::Invoices,
            Say::InvoicedCompanies,
            Say::Subtotal,
            Say::Tax,
            Say::Total,
        ];
        let rows = self.plans.iter().map(|p| {
            let name = p.name.as_deref().unwrap_or(words.say(Say::UnknownPlan));
            let name = if p.plan_code.is_empty() {
                name.to_owned()
            } else {
                format!("{name} ({})", p.plan_code)
            };
            vec![
                Cell::text(name),
                Cell::text(&p.currency),
                Cell::Count(p.invoices),
                Cell::Count(p.companies),
                Cell::money(Some(p.subtotal), &p.currency),
                Cell::money(Some(p.tax), &p.currency),
                Cell::money(Some(p.total), &p.currency),
            ]
        });
        chapter(words, Say::ByPlan, &head, rows.collect())
    }

    fn each_invoice(&self, words: Words) -> Chapter {
        let head = [
            Say::InvoiceNumber,
            Say::CompanyName,
            Say::InvoiceKind,
            Say::Currency,
            Say::Subtotal,
            Say::Tax,
            Say::Total,
        ];
        let rows = self.invoices.iter().map(|i| {
            let kind = if i.kind == "adjustment" { Say::Adjustment } else { Say::Invoice };
            vec![
                Cell::text(&i.number),
                Cell::text(&i.name),
                Cell::text(words.say(kind)),
                Cell::text(&i.currency),
                Cell::money(Some(i.subtotal), &i.currency),
                Cell::money(Some(i.tax), &i.currency),
                Cell::money(Some(i.total), &i.currency),
            ]
        });
        chapter(words, Say::EachInvoice, &head, rows.collect())
    }
}

fn chapter(words: Words, title: Say, head: &[Say], rows: Vec<Vec<Cell>>) -> Chapter {
    let head = head.iter().map(|h| words.say(*h).to_owned()).collect();
    let parts = vec![Part::Table(Table { head, rows, summed: false })];
    Chapter { title: words.say(title).to_owned(), parts }
}
