-- Backups. What one run wrote is a set: a folder with an encrypted dump of each database, the roles, and a manifest.
-- The folders are the truth; these rows are what retention, alerts and people look at.
CREATE TABLE app.backup_sets (
    backup_id text PRIMARY KEY CHECK (backup_id ~ '^BKP_[0-9]{8}_[0-9]{3,}$'),
    business_date date NOT NULL,
    place text NOT NULL,
    state text NOT NULL DEFAULT 'writing' CHECK (state IN ('writing', 'written', 'verified', 'failed', 'expired')),
    run_id bigint NOT NULL,
    databases text[] NOT NULL,
    begun_at timestamptz NOT NULL,
    ended_at timestamptz,
    bytes bigint,
    plain_bytes bigint,
    compressed boolean NOT NULL,
    recipients text[] NOT NULL,
    manifest_sha256 text,
    expires_on date NOT NULL,
    verified_at timestamptz,
    recovery_tested_at timestamptz,
    copied_at timestamptz,
    copied_to text,
    error text,
    CHECK (state IN ('writing', 'failed') OR manifest_sha256 IS NOT NULL),
    CHECK (state <> 'verified' OR verified_at IS NOT NULL)
);
COMMENT ON TABLE app.backup_sets IS 'バックアップ履歴 (SYS_BackupHistory)';
COMMENT ON COLUMN app.backup_sets.place IS 'バックアップ先フォルダーの識別子';
COMMENT ON COLUMN app.backup_sets.recovery_tested_at IS 'リストア試験に合格した時刻';
CREATE INDEX backup_sets_by_date ON app.backup_sets (place, business_date DESC, backup_id DESC);
GRANT SELECT, INSERT, UPDATE ON app.backup_sets TO yakin_platform;

-- The mark that the queue's rows belong to this database. Backups leave out both, so a restored database has no mark:
-- the first node that joins it ends the runs that were open as failed (interrupted).
CREATE TABLE yakin.queue_mark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    real_marked timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO yakin.queue_mark DEFAULT VALUES;
COMMENT ON TABLE yakin.queue_mark IS 'キューの行がこのデータベースのものである印 (バックアップには入らない)';
GRANT SELECT, INSERT ON yakin.queue_mark TO yakin_engine;
