-- The day's figures of DAILY_002, and the log of what was done with engineers' profiles and skillsheets. Counters are events
-- of the day and can be counted again; gauges are what was seen when the row was made, and stay.
SET LOCAL lock_timeout = '10s';

ALTER TABLE app.company_usage_daily
    ADD COLUMN logins bigint CHECK (logins >= 0),
    ADD COLUMN mails_sent bigint CHECK (mails_sent >= 0),
    ADD COLUMN api_calls bigint CHECK (api_calls >= 0),
    ADD COLUMN feature_uses jsonb,
    ADD COLUMN storage_bytes bigint CHECK (storage_bytes >= 0),
    ADD COLUMN measured_at timestamptz,
    ADD COLUMN gauges_late boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN app.company_usage_daily.feature_uses IS '機能ごとの利用回数';
COMMENT ON COLUMN app.company_usage_daily.measured_at IS '現在値 (利用者数、エンジニア数、保管量) を測った時刻';
COMMENT ON COLUMN app.company_usage_daily.gauges_late IS '現在値の一部が翌日より後に測られた';

CREATE TABLE app.engineer_activity_logs (
    tenant_id bigint,
    engineer_id bigint,
    user_id bigint,
    created_at timestamptz NOT NULL,
    action text NOT NULL CHECK (action IN ('profile_updated', 'sheet_viewed', 'sheet_downloaded'))
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE app.engineer_activity_logs IS 'エンジニアの活動ログ (プロフィール更新、スキルシートの閲覧と出力)';
CREATE INDEX engineer_activity_logs_created ON app.engineer_activity_logs
    USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);
CALL yakin.wall('app.engineer_activity_logs', 'SELECT, INSERT', 'SELECT, INSERT, DELETE');

CREATE TABLE app.engineer_activity_daily (
    tenant_id bigint NOT NULL REFERENCES app.tenants,
    usage_date date NOT NULL,
    profile_updates bigint NOT NULL,
    sheets_viewed bigint NOT NULL,
    sheets_downloaded bigint NOT NULL,
    engineers_seen bigint NOT NULL,
    status_changes bigint NOT NULL,
    to_working bigint NOT NULL,
    to_waiting_soon bigint NOT NULL,
    to_waiting bigint NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, usage_date)
);
COMMENT ON TABLE app.engineer_activity_daily IS 'エンジニア活動統計 (日次、DAILY_002)';
COMMENT ON COLUMN app.engineer_activity_daily.engineers_seen IS '更新、閲覧、出力のあったエンジニアの人数';
CREATE INDEX engineer_activity_daily_by_day ON app.engineer_activity_daily (usage_date);
CALL yakin.wall('app.engineer_activity_daily', 'SELECT, INSERT, UPDATE', 'SELECT');

-- The service as a whole: no tenant's, the platform's alone.
CREATE TABLE app.system_stats_daily (
    usage_date date PRIMARY KEY,
    complete boolean NOT NULL,
    total_companies bigint NOT NULL,
    companies_missing bigint NOT NULL,
    total_users bigint,
    active_users bigint,
    total_engineers bigint,
    active_engineers bigint,
    requests bigint NOT NULL,
    server_errors bigint NOT NULL,
    error_percent numeric,
    response_ms_mean numeric,
    response_ms_p50 integer,
    response_ms_p95 integer,
    run_id bigint NOT NULL
);
COMMENT ON TABLE app.system_stats_daily IS 'システム全体統計 (日次、DAILY_002)';
COMMENT ON COLUMN app.system_stats_daily.complete IS '全企業の行がそろっているか';
COMMENT ON COLUMN app.system_stats_daily.error_percent IS '全リクエストに占める 5xx の割合、リクエストがない日は NULL';
GRANT SELECT, INSERT, UPDATE ON app.system_stats_daily TO yakin_platform;

-- The mails of a day, without reading all that were ever sent.
CREATE INDEX deliveries_sent ON app.deliveries (sent_at) WHERE state = 'sent' AND channel = 'email';
