//! A login on a server: its URL without the password, and the password apart.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::{Result, ToolsError};
use crate::Secret;

/// A parameter that our client library knows and PostgreSQL's own programs refuse.
const SQLX_ONLY: &str = "statement-cache-capacity";

/// Who logs in where.
#[derive(Clone, Debug)]
pub struct Login {
    url: Url,
    password: Option<Secret>,
}

impl Login {
    /// Of a `postgres://` URL.
    pub fn new(url: &str) -> Result<Login> {
        let refused = |text: &str| ToolsError::Url(text.to_owned());
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(refused("it begins with another scheme"));
        }
        let mut url = Url::parse(url).map_err(|e| refused(&e.to_string()))?;
        let password = url.password().map(|encoded| Secret::new(percent_decoded(encoded)));
        if password.is_some() && url.set_password(None).is_err() {
            return Err(refused("its password cannot be taken out"));
        }
        if url.query_pairs().any(|(key, _)| key == "password") {
            return Err(refused("it has a parameter 'password'; write user:password@host"));
        }
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let known = pairs.iter().filter(|(key, _)| key != SQLX_ONLY);
            url.query_pairs_mut().clear().extend_pairs(known);
        }
        Ok(Login { url, password })
    }

    /// The URL without the password; of another database of the server, when one is named.
    pub fn url(&self, database: Option<&str>) -> String {
        database.map_or_else(|| self.url.to_string(), |name| self.on(name).url.to_string())
    }

    /// The same with the password, for a client library.
    pub fn url_with_password(&self, database: Option<&str>) -> String {
        let mut url = database.map_or_else(|| self.url.clone(), |name| self.on(name).url);
        if let Some(password) = &self.password {
            // a URL that had a password takes one
            let _ = url.set_password(Some(password.reveal()));
        }
        url.to_string()
    }

    /// The same login on another database of the server.
    pub fn on(&self, database: &str) -> Login {
        let mut login = self.clone();
        login.url.set_path(&percent_encoded(database));
        login
    }

    /// The database that the URL names.
    pub fn database(&self) -> String {
        percent_decoded(self.url.path().trim_start_matches('/'))
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::reveal)
    }
}

/// What a path of a URL takes as it is.
const SIGNS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

fn percent_encoded(name: &str) -> String {
    utf8_percent_encode(name, SIGNS).to_string()
}

fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stands_apart_and_a_database_with_signs_is_encoded() {
        let login =
            Login::new("postgres://backup:p%40ss%2Fword@db.example.com:5433/yakin?sslmode=require");
        let login = login.unwrap();
        assert_eq!(login.url(None), "postgres://backup@db.example.com:5433/yakin?sslmode=require");
        assert_eq!(login.password(), Some("p@ss/word"));
        assert_eq!(
            login.url(Some("a b?c")),
            "postgres://backup@db.example.com:5433/a%20b%3Fc?sslmode=require"
        );
        assert!(!format!("{login:?}").contains("ss/word"));
        assert_eq!(login.database(), "yakin");
        let with = Login::new(&login.url_with_password(None)).unwrap();
        assert_eq!(with.password(), login.password());
    }

    #[test]
    fn a_socket_folder_stays() {
        let url = "postgres:///yakin?host=/run/pg&user=postgres&statement-cache-capacity=100";
        let login = Login::new(url).unwrap();
        assert_eq!(login.url(Some("other")), "postgres:///other?host=%2Frun%2Fpg&user=postgres");
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        for url in ["mysql://a:secret@h/d", "postgres://h/d?password=secret"] {
            let error = Login::new(url).unwrap_err().to_string();
            assert!(error.contains("expected postgres://") && !error.contains("secret"), "{error}");
        }
    }
}
