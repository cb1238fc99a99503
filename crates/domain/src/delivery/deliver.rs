//! Delivers what is due for a tenant: clears its rows, goes from sender to sender, and says when to come again.

use jiff::Timestamp;
use serde_json::json;
use yakin_engine::outcome::{Done, Outcome, Stop};
use yakin_engine::run::TenantRun;
use yakin_engine::tx::Tx;

use super::outbox::{self, DueSender, Selection, Totals};
use super::outside::Outside;
use super::pace;
use super::policy::Rules;
use super::senders::{self, Found};
use super::sending::{Sending, Turn};

/// What a run is to send.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub which: Selection<'a>,
    /// Rows taken at a time.
    pub chunk: usize,
    pub rules: Rules,
    /// It waits for nothing past this.
    pub until: Timestamp,
}

/// What became of the tenant's rows in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub totals: Totals,
    /// Senders that could not be used, and why.
    pub unusable: Vec<String>,
    /// When a sender that rests, or whose rate is spent, can send on: later than the order waits.
    pub resumes: Option<Timestamp>,
}

impl Delivered {
    /// How this tenant's piece ends: blocked where a sender has to be mended first, else done with its counts.
    pub fn outcome(&self) -> Outcome {
        if self.unusable.is_empty() {
            Ok(self.done())
        } else {
            Err(Stop::blocked(self.unusable.join("; ")))
        }
    }

    fn done(&self) -> Done {
        let t = &self.totals;
        let mut done = Done::rows(t.sent + t.failed + t.uncertain + t.expired + t.cancelled);
        for (name, count) in [
            ("attempted", t.attempted),
            ("sent", t.sent),
            ("failed", t.failed),
            ("uncertain", t.uncertain),
            ("expired", t.expired),
            ("cancelled", t.cancelled),
            ("put_off", t.put_off),
            ("left_due", t.left_due),
        ] {
            done = done.count(name, count);
        }
        done
    }
}

/// The instant a run stands for, to the minute. Intervals count from it, so that the run of the same minute some hours
/// later finds its rows due, although this one began late.
pub fn slot(run: &TenantRun) -> Timestamp {
    pace::minute_of(run.stands_for())
}

/// Ways of one sender that are tried in one attempt.
const MOST_WAYS: usize = 20;
/// Rows a dry run names.
const NAMED: i64 = 1000;

/// Sends what is due, sender by sender. Ends with `Later` while a rate or a rest lets more go before `until`.
pub async fn deliver(
    run: &TenantRun,
    outside: &Outside,
    orders: &[Order<'_>],
) -> Result<Delivered, Stop> {
    let (mut wake, mut resumes, mut unusable) = (None, None, Vec::new());
    for order in orders {
        run.step(async |tx| order.clear(tx, run).await).await?;
        let due = run.read(async |tx| outbox::due_senders(tx, &order.which).await).await?;
        for sender in due {
            match serve(run, outside, order, &sender).await? {
                Ok(Some(at)) if at < order.until => {
                    wake = [wake, Some(at)].into_iter().flatten().min()
                }
                Ok(Some(at)) => resumes = [resumes, Some(at)].into_iter().flatten().min(),
                Ok(None) => {}
                Err(why) => unusable.push(format!("{why} ({} deliveries wait)", sender.rows)),
            }
        }
    }
    if let Some(at) = wake {
        return Err(Stop::later(at));
    }
    let mut totals = Totals::default();
    for order in orders {
        totals.add(run.read(async |tx| outbox::totals(tx, &order.which, run.id()).await).await?);
    }
    Ok(Delivered { totals, unusable, resumes })
}

/// Sends a sender's rows by the first way that is open, and by the next when that one closes. Returns when more can be
/// sent, or why nothing can.
async fn serve(
    run: &TenantRun,
    outside: &Outside,
    order: &Order<'_>,
    sender: &DueSender,
) -> Result<Result<Option<Timestamp>, String>, Stop> {
    for _ in 0..MOST_WAYS {
        match senders::find(run, outside, sender).await? {
            Found::Ready(way) => {
                match Sending::new(run, outside, order, sender, way).send_all().await? {
                    Turn::Over => return Ok(Ok(None)),
                    Turn::Again(at) => return Ok(Ok(Some(at))),
                    Turn::Closed => {}
                }
            }
            Found::Rests(until, why) => {
                run.warn(format!("rests: {why}"), json!({"until": until, "rows": sender.rows}));
                return Ok(Ok(Some(until)));
            }
            Found::Unusable(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(None))
}

/// The dry run of [`deliver`]: names what would be sent, and calls nobody.
pub async fn plan(run: &TenantRun, orders: &[Order<'_>]) -> Outcome {
    run.write(async |tx| {
        let mut due = 0;
        for order in orders {
            order.clear(tx, run).await?;
            for sender in outbox::due_senders(tx, &order.which).await? {
                due += sender.rows;
                let ids = outbox::due_rows(tx, &sender, &order.which, NAMED).await?;
                for row in outbox::take(tx, &ids, run.token()).await? {
                    let (to, subject) = (row.recipient, row.subject);
                    tx.plan(json!({"send": row.channel, "to": to, "subject": subject}));
                }
            }
        }
        outbox::leave(tx, run.token()).await?;
        Ok(Done::default().count("due", due))
    })
    .await
}

impl Order<'_> {
    async fn clear(&self, tx: &mut Tx, run: &TenantRun) -> Result<(), Stop> {
        outbox::clear(tx, self.which.channels, self.rules, run.id(), run.at()).await
    }
}
