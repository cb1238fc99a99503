//! One sender's rows on their way. Each is marked in a commit of its own right before its request leaves, and its
//! outcome is recorded with the mark of the next: at a crash at most one row per attempt is uncertain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use super::pace::Granted;
use super::policy::judge;
use super::senders::{Client, Way};
use super::{Channel, pace, policy};
use crate::files;

/// How a sender's turn ended.
pub(super) enum Turn {
    /// Nothing more is to be sent in this run.
    Over,
    /// More can be sent from then on.
    Again(Timestamp),
    /// The sender rests or may not be used any more: another may carry its rows.
    Closed,
}

/// A turn's length, after which other tenants have theirs: chunks, and real time.
const TURN_CHUNKS: usize = 50;
const TURN: Duration = Duration::from_secs(30);

/// One sender's rows, on their way.
pub(super) struct Sending<'a> {
    run: &'a TenantRun,
    outside: &'a Outside,
    order: &'a Order<'a>,
    sender: &'a DueSender,
    way: Way,
    began: Instant,
}

/// Where the rows go: a mail session stays open from row to row.
enum Line {
    Mail(Arc<Mailer>, Box<Session>),
    Chat(Client),
}

/// A row, and the tries at it in this attempt.
struct Try {
    row: Row,
    made: i16,
    not_before: Option<Instant>,
}

/// A row made ready.
enum Ready {
    Mail(Letter),
    Chat(ChatMessage),
}

