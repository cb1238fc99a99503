//! Sends a tenant's due deliveries. Each row is marked in a commit of its own right before its request leaves, and
//! its outcome is recorded with the mark of the next: at a crash at most one row per attempt is uncertain.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use yakin_adapters::Answer;
use yakin_adapters::chat::ChatMessage;
use yakin_adapters::mail::{Attachment, Letter, Mail, Mailer, Session, suppresses};
use yakin_engine::outcome::{Done, Outcome, Stop};
use yakin_engine::run::TenantRun;

use super::outbox::{self, DueSender, Ended, Row, Scope, Totals};
use super::outside::Outside;
use super::policy::{Rules, judge};
use super::senders::{self, Client, Found, Way};
use super::{Channel, Urgency, policy};

/// What a run is to send.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub channels: &'a [Channel],
    /// pending for first attempts, retry_wait for later ones.
    pub states: &'a [&'static str],
    pub urgencies: &'a [Urgency],
    /// Rows taken at a time.
    pub chunk: usize,
    pub rules: Rules,
    /// The instant the run stands for, to the minute.
    pub slot: Timestamp,
    /// It waits for nothing past this.
    pub until: Timestamp,
}

/// What became of the tenant's rows in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub totals: Totals,
    /// Senders that could not be used, and why.
    pub unusable: Vec<String>,
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

/// The instant a run stands for: its start, to the minute. Intervals count from it, so that the run of the same
/// minute some hours later finds its rows due.
pub fn slot(run: &TenantRun) -> Timestamp {
    senders::minute_of(run.now())
}

/// Rows a dry run names.
const NAMED: i64 = 1000;

