//! Letters through a real Postfix over STARTTLS, read back by Python: equal to what was written.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use yakin_adapters::Answer;
use yakin_adapters::mail::{Attachment, Mail, Mailer, Relay, suppresses};
use yakin_testkit::instant;

const POSTFIX: &str = "/usr/sbin/postfix";
/// Prints what Python's own parser finds in a letter.
const READ: &str = r#"
import base64, email, email.policy, json, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
def body(kind):
    part = m.get_body((kind,))
    return part and part.get_payload(decode=True).decode('utf-8')
parts = [[a.get_filename(), a.get_content_type(), base64.b16encode(a.get_payload(decode=True)).decode()]
         for a in m.iter_attachments()] if m.is_multipart() else []
people = lambda name: [[a.display_name, a.addr_spec] for a in m[name].addresses]
print(json.dumps({'subject': m['subject'], 'from': people('from'), 'to': people('to'), 'id': m['message-id'],
    'date': m['date'].datetime.isoformat(), 'unsubscribe': m['list-unsubscribe'], 'text': body('plain'),
    'html': body('html'), 'attachments': parts, 'defects': [str(d) for p in m.walk() for d in p.defects],
    'received': (m['received'] or '')}))
"#;

#[tokio::test]
async fn letters_arrive_as_written() {
    let Some(postfix) = Postfix::start() else { return };
    let mailer = Mailer::new(postfix.relay()).unwrap();
    let mut session = mailer.session().await.unwrap();
    for (n, mail) in mails().iter().enumerate() {
        let letter = mailer.compose(mail).unwrap();
        let answer = session.send(&letter).await;
        let Answer::Sent { receipt: Some(receipt) } = &answer else { panic!("{answer:?}") };
        assert!(receipt.starts_with("250 2.0.0 Ok: queued as "), "{receipt}");
        let read = read(&postfix.delivered(n + 1).await);
        assert_eq!(read["defects"], json!([]), "{n}");
        assert_eq!(read["subject"], json!(mail.subject), "{n}");
        assert_eq!(read["id"], json!(format!("<{}@sender.example>", mail.message_id)));
        assert_eq!(read["from"], json!([["株式会社夜勤（配信専用）", "night@sender.example"]]));
        let (name, _) = mail.to.split_once(" <").unwrap();
        assert_eq!(read["to"], json!([[name.trim_matches('"'), "sato@tenant.example"]]), "{n}");
        assert_eq!(read["date"], json!("2026-10-31T16:00:00+00:00"));
        assert_eq!(read["unsubscribe"], json!(mail.headers.first().map(|(_, v)| v)));
        assert_eq!(lines(&read["text"]), mail.text, "{n}");
        match &mail.html {
            Some(html) => assert_eq!(lines(&read["html"]), *html, "{n}"),
            None => assert_eq!(read["html"], Value::Null),
        }
        let attachments: Vec<Value> = mail
            .attachments
            .iter()
            .map(|a| json!([a.name, a.content_type, hex::encode_upper(&a.bytes)]))
            .collect();
        assert_eq!(read["attachments"], json!(attachments), "{n}");
        assert!(
            read["received"].as_str().unwrap().contains("using TLSv1.3"),
            "{}",
            read["received"]
        );
    }
}