impl<'a> Sending<'a> {
    pub fn new(
        run: &'a TenantRun,
        outside: &'a Outside,
        order: &'a Order<'a>,
        sender: &'a DueSender,
        way: Way,
    ) -> Sending<'a> {
        Sending { run, outside, order, sender, way, began: Instant::now() }
    }

    /// Sends until nothing is due, the rate or the turn is spent, or the sender rests.
    pub async fn send_all(mut self) -> Result<Turn, Stop> {
        let Some(mut line) = self.open().await? else { return Ok(Turn::Closed) };
        self.began = Instant::now();
        for _ in 0..TURN_CHUNKS {
            if self.is_over() {
                break;
            }
            let rows = match self.take().await? {
                Ok(rows) => rows,
                Err(turn) => return Ok(turn),
            };
            if self.send(&mut line, rows).await? {
                return Ok(Turn::Closed);
            }
        }
        Ok(Turn::Again(self.run.at()))
    }

    /// Whether no further row is to be begun in this turn.
    fn is_over(&self) -> bool {
        self.began.elapsed() >= TURN || self.run.at() >= self.order.until
    }

    /// Reaches the sender before any row is touched: a relay that is down costs no attempt.
    async fn open(&mut self) -> Result<Option<Line>, Stop> {
        let Client::Mail(mailer) = &self.way.client else {
            return Ok(Some(Line::Chat(self.way.client.clone())));
        };
        let answer = match mailer.session().await {
            Ok(session) => return Ok(Some(Line::Mail(mailer.clone(), Box::new(session)))),
            Err(answer) => answer,
        };
        let until = policy::unreached(&answer, self.run.at());
        let why = format!("{}: {}", answer.word(), answer.reason());
        self.run.warn(format!("the relay was not reached: {why}"), json!({"until": until}));
        self.learn(policy::Sender::Rests(until), &why).await?;
        Ok(None)
    }

    /// Takes the next rows, as many as the rate grants; without any, how the turn ends.
    async fn take(&self) -> Result<Result<Vec<Row>, Turn>, Stop> {
        let (which, limit) = (&self.order.which, self.order.chunk as i64);
        let now = self.run.at();
        self.run
            .step(async |tx| {
                let mut ids = outbox::due_rows(tx, self.sender, which, limit).await?;
                if ids.is_empty() {
                    return Ok(Err(Turn::Over));
                }
                match pace::grant(tx, &self.way.pace, ids.len(), now).await? {
                    Granted::Closed => return Ok(Err(Turn::Closed)),
                    Granted::Rows(0) => return Ok(Err(Turn::Again(pace::next_minute(now)))),
                    Granted::Rows(rows) => ids.truncate(rows),
                }
                Ok(Ok(outbox::take(tx, &ids, self.run.token()).await?))
            })
            .await
    }

    /// Sends the rows taken; returns whether the sender rests now. Whatever ends it, what is known of the last row is
    /// recorded and the rows that were not begun are given back.
    async fn send(&mut self, line: &mut Line, rows: Vec<Row>) -> Result<bool, Stop> {
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
    ) -> Result<bool, Stop> {
        let mut waiting: VecDeque<Try> =
            rows.into_iter().map(|row| Try { row, made: 0, not_before: None }).collect();
        while let Some(mut next) = waiting.pop_front() {
            if let Some(at) = next.not_before {
                tokio::time::sleep_until(at.into()).await;
            }
            if self.is_over() || (next.made > 0 && !self.may_repeat().await?) {
                break;
            }
            let ready = self.ready(line, &next.row).await?;
            let wire = ready.is_ok();
            self.turn_to(&next.row, wire, last.as_ref()).await?;
            *last = None;
            let answer = match ready {
                Ok(ready) => self.hand_over(line, &next.row, ready).await,
                Err(refused) => refused,
            };
            next.made += 1;
            let temporary = wire && matches!(answer, Answer::Temporary { .. });
            let (ended, learnt) = self.judge(&next, answer);
            if temporary && next.made < self.order.rules.tries {
                // known, and recorded if it cannot be put back
                *last = Some(ended);
                self.put_back(&mut next).await?;
                *last = None;
                waiting.push_back(next);
                continue;
            }
            // what was refused here says nothing about the sender
            let learnt = if wire { learnt } else { policy::Sender::Unchanged };
            let reason = last.insert(ended).answer.reason().to_owned();
            if self.learn(learnt, &reason).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the sender's rate has room for one more try.
    async fn may_repeat(&self) -> Result<bool, Stop> {
        let (pace, now) = (&self.way.pace, self.run.at());
        let granted = self.run.step(async |tx| pace::grant(tx, pace, 1, now).await).await?;
        Ok(matches!(granted, Granted::Rows(1..)))
    }

    /// Leaves a row that was refused for now until its next try in this attempt; the others go on.
    async fn put_back(&self, tried: &mut Try) -> Result<(), Stop> {
        let (id, token) = (tried.row.delivery_id, self.run.token());
        self.run.step(async |tx| outbox::off_wire(tx, id, token).await).await?;
        tried.not_before = Some(Instant::now() + policy::try_again_after(tried.made));
        Ok(())
    }

    /// Records the row before this one, and marks this one right before its request leaves.
    async fn turn_to(&self, row: &Row, wire: bool, last: Option<&Ended>) -> Result<(), Stop> {
        let (token, mark) = (self.run.token(), wire.then(|| (row.delivery_id, self.run.at())));
        self.run.step(async |tx| outbox::turn(tx, last, mark, token, self.run.id()).await).await
    }

    /// Records the last row and gives back those that were not begun.
    async fn finish(&self, last: Option<&Ended>) -> Result<(), Stop> {
        let token = self.run.token();
        self.run
            .step(async |tx| {
                outbox::turn(tx, last, None, token, self.run.id()).await?;
                outbox::leave(tx, token).await
            })
            .await
    }

    /// Notes what was learnt of the sender; returns whether it rests now.
    async fn learn(&mut self, learnt: policy::Sender, reason: &str) -> Result<bool, Stop> {
        let unchanged = matches!(learnt, policy::Sender::Unchanged)
            || (learnt == policy::Sender::Works && self.way.failures_in_row == 0);
        if unchanged {
            return Ok(false);
        }
        let (now, of) = (self.run.at(), &self.way.pace);
        let learnt = self.run.step(async |tx| pace::learn(tx, of, learnt, reason, now).await);
        let (failures, rests) = learnt.await?;
        self.way.failures_in_row = failures;
        Ok(rests)
    }

    fn judge(&self, tried: &Try, answer: Answer) -> (Ended, policy::Sender) {
        let (at, row) = (self.run.at(), &tried.row);
        let channel = Channel::of(&row.channel).unwrap_or(Channel::Webhook);
        let before = row.before(channel);
        let (after, learnt) = judge(before, &answer, self.order.rules, self.order.which.slot, at);
        let suppress = channel == Channel::Email && suppresses(&answer);
        (Ended { id: row.delivery_id, tries: tried.made, answer, after, suppress, at }, learnt)
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
