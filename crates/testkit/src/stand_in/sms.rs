//! An SMS API of Twilio's kind: `POST /2010-04-01/Accounts/{account}/Messages.json`.

use std::collections::HashMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

use super::desk::{Judged, Next, Request, StandIn, Vendor};

/// The SMS API's server.
pub type SmsStandIn = StandIn<Account>;

/// A message that the API took.
#[derive(Clone, Debug, PartialEq)]
pub struct SmsPost {
    pub to: String,
    pub from: String,
    pub body: String,
}

/// One account's rules.
pub struct Account;

impl StandIn<Account> {
    /// The only account, its token, and the number that it owns.
    pub const ACCOUNT: &'static str = "AC0123456789abcdef0123456789abcdef";
    pub const TOKEN: &'static str = "sms-stand-in-token";
    pub const FROM: &'static str = "+815012345678";

    /// An account that may send from [`SmsStandIn::FROM`].
    pub async fn start() -> SmsStandIn {
        StandIn::serve(Account).await
    }

    /// Credentials for it as JSON, as a tenant's integration holds them.
    pub fn credentials(&self) -> String {
        json!({"account": Self::ACCOUNT, "token": Self::TOKEN, "from": Self::FROM, "base_url": self.base_url()})
            .to_string()
    }

    /// The API's way to say no.
    pub fn error(status: u16, code: u32) -> Next {
        Next::json(status, &json!({"code": code, "message": "stand-in", "status": status}))
    }
}

impl Vendor for Account {
    type Post = SmsPost;

    fn judge(&self, request: &Request) -> Judged<SmsPost> {
        match check(request) {
            Ok(post) => {
                let told = json!({"sid": "SM00000000000000000000000000000001", "status": "queued"});
                Judged::Taken(post, Next::json(201, &told))
            }
            Err((status, code)) => Judged::Refused(SmsStandIn::error(status, code)),
        }
    }
}

fn check(request: &Request) -> Result<SmsPost, (u16, u32)> {
    if request.method != "POST" {
        return Err((405, 20_004));
    }
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", SmsStandIn::ACCOUNT);
    if request.path != path {
        return Err((404, 20_404));
    }
    let login = BASE64_STANDARD.encode(format!("{}:{}", SmsStandIn::ACCOUNT, SmsStandIn::TOKEN));
    if request.header("authorization") != format!("Basic {login}") {
        return Err((401, 20_003));
    }
    if request.header("content-type") != "application/x-www-form-urlencoded" {
        return Err((400, 21_603));
    }
    let fields: HashMap<String, String> =
        url::form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str, code: u32| {
        fields.get(name).filter(|f| !f.is_empty()).cloned().ok_or((400, code))
    };
    let post = SmsPost {
        to: field("To", 21_604)?,
        from: field("From", 21_603)?,
        body: field("Body", 21_602)?,
    };
    let digits = post.to.strip_prefix('+').unwrap_or("");
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err((400, 21_211));
    }
    if post.from != SmsStandIn::FROM {
        return Err((400, 21_606));
    }
    if post.body.encode_utf16().count() > 1_600 {
        return Err((400, 21_617));
    }
    Ok(post)
}
