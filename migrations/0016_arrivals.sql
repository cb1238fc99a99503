-- Batches that are started by what arrives for them. An arrival is written with the rows it tells of, in their
-- transaction, so that none is lost; it goes in the transaction that starts a run for it.
SET LOCAL lock_timeout = '10s';

CREATE TABLE yakin.arrivals (
    arrival_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    tenant_id bigint NOT NULL,
    due_at timestamptz NOT NULL
);
COMMENT ON TABLE yakin.arrivals IS '到着: それを待つバッチをすぐに始めさせるもの (トピックとテナントごと)';
COMMENT ON COLUMN yakin.arrivals.due_at IS 'この時刻から始めてよい (予定時刻)';
CREATE INDEX arrivals_due ON yakin.arrivals (due_at);
CALL yakin.wall('yakin.arrivals', NULL, NULL, 'SELECT, DELETE');

-- The arrivals that a run may be started for: a tenant whose piece is under way in an open run of the batch has its
-- next one after it, so that no tenant has two and none waits for another's.
CREATE VIEW yakin.arrivals_to_start WITH (security_invoker = true) AS
SELECT b.id AS batch_id, a.arrival_id, a.tenant_id, a.due_at
  FROM yakin.arrivals a
  JOIN yakin.batches b ON b.schedule = 'on ' || a.topic
 WHERE b.enabled AND NOT (SELECT stopped FROM yakin.control)
   AND NOT EXISTS (
       SELECT FROM yakin.runs r LEFT JOIN yakin.run_tenants t ON (t.run_id, t.tenant_id) = (r.id, a.tenant_id)
        WHERE r.batch_id = b.id AND r.state <> 'ended' AND NOT r.dry_run
          AND CASE WHEN t.run_id IS NOT NULL THEN t.state = 'waiting'
                   ELSE coalesce(r.phase IN ('prepare', 'roster'), true)
                        AND (r.only_tenants IS NULL OR a.tenant_id = ANY (r.only_tenants)) END);
COMMENT ON VIEW yakin.arrivals_to_start IS 'いま実行を始めてよい到着';
GRANT SELECT ON yakin.arrivals_to_start TO yakin_engine;

-- What is to be sent by mail or SMS is announced; the chat channels are BATCH-401's, in the run that writes their rows.
CREATE FUNCTION yakin.announce_deliveries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO yakin.arrivals (topic, tenant_id, due_at)
    SELECT DISTINCT 'deliveries', tenant_id, due_at FROM added
     WHERE state = 'pending' AND channel IN ('email', 'sms')
       AND EXISTS (SELECT FROM yakin.batches WHERE schedule = 'on deliveries' AND enabled);
    IF FOUND THEN
        PERFORM pg_notify('yakin_arrivals', 'deliveries');
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION yakin.announce_deliveries() FROM PUBLIC;
-- the function runs as the owner, and the wall stands before the owner, too
DO $$
BEGIN
    EXECUTE format('CREATE POLICY announces ON yakin.arrivals FOR INSERT TO %I WITH CHECK (true)', current_user);
END $$;
-- What a tenant's work left for later announces itself again.
CREATE FUNCTION yakin.announce(p_topic text, p_due timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    INSERT INTO yakin.arrivals (topic, tenant_id, due_at)
    SELECT p_topic, yakin.current_tenant(), p_due
     WHERE EXISTS (SELECT FROM yakin.batches WHERE schedule = 'on ' || p_topic AND enabled);
END;
REVOKE ALL ON FUNCTION yakin.announce(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION yakin.announce(text, timestamptz) TO yakin_tenant;
CREATE TRIGGER announce AFTER INSERT ON app.deliveries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION yakin.announce_deliveries();

-- SMS, over a tenant's integration.
ALTER TABLE app.integrations DROP CONSTRAINT integrations_channel_check,
    ADD CONSTRAINT integrations_channel_check
    CHECK (channel IN ('email', 'slack', 'teams', 'line_works', 'webhook', 'sms'));
ALTER TABLE app.deliveries DROP CONSTRAINT deliveries_channel_check,
    ADD CONSTRAINT deliveries_channel_check
    CHECK (channel IN ('email', 'slack', 'teams', 'line_works', 'webhook', 'in_app', 'sms'));

ALTER TABLE app.notification_settings DROP CONSTRAINT notification_settings_channel_check,
    ADD CONSTRAINT notification_settings_channel_check
    CHECK (channel IN ('email', 'slack', 'teams', 'line_works', 'webhook', 'in_app', 'sms'));
ALTER TABLE app.notification_templates DROP CONSTRAINT notification_templates_channel_check,
    ADD CONSTRAINT notification_templates_channel_check
    CHECK (channel IN ('email', 'slack', 'teams', 'line_works', 'webhook', 'in_app', 'sms'));
ALTER TABLE app.users ADD COLUMN phone text CHECK (phone ~ '^\+[1-9][0-9]{7,14}$');
COMMENT ON COLUMN app.users.phone IS '電話番号 (E.164、SMSの宛先)';

-- A temporary failure is tried again within the attempt, some seconds later.
ALTER TABLE app.delivery_attempts ADD COLUMN tries smallint NOT NULL DEFAULT 1 CHECK (tries >= 1);
COMMENT ON COLUMN app.delivery_attempts.tries IS 'この試行の中で送ろうとした回数';

-- What finally failed when it was sent at once is told with the next hour's, not in a mail for each.
ALTER TABLE app.deliveries ADD COLUMN untold boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN app.deliveries.untold IS '最終的に失敗し、まだ管理者に知らせていない';
CREATE INDEX deliveries_untold ON app.deliveries (tenant_id) WHERE untold;
