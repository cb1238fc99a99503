//! Answers that never come: a host that died or a firewall that forgot a connection tells nobody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use yakin_engine::database;
use yakin_engine::engine::Engine;
use yakin_engine::prelude::*;
use yakin_engine::registry::{Registry, entry};
use yakin_engine::worker::execute::execute;
use yakin_testkit::World;

use crate::common::{Gate, begin, tenants};

static STANDS: Gate = Gate::new();
struct Stands;
impl Batch for Stands {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-STANDS");
    async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
        STANDS.pass().await;
        Ok(Done::default())
    }
}

/// Passes connections on to the world's server until it is told to fall silent; those that come later are passed again.
/// Returns the port, and what silences it.
async fn mute(world: &World) -> (u16, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = world.database.owner.connect_options();
    let folder = options.get_socket().expect("the test's server is reached by its socket");
    let socket = Path::new(folder).join(format!(".s.PGSQL.{}", options.get_port()));
    let (silence, silenced) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut node, _)) = listener.accept().await {
            let (socket, mut silenced) = (socket.clone(), silenced.clone());
            silenced.mark_unchanged();
            tokio::spawn(async move {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut node, &mut server) => {}
                    _ = silenced.changed() => std::future::pending().await,
                }
            });
        }
    });
    (port, silence)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_connections_fall_silent_goes_on_over_others() {
    let world = World::new(vec![entry::<Stands>()]).await;
    for code in ["a", "b"] {
        world.tenant(code).await;
    }
    let (port, silence) = mute(&world).await;
    let url = format!("postgres://yakin_engine@127.0.0.1:{port}/{}", world.database.name());
    let pool = database::connect(&format!("{url}?sslmode=disable"), 8).await.unwrap();
    let registry = Registry::new(vec![entry::<Stands>()]).unwrap();
    let engine = Engine::join(pool, world.clock.clone(), registry, "far", &["plan", "work"]).await;
    let engine = Arc::new(engine.unwrap());
    let run = begin(&world, "T-STANDS", Default::default()).await;
    engine.plan_step().await.unwrap();
    let roster = engine.claim(Queue::Default, 1).await.jobs.remove(0);
    execute(&engine, roster).await;
    let one = engine.claim(Queue::Default, 1).await.jobs.remove(0);
    let working = tokio::spawn({
        let engine = engine.clone();
        async move { execute(&engine, one).await }
    });
    STANDS.wait(1).await;
    assert!(!engine.heartbeat_step().await.unwrap());
    // each may meet a silent connection or a new one; whoever meets a silent one goes on over another
    silence.send(()).unwrap();
    let begun = std::time::Instant::now();
    let beats = async { while engine.heartbeat_step().await.is_err() {} };
    let ends = async {
        STANDS.open(2);
        working.await.unwrap();
    };
    let plans = async { while engine.plan_step().await.is_err() {} };
    let claims = async {
        loop {
            if let Some(job) = engine.claim(Queue::Default, 1).await.jobs.pop() {
                return job;
            }
        }
    };
    let ((), (), (), other) = tokio::join!(beats, ends, plans, claims);
    assert!(begun.elapsed() > Duration::from_secs(9), "nobody met a silent connection");
    execute(&engine, other).await;
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
    let lost: i64 =
        world.one("SELECT count(*) FROM yakin.job_history WHERE outcome <> 'done'").await;
    assert_eq!(lost, 0);
}
