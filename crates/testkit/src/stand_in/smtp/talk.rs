//! One conversation of the relay with its client.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Act, At, Received, Shared, Tls};

/// A line of a letter with its end (RFC 5321 §4.5.3.1.6).
const LONGEST_LINE: usize = 1_000;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Talk<'a> {
    /// Gone only between STARTTLS and the handshake's end.
    io: Option<BufReader<Box<dyn Stream>>>,
    shared: &'a Shared,
    connection: usize,
    encrypted: bool,
    greeted: bool,
    login: Option<String>,
    from: Option<(String, String)>,
    to: Vec<String>,
}

/// Ends the conversation.
fn over() -> io::Error {
    io::Error::other("the conversation is over")
}

pub(super) async fn talk(tcp: TcpStream, shared: &Shared, connection: usize) -> io::Result<()> {
    let encrypted = shared.tls == Tls::Implicit;
    let stream: Box<dyn Stream> =
        if encrypted { Box::new(shared.acceptor.accept(tcp).await?) } else { Box::new(tcp) };
    let mut talk = Talk {
        io: Some(BufReader::new(stream)),
        shared,
        connection,
        encrypted,
        greeted: false,
        login: None,
        from: None,
        to: Vec::new(),
    };
    if !talk.reply(At::Connect, "220 stand-in.example ESMTP").await? {
        return Ok(());
    }
    let mut kick = shared.kick.subscribe();
    loop {
        let line = tokio::select! {
            line = talk.line() => line?,
            _ = kick.changed() => {
                let farewell = shared.script().farewell.clone();
                if let Some(farewell) = farewell {
                    talk.say(&farewell).await?;
                }
                return Ok(());
            }
        };
        talk.command(&line).await?;
    }
}

