-- The week's performance: what a request was for, hours of requests counted once, what the database looked like week by
-- week, the weekly report with its files, and mails of the platform's own.
SET LOCAL lock_timeout = '10s';

ALTER TABLE app.api_call_logs ADD COLUMN method text, ADD COLUMN endpoint text;
COMMENT ON COLUMN app.api_call_logs.endpoint IS '呼び出し先の型 (/api/v1/engineers/{id} など)。NULL は不明';

-- An hour that is here was counted, and is not counted again.
CREATE TABLE app.request_hours (
    hour timestamptz PRIMARY KEY,
    requests bigint NOT NULL CHECK (requests >= 0),
    peak_minute timestamptz,
    peak_minute_requests bigint,
    impossible bigint NOT NULL,
    run_id bigint NOT NULL
);
COMMENT ON TABLE app.request_hours IS 'リクエストの毎時集計 (集計済みの時間帯)';
COMMENT ON COLUMN app.request_hours.requests IS '0 は記録なし (週の充足率を下げる)';
COMMENT ON COLUMN app.request_hours.impossible IS '応答時間が負の行。集計に入らない';
GRANT SELECT, INSERT ON app.request_hours TO yakin_platform;

CREATE TABLE app.endpoint_hours (
    hour timestamptz NOT NULL REFERENCES app.request_hours,
    method text NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL CHECK (requests > 0),
    total_ms bigint NOT NULL,
    max_ms integer NOT NULL,
    durations jsonb NOT NULL,
    statuses jsonb NOT NULL,
    PRIMARY KEY (hour, method, endpoint)
);
COMMENT ON TABLE app.endpoint_hours IS 'エンドポイント別の毎時集計';
COMMENT ON COLUMN app.endpoint_hours.durations IS '応答時間の度数: 上限 (ミリ秒、有効数字2桁に切上げ) ごとの件数';
COMMENT ON COLUMN app.endpoint_hours.statuses IS '応答コードごとの件数';
GRANT SELECT, INSERT ON app.endpoint_hours TO yakin_platform;

CREATE TABLE app.endpoint_days (
    tenant_id bigint NOT NULL REFERENCES app.tenants,
    usage_date date NOT NULL,
    method text NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    client_errors bigint NOT NULL,
    server_errors bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (tenant_id, usage_date, method, endpoint)
);
COMMENT ON TABLE app.endpoint_days IS 'エンドポイント別の日次呼び出し数 (企業ごと)';
COMMENT ON COLUMN app.endpoint_days.rejected IS '429 と 403 の件数';
CREATE INDEX endpoint_days_by_day ON app.endpoint_days (usage_date);
CALL yakin.wall('app.endpoint_days', 'SELECT', 'SELECT, INSERT, UPDATE');

CREATE TABLE app.database_weeks (
    week_end date PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    figures jsonb NOT NULL,
    run_id bigint NOT NULL
);
COMMENT ON TABLE app.database_weeks IS 'データベースの週次の控え (表の大きさ、索引の使用、文の統計)';
COMMENT ON COLUMN app.database_weeks.week_end IS '締めの日 (次の月曜)';
GRANT SELECT, INSERT ON app.database_weeks TO yakin_platform;

CREATE TABLE app.performance_weeks (
    iso_week text PRIMARY KEY CHECK (iso_week ~ '^[0-9]{4}-W[0-9]{2}$'),
    week_start date NOT NULL UNIQUE,
    coverage_percent numeric NOT NULL,
    complete boolean NOT NULL,
    report jsonb NOT NULL,
    run_id bigint NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE app.performance_weeks IS '週次パフォーマンス分析 (ISO 週ごとに一行、WEEKLY_002)';
GRANT SELECT, INSERT ON app.performance_weeks TO yakin_platform;

-- Statements as pg_stat_statements has them, wherever its extension is; NULL without it. It runs as the owner, whose
-- rights say which roles' statements he may read. Only statements about rows, in which constants are placeholders: the
-- text of others may hold a password.
CREATE FUNCTION app.statement_figures() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE place name; figures jsonb;
BEGIN
    SELECT nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE extname = 'pg_stat_statements';
    IF place IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format($query$
        SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.total_ms DESC), '[]')
          FROM (SELECT queryid::text AS id, left(min(query), 300) AS query, sum(calls)::bigint AS calls,
                       round(sum(total_exec_time)::numeric, 3) AS total_ms, sum(rows)::bigint AS rows
                  FROM %I.pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
                   AND query ~* '^\s*(/\*.*?\*/\s*)?(select|insert|update|delete|with|merge)\y'
                 GROUP BY queryid ORDER BY sum(total_exec_time) DESC, queryid LIMIT 500) AS s
        $query$, place) INTO figures;
    RETURN figures;
EXCEPTION
    -- the extension is there and its library was not loaded at the server's start
    WHEN object_not_in_prerequisite_state THEN RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app.statement_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.statement_figures() TO yakin_platform;
