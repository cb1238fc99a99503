-- The engine's tables. Schedule time (timestamptz columns named *_at without "real") comes from the Clock as a
-- parameter; columns named real_* and lease_until are PostgreSQL's clock_timestamp().

-- What this database may be used by: the lowest newest-known migration a binary must have to run here.
CREATE TABLE yakin.compatibility (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_binary integer NOT NULL
);
INSERT INTO yakin.compatibility (oldest_binary) VALUES (1);
COMMENT ON TABLE yakin.compatibility IS '互換性: このデータベースで動いてよい最も古い版';
GRANT SELECT ON yakin.compatibility TO yakin_engine;

-- One row: the operators' big switch, and virtual schedule time where this database lives in it.
CREATE TABLE yakin.control (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    stopped boolean NOT NULL DEFAULT false,
    stopped_reason text,
    virtual_now timestamptz,
    virtual_until timestamptz
);
INSERT INTO yakin.control DEFAULT VALUES;
COMMENT ON TABLE yakin.control IS '全体の制御: 一斉停止と仮想時刻';
COMMENT ON COLUMN yakin.control.virtual_now IS '仮想の予定時刻 (NULL = 実時刻)';
GRANT SELECT, UPDATE ON yakin.control TO yakin_engine;

CREATE TABLE yakin.nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    roles text[] NOT NULL,
    version text NOT NULL,
    batches text[] NOT NULL DEFAULT '{}',
    real_started timestamptz NOT NULL DEFAULT clock_timestamp(),
    real_heartbeat timestamptz NOT NULL DEFAULT clock_timestamp(),
    real_planned timestamptz,
    draining boolean NOT NULL DEFAULT false,
    real_ended timestamptz
);
COMMENT ON TABLE yakin.nodes IS 'ノード: Yakin のプロセス';
GRANT SELECT, INSERT, UPDATE ON yakin.nodes TO yakin_engine;

CREATE TABLE yakin.batches (
    id text PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    title text NOT NULL,
    spec jsonb NOT NULL,
    schedule text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    planned_until timestamptz,
    real_registered timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE yakin.batches IS 'バッチ: カタログの定義 (ノードが起動時に登録する)';
COMMENT ON COLUMN yakin.batches.schedule IS '登録または上書きされたスケジュール';
GRANT SELECT, INSERT, UPDATE ON yakin.batches TO yakin_engine;

CREATE TABLE yakin.settings (
    batch_id text NOT NULL REFERENCES yakin.batches (id),
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (batch_id, key)
);
COMMENT ON TABLE yakin.settings IS '運用者による上書き (監査つき)';
GRANT SELECT, INSERT, UPDATE, DELETE ON yakin.settings TO yakin_engine;

CREATE TABLE yakin.runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id text NOT NULL REFERENCES yakin.batches (id),
    planned_at timestamptz,
    trigger text NOT NULL CHECK (trigger IN ('firing', 'operator', 'api', 'rerun')),
    rerun_of bigint REFERENCES yakin.runs (id),
    period_start date,
    period_end date,
    params jsonb NOT NULL DEFAULT '{}',
    only_tenants bigint[],
    dry_run boolean NOT NULL DEFAULT false,
    requested_by text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'ended')),
    waiting_for text,
    phase text CHECK (phase IN ('prepare', 'roster', 'tenants', 'global', 'finish')),
    deadline_at timestamptz,
    run_at timestamptz NOT NULL,
    ended_at timestamptz,
    real_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    real_started timestamptz,
    real_ended timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    outcome text CHECK (outcome IN ('succeeded', 'partial', 'failed', 'skipped', 'cancelled')),
    reason text,
    notes jsonb NOT NULL DEFAULT '[]',
    reports jsonb NOT NULL DEFAULT '[]',
    tenants_total integer NOT NULL DEFAULT 0,
    tenants_done integer NOT NULL DEFAULT 0,
    tenants_blocked integer NOT NULL DEFAULT 0,
    tenants_failed integer NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    amount_yen numeric,
    counts jsonb NOT NULL DEFAULT '{}',
    approved_by text,
    released_by text,
    plan jsonb,
    plan_hash text,
    CHECK ((state = 'ended') = (outcome IS NOT NULL))
);
COMMENT ON TABLE yakin.runs IS '実行: バッチの一回の実行 (7年保存)';
COMMENT ON COLUMN yakin.runs.reports IS 'バッチが人に知らせたいこと (次の実行が言わなければアラートは閉じる)';
COMMENT ON COLUMN yakin.runs.run_at IS 'この実行の「いま」(予定時刻、開始時に固定)';
CREATE INDEX runs_open ON yakin.runs (batch_id, id) WHERE state <> 'ended';
CREATE INDEX runs_by_batch ON yakin.runs (batch_id, id DESC);
CREATE INDEX runs_by_period ON yakin.runs (batch_id, period_start, id DESC);
GRANT SELECT, INSERT, UPDATE ON yakin.runs TO yakin_engine;

