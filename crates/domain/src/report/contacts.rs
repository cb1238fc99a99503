//! Whom a company's reports go to: its report contacts, else its administrators. One without an address is named, never
//! left out in silence.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::registry::Made;
use crate::delivery::{Channel, NewDelivery, Templates, Urgency};

/// How long an undelivered report is tried.
const KEEP: SignedDuration = SignedDuration::from_hours(24 * 14);
/// Attachments beyond this are not sent: the mail says where the files are.
pub const MOST_ATTACHED: i64 = 10 * 1024 * 1024;

/// A person who gets a company's reports.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Contact {
    pub name: String,
    pub email: Option<String>,
}

/// The tenant's contacts, as the tenant. (At most 100.)
pub async fn contacts(tx: &mut Tx) -> Result<Vec<Contact>, Stop> {
    let contacts: Vec<Contact> = sqlx::query_as(
        "SELECT name, nullif(trim(email), '') AS email FROM app.report_contacts
          WHERE tenant_id = yakin.current_tenant() AND active ORDER BY contact_id LIMIT 100",
    )
    .fetch_all(&mut *tx)
    .await?;
    if !contacts.is_empty() {
        return Ok(contacts);
    }
    Ok(sqlx::query_as(
        "SELECT name, nullif(trim(email), '') AS email FROM app.users
          WHERE tenant_id = yakin.current_tenant() AND role = 'admin' AND status = 'active'
          ORDER BY user_id LIMIT 100",
    )
    .fetch_all(tx)
    .await?)
}

/// What a report's mail says.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    pub language: &'a str,
    /// The company's name.
    pub tenant: &'a str,
    pub month: &'a str,
    /// What the cover says is missing; empty when nothing is.
    pub incomplete: &'a str,
}

/// A mail to each contact with an address: from the operator, with both forms where they are not too large.
pub fn mails(
    contacts: &[Contact],
    forms: &[Made],
    said: &Said<'_>,
    templates: &Templates,
    at: Timestamp,
) -> Result<Vec<NewDelivery>, Stop> {
    let Some(paper) = forms.iter().find(|form| form.format == "pdf") else {
        return Err(Stop::give_up(Cause::Defect, "a report is mailed that has no PDF"));
    };
    let attached = forms.iter().map(|form| form.size_bytes).sum::<i64>() <= MOST_ATTACHED;
    let keys: Vec<&str> = forms.iter().map(|form| form.key.as_str()).collect();
    let mail = |contact: &Contact, email: &str| {
        let data = json!({
            "contact": {"name": contact.name}, "tenant": {"name": said.tenant}, "month": said.month,
            "incomplete": said.incomplete, "attached": attached, "files": keys,
        });
        let content = templates
            .render("monthly-report", Channel::Email, said.language, &data)
            .map_err(|e| Stop::give_up(Cause::Data, format!("template monthly-report: {e}")))?;
        Ok(NewDelivery {
            source: "report",
            source_id: paper.report_id,
            channel: Channel::Email,
            recipient: email.to_owned(),
            sender: "platform",
            integration_id: None,
            setting_id: None,
            priority: Urgency::Low,
            subject: content.subject,
            body: content.text,
            html: content.html,
            link: None,
            attachments: if attached {
                forms.iter().map(|f| f.file_id).collect()
            } else {
                Vec::new()
            },
            due_at: at,
            expires_at: at + KEEP,
        })
    };
    let with_address = contacts.iter().filter_map(|c| Some((c, c.email.as_deref()?)));
    with_address.map(|(contact, email)| mail(contact, email)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(format: &str, file_id: i64, size_bytes: i64) -> Made {
        let key = format!("tenant/acme/reports/2026-10/monthly_report_acme_2026-10.{format}");
        let format = format.to_owned();
        Made { report_id: 40 + file_id, format, file_id, key, size_bytes, incomplete: None }
    }

    fn contact(name: &str, email: Option<&str>) -> Contact {
        Contact { name: name.to_owned(), email: email.map(str::to_owned) }
    }

    fn mails_of(forms: &[Made]) -> Result<Vec<NewDelivery>, Stop> {
        let contacts = [contact("花子", Some("hanako@acme.example")), contact("宛先なし", None)];
        let said =
            Said { language: "ja", tenant: "アクメ", month: "2026年10月", incomplete: "" };
        let templates = Templates::read(None).unwrap();
        mails(&contacts, forms, &said, &templates, "2026-11-02T07:00:00+09:00".parse().unwrap())
    }

    #[test]
    fn who_has_an_address_gets_both_forms() {
        let all = mails_of(&[form("pdf", 1, 100), form("xlsx", 2, 200)]).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].source_id, &all[0].attachments), (41, &vec![1, 2]));
        assert_eq!(all[0].recipient, "hanako@acme.example");
        assert!(all[0].body.contains("花子 様") && all[0].body.contains("添付しました"));
    }

    #[test]
    fn what_is_too_large_stays_where_the_mail_says() {
        let all = mails_of(&[form("pdf", 1, MOST_ATTACHED), form("xlsx", 2, 1)]).unwrap();
        assert!(all[0].attachments.is_empty());
        let (body, key) = (&all[0].body, "reports/2026-10/monthly_report_acme_2026-10.xlsx");
        assert!(body.contains(key) && !body.contains("添付しました"), "{body}");
        assert!(mails_of(&[form("xlsx", 2, 1)]).is_err());
    }
}