#[tokio::test]
async fn refusals_and_idle_ends_are_understood() {
    let Some(postfix) = Postfix::start() else { return };
    let mailer = Mailer::new(postfix.relay()).unwrap();
    let mut session = mailer.session().await.unwrap();
    let to = |to: &str| {
        let mut mail = mails().remove(1);
        to.clone_into(&mut mail.to);
        mailer.compose(&mail).unwrap()
    };
    let gone = session.send(&to("gone@tenant.example")).await;
    assert!(gone.reason().starts_with("550 5.1.1 "), "{gone:?}");
    assert!(suppresses(&gone), "{gone:?}");
    let elsewhere = session.send(&to("a@elsewhere.example")).await;
    assert_eq!(elsewhere.word(), "permanent", "{elsewhere:?}");
    assert!(!suppresses(&elsewhere), "{elsewhere:?}");
    let mut large = mails().remove(0);
    large.attachments[0].bytes = vec![1; 300_000];
    let large = session.send(&mailer.compose(&large).unwrap()).await;
    assert!(large.reason().starts_with("too large: "), "{large:?}");

    // Postfix says 421 and leaves after its limit; the next letter must not notice
    postfix.eventually("the idle end", |p| p.log().contains("timeout after ")).await;
    let answer = session.send(&to("sato@tenant.example")).await;
    assert_eq!(answer.word(), "sent", "{answer:?}");
    postfix.delivered(1).await;
    assert_eq!(mailer.probe().await.word(), "sent");
}

fn mails() -> Vec<Mail> {
    let attachment = |name: &str, content_type: &str, bytes: Vec<u8>| Attachment {
        name: name.to_owned(),
        content_type: content_type.to_owned(),
        bytes,
    };
    let all_bytes: Vec<u8> = (0..=255).cycle().take(70_001).collect();
    let first = Mail {
        message_id: "d-1".to_owned(),
        to: "\"佐藤, 花子\" <sato@tenant.example>".to_owned(),
        subject: "【夜勤】2026年10月分の請求書をお送りします（株式会社スキル管理サービス様、契約番号 A-0001）".to_owned(),
        text: "お世話になっております。\n\n.\n..\nご請求金額は 1,234,567 円です。\n-- \n夜勤\n".to_owned(),
        html: Some("<html><body><p>ご請求金額は <b>1,234,567 円</b>です。</p>\n.\n</body></html>".to_owned()),
        attachments: vec![attachment(
            "請求書 2026年10月分 (確定).pdf",
            "application/pdf",
            [b"%PDF-1.7\n".to_vec(), all_bytes].concat(),
        )],
        headers: vec![(
            "List-Unsubscribe".to_owned(),
            format!("<https://app.example/unsubscribe?token={}>", "x".repeat(120)),
        )],
        date: instant("2026-11-01T01:00:00+09:00"),
    };
    let plain = Mail {
        message_id: "d-2".to_owned(),
        to: "O'Hara (QA) <sato@tenant.example>".to_owned(),
        subject:
            "[yakin] Report 2026-10 完了: 50 件 (A/B) 🌙 ok, all \"done\" = 100 % 次回は 11 月"
                .to_owned(),
        text: ".\nFrom here\n.dot\n\ttab and trailing space \nend\n".to_owned(),
        html: None,
        attachments: Vec::new(),
        headers: Vec::new(),
        ..first.clone()
    };
    let many = Mail {
        message_id: "d-3".to_owned(),
        to: "経理部 御中 <sato@tenant.example>".to_owned(),
        subject: "plain".to_owned(),
        text: format!("{}\n{}", "x".repeat(3_000), "夜".repeat(3_000)),
        attachments: vec![
            attachment("a \"b\" c%20.csv", "text/csv", b"a,b\r\n1,2\n.\n\r3".to_vec()),
            attachment(&format!("{}.xlsx", "明細".repeat(40)), "application/zip", vec![0; 10]),
            attachment("empty.txt", "text/plain", Vec::new()),
        ],
        ..plain.clone()
    };
    vec![first, plain, many]
}

/// A Postfix with all its folders in one of the test's; stopped and removed with the value.
struct Postfix {
    folder: PathBuf,
    port: u16,
}

