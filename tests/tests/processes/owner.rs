//! The schema under an owner with the rights that the handbook prescribes: it is migrated, the doctor tries what the
//! owner must see, and what the doctor says mends it.

use crate::common::{Site, tell};
use serde_json::Value;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, ConnectOptions};

/// A database of another owner, beside the site's.
struct Owned<'a> {
    site: &'a Site,
    name: String,
    login: String,
}

impl<'a> Owned<'a> {
    async fn new(site: &'a Site) -> Owned<'a> {
        let name = format!("{}_owned", site.one::<String>("SELECT current_database()::text").await);
        let login = format!("{name}_owner");
        site.sql(&format!("CREATE ROLE {login} LOGIN CREATEROLE")).await;
        site.sql(&format!("CREATE DATABASE {name} OWNER {login}")).await;
        Owned { site, name, login }
    }

    fn url(&self, login: &str) -> String {
        let options = (*self.site.database.owner.connect_options()).clone();
        options.database(&self.name).username(login).to_url_lossy().to_string()
    }

    /// What a command says that must succeed.
    fn good(&self, login: &str, arguments: &[&str]) -> String {
        let mut command = self.site.command(arguments);
        command.env("DATABASE_URL", self.url(login));
        let told = tell(command);
        assert_eq!(told.code, 0, "{arguments:?}: {}{}", told.out, told.err);
        told.out
    }

    /// What the doctor found of the attempts, and what he says mends it.
    fn attempts(&self) -> (String, String) {
        let mut command = self.site.command(&["doctor", "--json"]);
        command.env("DATABASE_URL", self.url("yakin_engine"));
        let checks: Vec<Value> = serde_json::from_str(&tell(command).out).expect("JSON");
        let check = checks.iter().find(|c| c["name"] == "attempts").expect("attempts");
        let text = |key: &str| check[key].as_str().expect(key).to_owned();
        (text("standing"), text("mend"))
    }

    async fn sql(&self, login: &str, sql: &str) {
        let pool = PgPool::connect(&self.url(login)).await.expect("connect");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.expect(sql);
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_with_the_handbooks_rights_is_enough() {
    let site = Site::new().await;
    let owned = Owned::new(&site).await;
    let login = owned.login.clone();
    owned.good(&login, &["migrate"]);
    assert_eq!(owned.attempts().0, "good");
    // as after a restore under another owner
    owned.sql(&login, "DROP POLICY holds ON yakin.jobs").await;
    let (standing, mend) = owned.attempts();
    assert_eq!(standing, "bad");
    let as_owner = format!("as {login}: ");
    owned.sql(&login, mend.strip_prefix(&as_owner).expect(&mend)).await;
    assert_eq!(owned.attempts().0, "good");
    // and what it takes to write sample data
    site.sql(&format!("GRANT yakin_engine TO {login}")).await;
    let sample =
        ["sample", "--tenants", "2", "--engineers", "4", "--log-rows", "100", "--days", "3"];
    let said = owned.good(&login, &sample);
    assert!(said.starts_with("2 tenants"), "{said}");
    site.sql(&format!("DROP DATABASE {} WITH (FORCE)", owned.name)).await;
    site.sql(&format!("DROP ROLE {login}")).await;
}
