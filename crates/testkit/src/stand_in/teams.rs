//! A Microsoft Teams Workflow that waits for webhook requests.

use serde_json::Value;

use super::desk::{Judged, Next, Request, StandIn, Vendor};

const PATH: &str = "/workflows/3f1c/triggers/manual/paths/invoke";
const SIGNATURE: &str = "teams-stand-in-signature";

/// A Workflow's server.
pub type TeamsStandIn = StandIn<Teams>;

/// A message that the Workflow took.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamsPost {
    /// The TextBlocks' texts, in order.
    pub texts: Vec<String>,
    /// Where the button leads.
    pub link: Option<String>,
    /// Size of the request's body.
    pub bytes: usize,
}

/// The Workflow's rules.
pub struct Teams;

impl StandIn<Teams> {
    /// A Workflow with one webhook.
    pub async fn start() -> TeamsStandIn {
        StandIn::serve(Teams).await
    }

    /// The webhook's address with its signature.
    pub fn webhook_url(&self) -> String {
        format!("{}{PATH}?api-version=1&sig={SIGNATURE}", self.base_url())
    }
}

impl Vendor for Teams {
    type Post = TeamsPost;

    fn judge(&self, request: &Request) -> Judged<TeamsPost> {
        match check(request) {
            Ok(post) => Judged::Taken(post, Next::status(202)),
            Err(status) => Judged::Refused(Next::status(status)),
        }
    }
}

fn check(request: &Request) -> Result<TeamsPost, u16> {
    if request.path != PATH {
        return Err(404);
    }
    if request.method != "POST" {
        return Err(405);
    }
    if !request.query.split('&').any(|pair| pair == format!("sig={SIGNATURE}")) {
        return Err(401);
    }
    if !request.header("content-type").starts_with("application/json") {
        return Err(415);
    }
    if request.body.len() > 28 * 1024 {
        return Err(413);
    }
    let body = request.json().ok_or(400_u16)?;
    let attachments =
        body["attachments"].as_array().filter(|list| list.len() == 1).ok_or(400_u16)?;
    let (kind, card) = (&attachments[0]["contentType"], &attachments[0]["content"]);
    let is_card = kind == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard"
        && card["version"] == "1.4";
    if body["type"] != "message" || !is_card {
        return Err(400);
    }
    let blocks = card["body"].as_array().filter(|blocks| !blocks.is_empty()).ok_or(400_u16)?;
    let text = |block: &Value| {
        let text = block["text"].as_str().filter(|text| !text.is_empty())?;
        (block["type"] == "TextBlock").then(|| text.to_owned())
    };
    let texts = blocks.iter().map(text).collect::<Option<_>>().ok_or(400_u16)?;
    let link = card["actions"][0]["url"].as_str().map(str::to_owned);
    Ok(TeamsPost { texts, link, bytes: request.body.len() })
}
