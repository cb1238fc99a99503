//! Alerts on their way to people: takes due messages of this node's routes and sends them by mail or chat.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use yakin_adapters::Answer;
use yakin_adapters::chat::ChatMessage;
use yakin_adapters::mail::{Mail, Mailer};
use yakin_adapters::outgoing::Outgoing;
use yakin_domain::delivery::Channel;
use yakin_domain::delivery::senders::Client;
use yakin_engine::engine::Engine;
use yakin_engine::record::alert_messages::{Message, UNDER_WAY, mark, take};

use crate::config::{AlertRoute, Config, ConfigError};

/// How often a route looks for messages.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is under way when the node is told to stop gets so long.
const GRACE: Duration = Duration::from_secs(10);

/// The routes of this node, ready to be used.
pub struct Teller(Vec<Line>);

/// A route and what it sends by. Each goes by itself: a slow one holds up no other.
struct Line {
    route: AlertRoute,
    client: Client,
    outgoing: Arc<Outgoing>,
}

impl Teller {
    /// The configured routes; a route that cannot work is a configuration error that names it.
    pub fn new(config: &Config) -> Result<Teller, ConfigError> {
        if config.alerts.is_empty() {
            return Ok(Teller(Vec::new()));
        }
        let outgoing = Arc::new(crate::outside::outgoing_of_alerts(config)?);
        let line = |route: &AlertRoute| {
            let client = client(route, config)
                .map_err(|e| ConfigError(format!("[[alerts]] {}: {e:#}", route.name)))?;
            Ok(Line { route: route.clone(), client, outgoing: outgoing.clone() })
        };
        config.alerts.iter().map(line).collect::<Result<_, _>>().map(Teller)
    }

    /// Sends what is due on every route until told to stop.
    pub async fn tell(self, engine: Arc<Engine>, stop: CancellationToken) {
        let mut telling = JoinSet::new();
        for line in self.0 {
            let (engine, stop) = (engine.clone(), stop.clone());
            telling.spawn(async move {
                let late = async {
                    stop.cancelled().await;
                    tokio::time::sleep(GRACE).await;
                };
                tokio::select! {
                    () = line.tell(&engine, &stop) => {}
                    () = late => {}
                }
            });
        }
        while let Some(ended) = telling.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a route of alerts ended by itself");
            }
        }
    }
}

impl Line {
    async fn tell(&self, engine: &Engine, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.tell_next(engine).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    route = self.route.name,
                    %error,
                    "alerts could not be sent; tried again"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends the next message that is due; returns whether there was one.
    async fn tell_next(&self, engine: &Engine) -> Result<bool, sqlx::Error> {
        let now = engine.clock.now();
        let Some(message) = take(&engine.pool, &self.route.name, now).await? else {
            return Ok(false);
        };
        let error = match tokio::time::timeout(UNDER_WAY, self.send(&message, now)).await {
            Ok(Answer::Sent { .. }) => None,
            Ok(other) => Some(format!("{}: {}", other.word(), other.reason())),
            Err(_) => Some(format!("no answer in {} seconds", UNDER_WAY.as_secs())),
        };
        let (route, alert) = (&self.route.name, message.alert_id);
        if let Some(error) = &error {
            tracing::warn!(route, alert, error, "an alert was not delivered");
        }
        if !mark(&engine.pool, &message, error.as_deref(), engine.clock.now()).await? {
            tracing::warn!(route, alert, "an alert was taken over by another node meanwhile");
        }
        Ok(true)
    }

    async fn send(&self, message: &Message, now: Timestamp) -> Answer {
        let (title, text) = (title(message), text(message));
        match &self.client {
            Client::Mail(mailer) => {
                let mail = Mail {
                    message_id: format!("yakin.alert.{}", message.id),
                    to: self.route.to.clone(),
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
                chat_client.post(&self.outgoing, &self.route.to, &chat, now).await
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
    let title = match what.as_str() {
        "morning" => format!("[Yakin] {subject}"),
        _ => format!("[Yakin] {severity} {what}: {subject}"),
    };
    title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(180).collect()
}

fn text(message: &Message) -> String {
    let next = match message.what.as_str() {
        "morning" => return message.message.clone(),
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
    let needs_target = matches!(
        route.channel,
        Channel::Slack | Channel::LineWorks | Channel::Teams | Channel::Sms
    );
    anyhow::ensure!(
        !needs_target || !route.to.is_empty(),
        "'to' is missing, expected a channel or number"
    );
    let file = route.credentials_file.as_deref().context("credentials_file is missing")?;
    let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Client::of_chat(route.channel, &text).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))
}
