//! What the tests of messages share: a world with an outside that stands in for relays and vendors.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgPool;
use yakin_adapters::Keys;
use yakin_adapters::mail::{Mailer, Relay};
use yakin_adapters::outgoing::{Outgoing, OutgoingSettings};
use yakin_adapters::storage::{Storage, StorageSettings};
use yakin_domain::delivery::outside::PlatformRelay;
use yakin_domain::delivery::senders::context;
use yakin_domain::delivery::{Outside, Templates};
use yakin_engine::engine::Engine;
use yakin_engine::registry::AnyBatch;
use yakin_testkit::World;

/// A world with an outside, and the folder its keys and files lie in.
pub struct Post {
    pub world: World,
    pub folder: PathBuf,
    keys: Keys,
    relays: Vec<String>,
    allow: Vec<String>,
    rate_per_minute: i64,
}

impl std::ops::Deref for Post {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Batches of the catalogue by their ids.
pub fn batches(ids: &[&str]) -> Vec<Arc<dyn AnyBatch>> {
    yakin_catalogue::all().into_iter().filter(|b| ids.contains(&b.spec().id)).collect()
}

impl Post {
    /// A world at an instant with these batches; relays of the operator by URL, hosts that may be called.
    pub async fn new(begin: &str, ids: &[&str], relays: &[&str], allow: &[String]) -> Post {
        Post::with_rate(begin, ids, relays, allow, 60_000).await
    }

    /// The same with a rate per minute for the relays.
    pub async fn with_rate(
        begin: &str,
        ids: &[&str],
        relays: &[&str],
        allow: &[String],
        rate_per_minute: i64,
    ) -> Post {
        Post::made(begin, batches(ids), relays, allow, rate_per_minute).await
    }

    /// The same with batches of the test's own beside those of the catalogue, and nothing to send by.
    pub async fn with_batches(begin: &str, ids: &[&str], more: &[Arc<dyn AnyBatch>]) -> Post {
        let all = batches(ids).into_iter().chain(more.iter().cloned());
        Post::made(begin, all.collect(), &[], &[], 60_000).await
    }

