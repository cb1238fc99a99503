-- How long what is kept, and what the weekly maintenance did. One table of policies is read by everything that removes;
-- a policy can be lengthened, never made shorter than the promise beside it.
SET LOCAL lock_timeout = '10s';

CREATE TABLE app.retention_policies (
    data_class text PRIMARY KEY,
    title text NOT NULL,
    archive_after_days integer CHECK (archive_after_days > 0),
    delete_after_days integer,
    at_least_days integer NOT NULL CHECK (at_least_days > 0),
    CHECK (delete_after_days >= at_least_days),
    CHECK (delete_after_days >= archive_after_days)
);
COMMENT ON TABLE app.retention_policies IS '保存期間 (データの種類ごと。消すものはすべてここを読む)';
COMMENT ON COLUMN app.retention_policies.delete_after_days IS 'この日数を過ぎたら消す。NULL = 消さない';
COMMENT ON COLUMN app.retention_policies.at_least_days IS '約束した最短の日数 (これより短くはできない)';
GRANT SELECT ON app.retention_policies TO yakin_tenant;
GRANT SELECT, UPDATE (archive_after_days, delete_after_days) ON app.retention_policies TO yakin_platform;

-- Raw logs: bills are made of them for the month before, and corrected for a while after; thirteen months are kept.
INSERT INTO app.retention_policies (data_class, title, archive_after_days, delete_after_days, at_least_days) VALUES
    ('api_call_logs', 'API 呼び出しログ', NULL, 400, 93),
    ('login_logs', 'ログインログ', NULL, 400, 93),
    ('report_generation_logs', 'レポート生成ログ', NULL, 400, 93),
    ('user_sessions', '利用者のセッション記録', NULL, 400, 93),
    ('compute_usage_logs', '計算資源の使用ログ', NULL, 400, 93),
    ('network_usage_logs', '通信の使用ログ', NULL, 400, 93),
    ('feature_usage_logs', '機能の使用ログ', NULL, 400, 93),
    ('engineer_activity_logs', 'エンジニアの活動ログ', NULL, 400, 93),
    ('session_stat_hourly', 'セッション統計 (毎時)', NULL, 400, 93),
    ('token_counts_hourly', 'トークン無効化の件数 (毎時)', NULL, 400, 93),
    ('token_revocations', '無効化の履歴', NULL, 730, 730),
    ('ended_sessions', '終わったセッション', NULL, 1, 1),
    ('security_sessions', '安全のため、または管理者が終わらせたセッション', NULL, 90, 90),
    ('log_files', 'ログファイル', 7, 90, 90);

GRANT DELETE ON app.session_stat_hourly, app.token_counts_hourly, app.token_revocations TO yakin_platform;

-- One row for each step of a run.
CREATE TABLE app.maintenance_results (
    run_id bigint NOT NULL,
    step text NOT NULL CHECK (step IN ('database', 'logs', 'cache', 'temp', 'health')),
    week date NOT NULL CHECK (extract(isodow FROM week) = 1),
    outcome text NOT NULL CHECK (outcome IN ('done', 'incomplete', 'not_configured', 'failed', 'reused')),
    attempts integer NOT NULL DEFAULT 1,
    before jsonb NOT NULL DEFAULT '{}',
    after jsonb NOT NULL DEFAULT '{}',
    missing text[] NOT NULL DEFAULT '{}',
    notes jsonb NOT NULL DEFAULT '[]',
    error text,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, step),
    CHECK ((outcome = 'failed') = (error IS NOT NULL))
);
COMMENT ON TABLE app.maintenance_results IS 'メンテナンスの結果 (実行と手順ごと、WEEKLY_001)';
COMMENT ON COLUMN app.maintenance_results.week IS 'ISO 週の月曜日。済んだ手順はその週に二度しない';
COMMENT ON COLUMN app.maintenance_results.missing IS 'この拠点に設定がないため、しなかったこと';
COMMENT ON COLUMN app.maintenance_results.notes IS '人に知らせること';
CREATE INDEX maintenance_results_by_week ON app.maintenance_results (week, step);
GRANT SELECT, INSERT, UPDATE ON app.maintenance_results TO yakin_platform;

