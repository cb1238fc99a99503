//! Readings that many ask for at once: whoever comes while one is under way shares the next. Nobody is told what was
//! read before he asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::Mutex as Turns;

use crate::problem::Problem;

/// What was read, as it is answered.
pub type Reading = Result<Bytes, Problem>;

/// The readings of one thing: one at a time, and the one that has not begun. (With two at a time fewer share each, and
/// all are answered later: `scripts/bench api`.)
#[derive(Default)]
struct Line {
    turns: Turns<()>,
    next: Mutex<Option<Shared<BoxFuture<'static, Reading>>>>,
}

impl Line {
    fn next(&self) -> std::sync::MutexGuard<'_, Option<Shared<BoxFuture<'static, Reading>>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines by what is read; there are as many as batches.
#[derive(Default)]
pub struct Together(Mutex<HashMap<&'static str, Arc<Line>>>);

impl Together {
    /// Reads `what`, or shares a reading of it that has not begun.
    pub async fn read<F>(
        &self,
        what: &'static str,
        read: impl FnOnce() -> F + Send + 'static,
    ) -> Reading
    where
        F: Future<Output = Reading> + Send,
    {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.entry(what).or_default().clone()
        };
        let reading = {
            let mut next = line.next();
            let mine = || {
                let line = line.clone();
                let reading = async move {
                    let _turn = line.turns.lock().await;
                    // from here on it has begun: who comes now asks anew
                    line.next().take();
                    read().await
                };
                reading.boxed().shared()
            };
            next.get_or_insert_with(mine).clone()
        };
        reading.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A source that answers when it may, with how often it was asked.
    struct Source {
        together: Together,
        may: Semaphore,
        asked: AtomicUsize,
    }

    impl Source {
        fn new() -> Arc<Source> {
            let (together, may) = (Together::default(), Semaphore::new(0));
            Arc::new(Source { together, may, asked: AtomicUsize::new(0) })
        }

        async fn read(self: Arc<Source>) -> Bytes {
            let source = self.clone();
            let read = move || async move {
                let number = source.asked.fetch_add(1, Ordering::SeqCst) + 1;
                source.may.acquire().await.expect("open").forget();
                Ok(Bytes::from(number.to_string()))
            };
            self.together.read("it", read).await.expect("a reading")
        }
    }

    /// Asks so often at once.
    fn ask(source: &Arc<Source>, times: usize) -> Vec<BoxFuture<'static, Bytes>> {
        let mut all: Vec<_> = (0..times).map(|_| source.clone().read().boxed()).collect();
        for one in &mut all {
            assert!(one.now_or_never().is_none());
        }
        all
    }

    #[tokio::test]
    async fn who_comes_while_one_is_read_shares_the_next_and_not_that_one() {
        let source = Source::new();
        let mut all = ask(&source, 5);
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        source.may.add_permits(2);
        let others = all.split_off(1);
        assert_eq!(futures::future::join_all(all).await, ["1"]);
        assert_eq!(futures::future::join_all(others).await, ["2", "2", "2", "2"]);
        source.may.add_permits(1);
        assert_eq!(source.read().await, "3");
    }

    #[tokio::test]
    async fn whoever_leaves_holds_up_nobody() {
        let source = Source::new();
        let mut all = ask(&source, 4);
        let waits = all.remove(2);
        drop(all);
        source.may.add_permits(1);
        assert_eq!(waits.await, "2");
    }
}
