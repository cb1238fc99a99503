//! One sender's rows on their way. Each is marked in a commit of its own right before its request leaves, and its
//! outcome is recorded with the mark of the next: at a crash at most one row per attempt is uncertain.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use yakin_adapters::Answer;
use yakin_adapters::chat::ChatMessage;
use yakin_adapters::mail::{Attachment, Letter, Mail, Mailer, Session, suppresses};
use yakin_engine::outcome::Stop;
use yakin_engine::run::TenantRun;

use super::deliver::Order;
use super::outbox::{self, DueSender, Ended, Row};
use super::outside::Outside;
use super::policy::judge;
use super::senders::{self, Client, Way};
use super::{Channel, policy};
use crate::files;

/// One sender's rows, on their way.
pub(super) struct Sending<'a> {
    pub run: &'a TenantRun,
    pub outside: &'a Outside,
    pub order: &'a Order<'a>,
    pub sender: DueSender,
    pub way: Way,
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
    pub async fn send_all(mut self) -> Result<Option<Timestamp>, Stop> {
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

    /// Sends the rows taken; returns until when the sender rests, if it does now. Whatever ends it, what is known of
    /// the last row is recorded and the rows that were not begun are given back.
    async fn send(&mut self, line: &mut Line, rows: Vec<Row>) -> Result<Option<Timestamp>, Stop> {
        let mut last = None;
        let sent = self.send_each(line, rows, &mut last).await;
        let finished = self.finish(last.as_ref()).await;
        if let (Err(_), Err(also)) = (&sent, &finished) {
            let why = also.message();
            self.run.warn("the last delivery's outcome was not recorded", json!({"why": why}));
        }
        let rests = sent?;
        finished.map(|()| rests)
    }

    /// Sends rows one by one. `last` is the attempt that is not recorded yet.
    async fn send_each(
        &mut self,
        line: &mut Line,
        rows: Vec<Row>,
        last: &mut Option<Ended>,
    ) -> Result<Option<Timestamp>, Stop> {
        for row in rows {
            let ready = self.ready(line, &row).await?;
            let wire = ready.is_ok();
            self.turn_to(&row, wire, last.as_ref()).await?;
            *last = None;
            let answer = match ready {
                Ok(ready) => self.hand_over(line, &row, ready).await,
                Err(refused) => refused,
            };
            let (ended, learnt) = self.judge(&row, answer);
            // what was refused here says nothing about the sender
            let learnt = if wire { learnt } else { policy::Sender::Unchanged };
            let reason = last.insert(ended).answer.reason().to_owned();
            let (failures, rests) = self.learn(learnt, &reason).await?;
            self.way.failures_in_row = failures;
            if rests.is_some() {
                return Ok(rests);
            }
        }
        Ok(None)
    }

    /// Records the row before this one, and marks this one right before its request leaves.
    async fn turn_to(&self, row: &Row, wire: bool, last: Option<&Ended>) -> Result<(), Stop> {
        let token = self.run.token();
        self.run
            .step(async |tx| {
                if let Some(ended) = last {
                    outbox::record(tx, ended, token, self.run.id()).await?;
                }
                if wire {
                    outbox::mark_on_wire(tx, row.delivery_id, token, self.run.at()).await?;
                }
                Ok(())
            })
            .await
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
                let (ids, most) = (&row.attachments, mailer.attachment_bytes());
                let read = files::attachments(self.run, self.outside, ids, most).await?;
                let mail = match read {
                    Ok(attachments) => self.mail(row, attachments),
                    Err(refused) => return Ok(Err(refused)),
                };
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
