//! From a tenant's notifications to deliveries: recipients, routes and templates, rendered strictly before the first
//! row is written.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde_json::{Map, Value, json};
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::book::{Book, OwnTemplate, Person};
use super::content::{Content, Source, render};
use super::routes::{self, Route};
use super::{Channel, NewDelivery, Templates, Urgency};

/// A notification that is to be sent.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Notice {
    pub notification_id: i64,
    pub key: String,
    pub template_id: Option<i64>,
    pub priority: String,
    pub user_id: Option<i64>,
    /// Whom it is for where no user is named: admin or sales.
    pub audience: String,
    pub data: Value,
    pub attachments: Vec<i64>,
    scheduled_at: jiff_sqlx::Timestamp,
}

/// Older than this when its turn comes, a notification is not sent any more.
pub const STALE: SignedDuration = SignedDuration::from_hours(24);

impl Notice {
    /// When it was to be sent.
    pub fn scheduled_at(&self) -> Timestamp {
        self.scheduled_at.to_jiff()
    }

    fn urgency(&self) -> Urgency {
        Urgency::of(&self.priority).unwrap_or(Urgency::Medium)
    }
}

/// The pending notifications up to `end` after the one with number `after`, most urgent first within `limit`.
pub async fn pending(
    tx: &mut Tx,
    end: Timestamp,
    keys: Option<&[String]>,
    limit: i64,
) -> Result<Vec<Notice>, Stop> {
    Ok(sqlx::query_as(include_str!("notices_pending.sql"))
        .bind(end.to_sqlx())
        .bind(keys)
        .bind(limit)
        .fetch_all(tx)
        .await?)
}

/// All deliveries of a notification, or why none may be sent: a missing recipient, template or value, or settings of
/// which none is valid. None, where all settings for it are disabled.
pub fn expand(
    notice: &Notice,
    book: &Book,
    operator: &Templates,
) -> Result<Vec<NewDelivery>, String> {
    let people = recipients(notice, book)?;
    let (mut deliveries, mut unreached) = (Vec::new(), false);
    for route in routes::of(&notice.key, &book.routes)? {
        let Some(channel) = Channel::of(&route.channel) else { continue };
        let source = template(notice, channel, book, operator)?;
        // a chat channel is told once, in the words for its first recipient; people are told one by one
        let personal = matches!(channel, Channel::Email | Channel::InApp | Channel::Sms);
        let reached: Vec<_> =
            people.iter().filter(|p| channel != Channel::Sms || p.phone.is_some()).collect();
        unreached |= reached.is_empty();
        for person in reached.into_iter().take(if personal { usize::MAX } else { 1 }) {
            let content = render(&source, &data(notice, book, person))
                .map_err(|e| format!("template_error: {} {}: {e}", notice.key, channel.word()))?;
            let recipient = address(channel, person, &route);
            deliveries.push(delivery(notice, channel, recipient, &route, content));
        }
    }
    if deliveries.is_empty() && unreached {
        return Err("recipient: nobody whom it is for has a phone number".to_owned());
    }
    Ok(deliveries)
}

fn recipients<'a>(notice: &Notice, book: &'a Book) -> Result<Vec<&'a Person>, String> {
    if let Some(user) = notice.user_id {
        let person = book.people.get(&user);
        return Ok(vec![person.ok_or_else(|| format!("recipient: user {user} is not active"))?]);
    }
    let all: Vec<&Person> = book.people.values().filter(|p| p.role == notice.audience).collect();
    if all.is_empty() {
        let whom = if notice.audience == "sales" { "user in sales" } else { "administrator" };
        return Err(format!("recipient: the tenant has no active {whom}"));
    }
    Ok(all)
}

/// The notification's own template, else the tenant's default for its kind, channel and language, else the
/// operator's.
fn template(
    notice: &Notice,
    channel: Channel,
    book: &Book,
    operator: &Templates,
) -> Result<Source, String> {
    let fits = |t: &&OwnTemplate| t.channel == channel.word();
    let named = notice
        .template_id
        .and_then(|id| book.templates.iter().filter(fits).find(|t| t.template_id == id));
    let default = |language: &str| {
        let of = |t: &&OwnTemplate| t.key == notice.key && t.language == language && t.is_default;
        book.templates.iter().filter(fits).find(of)
    };
    let own = named.or_else(|| default(&book.language)).or_else(|| default("ja"));
    if let Some(own) = own {
        let (subject, text, html) = (own.subject.clone(), own.body.clone(), own.html.clone());
        return Ok(Source { subject, text, html });
    }
    operator.find(&notice.key, channel, &book.language).cloned().ok_or_else(|| {
        format!("template_error: no template '{}' for {}", notice.key, channel.word())
    })
}

