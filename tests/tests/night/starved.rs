//! The server has no connection left for the nodes, and they have few.

use sqlx::{Connection, PgConnection};

use super::{Night, said};
use crate::common::until;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_get_no_connections_for_a_while_go_on_when_they_do() {
    let settings = "max_connections = 36\nsuperuser_reserved_connections = 12\n";
    let night = Night::begin("starved", settings).await;
    let smallest = |command: &mut std::process::Command| {
        let path = night.site.dir.join("yakin.toml");
        let text = std::fs::read_to_string(&path).expect("configuration");
        std::fs::write(&path, text.replace("connections = 8", "connections = 4"))
            .expect("configuration");
        command.arg("--config").arg(path);
    };
    let nodes = vec![night.site.serve_by(smallest).await, night.site.serve_by(smallest).await];
    let drop_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'yakin_engine'
                       AND application_name LIKE 'yakin%'";
    night.fall().await;

    // the login may have no more than two connections, for both
    night.at_work("BATCH-204").await;
    night.site.sql("ALTER ROLE yakin_engine CONNECTION LIMIT 2").await;
    let dropped: i64 = night.site.one(drop_all).await;
    assert!(dropped > 4, "{dropped} connections were there to lose");
    let refused = async |from: &[usize]| {
        until("both nodes were refused", 40, async || {
            nodes.iter().zip(from).all(|(node, from)| said(node, "failed") > *from)
        })
        .await;
    };
    refused(&[0, 0]).await;
    night.site.sql("ALTER ROLE yakin_engine CONNECTION LIMIT -1").await;

    // somebody else has all that there are
    night.at_work("BATCH-302").await;
    let before: Vec<usize> = nodes.iter().map(|n| said(n, "failed")).collect();
    let mut greedy = Vec::new();
    night.site.sql("CREATE ROLE greedy LOGIN").await;
    let others = night.site.database.url("greedy");
    night.site.sql("ALTER ROLE yakin_engine CONNECTION LIMIT 0").await;
    night.site.one::<i64>(drop_all).await;
    until("no connection is left", 20, async || match PgConnection::connect(&others).await {
        Ok(taken) => {
            greedy.push(taken);
            false
        }
        Err(error) => {
            let code = error.as_database_error().and_then(|e| e.code());
            assert_eq!(code.as_deref(), Some("53300"), "{error}");
            greedy.len() > 8
        }
    })
    .await;
    night.site.sql("ALTER ROLE yakin_engine CONNECTION LIMIT -1").await;
    refused(&before).await;
    drop(greedy);

    night.is_over().await;
    night.judge().await;
    night.leave(nodes).await;
}
