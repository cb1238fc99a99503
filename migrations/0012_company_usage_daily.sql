-- A tenant's day as dashboards, invoices and reports see it. A day without a row, or with a NULL, was not measured.
CREATE TABLE app.company_usage_daily (
    tenant_id bigint NOT NULL REFERENCES app.tenants,
    usage_date date NOT NULL,
    total_users bigint CHECK (total_users >= 0),
    active_users bigint CHECK (active_users >= 0),
    total_engineers bigint CHECK (total_engineers >= 0),
    active_engineers bigint CHECK (active_engineers >= 0),
    run_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, usage_date)
);
COMMENT ON TABLE app.company_usage_daily IS '企業別の利用状況 (日次、DAILY_002)';
COMMENT ON COLUMN app.company_usage_daily.total_users IS 'その日の登録利用者数。NULL は未計測 (請求は止まる)';
COMMENT ON COLUMN app.company_usage_daily.total_engineers IS 'その日の登録エンジニア数。NULL は未計測 (請求は止まる)';
CREATE INDEX company_usage_daily_by_day ON app.company_usage_daily (usage_date);
CALL yakin.wall('app.company_usage_daily', 'SELECT, INSERT, UPDATE', 'SELECT');