impl Talk<'_> {
    async fn command(&mut self, line: &str) -> io::Result<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let noted = if verb == "AUTH" {
            format!("AUTH {}", rest.split(' ').next().unwrap_or_default())
        } else {
            line.to_owned()
        };
        self.shared.script().commands.push(noted);
        self.shared.asked.send_replace(());
        match verb.as_str() {
            "EHLO" => self.ehlo().await,
            "STARTTLS" => self.starttls().await,
            "AUTH" => self.auth(rest).await,
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "RSET" => {
                if self.reply(At::Rset, "250 2.0.0 forgotten").await? {
                    self.forget();
                }
                Ok(())
            }
            "NOOP" => self.say("250 2.0.0 ok").await,
            "QUIT" => {
                self.reply(At::Quit, "221 2.0.0 bye").await?;
                Err(over())
            }
            _ => self.say("502 5.5.2 unknown command").await,
        }
    }

    async fn ehlo(&mut self) -> io::Result<()> {
        let mut lines = vec!["stand-in.example".to_owned(), "PIPELINING".to_owned()];
        {
            let script = self.shared.script();
            lines.push("8BITMIME".to_owned());
            lines.push("ENHANCEDSTATUSCODES".to_owned());
            lines.extend(script.size.map(|bytes| format!("SIZE {bytes}")));
            if script.utf8 {
                lines.push("SMTPUTF8".to_owned());
            }
            if self.shared.tls == Tls::Start && !self.encrypted {
                lines.push("STARTTLS".to_owned());
            } else if script.login.is_some() {
                lines.push(format!("AUTH {}", script.mechanisms));
            }
        }
        let last = lines.len() - 1;
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        if self.reply(At::Ehlo, &lines.join("\r\n")).await? {
            self.greeted = true;
            self.forget();
        }
        Ok(())
    }

    async fn starttls(&mut self) -> io::Result<()> {
        if self.shared.tls != Tls::Start || self.encrypted {
            return self.say("503 5.5.1 no STARTTLS here").await;
        }
        if !self.reply(At::StartTls, "220 2.0.0 go ahead").await? {
            return Ok(());
        }
        let plain = self.io.take().ok_or_else(over)?;
        if !plain.buffer().is_empty() {
            return Err(io::Error::other("the client went on in clear"));
        }
        let stream = self.shared.acceptor.accept(plain.into_inner()).await?;
        self.io = Some(BufReader::new(Box::new(stream)));
        (self.encrypted, self.greeted, self.login) = (true, false, None);
        Ok(())
    }

    async fn auth(&mut self, rest: &str) -> io::Result<()> {
        let (login, offered) = {
            let script = self.shared.script();
            (script.login.clone(), script.mechanisms.clone())
        };
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let known = offered.split(' ').any(|m| m == mechanism);
        let in_clear = self.shared.tls == Tls::Start && !self.encrypted;
        let Some((user, password)) = login.filter(|_| self.greeted && known && !in_clear) else {
            return self.say("504 5.5.4 not offered").await;
        };
        let (given_user, given_password) = match mechanism {
            "PLAIN" => {
                let all = decoded(initial);
                let mut parts = all.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            _ => {
                self.say("334 VXNlcm5hbWU6").await?;
                let user = decoded(&self.line().await?);
                self.say("334 UGFzc3dvcmQ6").await?;
                (user, decoded(&self.line().await?))
            }
        };
        if (&given_user, &given_password) != (&user, &password) {
            return self.say("535 5.7.8 authentication failed").await;
        }
        if self.reply(At::Auth, "235 2.7.0 welcome").await? {
            self.login = Some(user);
        }
        Ok(())
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        let Some((from, parameters)) = address(rest, "FROM:<") else {
            return self.say("501 5.5.4 MAIL FROM:<address>").await;
        };
        if !self.greeted || self.from.is_some() {
            return self.say("503 5.5.1 out of turn").await;
        }
        if self.shared.tls == Tls::Start && !self.encrypted {
            return self.say("530 5.7.0 must issue a STARTTLS command first").await;
        }
        let (needs_login, size) = {
            let script = self.shared.script();
            (script.login.is_some() && self.login.is_none(), script.size)
        };
        if needs_login {
            return self.say("530 5.7.0 authentication required").await;
        }
        let declared = parameters.split(' ').find_map(|p| p.strip_prefix("SIZE="));
        let declared = declared.and_then(|n| n.parse::<u64>().ok());
        if declared.zip(size).is_some_and(|(bytes, most)| bytes > most) {
            return self.say("552 5.3.4 message too big").await;
        }
        if self.reply(At::Mail, "250 2.1.0 ok").await? {
            self.from = Some((from, parameters));
        }
        Ok(())
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        let Some((to, _)) = address(rest, "TO:<") else {
            return self.say("501 5.5.4 RCPT TO:<address>").await;
        };
        let Some((_, parameters)) = &self.from else {
            return self.say("503 5.5.1 MAIL first").await;
        };
        if !to.is_ascii() && !parameters.contains("SMTPUTF8") {
            return self.say("553 5.6.7 not ASCII").await;
        }
        let told = self.shared.script().recipients.get(&to).cloned();
        let taken = match told {
            Some(act) => self.act(act).await?,
            None => self.reply(At::Rcpt, "250 2.1.5 ok").await?,
        };
        if taken {
            self.to.push(to);
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        let Some((from, parameters)) = self.from.clone().filter(|_| !self.to.is_empty()) else {
            return self.say("503 5.5.1 RCPT first").await;
        };
        if !self.reply(At::Data, "354 end with a dot").await? {
            return Ok(());
        }
        let (raw, complaint) = self.body().await?;
        let mail = Received {
            from,
            to: std::mem::take(&mut self.to),
            parameters,
            raw,
            connection: self.connection,
            encrypted: self.encrypted,
            login: self.login.clone(),
        };
        self.forget();
        if let Some(complaint) = complaint {
            return self.say(complaint).await;
        }
        match self.shared.told(At::EndOfData) {
            Some(Act::TakeAndClose) => {
                self.shared.take(mail);
                Err(over())
            }
            Some(Act::TakeAndHang) => {
                self.shared.take(mail);
                std::future::pending().await
            }
            Some(Act::Slow(wait)) => {
                let number = self.shared.take(mail);
                tokio::time::sleep(wait).await;
                self.say(&format!("250 2.0.0 taken as {number}")).await
            }
            Some(act) => {
                if self.act(act).await? {
                    self.shared.take(mail);
                }
                Ok(())
            }
            None => {
                let number = self.shared.take(mail);
                self.say(&format!("250 2.0.0 taken as {number}")).await
            }
        }
    }

    /// A letter to its dot, and what the relay has against its form.
    async fn body(&mut self) -> io::Result<(Vec<u8>, Option<&'static str>)> {
        let size = self.shared.script().size;
        let (mut raw, mut complaint, mut pause) = (Vec::new(), None, None);
        let mut is_first = true;
        loop {
            let mut line = Vec::new();
            let io = self.io.as_mut().ok_or_else(over)?;
            if io.read_until(b'\n', &mut line).await? == 0 {
                return Err(over());
            }
            if line == b".\r\n" {
                break;
            }
            if line.len() > LONGEST_LINE {
                complaint = Some("554 5.6.0 line too long");
            } else if !line.ends_with(b"\r\n") || line[..line.len() - 2].contains(&b'\r') {
                complaint = Some("554 5.6.11 bare CR or LF");
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if std::mem::take(&mut is_first) {
                match self.shared.told(At::Body) {
                    Some(Act::Slow(wait)) => pause = Some(wait),
                    Some(act) => {
                        self.act(act).await?;
                    }
                    None => {}
                }
            }
            if let Some(wait) = pause {
                tokio::time::sleep(wait).await;
            }
        }
        if size.is_some_and(|most| raw.len() as u64 > most) {
            complaint = Some("552 5.3.4 message too big");
        }
        Ok((raw, complaint))
    }

    /// What was told for this step, or the usual answer. Whether the step succeeded.
    async fn reply(&mut self, at: At, usual: &str) -> io::Result<bool> {
        match self.shared.told(at) {
            Some(act) => self.act(act).await,
            None => self.say(usual).await.map(|()| true),
        }
    }

    async fn act(&mut self, act: Act) -> io::Result<bool> {
        match act {
            Act::Say(line) => {
                self.say(&line).await?;
                Ok(line.starts_with(['2', '3']))
            }
            Act::SayAndClose(line) => {
                self.say(&line).await?;
                Err(over())
            }
            Act::Close | Act::TakeAndClose => Err(over()),
            Act::Hang | Act::TakeAndHang => std::future::pending().await,
            Act::Slow(wait) => {
                tokio::time::sleep(wait).await;
                Ok(true)
            }
        }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        let io = self.io.as_mut().ok_or_else(over)?;
        io.write_all(format!("{line}\r\n").as_bytes()).await?;
        io.flush().await
    }

    /// A command without its end; the end of the stream is the end of the conversation.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let io = self.io.as_mut().ok_or_else(over)?;
        io.read_until(b'\n', &mut line).await?;
        let line = line.strip_suffix(b"\r\n").ok_or_else(over)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }
}

/// The address behind `FROM:<` or `TO:<`, and what follows it.
fn address(rest: &str, begin: &str) -> Option<(String, String)> {
    let head = rest.get(..begin.len())?;
    let (address, after) = rest.get(begin.len()..)?.split_once('>')?;
    head.eq_ignore_ascii_case(begin).then(|| (address.to_owned(), after.trim().to_owned()))
}

fn decoded(text: &str) -> String {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
