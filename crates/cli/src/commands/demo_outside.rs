//! What the demo has for an outside: an issuer, keys, folders that stand for the relay, the chat vendors and the
//! storage. Nothing leaves the machine. The same is written to the demo's `yakin.toml` for later commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use yakin_adapters::archive::{self, Opener};
use yakin_adapters::mail::Relay;
use yakin_adapters::{Keys, StorageSettings};
use yakin_domain::billing::issuer::Issuer;

use crate::config::{Backup, Config, MailRelay};

/// The demo's outside.
pub struct Outside {
    pub keys: Arc<Keys>,
    /// What a person may want to look at, and where it lies.
    pub folders: Vec<(&'static str, PathBuf)>,
}

/// Arranges the demo's outside afresh in its folder, whatever the configuration says of the real one.
pub fn arrange(config: &mut Config, dir: &Path) -> anyhow::Result<Outside> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let folders = ["mailbox", "chat", "files", "backups"].map(|name| dir.join(name));
    for folder in &folders {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("emptying {}", folder.display()))?;
        }
    }
    let key_file = dir.join("master.keys");
    if !key_file.exists() {
        Keys::init(&key_file)?;
    }
    let keys = Arc::new(Keys::read(&key_file)?);
    let backup_key = dir.join("backup.key");
    if !backup_key.exists() {
        archive::init(&backup_key)?;
    }
    let recipients = Opener::read(&backup_key)?.recipients();
    let text = written(&key_file, (&backup_key, &recipients), &folders);
    let [mailbox, chat, files, backups] = folders;
    let file = dir.join("yakin.toml");
    std::fs::write(&file, &text).with_context(|| format!("writing {}", file.display()))?;
    config.issuer.get_or_insert_with(issuer);
    config.keys.master_key_file = Some(key_file);
    config.keys.backup_recipients = recipients;
    config.keys.backup_identity_file = Some(backup_key);
    config.backup = Some(Backup { folder: backups.clone(), copy: None });
    config.outgoing.folder = Some(chat.clone());
    config.storage = Some(StorageSettings { url: url(&files), ..StorageSettings::default() });
    config.mail = vec![MailRelay {
        name: "demo".to_owned(),
        rate_per_minute: RATE,
        relay: Relay::new(url(&mailbox), FROM),
    }];
    config.operations.email = Some(OPERATIONS.to_owned());
    config.reports.recipients = vec![OPERATIONS.to_owned()];
    let folders =
        vec![("Mail:", mailbox), ("Chat:", chat), ("Documents:", files), ("Backups:", backups)];
    Ok(Outside { keys, folders })
}

const RATE: i64 = 6000;
const FROM: &str = "Yakin <billing@yakin.example>";
const OPERATIONS: &str = "operations@yakin.example";

fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

fn issuer() -> Issuer {
    Issuer {
        name: "株式会社夜勤サンプル".to_owned(),
        address: "東京都千代田区丸の内1-1-1".to_owned(),
        registration_number: "T9700110012005".to_owned(),
        bank_account: "見本銀行 本店 普通 1234567 カ）ヤキンサンプル".to_owned(),
    }
}

fn written(
    key_file: &Path,
    (backup_key, recipients): (&Path, &[String]),
    [mailbox, chat, files, backups]: &[PathBuf; 4],
) -> String {
    let issuer = issuer();
    format!(
        "# the demo's outside: nothing leaves this machine\n\
         [issuer]\nname = {:?}\naddress = {:?}\nregistration_number = {:?}\nbank_account = {:?}\n\n\
         [keys]\nmaster_key_file = {key_file:?}\nbackup_recipients = {recipients:?}\n\
         backup_identity_file = {backup_key:?}\n\n\
         [backup]\nfolder = {backups:?}\n\n\
         [outgoing]\nfolder = {chat:?}\n\n\
         [storage]\nurl = {:?}\n\n\
         [operations]\nemail = {OPERATIONS:?}\n\n\
         [reports]\nrecipients = [{OPERATIONS:?}]\n\n\
         [[mail]]\nname = \"demo\"\nrate_per_minute = {RATE}\nrelay = {{ url = {:?}, from = {FROM:?} }}\n",
        issuer.name,
        issuer.address,
        issuer.registration_number,
        issuer.bank_account,
        url(files),
        url(mailbox),
    )
}
