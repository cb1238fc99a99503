//! A LINE WORKS access token: a JWT, signed with the service account's key, is exchanged for it.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::LineWorksCredentials;
use crate::chat::{by_status, code_of};
use crate::outgoing::{Call, Failed, Outgoing, Post};
use crate::{Answer, Secret};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long the vendor may take the JWT (it allows an hour).
const JWT_SECONDS: i64 = 30 * 60;
/// So long before its end a token is no longer used.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// An access token.
#[derive(Debug)]
pub(super) struct Token {
    pub value: Secret,
    renew_at: Timestamp,
}

impl Token {
    pub(super) fn is_good_at(&self, now: Timestamp) -> bool {
        now < self.renew_at
    }
}

/// Gets a new token. No message goes out by this: a lost call is [`Answer::Unreachable`].
pub(super) async fn exchange(
    credentials: &LineWorksCredentials,
    outgoing: &Outgoing,
    now: Timestamp,
) -> Result<Token, Answer> {
    let assertion = assertion(credentials, now)?;
    let base = credentials.auth_url.trim_end_matches('/');
    let fields = [
        ("assertion", assertion.reveal()),
        ("grant_type", GRANT),
        ("client_id", credentials.client_id.as_str()),
        ("client_secret", credentials.client_secret.reveal()),
        ("scope", "bot"),
    ];
    let url = Secret::new(format!("{base}/oauth2/v2.0/token"));
    let reply = match outgoing.send(Post::form(Call::LineWorksToken, url, &fields), now).await {
        Ok(reply) => reply,
        Err(Failed::Refused(reason)) => return Err(Answer::Permanent { reason }),
        Err(Failed::Unreachable(reason) | Failed::Uncertain(reason)) => {
            return Err(Answer::Unreachable { reason: format!("asking for a token: {reason}") });
        }
    };
    let told = reply.json();
    if reply.is_success() {
        let token = told.as_ref().and_then(|told| read(told, now));
        let reason = "line_works: the token's answer is cut or not in its form".to_owned();
        return token.ok_or(Answer::Temporary { reason });
    }
    let code = told.as_ref().and_then(|t| code_of(t, "error").or_else(|| code_of(t, "code")));
    let answer = by_status("line_works's token address", &reply, code);
    // 400 invalid_grant and its like: the credentials are not accepted
    Err(match (reply.status, answer) {
        (400, Answer::Permanent { reason }) => Answer::Auth { reason },
        (_, answer) => answer,
    })
}

/// Seconds come as a number or as its digits.
fn read(told: &Value, now: Timestamp) -> Option<Token> {
    let value = told["access_token"].as_str().filter(|value| !value.is_empty())?;
    let expires = &told["expires_in"];
    let seconds = expires.as_i64().or_else(|| expires.as_str()?.parse().ok())?;
    let expires_at = now.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some(Token { value: Secret::new(value), renew_at: expires_at.checked_sub(MARGIN).ok()? })
}

fn assertion(credentials: &LineWorksCredentials, now: Timestamp) -> Result<Secret, Answer> {
    // the cause is left out: it could repeat parts of the key
    let key = EncodingKey::from_rsa_pem(credentials.private_key.reveal().as_bytes())
        .map_err(|_| auth("private_key is not an RSA key in PEM form"))?;
    let claims = json!({
        "iss": credentials.client_id,
        "sub": credentials.service_account,
        "iat": now.as_second(),
        "exp": now.as_second() + JWT_SECONDS,
    });
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
        .map(Secret::new)
        .map_err(|_| auth("private_key cannot sign RS256"))
}

fn auth(what: &str) -> Answer {
    Answer::Auth { reason: format!("line_works: {what}") }
}
