//! A mail relay for tests: strict about the protocol, keeps what it took, and fails where and how
//! it is told.

mod talk;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// When a conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    None,
    /// STARTTLS is offered; MAIL and AUTH are refused before it.
    Start,
    /// From the first byte.
    Implicit,
}

/// Steps at which a stand-in can be told what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Rset,
    Mail,
    Rcpt,
    Data,
    /// After the first line of a letter.
    Body,
    /// After the dot that ends a letter.
    EndOfData,
    Quit,
}

/// What a stand-in does instead of its usual answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Answers with this line or, parted by CRLF, these lines. 4xx and 5xx refuse what was asked.
    Say(String),
    /// Answers with this line and closes.
    SayAndClose(String),
    /// Closes without an answer.
    Close,
    /// Never answers, and reads no more.
    Hang,
    /// At the end of data: keeps the letter, then closes without an answer.
    TakeAndClose,
    /// At the end of data: keeps the letter and never answers.
    TakeAndHang,
    /// In a body: this long before each further line. At the end of data: keeps the letter at once
    /// and answers this long after.
    Slow(Duration),
}

impl From<&str> for Act {
    fn from(line: &str) -> Act {
        Act::Say(line.to_owned())
    }
}

/// A letter that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    /// What stood behind the sender's address in MAIL.
    pub parameters: String,
    /// As it was composed: dots unstuffed, CRLF kept.
    pub raw: Vec<u8>,
    /// The connection it came by, from 1.
    pub connection: usize,
    pub encrypted: bool,
    pub login: Option<String>,
}

/// The relay; ends with the value.
pub struct SmtpStandIn {
    shared: Arc<Shared>,
    port: u16,
    certificate_pem: String,
    accepting: JoinHandle<()>,
}

struct Shared {
    tls: Tls,
    acceptor: TlsAcceptor,
    script: Mutex<Script>,
    /// Letters taken, to wait for.
    taken: watch::Sender<usize>,
    /// Raised to end the conversations that wait for a command.
    kick: watch::Sender<u64>,
    open: watch::Sender<usize>,
    /// Told of each command.
    asked: watch::Sender<()>,
}

struct Script {
    always: HashMap<At, Act>,
    once: HashMap<At, VecDeque<Act>>,
    recipients: HashMap<String, Act>,
    login: Option<(String, String)>,
    mechanisms: String,
    size: Option<u64>,
    utf8: bool,
    down: bool,
    farewell: Option<String>,
    mails: Vec<Received>,
    commands: Vec<String>,
    connections: usize,
}

impl SmtpStandIn {
    /// Listens on a free port of 127.0.0.1, with a certificate for it and for `localhost`.
    pub async fn start(tls: Tls) -> SmtpStandIn {
        SmtpStandIn::start_named(tls, &["127.0.0.1", "localhost"]).await
    }

