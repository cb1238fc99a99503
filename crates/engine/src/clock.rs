//! Schedule time. The only file that may read the system's time: everything else is handed an instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Where schedule time comes from: the machine, or a value that is set (tests, virtual nights).
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own time.
    pub fn real() -> Clock {
        Clock(Source::Real)
    }

    /// A clock that stands at `instant` until it is set.
    pub fn at(instant: Timestamp) -> Clock {
        Clock(Source::Set(Arc::new(AtomicI64::new(instant.as_microsecond()))))
    }

    /// The present schedule time, in whole microseconds: what PostgreSQL keeps of an instant. (With more, an instant
    /// that went there and was rounded up is not yet due.)
    pub fn now(&self) -> Timestamp {
        let micros = match &self.0 {
            Source::Real => Timestamp::now().as_microsecond(),
            Source::Set(micros) => micros.load(Ordering::SeqCst),
        };
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)
    }

    /// Sets a clock made by [`Clock::at`]; the machine's time cannot be set, so nothing happens to a real clock.
    pub fn set(&self, instant: Timestamp) {
        if let Source::Set(micros) = &self.0 {
            micros.store(instant.as_microsecond(), Ordering::SeqCst);
        }
    }

    /// Whether this clock is set by hand or by the database, not by the machine.
    pub fn is_set(&self) -> bool {
        matches!(self.0, Source::Set(_))
    }
}

/// The zone of days, months and schedules: Asia/Tokyo, which has no daylight saving.
pub fn tokyo() -> TimeZone {
    TimeZone::get("Asia/Tokyo").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(9)))
}