-- An index is taken up once a week.
CREATE TABLE app.index_rebuilds (
    index_name text NOT NULL,
    week date NOT NULL CHECK (extract(isodow FROM week) = 1),
    outcome text NOT NULL CHECK (outcome IN ('rebuilt', 'skipped')),
    bloat_percent integer,
    bytes_before bigint NOT NULL,
    bytes_after bigint,
    reason text,
    run_id bigint NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (index_name, week),
    CHECK ((outcome = 'rebuilt') = (bytes_after IS NOT NULL)),
    CHECK ((outcome = 'skipped') = (reason IS NOT NULL))
);
COMMENT ON TABLE app.index_rebuilds IS '索引の再構築 (索引と週ごとに一度)';
COMMENT ON COLUMN app.index_rebuilds.bloat_percent IS '推定の空き (%)。NULL = 無効な索引';
CREATE INDEX index_rebuilds_by_week ON app.index_rebuilds (week);
GRANT SELECT, INSERT, UPDATE ON app.index_rebuilds TO yakin_platform;

-- A month of a log that is past its keep as a whole goes at once. Refuses one that is not, and gives way (false) to any
-- reader or dump. Work may call it: by the policy it can take nothing else.
CREATE FUNCTION app.drop_expired_month(log text, month date, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    keep integer := (SELECT delete_after_days FROM app.retention_policies WHERE data_class = log);
    parent regclass := (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE n.nspname = 'app' AND c.relname = log AND c.relkind = 'p');
    next_instant timestamptz := (month + interval '1 month') AT TIME ZONE 'Asia/Tokyo';
BEGIN
    IF keep IS NULL OR parent IS NULL OR next_instant + make_interval(days => keep) > at THEN
        RAISE EXCEPTION 'drop_expired_month: % of % is within its keep, or no log with a policy', month, log;
    END IF;
    RETURN yakin.drop_month(parent, month);
END $$;
REVOKE ALL ON FUNCTION app.drop_expired_month(text, date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.drop_expired_month(text, date, timestamptz) TO yakin_platform;

-- Runs that came to nothing, of batches that look every few minutes: half a million a year. They are the only rows of the
-- ledger that may go, and only by their policy. Whoever deletes others as the engine is refused.
INSERT INTO app.retention_policies (data_class, title, archive_after_days, delete_after_days, at_least_days)
VALUES ('quiet_runs', '何もしなかった実行 (数分おきのバッチ)', NULL, 400, 7);

CREATE FUNCTION yakin.is_quiet(r yakin.runs) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog
    RETURN r.state = 'ended' AND r.outcome = 'succeeded' AND r.trigger = 'firing' AND NOT r.dry_run
           AND r.period_start IS NULL AND r.tenants_total = 0 AND r.rows_written = 0 AND r.amount_yen IS NULL
           AND r.counts = '{}' AND r.reports = '[]' AND r.notes = '[]' AND r.approved_by IS NULL
           AND r.released_by IS NULL
           AND (SELECT b.schedule ~ '^(\*|\*/[1-9]) ' FROM yakin.batches b WHERE b.id = r.batch_id);
REVOKE ALL ON FUNCTION yakin.is_quiet(yakin.runs) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION yakin.is_quiet(yakin.runs) TO yakin_engine;

CREATE FUNCTION yakin.refuse_unless_quiet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE run bigint := (to_jsonb(OLD) ->> CASE TG_TABLE_NAME WHEN 'runs' THEN 'id' ELSE 'run_id' END)::bigint;
BEGIN
    IF EXISTS (SELECT FROM yakin.runs r WHERE r.id = run AND yakin.is_quiet(r)) THEN RETURN OLD; END IF;
    RAISE EXCEPTION '% keeps what run % came to: DELETE refused', TG_TABLE_NAME, run USING ERRCODE = 'insufficient_privilege';
END $$;
DO $$
DECLARE kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['runs', 'firings', 'job_history', 'run_performance'] LOOP
        EXECUTE format('CREATE TRIGGER keep BEFORE DELETE ON yakin.%I FOR EACH ROW
                        WHEN (current_user = ''yakin_engine'') EXECUTE FUNCTION yakin.refuse_unless_quiet()', kept);
        EXECUTE format('GRANT DELETE ON yakin.%I TO yakin_engine', kept);
    END LOOP;
END $$;
