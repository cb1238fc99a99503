//! `yakin backup`: what there is, what is proven, and the way back. The folder is enough: the database may be gone.

use anyhow::{Context, anyhow};
use yakin_adapters::postgres_tools::Tools;
use yakin_adapters::storage::Storage;
use yakin_domain::backup::{
    BackupError, DatabaseDump, Described, Folder, Manifest, MissingRoles, Proof, SetKind, Source,
    fetch, ledger, restore, unprove, verify,
};
use yakin_engine::clock::Clock;
use yakin_engine::error::EngineError;
use yakin_engine::operate::audited;
use yakin_engine::record::audit::Act;
use yakin_engine::tx::Role;

use super::{backup_files, backup_list, stores};
use crate::arguments::{Arguments, Backup};
use crate::config::{Config, ConfigError};
use crate::output::{End, UsageError, grouped, line};
use crate::place::{Place, act, registry};

/// Lists, verifies, restores or fetches.
pub async fn backup(arguments: &Arguments, command: &Backup) -> anyhow::Result<End> {
    let config = Config::read(arguments.config.as_deref())?;
    let is_files = |set: &str| SetKind::of(set) == Some(SetKind::Files);
    match command {
        Backup::List { copies: false } => backup_list::list(&folder(&config)?, arguments.json),
        Backup::List { copies: true } => {
            backup_list::list_copies(&second_place(&config)?, arguments.json).await
        }
        Backup::Verify { set } if is_files(set) => {
            backup_files::verify(arguments, &config, set).await
        }
        Backup::Verify { set } => verify_set(arguments, &config, set).await,
        Backup::Fetch { set } if is_files(set) => backup_files::fetch_set(&config, set).await,
        Backup::Fetch { set } => {
            let manifest: Manifest = fetch(&second_place(&config)?, &folder(&config)?, set).await?;
            line(format!("{} is in {}", manifest.id, folder(&config)?.set(set).display()));
            Ok(End::Done)
        }
        Backup::Restore { set, files_into: Some(into), why, .. } => {
            backup_files::restore(arguments, &config, (set, into), &act(&why.reason)?).await
        }
        Backup::Restore { set, .. } if is_files(set) => {
            let text = format!(
                "{set} holds files: `yakin backup restore {set} --files-into DIR` restores them"
            );
            Err(UsageError(text).into())
        }
        Backup::Restore { set, into, database, with_roles, why, .. } => {
            let into = into.as_deref().unwrap_or_default();
            let wanted = Wanted { into, database: database.as_deref(), with_roles: *with_roles };
            restore_set(arguments, set, &wanted, &act(&why.reason)?).await
        }
    }
}

pub(super) fn folder(config: &Config) -> Result<Folder, ConfigError> {
    stores::backup_folder(config)
}

pub(super) fn second_place(config: &Config) -> Result<Storage, ConfigError> {
    let missing =
        || ConfigError("no second place is configured: [backup.copy] in yakin.toml".into());
    let copy = config.backup.as_ref().and_then(|b| b.copy.as_ref()).ok_or_else(missing)?;
    Storage::open(copy).map_err(|e| ConfigError(format!("[backup.copy] {e}")))
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// The set in the folder, or where else it may be.
pub(super) fn find<M: Described>(config: &Config, set: &str) -> anyhow::Result<(Folder, M)> {
    let folder = folder(config)?;
    let known = SetKind::of(set) == Some(M::KIND);
    match known.then(|| folder.manifest::<M>(set)).transpose()?.flatten() {
        Some((manifest, _)) => Ok((folder, manifest)),
        None => Err(UsageError(format!(
            "there is no set '{set}' in {}; `yakin backup list` names them, `yakin backup fetch` brings one back from \
             the second place",
            folder.path().display()
        ))
        .into()),
    }
}

pub(super) fn opener(
    config: &Config,
) -> anyhow::Result<std::sync::Arc<yakin_adapters::archive::Opener>> {
    let missing = "opening a set needs the secret key: keys.backup_identity_file in yakin.toml";
    Ok(stores::opener(config)?.ok_or_else(|| ConfigError(missing.to_owned()))?)
}

async fn verify_set(arguments: &Arguments, config: &Config, set: &str) -> anyhow::Result<End> {
    let (folder, manifest) = find::<Manifest>(config, set)?;
    let tools = Tools::find(manifest.tools).await?;
    if let Err(error) = verify(&tools, &opener(config)?, &folder.set(set), &manifest).await {
        doubt(arguments, &folder, (set, set), &error).await;
        return Err(anyhow!(error).context(format!("{set} is not proven")));
    }
    prove(arguments, &folder, set).await?;
    let contents = manifest.contents();
    line(format!(
        "{set} is whole: {} databases, {} MB, {} MB inside; every byte was read",
        manifest.databases.len(),
        megabytes(contents.bytes),
        megabytes(contents.plain_bytes)
    ));
    Ok(End::Done)
}

/// Writes down that a set was read back.
pub(super) async fn prove(arguments: &Arguments, folder: &Folder, set: &str) -> anyhow::Result<()> {
    let proof = Proof { verified_at: Some(Clock::real().now()), ..Proof::read(&folder.set(set))? };
    proof.write(&folder.set(set))?;
    note(arguments, &by_hand()?, "verify backup", set, Noted::Proven(&proof)).await;
    Ok(())
}

/// Writes down that a set was found damaged when another one, or itself, was verified. Where that fails too, the damage is
/// what people should read.
pub(super) async fn doubt(
    arguments: &Arguments,
    folder: &Folder,
    (set, damaged): (&str, &str),
    error: &BackupError,
) {
    if !error.is_damage() {
        return;
    }
    let text = error.to_string();
    match (unprove(folder, damaged), by_hand()) {
        (Ok(doubted), Ok(act)) => {
            note(arguments, &act, "verify backup", set, Noted::Doubted(&doubted, &text)).await;
        }
        (Err(error), _) => line(format!("note: the proof still stands there: {error}")),
        (_, Err(error)) => line(format!("note: the ledger does not know of it: {error:#}")),
    }
}

fn by_hand() -> anyhow::Result<Act> {
    Ok(Act { reason: "verified by hand".to_owned(), ..act("verify")? })
}

struct Wanted<'a> {
    into: &'a str,
    database: Option<&'a str>,
    with_roles: bool,
}

