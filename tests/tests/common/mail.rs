//! A relay that the nodes are configured with, and letters as it took them.

use std::time::Duration;

use yakin_testkit::stand_in::smtp::{Act, At, Received, SmtpStandIn, Tls};

use super::Site;

/// A relay, which the nodes of this site know from their configuration; `more` is put behind it.
pub async fn relay_of(site: &Site, more: &str) -> SmtpStandIn {
    let relay = SmtpStandIn::start(Tls::None).await;
    let url = relay.url();
    site.configure(&format!(
        "[[mail]]\nname = \"main\"\nrate_per_minute = 60000\n\
         relay = {{ url = \"{url}\", from = \"Yakin <billing@yakin.example>\" }}\n{more}"
    ));
    relay
}

/// Letters are long under way from now on: so long each line takes, and so long the answer at the end.
pub fn slow(relay: &SmtpStandIn, line: Duration, answer: Duration) {
    relay.on(At::Body, Act::Slow(line));
    relay.on(At::EndOfData, Act::Slow(answer));
}

/// What a header of a letter says, its folds undone.
pub fn header(letter: &Received, name: &str) -> String {
    let text = String::from_utf8(letter.raw.clone()).expect("UTF-8").replace("\r\n ", " ");
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let value = head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
}
