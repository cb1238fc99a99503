//! LINE WORKS: the token address, which verifies the service account's JWT, and the bot's
//! messages.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPublicKey, LineEnding};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

use super::desk::{Judged, Next, Request, StandIn, Vendor, lock};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LIFE: SignedDuration = SignedDuration::from_hours(24);

/// LINE WORKS' two servers in one.
pub type LineWorksStandIn = StandIn<LineWorks>;

/// A message that LINE WORKS took.
#[derive(Clone, Debug, PartialEq)]
pub struct LineWorksPost {
    /// `channels/ID` or `users/ID`.
    pub receiver: String,
    pub text: String,
}

/// LINE WORKS' rules.
pub struct LineWorks {
    private_key_pem: String,
    public_key: Vec<u8>,
    now: Mutex<Timestamp>,
    /// Valid tokens and when they end.
    tokens: Mutex<HashMap<String, Timestamp>>,
    issued: Mutex<usize>,
    receivers: Mutex<HashSet<String>>,
}

impl StandIn<LineWorks> {
    pub const CLIENT_ID: &'static str = "line-works-client";
    pub const CLIENT_SECRET: &'static str = "line-works-client-secret";
    pub const SERVICE_ACCOUNT: &'static str = "night@example";
    pub const BOT_ID: &'static str = "2000001";

    /// An app with a bot and a new key, at this time; no receivers yet.
    pub async fn start(now: Timestamp) -> LineWorksStandIn {
        let key = new_key();
        StandIn::serve(LineWorks {
            private_key_pem: pem(&key),
            public_key: key.to_public_key().to_pkcs1_der().expect("its form").into_vec(),
            now: Mutex::new(now),
            tokens: Mutex::default(),
            issued: Mutex::default(),
            receivers: Mutex::default(),
        })
        .await
    }

    /// The service account's private key, in PKCS #8 as the vendor gives it.
    pub fn private_key_pem(&self) -> String {
        self.vendor().private_key_pem.clone()
    }

    /// Sets the vendor's time.
    pub fn set_now(&self, now: Timestamp) {
        *lock(&self.vendor().now) = now;
    }

    /// Makes a talk room with the bot in it.
    pub fn channel(&self, id: &str) {
        lock(&self.vendor().receivers).insert(format!("channels/{id}"));
    }

    /// Makes a user.
    pub fn user(&self, id: &str) {
        lock(&self.vendor().receivers).insert(format!("users/{id}"));
    }

    /// Makes all tokens invalid at once.
    pub fn revoke_tokens(&self) {
        lock(&self.vendor().tokens).clear();
    }

    /// How many tokens were given out.
    pub fn tokens_issued(&self) -> usize {
        *lock(&self.vendor().issued)
    }
}

/// A key, in PKCS #8 as the vendor gives it, that the service account does not have.
pub fn other_rsa_key_pem() -> String {
    pem(&new_key())
}

fn new_key() -> RsaPrivateKey {
    RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("an RSA key")
}

fn pem(key: &RsaPrivateKey) -> String {
    key.to_pkcs8_pem(LineEnding::LF).expect("its form").to_string()
}

impl Vendor for LineWorks {
    type Post = LineWorksPost;

    fn judge(&self, request: &Request) -> Judged<LineWorksPost> {
        if request.method != "POST" {
            return refused(405, "METHOD_NOT_ALLOWED");
        }
        if request.path == "/oauth2/v2.0/token" {
            return match self.check_assertion(request) {
                Ok(()) => Judged::Answered(self.issue()),
                Err(what) => {
                    let told = json!({"error": "invalid_grant", "error_description": what});
                    Judged::Refused(Next::json(400, &told))
                }
            };
        }
        let prefix = format!("/v1.0/bots/{}/", LineWorksStandIn::BOT_ID);
        let receiver =
            request.path.strip_prefix(&prefix).and_then(|path| path.strip_suffix("/messages"));
        let Some(receiver) = receiver.map(percent_decode) else {
            return refused(404, "NOT_FOUND");
        };
        self.judge_message(request, receiver)
    }
}

impl LineWorks {
    fn judge_message(&self, request: &Request, receiver: String) -> Judged<LineWorksPost> {
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or("");
        let now = *lock(&self.now);
        if lock(&self.tokens).get(token).is_none_or(|end| *end <= now) {
            return refused(401, "UNAUTHORIZED");
        }
        if !lock(&self.receivers).contains(&receiver) {
            return refused(404, "NOT_FOUND");
        }
        let content = request.json().map(|body| body["content"].clone()).unwrap_or(Value::Null);
        let text = content["text"].as_str().unwrap_or("").to_owned();
        let is_json = request.header("content-type").starts_with("application/json");
        let fits = (1..=2_000).contains(&text.chars().count());
        if !is_json || content["type"] != "text" || !fits {
            return refused(400, "INVALID_PARAMETER");
        }
        Judged::Taken(LineWorksPost { receiver, text }, Next::status(201))
    }

    fn issue(&self) -> Next {
        let mut issued = lock(&self.issued);
        *issued += 1;
        let token = format!("line-works-token-{issued}");
        lock(&self.tokens).insert(token.clone(), *lock(&self.now) + LIFE);
        let life = LIFE.as_secs().to_string();
        let told = json!({"access_token": token, "token_type": "Bearer", "expires_in": life});
        Next::json(200, &told)
    }

    fn check_assertion(&self, request: &Request) -> Result<(), &'static str> {
        if request.header("content-type") != "application/x-www-form-urlencoded" {
            return Err("content type");
        }
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        for (name, wanted) in [
            ("grant_type", GRANT),
            ("client_id", LineWorksStandIn::CLIENT_ID),
            ("client_secret", LineWorksStandIn::CLIENT_SECRET),
            ("scope", "bot"),
        ] {
            if field(name) != wanted {
                return Err("a field of the form");
            }
        }
        let (signed, signature) = field("assertion").rsplit_once('.').ok_or("no JWT")?;
        let (header, claims) = signed.split_once('.').ok_or("no JWT")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature's form")?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "signature")?;
        if part(header)["alg"] != "RS256" {
            return Err("algorithm");
        }
        self.check_claims(&part(claims))
    }

    fn check_claims(&self, claims: &Value) -> Result<(), &'static str> {
        let now = lock(&self.now).as_second();
        let (Some(iat), Some(exp)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
            return Err("iat or exp is missing");
        };
        if iat > now || exp <= now || exp - iat > 3600 {
            return Err("iat or exp");
        }
        if claims["iss"] != LineWorksStandIn::CLIENT_ID {
            return Err("issuer");
        }
        if claims["sub"] != LineWorksStandIn::SERVICE_ACCOUNT {
            return Err("subject");
        }
        Ok(())
    }
}

fn refused(status: u16, code: &str) -> Judged<LineWorksPost> {
    Judged::Refused(Next::json(status, &json!({"code": code, "description": "no"})))
}

fn part(text: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

fn percent_decode(path: &str) -> String {
    // a plus sign stands for itself in a path, for a space in a form
    let form = format!("p={}", path.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map_or(String::new(), |(_, v)| v.into_owned())
}