fn data(notice: &Notice, book: &Book, person: &Person) -> Value {
    let mut data = match &notice.data {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    data.insert("tenant".to_owned(), json!({"name": book.tenant}));
    data.insert("user".to_owned(), json!({"name": person.name, "email": person.email}));
    Value::Object(data)
}

fn address(channel: Channel, person: &Person, route: &Route) -> String {
    match channel {
        Channel::Email => person.email.clone(),
        Channel::InApp => person.user_id.to_string(),
        Channel::Sms => person.phone.clone().unwrap_or_default(),
        _ => route
            .target
            .clone()
            .or_else(|| route.integration.clone())
            .unwrap_or_else(|| "-".to_owned()),
    }
}

fn delivery(
    notice: &Notice,
    channel: Channel,
    recipient: String,
    route: &Route,
    content: Content,
) -> NewDelivery {
    let attachments =
        if channel == Channel::Email { notice.attachments.clone() } else { Vec::new() };
    NewDelivery {
        source: "notification",
        source_id: notice.notification_id,
        channel,
        recipient,
        sender: "tenant",
        integration_id: route.integration_id,
        setting_id: Some(route.setting_id).filter(|id| *id != 0),
        priority: notice.urgency(),
        subject: content.subject,
        body: content.text,
        html: content.html,
        link: notice.data["link"].as_str().map(str::to_owned),
        attachments,
        due_at: notice.scheduled_at(),
        expires_at: notice.scheduled_at() + STALE,
    }
}

/// Sets the state of notifications, with the reason of those that failed.
pub async fn settle(
    tx: &mut Tx,
    settled: &[(i64, &'static str, Option<String>)],
) -> Result<(), Stop> {
    let ids: Vec<i64> = settled.iter().map(|s| s.0).collect();
    let states: Vec<&str> = settled.iter().map(|s| s.1).collect();
    let errors: Vec<Option<&str>> = settled.iter().map(|s| s.2.as_deref()).collect();
    sqlx::query(
        "UPDATE app.notifications n SET state = s.state, error = left(s.error, 1000)
           FROM unnest($1::bigint[], $2::text[], $3::text[]) AS s (id, state, error)
          WHERE n.tenant_id = yakin.current_tenant() AND n.notification_id = s.id AND n.state = 'pending'",
    )
    .bind(ids)
    .bind(states)
    .bind(errors)
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(data: Value) -> Notice {
        let scheduled: Timestamp = "2026-11-01T08:30:00+09:00".parse().unwrap();
        Notice {
            notification_id: 5,
            key: "report-ready".to_owned(),
            template_id: None,
            priority: "high".to_owned(),
            user_id: None,
            audience: "admin".to_owned(),
            data,
            attachments: vec![9],
            scheduled_at: scheduled.to_sqlx(),
        }
    }

    fn person(user_id: i64, role: &str) -> (i64, Person) {
        let (email, name) = (format!("u{user_id}@example.jp"), format!("利用者{user_id}"));
        let phone = (user_id == 1).then(|| "+819012345678".to_owned());
        (user_id, Person { user_id, email, name, phone, role: role.to_owned() })
    }

    fn slack(setting_id: i64, target: &str) -> Route {
        Route {
            setting_id,
            key: "*".to_owned(),
            channel: "slack".to_owned(),
            integration_id: Some(3),
            target: Some(target.to_owned()),
            integration: Some("社内Slack".to_owned()),
            standing: "usable".to_owned(),
        }
    }

    fn book(routes: Vec<Route>) -> Book {
        Book {
            tenant: "株式会社あおば".to_owned(),
            language: "ja".to_owned(),
            people: [person(1, "admin"), person(2, "admin"), person(3, "sales")].into(),
            routes,
            templates: Vec::new(),
        }
    }

    fn complete() -> Value {
        json!({"report": "稼働状況", "link": "https://skills.example.jp/reports/1"})
    }

    #[test]
    fn without_settings_each_administrator_gets_a_mail() {
        let operator = Templates::read(None).unwrap();
        let all = expand(&notice(complete()), &book(Vec::new()), &operator).unwrap();
        let to: Vec<&str> = all.iter().map(|d| d.recipient.as_str()).collect();
        assert_eq!(to, ["u1@example.jp", "u2@example.jp"]);
        assert_eq!(
            all[0].subject.as_deref(),
            Some("【株式会社あおば】レポート「稼働状況」ができました")
        );
        assert!(all[1].body.starts_with("利用者2 様"));
        assert_eq!((all[0].priority, &all[0].attachments), (Urgency::High, &vec![9]));
    }

    #[test]
    fn what_is_for_sales_goes_to_sales_alone() {
        let operator = Templates::read(None).unwrap();
        let notice = Notice { audience: "sales".to_owned(), ..notice(complete()) };
        let to = |book: &Book| {
            let all = expand(&notice, book, &operator)?;
            Ok::<Vec<String>, String>(all.into_iter().map(|d| d.recipient).collect())
        };
        let mut book = book(Vec::new());
        assert_eq!(to(&book), Ok(vec!["u3@example.jp".to_owned()]));
        book.people.remove(&3);
        assert_eq!(to(&book), Err("recipient: the tenant has no active user in sales".to_owned()));
    }

    #[test]
    fn by_sms_goes_who_has_a_number() {
        let operator = Templates::read(None).unwrap();
        let sms = || vec![Route { channel: "sms".to_owned(), target: None, ..slack(7, "") }];
        let all = expand(&notice(complete()), &book(sms()), &operator).unwrap();
        let to: Vec<_> = all.iter().map(|d| (d.channel, d.recipient.as_str())).collect();
        assert_eq!(to, [(Channel::Sms, "+819012345678")]);
        let mut nobody = book(sms());
        nobody.people.remove(&1);
        let error = expand(&notice(complete()), &nobody, &operator).unwrap_err();
        assert_eq!(error, "recipient: nobody whom it is for has a phone number");
    }

    #[test]
    fn each_chat_channel_is_told_once() {
        let operator = Templates::read(None).unwrap();
        let book = book(vec![slack(7, "C1"), slack(8, "C2")]);
        let all = expand(&notice(complete()), &book, &operator).unwrap();
        let to: Vec<_> = all.iter().map(|d| (d.recipient.as_str(), d.setting_id)).collect();
        assert_eq!(to, [("C1", Some(7)), ("C2", Some(8))]);
        assert!(all.iter().all(|d| d.attachments.is_empty() && d.link.is_some()));
    }

    #[test]
    fn who_has_disabled_all_settings_is_not_told_by_mail_instead() {
        let operator = Templates::read(None).unwrap();
        let with = |standings: [&str; 2]| {
            let mut routes = vec![slack(7, "C1"), slack(8, "C2")];
            for (route, standing) in routes.iter_mut().zip(standings) {
                route.standing = standing.to_owned();
            }
            let expanded = expand(&notice(complete()), &book(routes), &operator);
            expanded.map(|all| all.into_iter().map(|d| d.recipient).collect::<Vec<_>>())
        };
        assert_eq!(with(["disabled", "disabled"]), Ok(Vec::new()));
        assert_eq!(with(["disabled", "usable"]), Ok(vec!["C2".to_owned()]));
        assert_eq!(with(["invalid", "usable"]), Ok(vec!["C2".to_owned()]));
        assert_eq!(with(["disabled", "invalid"]), Err("route: setting 8 is invalid".to_owned()));
    }

    #[test]
    fn a_missing_value_stops_the_whole_notification() {
        let operator = Templates::read(None).unwrap();
        let error = expand(&notice(json!({})), &book(vec![slack(7, "C1")]), &operator).unwrap_err();
        assert!(error.starts_with("template_error: report-ready slack: "), "{error}");
        let unknown = Notice { key: "no-such".to_owned(), ..notice(complete()) };
        let error = expand(&unknown, &book(Vec::new()), &operator).unwrap_err();
        assert_eq!(error, "template_error: no template 'no-such' for email");
        let gone = Notice { user_id: Some(99), ..notice(complete()) };
        let error = expand(&gone, &book(Vec::new()), &operator).unwrap_err();
        assert_eq!(error, "recipient: user 99 is not active");
    }

    #[test]
    fn a_tenants_own_template_goes_before_the_operators() {
        let operator = Templates::read(None).unwrap();
        let mut book = book(Vec::new());
        book.templates.push(OwnTemplate {
            template_id: 1,
            key: "report-ready".to_owned(),
            channel: "email".to_owned(),
            language: "ja".to_owned(),
            subject: Some("{{ report }}".to_owned()),
            body: "自社の文面".to_owned(),
            html: None,
            is_default: true,
        });
        let all = expand(&notice(complete()), &book, &operator).unwrap();
        assert_eq!(
            (all[0].subject.as_deref(), all[0].body.as_str()),
            (Some("稼働状況"), "自社の文面")
        );
    }
}