async fn restore_set(
    arguments: &Arguments,
    set: &str,
    wanted: &Wanted<'_>,
    act: &Act,
) -> anyhow::Result<End> {
    let place = Place::reach(arguments).await?;
    let (folder, manifest) = find::<Manifest>(&place.config, set)?;
    let opener = opener(&place.config)?;
    let login = stores::backup_login(&place)?;
    let dump = choose(&manifest, wanted.database, &login.database())?;
    let source = Source::reach(&login.on("postgres"), manifest.tools).await?;
    let path = folder.set(set);
    if source.superuser {
        let globals = &manifest.globals;
        let missing = MissingRoles::find(&source, &opener, &path, globals, dump).await?;
        let all = missing.names.join(", ");
        if wanted.with_roles && !missing.names.is_empty() {
            missing.create(&source).await?;
            line(format!("made the roles that this server had not: {all}"));
        } else if !wanted.with_roles && !missing.needed.is_empty() {
            let text = format!(
                "this server has no role {}, which {} names; make it, or --with-roles makes all that the set's server \
                 had: {all}",
                missing.needed.join(", "),
                dump.name
            );
            return Err(UsageError(text).into());
        }
    } else {
        line("The login is no superuser: everything becomes its own, and no rights are granted.");
    }
    let bytes = dump.sealed.plain_bytes;
    line(format!("restoring {} of {set} ({} MB) …", dump.name, megabytes(bytes)));
    let restored = restore(&source, &opener, &path, dump, wanted.into, ctrl_c()).await?;
    note(arguments, act, "restore backup", &format!("{set} into {}", wanted.into), Noted::Act)
        .await;
    line(format!(
        "database {} is there: {} tables, {} rows, as the manifest says",
        wanted.into,
        restored.tables,
        grouped(restored.rows)
    ));
    line(
        "Nothing uses it yet. To go over to it: stop the nodes, rename or point database.url at it, start them;",
    );
    line("the first one ends the runs that were open in the backup as failed (interrupted).");
    Ok(End::Done)
}

/// Ends when a person does not want to wait; never where that cannot be heard.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn choose<'a>(
    manifest: &'a Manifest,
    named: Option<&str>,
    configured: &str,
) -> anyhow::Result<&'a DatabaseDump> {
    let by_name = |name: &str| manifest.databases.iter().find(|d| d.name == name);
    let found = match (named, manifest.databases.as_slice()) {
        (Some(name), _) => by_name(name),
        (None, [only]) => Some(only),
        (None, _) => by_name(configured),
    };
    found.ok_or_else(|| {
        let names: Vec<_> = manifest.databases.iter().map(|d| d.name.as_str()).collect();
        let text =
            format!("which database? {} has {}; give --database", manifest.id, names.join(", "));
        UsageError(text).into()
    })
}

/// What the ledger is told with an act.
pub(super) enum Noted<'a> {
    Act,
    /// What was proven of the set.
    Proven(&'a Proof),
    /// Sets that are proven no longer, and why.
    Doubted(&'a [String], &'a str),
}

/// Writes the act into the ledger where the database answers; says so where it does not.
pub(super) async fn note(
    arguments: &Arguments,
    act: &Act,
    action: &str,
    subject: &str,
    noted: Noted<'_>,
) {
    let writing = async {
        let place = Place::open(arguments).await?;
        let pool = place.pool().await?;
        let now = place.clock(&pool).await?.now();
        let registry = registry()?;
        let batch =
            if subject.starts_with(SetKind::Files.prefix()) { "DAILY_003" } else { "BATCH-101" };
        let spec = registry.get(batch).context(batch)?.spec();
        audited(&pool, Role::Platform, spec, (act, action, subject), now, async |tx| {
            let written = match noted {
                Noted::Act => Ok(()),
                Noted::Proven(proof) => ledger::proven(tx, subject, proof).await,
                Noted::Doubted(sets, error) => ledger::unproven(tx, sets, error).await,
            };
            written.map_err(|stop| EngineError::Refused(stop.message()))
        })
        .await?;
        anyhow::Ok(())
    };
    if let Err(error) = writing.await {
        line(format!("note: the ledger does not know of it: {error:#}"));
    }
}