    /// The same with a certificate for other names.
    pub async fn start_named(tls: Tls, names: &[&str]) -> SmtpStandIn {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a key that fits");
        let script = Script {
            always: HashMap::new(),
            once: HashMap::new(),
            recipients: HashMap::new(),
            login: None,
            mechanisms: "PLAIN LOGIN".to_owned(),
            size: Some(20 * 1024 * 1024),
            utf8: false,
            down: false,
            farewell: None,
            mails: Vec::new(),
            commands: Vec::new(),
            connections: 0,
        };
        let shared = Arc::new(Shared {
            tls,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            script: Mutex::new(script),
            taken: watch::Sender::new(0),
            kick: watch::Sender::new(0),
            open: watch::Sender::new(0),
            asked: watch::Sender::new(()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        SmtpStandIn { shared, port, certificate_pem: made.cert.pem(), accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A relay's URL for it.
    pub fn url(&self) -> String {
        let scheme = match self.shared.tls {
            Tls::None => "smtp+plain",
            Tls::Start => "smtp",
            Tls::Implicit => "smtps",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its certificate, which vouches for itself.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// From now on at this step.
    pub fn on(&self, at: At, act: impl Into<Act>) {
        self.script().always.insert(at, act.into());
    }

    /// The next time at this step; several are taken in order, before what holds always.
    pub fn once(&self, at: At, act: impl Into<Act>) {
        self.script().once.entry(at).or_default().push_back(act.into());
    }

    /// Whenever this address is a recipient.
    pub fn on_rcpt(&self, address: &str, act: impl Into<Act>) {
        self.script().recipients.insert(address.to_owned(), act.into());
    }

    /// After the next letter's dot.
    pub fn on_end_of_data_once(&self, act: impl Into<Act>) {
        self.once(At::EndOfData, act);
    }

    /// Back to its usual answers.
    pub fn forget_script(&self) {
        let mut script = self.script();
        script.always.clear();
        script.once.clear();
        script.recipients.clear();
    }

    /// MAIL is refused without this login; `mechanisms` are the words behind AUTH.
    pub fn require_login(&self, user: &str, password: &str, mechanisms: &str) {
        let mut script = self.script();
        script.login = Some((user.to_owned(), password.to_owned()));
        script.mechanisms = mechanisms.to_owned();
    }

    /// The largest letter in bytes; none: SIZE is not offered.
    pub fn offer_size(&self, bytes: Option<u64>) {
        self.script().size = bytes;
    }

    pub fn offer_utf8(&self) {
        self.script().utf8 = true;
    }

    /// Down: connections are closed as soon as they come, and those that wait for a command. Up
    /// again: as before.
    pub async fn set_down(&self, down: bool) {
        self.script().down = down;
        if down {
            self.close_idle(None).await;
        }
    }

    /// Ends all conversations that wait for a command, with a last line if given, and returns when
    /// they are gone.
    pub async fn close_idle(&self, farewell: Option<&str>) {
        self.script().farewell = farewell.map(str::to_owned);
        self.shared.kick.send_modify(|n| *n += 1);
        let mut open = self.shared.open.subscribe();
        open.wait_for(|n| *n == 0).await.expect("the stand-in lives");
    }

    /// What was taken, in order.
    pub fn mails(&self) -> Vec<Received> {
        self.script().mails.clone()
    }

    /// Waits until so many were taken.
    pub async fn taken(&self, count: usize) -> Vec<Received> {
        let mut taken = self.shared.taken.subscribe();
        taken.wait_for(|n| *n >= count).await.expect("the stand-in lives");
        self.mails()
    }

    /// Waits until a command with this verb came.
    pub async fn asked(&self, verb: &str) {
        let mut commands = self.shared.asked.subscribe();
        let came = |_: &()| self.commands().iter().any(|c| c.split(' ').next() == Some(verb));
        commands.wait_for(came).await.expect("the stand-in lives");
    }

    /// All commands as they came, logins without what follows the mechanism.
    pub fn commands(&self) -> Vec<String> {
        self.script().commands.clone()
    }

    /// Connections that ever came.
    pub fn connections(&self) -> usize {
        self.script().connections
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Drop for SmtpStandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told for this step, if anything.
    fn told(&self, at: At) -> Option<Act> {
        let mut script = self.script();
        let next = script.once.get_mut(&at).and_then(VecDeque::pop_front);
        next.or_else(|| script.always.get(&at).cloned())
    }

    fn take(&self, mail: Received) -> usize {
        let mut script = self.script();
        script.mails.push(mail);
        let count = script.mails.len();
        self.taken.send_replace(count);
        count
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let number = {
            let mut script = shared.script();
            script.connections += 1;
            if script.down {
                continue;
            }
            script.connections
        };
        let shared = Arc::clone(&shared);
        shared.open.send_modify(|n| *n += 1);
        tokio::spawn(async move {
            // a client that leaves in the middle is part of what is tested
            let _ = talk::talk(tcp, &shared, number).await;
            shared.open.send_modify(|n| *n -= 1);
        });
    }
}