    async fn made(
        begin: &str,
        batches: Vec<Arc<dyn AnyBatch>>,
        relays: &[&str],
        allow: &[String],
        rate_per_minute: i64,
    ) -> Post {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = World::at(begin, batches).await;
        let folder = std::env::temp_dir().join(format!("yakin-post-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key_file = folder.join("master.keys");
        let _ = std::fs::remove_file(&key_file);
        Keys::init(&key_file).unwrap();
        let keys = Keys::read(&key_file).unwrap();
        let relays = relays.iter().map(|r| (*r).to_owned()).collect();
        let mut post = Post { world, folder, keys, relays, allow: allow.to_vec(), rate_per_minute };
        let outside = post.outside();
        Arc::get_mut(&mut post.world.engine).unwrap().provide(outside);
        post
    }

    /// What a node of this world has of the outside.
    fn outside(&self) -> Outside {
        let settings =
            OutgoingSettings { allow: self.allow.clone(), ..OutgoingSettings::default() };
        let outgoing = Outgoing::new(&settings).unwrap();
        let mut outside = Outside::new(outgoing, Templates::read(None).unwrap());
        outside.keys = Some(Keys::read(&self.folder.join("master.keys")).unwrap());
        outside.operations = Some("operations@yakin.example".to_owned());
        let url = format!("file://{}", self.folder.join("files").display());
        let storage = Storage::open(&StorageSettings { url, ..StorageSettings::default() });
        outside.storage = Some(Arc::new(storage.unwrap()));
        for (n, url) in self.relays.iter().enumerate() {
            let relay = Relay::new(url, "Yakin <billing@yakin.example>");
            outside.relays.push(PlatformRelay {
                name: format!("relay{n}"),
                rate_per_minute: self.rate_per_minute,
                mailer: Arc::new(Mailer::new(relay).unwrap()),
            });
        }
        outside
    }

    /// A second node that works.
    pub async fn worker(&self) -> Engine {
        let registry = self.engine.registry.clone();
        let mut node =
            Engine::join(self.pool.clone(), self.clock.clone(), registry, "second", &["work"])
                .await
                .unwrap();
        node.provide(self.outside());
        node
    }

    /// A tenant that may use the operator's relay, with an administrator.
    pub async fn client(&self, code: &str) -> i64 {
        let tenant = self.tenant(code).await;
        self.sql(&format!(
            "UPDATE app.tenants SET platform_relay = true WHERE tenant_id = {tenant};
             INSERT INTO app.users (tenant_id, email, name, role, created_at)
             VALUES ({tenant}, 'admin@{code}.example', '管理者 {code}', 'admin', '2026-01-01')"
        ))
        .await;
        tenant
    }

    /// A sealed integration; returns its id.
    pub async fn integration(
        &self,
        tenant: i64,
        channel: &str,
        rate: i32,
        credentials: &Value,
    ) -> i64 {
        let id: i64 = self
            .one(&format!(
                "INSERT INTO app.integrations (tenant_id, channel, name, credentials, key_id, rate_per_minute)
                 VALUES ({tenant}, '{channel}', '{channel} of {tenant}', '', '', {rate}) RETURNING integration_id"
            ))
            .await;
        let plain = credentials.to_string();
        let sealed = self.keys.seal(plain.as_bytes(), &context(tenant, id)).unwrap();
        sqlx::query(
            "UPDATE app.integrations SET credentials = $2, key_id = $3 WHERE integration_id = $1",
        )
        .bind(id)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .execute(&self.database.owner)
        .await
        .unwrap();
        id
    }

    /// A notification setting for everything.
    pub async fn route(&self, tenant: i64, channel: &str, integration: Option<i64>, target: &str) {
        let integration = integration.map_or_else(|| "NULL".to_owned(), |id| id.to_string());
        self.sql(&format!(
            "INSERT INTO app.notification_settings (tenant_id, key, channel, integration_id, target)
             VALUES ({tenant}, '*', '{channel}', {integration}, NULLIF('{target}', ''))"
        ))
        .await;
    }

    /// Mails that wait, numbered from 1, to `mail<n>@<tenant>.example`.
    pub async fn mails(&self, tenant: i64, count: i32, priority: i32) {
        let now = self.clock.now();
        self.sql(&format!(
            "INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, subject,
                                         body, due_at, expires_at, created_at)
             SELECT {tenant}, 'notification', {priority}00000 + n, 'email', 'mail' || n || '@t{tenant}.example',
                    'tenant', {priority}, '件名 ' || n, '本文 ' || n, '{now}', '{now}'::timestamptz + interval '1 day',
                    '{now}'
               FROM generate_series(1, {count}) AS n"
        ))
        .await;
    }

    /// How many deliveries are in each state: `sent 3, failed 1`.
    pub async fn states(&self) -> String {
        self.one(
            "SELECT coalesce(string_agg(state || ' ' || n, ', ' ORDER BY state), '')
               FROM (SELECT state, count(*) AS n FROM app.deliveries WHERE source <> 'digest' GROUP BY state) AS s",
        )
        .await
    }

    /// Moves the clock and lives that instant.
    pub async fn live(&self, at: &str) {
        self.set_clock(at);
        self.settle().await;
    }
}

/// The text of a mail's header and body, decoded as far as tests need.
pub fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

/// Credentials of Slack's stand-in.
pub fn slack(base_url: &str, token: &str) -> Value {
    json!({"token": token, "base_url": base_url})
}

/// What a tenant reads, or why it may not.
pub async fn as_tenant(pool: &PgPool, tenant: i64, sql: &str) -> Result<i64, String> {
    let mut tx = pool.begin().await.unwrap();
    let wear = format!("SET LOCAL ROLE yakin_tenant; SET LOCAL yakin.tenant = '{tenant}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(wear)).execute(&mut *tx).await.unwrap();
    let asked = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut *tx).await;
    asked.map_err(|e| e.to_string())
}