/// Sends what is due, sender by sender. Ends with `Later` while a rate or a rest lets more go before `until`.
pub async fn deliver(
    run: &TenantRun,
    outside: &Outside,
    orders: &[Order<'_>],
) -> Result<Delivered, Stop> {
    let (mut wake, mut unusable) = (None, Vec::new());
    for order in orders {
        run.step(async |tx| outbox::clear(tx, order.channels, run.id(), run.at()).await).await?;
        let scope = order.scope();
        let due = run.read(async |tx| outbox::due_senders(tx, &scope).await).await?;
        for sender in due {
            let wait = match senders::find(run, outside, &sender).await? {
                Found::Ready(way) => {
                    Sending { run, outside, order, sender, way }.send_all().await?
                }
                Found::Rests(until, why) => {
                    run.warn(format!("rests: {why}"), json!({"until": until, "rows": sender.rows}));
                    Some(until)
                }
                Found::Unusable(why) => {
                    unusable.push(format!("{why} ({} deliveries wait)", sender.rows));
                    None
                }
            };
            let wait = wait.filter(|at| *at <= order.until);
            wake = [wake, wait].into_iter().flatten().min();
        }
    }
    if let Some(at) = wake {
        return Err(Stop::later(at));
    }
    let mut totals = Totals::default();
    for order in orders {
        let scope = order.scope();
        totals.add(run.read(async |tx| outbox::totals(tx, &scope, run.id()).await).await?);
    }
    Ok(Delivered { totals, unusable })
}

/// The dry run of [`deliver`]: names what would be sent, and calls nobody.
pub async fn plan(run: &TenantRun, orders: &[Order<'_>]) -> Outcome {
    run.write(async |tx| {
        let mut due = 0;
        for scope in orders.iter().map(Order::scope) {
            for sender in outbox::due_senders(tx, &scope).await? {
                due += sender.rows;
                let ids = outbox::due_rows(tx, &sender, &scope, NAMED).await?;
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
    fn scope(&self) -> Scope<'_> {
        Scope {
            channels: self.channels,
            states: self.states,
            urgencies: self.urgencies,
            slot: self.slot,
        }
    }
}

/// One sender's rows, on their way.
struct Sending<'a> {
    run: &'a TenantRun,
    outside: &'a Outside,
    order: &'a Order<'a>,
    sender: DueSender,
    way: Way,
}

/// Where the rows go: a mail session stays open from row to row.
enum Line {
    Mail(Arc<Mailer>, Box<Session>),
    Chat(Client),
}

/// A row made ready.
enum Ready {
    Mail(Letter),
    Chat(ChatMessage),
}

impl Sending<'_> {
    /// Sends until nothing is due, the rate is spent or the sender rests; returns when more can be sent.
    async fn send_all(mut self) -> Result<Option<Timestamp>, Stop> {
        let mut line = match self.open().await? {
            Ok(line) => line,
            Err(until) => return Ok(Some(until)),
        };
        loop {
            let (rows, due) = self.take().await?;
            if rows.is_empty() {
                return Ok((due > 0).then(|| senders::next_minute(self.run.at())));
            }
            if let Some(until) = self.send(&mut line, rows).await? {
                return Ok(Some(until));
            }
        }
    }

    /// Reaches the sender before any row is touched: a relay that is down costs no attempt.
    async fn open(&mut self) -> Result<Result<Line, Timestamp>, Stop> {
        let Client::Mail(mailer) = &self.way.client else {
            return Ok(Ok(Line::Chat(self.way.client.clone())));
        };
        let answer = match mailer.session().await {
            Ok(session) => return Ok(Ok(Line::Mail(mailer.clone(), Box::new(session)))),
            Err(answer) => answer,
        };
        let now = self.run.at();
        let until = policy::unreached(&answer, now);
        let why = format!("{}: {}", answer.word(), answer.reason());
        self.run.warn(format!("the relay was not reached: {why}"), json!({"until": until}));
        let learnt = policy::Sender::Rests(until);
        self.run.step(async |tx| senders::learn(tx, &self.way, learnt, &why, now).await).await?;
        Ok(Err(until))
    }

    /// Takes the next rows, as many as the rate grants; also says how many were due.
    async fn take(&self) -> Result<(Vec<Row>, usize), Stop> {
        let (scope, limit) = (self.order.scope(), self.order.chunk as i64);
        self.run
            .step(async |tx| {
                let mut ids = outbox::due_rows(tx, &self.sender, &scope, limit).await?;
                let due = ids.len();
                if due == 0 {
                    return Ok((Vec::new(), 0));
                }
                ids.truncate(senders::grant(tx, &self.way.pace, due, self.run.at()).await?);
                Ok((outbox::take(tx, &ids, self.run.token()).await?, due))
            })
            .await
    }

    /// Sends rows one by one; returns until when the sender rests, if it does now.
    async fn send(&mut self, line: &mut Line, rows: Vec<Row>) -> Result<Option<Timestamp>, Stop> {
        let mut previous: Option<Ended> = None;
        for row in rows {
            let ready = self.ready(line, &row).await?;
            let token = self.run.token();
            let wire = ready.is_ok();
            self.run
                .step(async |tx| {
                    if let Some(ended) = &previous {
                        outbox::record(tx, ended, token, self.run.id()).await?;
                    }
                    if wire {
                        outbox::mark_on_wire(tx, row.delivery_id, token, self.run.at()).await?;
                    }
                    Ok(())
                })
                .await?;
            let answer = match ready {
                Ok(ready) => self.hand_over(line, &row, ready).await,
                Err(refused) => refused,
            };
            let (ended, learnt) = self.judge(&row, answer);
            // what was refused here says nothing about the sender
            let learnt = if wire { learnt } else { policy::Sender::Unchanged };
            let reason = ended.answer.reason().to_owned();
            let (failures, rests) = self.learn(learnt, &reason).await?;
            self.way.failures_in_row = failures;
            if rests.is_some() {
                self.finish(Some(&ended)).await?;
                return Ok(rests);
            }
            previous = Some(ended);
        }
        self.finish(previous.as_ref()).await?;
        Ok(None)
    }

    /// Records the last row and gives back those that were not begun.
    async fn finish(&self, last: Option<&Ended>) -> Result<(), Stop> {
        let token = self.run.token();
        self.run
            .step(async |tx| {
                if let Some(ended) = last {
                    outbox::record(tx, ended, token, self.run.id()).await?;
                }
                outbox::leave(tx, token).await
            })
            .await
    }

    async fn learn(
        &self,
        learnt: policy::Sender,
        reason: &str,
    ) -> Result<(i32, Option<Timestamp>), Stop> {
        let unchanged = matches!(learnt, policy::Sender::Unchanged)
            || (learnt == policy::Sender::Works && self.way.failures_in_row == 0);
        if unchanged {
            return Ok((self.way.failures_in_row, None));
        }
        let now = self.run.at();
        self.run.step(async |tx| senders::learn(tx, &self.way, learnt, reason, now).await).await
    }

    fn judge(&self, row: &Row, answer: Answer) -> (Ended, policy::Sender) {
        let at = self.run.at();
        let channel = Channel::of(&row.channel).unwrap_or(Channel::Webhook);
        let before = row.before(channel);
        let (after, learnt) = judge(before, &answer, self.order.rules, self.order.slot, at);
        let suppress = channel == Channel::Email && suppresses(&answer);
        (Ended { id: row.delivery_id, answer, after, suppress, at }, learnt)
    }

    /// Everything about a row that can be wrong without anybody having been called.
    async fn ready(&self, line: &Line, row: &Row) -> Result<Result<Ready, Answer>, Stop> {
        match line {
            Line::Chat(_) => Ok(Ok(Ready::Chat(ChatMessage {
                id: format!("{}-{}", self.run.tenant(), row.delivery_id),
                title: row.subject.clone(),
                text: row.body.clone(),
                link: row.link.clone(),
            }))),
            Line::Mail(mailer, _) => {
                let attachments = match self.attachments(row).await? {
                    Ok(attachments) => attachments,
                    Err(refused) => return Ok(Err(refused)),
                };
                let mail = self.mail(row, attachments);
                Ok(match mailer.compose(&mail) {
                    Ok(letter) => Ok(Ready::Mail(letter)),
                    Err(error) => Err(Answer::Permanent { reason: error.to_string() }),
                })
            }
        }
    }

    fn mail(&self, row: &Row, attachments: Vec<Attachment>) -> Mail {
        Mail {
            message_id: format!("yakin.{}.{}", self.run.tenant(), row.delivery_id),
            to: row.recipient.clone(),
            subject: row.subject.clone().unwrap_or_default(),
            text: row.body.clone(),
            html: row.html.clone(),
            attachments,
            headers: vec![("X-Yakin-Delivery".to_owned(), row.delivery_id.to_string())],
            date: row.created_at(),
        }
    }

    /// The row's files from the storage; a missing one is final, a storage that fails is not the row's fault.
    async fn attachments(&self, row: &Row) -> Result<Result<Vec<Attachment>, Answer>, Stop> {
        let mut attachments = Vec::new();
        for id in &row.attachments {
            match crate::files::attachment(self.run, self.outside, *id).await? {
                Ok(attachment) => attachments.push(attachment),
                Err(answer) => return Ok(Err(answer)),
            }
        }
        Ok(Ok(attachments))
    }

    async fn hand_over(&self, line: &mut Line, row: &Row, ready: Ready) -> Answer {
        let (outgoing, now) = (&self.outside.outgoing, self.run.at());
        match (line, ready) {
            (Line::Mail(_, session), Ready::Mail(letter)) => session.send(&letter).await,
            (Line::Chat(client), Ready::Chat(message)) => {
                client.post(outgoing, &row.recipient, &message, now).await
            }
            _ => Answer::Permanent { reason: "made ready for another kind of line".to_owned() },
        }
    }
}