CREATE TABLE yakin.firings (
    batch_id text NOT NULL REFERENCES yakin.batches (id),
    planned_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'held', 'started', 'ended')),
    outcome text CHECK (outcome IN ('succeeded', 'partial', 'failed', 'skipped', 'bypassed', 'missed',
                                    'cancelled', 'withdrawn')),
    reason text,
    run_id bigint REFERENCES yakin.runs (id),
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (batch_id, planned_at),
    CHECK ((state = 'ended') = (outcome IS NOT NULL))
);
COMMENT ON TABLE yakin.firings IS '予定: バッチの計画された一瞬 (planned_at は変わらない、due_at は動かせる)';
CREATE INDEX firings_due ON yakin.firings (due_at) WHERE state = 'planned';
CREATE INDEX firings_by_day ON yakin.firings (planned_at);
CREATE INDEX firings_run ON yakin.firings (run_id) WHERE run_id IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON yakin.firings TO yakin_engine;

CREATE TABLE yakin.run_tenants (
    run_id bigint NOT NULL REFERENCES yakin.runs (id),
    tenant_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'done', 'blocked', 'failed', 'cancelled')),
    reused boolean NOT NULL DEFAULT false,
    attempts integer NOT NULL DEFAULT 0,
    duration_ms bigint,
    rows_written bigint NOT NULL DEFAULT 0,
    counts jsonb NOT NULL DEFAULT '{}',
    amount numeric,
    currency text,
    reason text,
    released_by text,
    plan jsonb,
    ended_at timestamptz,
    PRIMARY KEY (run_id, tenant_id)
);
COMMENT ON TABLE yakin.run_tenants IS '台帳: 実行とテナントごとの結果 (7年保存)';
CREATE INDEX run_tenants_by_tenant ON yakin.run_tenants (tenant_id, run_id DESC);
CALL yakin.wall('yakin.run_tenants', NULL, NULL, 'SELECT, INSERT, UPDATE');

-- Done work that other batches' needs are judged by. tenant_id 0 stands for the batch as a whole (global batches).
CREATE TABLE yakin.completions (
    batch_id text NOT NULL,
    period_start date NOT NULL,
    tenant_id bigint NOT NULL,
    run_id bigint NOT NULL,
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (batch_id, tenant_id, period_start)
);
COMMENT ON TABLE yakin.completions IS '完了: バッチ・対象期間・テナントごと (前提条件の判定に使う)';
CALL yakin.wall('yakin.completions', NULL, NULL, 'SELECT, INSERT, UPDATE');

CREATE TABLE yakin.locks (
    name text NOT NULL,
    run_id bigint NOT NULL REFERENCES yakin.runs (id),
    exclusive boolean NOT NULL,
    PRIMARY KEY (name, run_id)
);
COMMENT ON TABLE yakin.locks IS '資源ロック: 実行が持つ名前つきの貸出 (実行の終了で返る)';
GRANT SELECT, INSERT, DELETE ON yakin.locks TO yakin_engine;

CREATE TABLE yakin.queues (
    name text PRIMARY KEY,
    paused boolean NOT NULL DEFAULT false,
    reason text
);
INSERT INTO yakin.queues (name) VALUES ('default'), ('heavy'), ('notify'), ('monitor');
COMMENT ON TABLE yakin.queues IS 'キュー';
GRANT SELECT, INSERT, UPDATE ON yakin.queues TO yakin_engine;

-- Fair share: one row per queue and tenant (tenant 0 = platform). Every change of a lane's jobs locks its row
-- first, always in key order, so that caps are exact and nobody deadlocks. "next_*" is where its first ready job
-- stands: scans begin there, past dead index entries that an old snapshot keeps.
CREATE TABLE yakin.lanes (
    queue text NOT NULL,
    tenant_id bigint NOT NULL,
    weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    cap integer CHECK (cap > 0),
    running integer NOT NULL DEFAULT 0, -- kept only where there is a cap
    turn bigint NOT NULL DEFAULT 0,
    next_priority smallint,
    next_id bigint,
    PRIMARY KEY (queue, tenant_id)
) WITH (fillfactor = 40);
COMMENT ON TABLE yakin.lanes IS 'レーン: キュー×テナントの公平な順番';
CREATE SEQUENCE yakin.lane_turns;
CALL yakin.wall('yakin.lanes', NULL, NULL, 'SELECT, INSERT, UPDATE');
GRANT USAGE ON SEQUENCE yakin.lane_turns TO yakin_engine;

