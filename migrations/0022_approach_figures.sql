-- What standing offers came to, by the day they were sent on, and how the service was seen from outside.
SET LOCAL lock_timeout = '10s';

-- Openings exist only where letters carry a mark; for days outside this range they are unknown, not none.
ALTER TABLE app.tenants ADD COLUMN opens_tracked daterange;
COMMENT ON COLUMN app.tenants.opens_tracked IS '提案メールの開封を計測している期間。NULL = 計測していない';

-- The unit is the letter: one recipient of one offer. The same event told twice is one row.
CREATE TABLE app.approach_events (
    tenant_id bigint NOT NULL,
    approach_delivery_id bigint NOT NULL,
    recipient text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'replied', 'met', 'contracted')),
    occurred_at timestamptz NOT NULL CHECK (isfinite(occurred_at)),
    PRIMARY KEY (tenant_id, approach_delivery_id, recipient, kind),
    FOREIGN KEY (tenant_id, approach_delivery_id) REFERENCES app.approach_deliveries
);
COMMENT ON TABLE app.approach_events IS '定期アプローチの反応 (手紙と種類ごとに一度。本体のサービスが登録する)';
COMMENT ON COLUMN app.approach_events.recipient IS '提案メールの宛先 (app.deliveries と同じ)';
COMMENT ON COLUMN app.approach_events.kind IS '開封、返信、面談、成約';
CREATE INDEX approach_events_occurred ON app.approach_events (occurred_at);
CALL yakin.wall('app.approach_events', 'SELECT, INSERT', 'SELECT, INSERT');

-- A company's offers of one sending day, counted on for thirty days. Rates are not stored: they are these over sent.
CREATE TABLE app.approach_metrics_daily (
    tenant_id bigint NOT NULL REFERENCES app.tenants,
    sent_on date NOT NULL,
    approaches bigint NOT NULL CHECK (approaches >= 0),
    sent bigint NOT NULL CHECK (sent >= 0),
    accepted bigint NOT NULL CHECK (accepted BETWEEN 0 AND sent),
    opened bigint CHECK (opened BETWEEN 0 AND sent),
    replied bigint NOT NULL CHECK (replied BETWEEN 0 AND sent),
    met bigint NOT NULL CHECK (met BETWEEN 0 AND sent),
    contracted bigint NOT NULL CHECK (contracted BETWEEN 0 AND sent),
    refreshed_at timestamptz NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, sent_on)
);
COMMENT ON TABLE app.approach_metrics_daily IS 'アプローチ効果測定 (企業と送信日ごと、DAILY_002)';
COMMENT ON COLUMN app.approach_metrics_daily.sent IS '依頼した提案メールの数。率の分母';
COMMENT ON COLUMN app.approach_metrics_daily.opened IS '開封。NULL = 計測していない';
COMMENT ON COLUMN app.approach_metrics_daily.refreshed_at IS '数が最後に変わった時刻';
CREATE INDEX approach_metrics_daily_by_day ON app.approach_metrics_daily (sent_on);
CALL yakin.wall('app.approach_metrics_daily', 'SELECT, INSERT, UPDATE', 'SELECT');

-- A window of thirty days, without reading all that was ever offered or sent.
CREATE INDEX approach_deliveries_offered ON app.approach_deliveries (created_at) WHERE state = 'offered';
CREATE INDEX deliveries_of_approaches ON app.deliveries (created_at) WHERE source = 'approach';

ALTER TABLE app.company_usage_daily ADD COLUMN approaches bigint CHECK (approaches >= 0);
COMMENT ON COLUMN app.company_usage_daily.approaches IS 'その日に提案した定期アプローチの数';

-- The service as it is seen from outside: no tenant's, the platform's alone.
CREATE TABLE app.availability_probes (
    probed_at timestamptz NOT NULL CHECK (isfinite(probed_at)),
    target text NOT NULL,
    good boolean NOT NULL,
    response_ms integer CHECK (response_ms >= 0),
    PRIMARY KEY (probed_at, target)
);
COMMENT ON TABLE app.availability_probes IS '外からの稼働確認 (時刻と対象ごと。外部の監視が登録する)';
COMMENT ON COLUMN app.availability_probes.response_ms IS '応答までの時間。NULL = 応答なし';
GRANT SELECT, INSERT, DELETE ON app.availability_probes TO yakin_platform;

ALTER TABLE app.system_stats_daily
    ADD COLUMN approaches bigint CHECK (approaches >= 0),
    ADD COLUMN probes bigint CHECK (probes > 0),
    ADD COLUMN probes_good bigint,
    ADD CHECK ((probes IS NULL) = (probes_good IS NULL)),
    ADD CHECK (probes_good BETWEEN 0 AND probes);
COMMENT ON COLUMN app.system_stats_daily.probes IS '稼働確認の回数。NULL = 確認のない日。稼働率 = probes_good / probes';

INSERT INTO app.retention_policies (data_class, title, archive_after_days, delete_after_days, at_least_days) VALUES
    ('availability_probes', '外からの稼働確認', NULL, 400, 93);
