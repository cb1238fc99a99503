//! `yakin backup …`, `yakin reports …` and `yakin keys …`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Why;

#[derive(Subcommand, Debug, Clone)]
pub enum Backup {
    /// Lists the sets of the folder, newest last: size, rows, what has been proven. Needs no database.
    List {
        /// The second place's instead.
        #[arg(long)]
        copies: bool,
    },
    /// Reads a set back to its last byte and compares it with its manifest.
    #[command(after_help = "Example:\n  yakin backup verify BKP_20261101_001")]
    Verify { set: String },
    /// Restores a database of a set into a new one and compares all row counts, or the files of a set into an empty folder
    /// and compares all digests; never over what is there.
    #[command(
        after_help = "Examples:\n  yakin backup restore BKP_20261101_001 --into yakin_restored --reason 'disk of db1 died'\n  yakin backup restore BKP_20261101_001 --database yakin --into yakin_restored --with-roles --reason 'new server'\n  yakin backup restore BKF_20261101_001 --files-into /var/lib/yakin/files.restored --reason 'files1 died'"
    )]
    Restore {
        /// BKP_… holds databases, BKF_… files.
        set: String,
        /// The new database.
        #[arg(long, value_name = "NEWDB", required_unless_present = "files_into")]
        into: Option<String>,
        /// An empty or new folder: the files come to lie in it by their keys. Needs no database.
        #[arg(long, value_name = "DIR", conflicts_with_all = ["into", "database", "with_roles"])]
        files_into: Option<PathBuf>,
        /// Which of the set's databases [default: the one of the configuration, or the only one].
        #[arg(long)]
        database: Option<String>,
        /// First make the roles that the set's server had and this one has not.
        #[arg(long)]
        with_roles: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Brings a set back from the second place into the folder, with the sets that it refers to.
    Fetch { set: String },
}

#[derive(Subcommand, Debug, Clone)]
pub enum Reports {
    /// Lists reports, newest first: tenant or the service, period, file, size, digest, when and by which run.
    #[command(
        after_help = "Examples:\n  yakin reports list --month 2026-10\n  yakin reports list --tenant aoba-joho --json"
    )]
    List {
        /// Whose period begins in this Tokyo month, such as 2026-10.
        #[arg(long)]
        month: Option<String>,
        /// Of this tenant only, by code.
        #[arg(long)]
        tenant: Option<String>,
        /// How many, 1 to 1000.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
}

#[derive(Subcommand, Debug, Clone)]
pub enum MasterKeys {
    /// Makes a key file with one key; refuses to replace one.
    #[command(after_help = "Example:\n  yakin keys init --file /etc/yakin/master.keys")]
    Init {
        /// The key file [default: keys.master_key_file of the configuration].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Puts a new key before the others, which stay to open what they sealed.
    #[command(
        after_help = "Examples:\n  yakin keys rotate\n  yakin keys rotate --file /etc/yakin/master.keys"
    )]
    Rotate {
        /// The key file [default: keys.master_key_file of the configuration].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Makes the key pair of backups: prints the recipient, which goes to every node; the file goes to a safe place.
    #[command(after_help = "Example:\n  yakin keys backup --file /etc/yakin/backup.key")]
    Backup {
        /// Where the secret key is written, mode 0600; refuses to replace one.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}