CREATE TABLE yakin.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    tenant_id bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running')),
    priority smallint NOT NULL,
    run_id bigint,
    batch_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('prepare', 'roster', 'tenant', 'global', 'finish', 'follow_up')),
    payload jsonb NOT NULL DEFAULT '{}',
    unique_key text,
    run_at timestamptz NOT NULL,
    deadline_at timestamptz,
    attempt integer NOT NULL DEFAULT 0,
    tried jsonb NOT NULL DEFAULT '{}',
    token bigint NOT NULL DEFAULT 0,
    node_id bigint,
    lease_until timestamptz,
    real_claimed timestamptz,
    real_ready timestamptz NOT NULL DEFAULT clock_timestamp(),
    checkpoint jsonb,
    progress_done bigint,
    progress_total bigint,
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE yakin.jobs IS 'ジョブ: 終わっていないものだけ';
COMMENT ON COLUMN yakin.jobs.tried IS '原因ごとの試行回数';
CREATE INDEX jobs_ready ON yakin.jobs (queue, tenant_id, priority, id) WHERE state = 'ready';
CREATE INDEX jobs_scheduled ON yakin.jobs (run_at, id) WHERE state = 'scheduled';
CREATE INDEX jobs_lease ON yakin.jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_of_run ON yakin.jobs (run_id, kind) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique_key ON yakin.jobs (queue, tenant_id, unique_key) WHERE unique_key IS NOT NULL;
CALL yakin.wall('yakin.jobs', NULL, NULL, 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE yakin.job_history (
    tenant_id bigint NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    token bigint NOT NULL,
    run_id bigint,
    batch_id text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    node_id bigint,
    outcome text NOT NULL CHECK (outcome IN ('done', 'retry', 'gave_up', 'blocked', 'later', 'lost', 'cancelled')),
    cause text,
    error text,
    cpu_ms bigint,
    memory_bytes bigint,
    real_started timestamptz,
    real_ended timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, job_id, token, real_ended)
) PARTITION BY RANGE (real_ended);
COMMENT ON TABLE yakin.job_history IS '試行の履歴 (月ごとの区画、13か月)';
CREATE INDEX job_history_job ON yakin.job_history (job_id);
CREATE INDEX job_history_run ON yakin.job_history (run_id) WHERE run_id IS NOT NULL;
CALL yakin.wall('yakin.job_history', NULL, NULL, 'SELECT, INSERT');

CREATE TABLE yakin.dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL,
    job_id bigint NOT NULL,
    job jsonb NOT NULL,
    batch_id text NOT NULL,
    run_id bigint,
    kind text NOT NULL,
    cause text NOT NULL,
    error text NOT NULL,
    fingerprint text NOT NULL,
    attempts integer NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'requeued', 'discarded')),
    died_at timestamptz NOT NULL,
    settled_by text,
    settled_at timestamptz,
    UNIQUE (job_id)
);
COMMENT ON TABLE yakin.dead_letters IS 'デッドレター: あきらめたジョブ、人を待つ';
CREATE INDEX dead_letters_waiting ON yakin.dead_letters (fingerprint, id) WHERE state = 'waiting';
CALL yakin.wall('yakin.dead_letters', NULL, NULL, 'SELECT, INSERT, UPDATE');

CREATE TABLE yakin.run_logs (
    run_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    line integer NOT NULL,
    logged_at timestamptz NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    metadata jsonb,
    PRIMARY KEY (run_id, job_id, attempt, line)
);
COMMENT ON TABLE yakin.run_logs IS '実行のログ行 (試行ごとに上限あり)';
CALL yakin.wall('yakin.run_logs', NULL, NULL, 'SELECT, INSERT, DELETE');

CREATE TABLE yakin.run_performance (
    run_id bigint PRIMARY KEY REFERENCES yakin.runs (id),
    batch_id text NOT NULL,
    duration_ms bigint NOT NULL,
    cpu_ms bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    records_processed bigint NOT NULL,
    mean_ms bigint,
    slow boolean NOT NULL DEFAULT false,
    weekend boolean NOT NULL,
    ended_at timestamptz NOT NULL
);
COMMENT ON TABLE yakin.run_performance IS '性能: 実行ごとの所要時間・CPU・メモリ・件数';
CREATE INDEX run_performance_by_batch ON yakin.run_performance (batch_id, ended_at DESC);
GRANT SELECT, INSERT ON yakin.run_performance TO yakin_engine;

