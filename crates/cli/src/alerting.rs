//! Alerts on their way to people: takes due messages of this node's routes and sends them by mail or chat.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use yakin_adapters::Answer;
use yakin_adapters::chat::ChatMessage;
use yakin_adapters::mail::{Mail, Mailer};
use yakin_adapters::outgoing::Outgoing;
use yakin_domain::delivery::Channel;
use yakin_domain::delivery::senders::Client;
use yakin_engine::engine::Engine;
use yakin_engine::record::alert_messages::{Message, mark, take};

use crate::config::{AlertRoute, Config, ConfigError};

/// Messages taken at a time.
const TAKEN: i64 = 20;

/// The routes of this node, ready to be used.
pub struct Teller {
    routes: Vec<(AlertRoute, Client)>,
    outgoing: Outgoing,
}

impl Teller {
    /// The configured routes; a route that cannot work is a configuration error that names it.
    pub fn new(config: &Config) -> Result<Teller, ConfigError> {
        let outgoing = crate::outside::outgoing(config)?;
        let mut routes = Vec::new();
        for route in &config.alerts {
            let client = client(route, config)
                .map_err(|e| ConfigError(format!("[[alerts]] {}: {e:#}", route.name)))?;
            routes.push((route.clone(), client));
        }
        Ok(Teller { routes, outgoing })
    }

    /// Sends what is due until told to stop; looks every five seconds.
    pub async fn tell(self, engine: Arc<Engine>, stop: CancellationToken) {
        if self.routes.is_empty() {
            return;
        }
        while !stop.is_cancelled() {
            if let Err(error) = self.tell_due(&engine).await {
                tracing::warn!(%error, "alerts could not be sent; tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends what is due now; returns how many messages were taken.
    pub async fn tell_due(&self, engine: &Engine) -> Result<usize, sqlx::Error> {
        let names: Vec<String> = self.routes.iter().map(|(r, _)| r.name.clone()).collect();
        let now = engine.clock.now();
        let messages = take(&engine.pool, &names, TAKEN, now).await?;
        for message in &messages {
            let Some((route, client)) = self.routes.iter().find(|(r, _)| r.name == message.route)
            else {
                continue;
            };
            let answer = self.send(route, client, message, now).await;
            let error = match &answer {
                Answer::Sent { .. } => None,
                other => Some(format!("{}: {}", other.word(), other.reason())),
            };
            if let Some(error) = &error {
                let (route, alert) = (&route.name, message.alert_id);
                tracing::warn!(route, alert, error, "an alert was not delivered");
            }
            mark(&engine.pool, message, error.as_deref(), now).await?;
        }
        Ok(messages.len())
    }

    async fn send(
        &self,
        route: &AlertRoute,
        client: &Client,
        message: &Message,
        now: Timestamp,
    ) -> Answer {
        let (title, text) = (title(message), text(message));
        match client {
            Client::Mail(mailer) => {
                let mail = Mail {
                    message_id: format!("yakin.alert.{}", message.id),
                    to: route.to.clone(),
                    subject: title,
                    text,
                    html: None,
                    attachments: Vec::new(),
                    headers: Vec::new(),
                    date: now,
                };
                mailed(mailer, &mail).await
            }
            chat_client => {
                let chat = ChatMessage {
                    id: format!("alert-{}", message.id),
                    title: Some(title),
                    text,
                    link: None,
                };
                chat_client.post(&self.outgoing, &route.to, &chat, now).await
            }
        }
    }
}

async fn mailed(mailer: &Mailer, mail: &Mail) -> Answer {
    let letter = match mailer.compose(mail) {
        Ok(letter) => letter,
        Err(error) => return Answer::Permanent { reason: error.to_string() },
    };
    match mailer.session().await {
        Ok(mut session) => session.send(&letter).await,
        Err(answer) => answer,
    }
}

fn title(message: &Message) -> String {
    let Message { severity, what, subject, .. } = message;
    let title = format!("[Yakin] {severity} {what}: {subject}");
    title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(180).collect()
}

fn text(message: &Message) -> String {
    let next = match message.what.as_str() {
        "resolved" => "Nothing is left to do.".to_owned(),
        _ => "Look at it: yakin alerts · yakin dead list · yakin timetable".to_owned(),
    };
    format!("{}\n\n{next}\n", message.message)
}

fn client(route: &AlertRoute, config: &Config) -> anyhow::Result<Client> {
    if route.channel == Channel::Email {
        let relay = config.mail.first().context("email needs a [[mail]] relay")?;
        anyhow::ensure!(!route.to.is_empty(), "'to' is missing, expected an address");
        return Ok(Client::Mail(Arc::new(Mailer::new(relay.relay.clone())?)));
    }
    let needs_target =
        matches!(route.channel, Channel::Slack | Channel::LineWorks | Channel::Teams);
    anyhow::ensure!(!needs_target || !route.to.is_empty(), "'to' is missing, expected a channel");
    let file = route.credentials_file.as_deref().context("credentials_file is missing")?;
    let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Client::of_chat(route.channel, &text).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))
}