impl Postfix {
    /// None where it cannot run: it asks for root.
    fn start() -> Option<Postfix> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not tested: Postfix runs for root alone");
            return None;
        }
        assert!(Path::new(POSTFIX).exists(), "{POSTFIX} is missing: apt-get install postfix");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("yakin-postfix-{port}"));
        for name in ["conf", "queue", "data", "boxes"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let user = |name: &str| nix::unistd::User::from_name(name).unwrap().unwrap().uid.as_raw();
        chown(folder.join("data"), Some(user("postfix")), None).unwrap();
        chown(folder.join("boxes"), Some(user("nobody")), None).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.join("conf/cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("conf/key.pem"), made.signing_key.serialize_pem()).unwrap();
        let f = folder.display();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {f}/queue\ndata_directory = {f}/data\n\
             maillog_file = {f}/log\nmaillog_file_prefixes = {f}\nmyhostname = mx.tenant.example\n\
             mydestination =\ninet_interfaces = 127.0.0.1\nmynetworks =\nalias_maps =\n\
             virtual_mailbox_domains = tenant.example\nvirtual_mailbox_base = {f}/boxes\n\
             virtual_mailbox_maps = inline:{{sato@tenant.example=sato/}}\n\
             virtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{uid}\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_tls_cert_file = {f}/conf/cert.pem\nsmtpd_tls_key_file = {f}/conf/key.pem\n\
             smtpd_tls_security_level = encrypt\nsmtpd_tls_received_header = yes\n\
             message_size_limit = 200000\nsmtpd_timeout = 2s\nsmtpd_peername_lookup = no\n",
            uid = user("nobody"),
        );
        fs::write(folder.join("conf/main.cf"), main).unwrap();
        let services = [
            format!("127.0.0.1:{port} inet n - n - - smtpd"),
            "cleanup unix n - n - 0 cleanup".to_owned(),
            "qmgr unix n - n 300 1 qmgr".to_owned(),
            "tlsmgr unix - - n 1000? 1 tlsmgr".to_owned(),
            "rewrite unix - - n - - trivial-rewrite".to_owned(),
            "bounce unix - - n - 0 bounce".to_owned(),
            "defer unix - - n - 0 bounce".to_owned(),
            "trace unix - - n - 0 bounce".to_owned(),
            "verify unix - - n - 1 verify".to_owned(),
            "flush unix n - n 1000? 0 flush".to_owned(),
            "error unix - - n - - error".to_owned(),
            "retry unix - - n - - error".to_owned(),
            "virtual unix - n n - - virtual".to_owned(),
            "anvil unix - - n - 1 anvil".to_owned(),
            "proxymap unix - - n - - proxymap".to_owned(),
            "postlog unix-dgram n - n - 1 postlogd".to_owned(),
        ];
        fs::write(folder.join("conf/master.cf"), services.join("\n") + "\n").unwrap();
        let postfix = Postfix { folder, port };
        let said = postfix.control("start");
        assert!(said.status.success(), "{said:?}\n{}", postfix.log());
        Some(postfix)
    }

    fn relay(&self) -> Relay {
        let url = format!("smtp://127.0.0.1:{}", self.port);
        let mut relay = Relay::new(url, "株式会社夜勤（配信専用） <night@sender.example>");
        relay.ca_file = Some(self.folder.join("conf/cert.pem"));
        relay
    }

    fn control(&self, command: &str) -> Output {
        Command::new(POSTFIX).arg("-c").arg(self.folder.join("conf")).arg(command).output().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn arrived(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.folder.join("boxes/sato/new")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        files.sort_by_key(|f| fs::metadata(f).unwrap().modified().unwrap());
        files
    }

    /// The newest letter, when there are so many.
    async fn delivered(&self, count: usize) -> PathBuf {
        self.eventually("the letter's delivery", |p| p.arrived().len() >= count).await;
        self.arrived().pop().unwrap()
    }

    async fn eventually(&self, what: &str, holds: impl Fn(&Postfix) -> bool) {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..1_500 {
            if holds(self) {
                return;
            }
            tick.tick().await;
        }
        panic!("{what} did not come; its log:\n{}", self.log());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.control("stop");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn read(file: &Path) -> Value {
    let output = Command::new("python3").args(["-c", READ]).arg(file).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lines(text: &Value) -> String {
    text.as_str().unwrap_or_else(|| panic!("{text} is no text")).replace("\r\n", "\n")
}