CREATE TABLE yakin.alert_rules (
    name text PRIMARY KEY,
    title text NOT NULL,
    severity text CHECK (severity IN ('info', 'medium', 'high', 'critical')),
    threshold numeric,
    enabled boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE yakin.alert_rules IS 'アラートの条件';
COMMENT ON COLUMN yakin.alert_rules.severity IS 'NULL = バッチの重要度';
INSERT INTO yakin.alert_rules (name, title, severity, threshold) VALUES
    ('run_failed', '実行が失敗した', NULL, NULL),
    ('dead_letter', 'ジョブがあきらめた', NULL, NULL),
    ('late_start', '予定より遅く始まった (秒)', NULL, 300),
    ('never_started', '期限まで始まらなかった', NULL, NULL),
    ('late_end', '期限を過ぎて動いている', NULL, NULL),
    ('long_run', '想定より長い (秒)', 'medium', 3600),
    ('backlog', '5分以上待っているジョブの数', 'medium', 1000),
    ('slow', '平均より遅い実行が続いた (回)', 'high', 3),
    ('node_gone', 'ノードの応答がない (秒)', 'high', 30),
    ('reported', 'バッチ自身の知らせ', NULL, NULL);
GRANT SELECT, UPDATE ON yakin.alert_rules TO yakin_engine;

CREATE TABLE yakin.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text NOT NULL REFERENCES yakin.alert_rules (name),
    subject text NOT NULL,
    batch_id text,
    run_id bigint,
    severity text NOT NULL CHECK (severity IN ('info', 'medium', 'high', 'critical')),
    message text NOT NULL,
    opened_at timestamptz NOT NULL,
    reminded_at timestamptz NOT NULL,
    resolved_at timestamptz
);
COMMENT ON TABLE yakin.alerts IS 'アラート: 一度開き、思い出させ、閉じる';
CREATE UNIQUE INDEX alerts_open ON yakin.alerts (rule, subject) WHERE resolved_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON yakin.alerts TO yakin_engine;

CREATE TABLE yakin.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    real_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE yakin.audit IS '監査: 追記のみ (誰が、いつ、何を、なぜ)';
CREATE FUNCTION yakin.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON yakin.audit
    FOR EACH STATEMENT EXECUTE FUNCTION yakin.refuse_change();
GRANT SELECT, INSERT ON yakin.audit TO yakin_engine;

-- Monthly partitions, cut at Tokyo midnight. The engine calls these; only the owner may change tables.
CREATE FUNCTION yakin.ensure_month(parent regclass, month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
    partition_name text := (SELECT format('%s_%s', c.relname, to_char(month, 'YYYYMM')) FROM pg_class c WHERE c.oid = parent);
    schema_name text := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent);
    first_instant timestamptz := month::timestamp AT TIME ZONE 'Asia/Tokyo';
    next_instant timestamptz := (month + interval '1 month') AT TIME ZONE 'Asia/Tokyo';
BEGIN
    IF schema_name NOT IN ('yakin', 'app') OR extract(day FROM month) <> 1
       OR (SELECT relkind FROM pg_class WHERE oid = parent) <> 'p' THEN
        RAISE EXCEPTION 'ensure_month: % is no partitioned table of ours, or % no first of a month', parent, month;
    END IF;
    IF to_regclass(format('%I.%I', schema_name, partition_name)) IS NOT NULL THEN RETURN false; END IF;
    -- two nodes at once: the second waits here and then sees the first one's partition
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass(format('%I.%I', schema_name, partition_name)) IS NOT NULL THEN RETURN false; END IF;
    EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                   schema_name, partition_name, parent, first_instant, next_instant);
    IF EXISTS (SELECT FROM pg_class WHERE oid = parent AND relrowsecurity) THEN
        EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', schema_name, partition_name);
    END IF;
    RETURN true;
END $$;

-- Drops a month's partition; gives up at once (false) when any reader or dump holds the table, so that no reader
-- ever queues behind the drop.
CREATE FUNCTION yakin.drop_month(parent regclass, month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    partition_name text := (SELECT format('%I.%I', n.nspname, format('%s_%s', c.relname, to_char(month, 'YYYYMM')))
                              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                             WHERE c.oid = parent AND n.nspname IN ('yakin', 'app'));
BEGIN
    IF partition_name IS NULL OR to_regclass(partition_name) IS NULL THEN RETURN false; END IF;
    BEGIN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', parent);
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', partition_name);
    EXCEPTION WHEN lock_not_available THEN RETURN false;
    END;
    EXECUTE format('DROP TABLE %s', partition_name);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION yakin.ensure_month(regclass, date), yakin.drop_month(regclass, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION yakin.ensure_month(regclass, date), yakin.drop_month(regclass, date) TO yakin_engine;
