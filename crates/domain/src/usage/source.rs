//! A source of figures: one statement that reads a log (or the storage) for a day and groups it by
//! tenant. The same statement serves all tenants at once (as the platform) and one tenant (as that
//! tenant, behind row security).

use std::collections::HashSet;

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::days::Days;
use yakin_engine::prelude::*;

/// A source: its name, the logs that its statement reads and retention removes, the statement ($1 and
/// $2: first instant and end of the day, $3: the day), and the figures (JSON) of a tenant that has no
/// rows in it. Zero is not missing.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub name: &'static str,
    pub logs: &'static [&'static str],
    pub sql: &'static str,
    pub nothing: &'static str,
}

/// A tenant's figures of a day, as a source counted them.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Counted {
    /// 0 stands for rows without a tenant.
    pub tenant_id: i64,
    /// A JSON object.
    pub figures: String,
    pub rows_counted: i64,
    /// All rows of the source and day; none for a gauge.
    pub rows_in_source: Option<i64>,
    /// A value that cannot be: a negative duration, an endless one.
    pub impossible: Option<String>,
}

/// Rows of a day that belong to none of its tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    pub without_tenant: i64,
    pub of_others: i64,
}

impl Source {
    /// Counts the day. All rows are fetched without a limit, since the server scans in parallel
    /// only then.
    pub async fn count(&self, tx: &mut Tx, day: Date) -> Result<Vec<Counted>, Stop> {
        let (start, end) = Days::one(day).instants();
        Ok(sqlx::query_as(self.sql)
            .bind(start.to_sqlx())
            .bind(end.to_sqlx())
            .bind(day.to_sqlx())
            .fetch_all(&mut *tx)
            .await?)
    }

    /// Checks that the tenants' rows, rows of others and rows without a tenant are together all
    /// rows of the source.
    pub fn balance(&self, day: Date, counted: &[Counted], scope: &[i64]) -> Result<Strays, Stop> {
        let scope: HashSet<i64> = scope.iter().copied().collect();
        let (mut of_tenants, mut strays) = (0, Strays::default());
        for group in counted {
            match group.tenant_id {
                0 => strays.without_tenant += group.rows_counted,
                id if scope.contains(&id) => of_tenants += group.rows_counted,
                _ => strays.of_others += group.rows_counted,
            }
        }
        let sum = of_tenants + strays.without_tenant + strays.of_others;
        match counted.iter().find_map(|group| group.rows_in_source) {
            Some(all) if all != sum => Err(Stop::give_up(
                Cause::Data,
                format!(
                    "{} of {day} does not balance: {of_tenants} rows of tenants + {} without a \
                     tenant + {} of others, but {all} rows in the source",
                    self.name, strays.without_tenant, strays.of_others
                ),
            )),
            _ => Ok(strays),
        }
    }
}

/// Gives up when a value cannot be: it is not to be summed into somebody's bill. What was recorded
/// before stays.
pub fn refuse_impossible(day: Date, impossible: Option<&str>) -> Result<(), Stop> {
    match impossible {
        Some(value) => {
            Err(Stop::give_up(Cause::Data, format!("usage of {day}: {value}, which cannot be")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: Source = Source { name: "calls", logs: &[], sql: "", nothing: "{}" };

    fn counted(tenant_id: i64, rows_counted: i64, all: i64) -> Counted {
        let (figures, impossible) = ("{}".to_owned(), None);
        Counted { tenant_id, figures, rows_counted, rows_in_source: Some(all), impossible }
    }

    #[test]
    fn rows_without_a_tenant_and_of_others_are_counted_apart() {
        let day = jiff::civil::date(2026, 10, 17);
        let groups = [counted(0, 2, 10), counted(1, 5, 10), counted(9, 3, 10)];
        let strays = CALLS.balance(day, &groups, &[1, 2]).unwrap();
        assert_eq!(strays, Strays { without_tenant: 2, of_others: 3 });
        assert_eq!(CALLS.balance(day, &[], &[1]).unwrap(), Strays::default());
    }

    #[test]
    fn a_row_that_was_lost_on_the_way_fails_the_run() {
        let day = jiff::civil::date(2026, 10, 17);
        let stop = CALLS.balance(day, &[counted(0, 1, 9), counted(1, 7, 9)], &[1]).unwrap_err();
        let text = "calls of 2026-10-17 does not balance: 7 rows of tenants + 1 without a tenant + \
                    0 of others, but 9 rows in the source";
        assert_eq!(stop.message(), text);
    }
}
