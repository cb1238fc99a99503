//! Handing letters over, one after the other, on a connection that is replaced when it turns out
//! dead.

use std::sync::Arc;

use super::compose::Letter;
use super::folder;
use super::line::Line;
use super::office::Office;
use super::verdict::{Fault, Step, answer, receipt};
use crate::Answer;

/// Carries letters to one relay. Goes back to the mailer's unused ones when dropped in good health.
pub struct Session {
    office: Arc<Office>,
    /// Taken out while a letter is under way: a send that is dropped half-way takes its connection
    /// with it.
    line: Option<Line>,
}

impl Session {
    pub(super) fn new(office: Arc<Office>, line: Option<Line>) -> Session {
        Session { office, line }
    }

    /// Hands one letter over and says what is known of it: `Uncertain` only if the connection was
    /// lost between the letter's end and its answer. A connection found dead before anything of
    /// this letter was accepted is replaced once, unseen.
    pub async fn send(&mut self, letter: &Letter) -> Answer {
        if let Some(folder) = self.office.folder() {
            return folder::put(folder, letter, &self.office.filed).await;
        }
        let mut line = match self.begin(letter).await {
            Ok(line) => line,
            Err(answer) => return answer,
        };
        if let Err(fault) = line.recipient(letter).await {
            return self.give_up(line, Step::Recipient, fault);
        }
        if let Err(fault) = line.data().await {
            return self.give_up(line, Step::Data, fault);
        }
        match line.letter(letter.bytes()).await {
            Ok(response) => {
                self.line = Some(line);
                Answer::Sent { receipt: Some(receipt(&response)) }
            }
            Err((step, fault)) => self.give_up(line, step, fault),
        }
    }

    /// A line on which MAIL was accepted.
    async fn begin(&mut self, letter: &Letter) -> Result<Line, Answer> {
        let (mut line, mut is_new) = match self.line.take() {
            Some(line) => (line, false),
            None => (self.office.open().await?, true),
        };
        loop {
            if let Err(answer) = line.fits(letter) {
                self.line = Some(line);
                return Err(answer);
            }
            match line.begin(letter).await {
                Ok(()) => return Ok(line),
                Err(fault) if fault.ended() && !is_new => {
                    line = self.office.open().await?;
                    is_new = true;
                }
                Err(fault) => return Err(self.give_up(line, Step::Sender, fault)),
            }
        }
    }

    /// Keeps the line where the relay only refused this letter.
    fn give_up(&mut self, line: Line, step: Step, fault: Fault) -> Answer {
        let ended = fault.ended();
        let answer = answer(step, fault);
        if !ended && !matches!(answer, Answer::Auth { .. }) {
            self.line = Some(line);
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.office.keep(line);
        }
    }
}
