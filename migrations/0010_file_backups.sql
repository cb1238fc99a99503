-- Sets of files beside sets of databases. A set of files refers to the sets whose archives hold what has not changed
-- since; none of those goes before it.
ALTER TABLE app.backup_sets
    ADD COLUMN kind text NOT NULL DEFAULT 'databases' CHECK (kind IN ('databases', 'files')),
    ADD COLUMN storage text,
    ADD COLUMN files bigint,
    ADD COLUMN refers_to text[] NOT NULL DEFAULT '{}',
    DROP CONSTRAINT backup_sets_backup_id_check,
    ADD CONSTRAINT backup_sets_backup_id_check CHECK (
        backup_id ~ CASE kind WHEN 'files' THEN '^BKF_[0-9]{8}_[0-9]{3,}$' ELSE '^BKP_[0-9]{8}_[0-9]{3,}$' END),
    ADD CONSTRAINT backup_sets_storage_check CHECK ((kind = 'files') = (storage IS NOT NULL));
COMMENT ON COLUMN app.backup_sets.kind IS '対象 (databases データベース、files ファイル)';
COMMENT ON COLUMN app.backup_sets.storage IS 'ファイルの保管先 (認証情報なしの URL)';
COMMENT ON COLUMN app.backup_sets.files IS 'セットに入っているファイルの数';
COMMENT ON COLUMN app.backup_sets.refers_to IS '変更のないファイルを持つ、以前のセット';
