//! Lists by pages: each tells where the next one begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T: Serialize + ToSchema> Page<T> {
    /// A page of `items`, of which one more than `limit` was asked for; `key` is where the next one begins.
    pub fn of<K: Serialize>(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more).map(key);
        Page { next_cursor: last.map(|key| cursor(&key)), items }
    }

    /// All there is.
    pub fn whole(items: Vec<T>) -> Page<T> {
        Page { items, next_cursor: None }
    }
}

fn cursor(key: &impl Serialize) -> String {
    // a key is numbers and texts: it always can be written
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Which page is wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// Where it begins: the `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

impl PageQuery {
    pub fn limit(&self) -> Result<i64, Problem> {
        limit(self.limit, 50)
    }

    pub fn key<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        key(self.cursor.as_deref())
    }
}

/// A limit that may be.
pub fn limit(asked: Option<i64>, usual: i64) -> Result<i64, Problem> {
    match asked.unwrap_or(usual) {
        limit @ 1..=500 => Ok(limit),
        other => Err(Problem::malformed(format!("limit is {other}, expected 1 to 500"))),
    }
}

/// What a cursor stands for.
pub fn key<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(text) = cursor else { return Ok(None) };
    let known = URL_SAFE_NO_PAD.decode(text).ok();
    // PostgreSQL knows no NUL in a text, and no key has one
    let known = known.filter(|json| !json.windows(6).any(|w| w == br"\u0000"));
    let known = known.and_then(|json| serde_json::from_slice(&json).ok());
    known.map(Some).ok_or_else(|| {
        Problem::malformed("cursor is none of this list's; take next_cursor of the page before")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail
    use super::*;

    #[test]
    fn a_page_tells_where_the_next_one_begins_and_the_last_one_does_not() {
        let page = Page::of(vec![5_i64, 4, 3], 2, |n| *n);
        assert_eq!(page.items, [5, 4]);
        let next: Option<i64> = key(page.next_cursor.as_deref()).unwrap();
        assert_eq!(next, Some(4));
        assert_eq!(Page::of(vec![3_i64], 2, |n| *n).next_cursor, None);
        assert_eq!(Page::of(vec![3_i64, 2], 2, |n| *n).next_cursor, None);
    }

    #[test]
    fn a_cursor_of_somebody_else_is_refused() {
        for wrong in ["", "xyz", "!!", "ImEi"] {
            assert!(key::<i64>(Some(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(key::<String>(Some(&cursor(&"a"))).unwrap().as_deref(), Some("a"));
        assert!(key::<String>(Some(&cursor(&"a\0"))).is_err());
        assert!(limit(Some(0), 50).is_err() && limit(Some(501), 50).is_err());
        assert_eq!(limit(None, 50).unwrap(), 50);
    }
}
