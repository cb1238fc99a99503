-- What is not to be sent any more, and what a dead attempt left behind. A row it had not begun to send is free again;
-- one it had begun is uncertain, or, where it is urgent and still wanted, tried again as often as its channel may be.
WITH found AS (
    SELECT d.delivery_id, d.priority, d.attempts, d.deferrals, c.most_retries, d.state = 'sending' AS freed,
           d.state = 'sending' AND d.on_wire_at IS NOT NULL AS on_wire,
           CASE WHEN d.expires_at <= $1 THEN 'expired'
                WHEN d.source IN ('notification', 'approach') AND t.status <> 'active' THEN 'cancelled'
                WHEN NOT coalesce(s.enabled, true) OR NOT coalesce(i.enabled, true) THEN 'cancelled'
                WHEN x.address IS NOT NULL THEN 'failed' END AS unwanted,
           CASE WHEN d.expires_at <= $1 THEN 'not sent in time'
                WHEN d.source IN ('notification', 'approach') AND t.status <> 'active' THEN 'the tenant is ' || t.status
                WHEN NOT coalesce(s.enabled, true) THEN 'its notification setting is disabled'
                WHEN NOT coalesce(i.enabled, true) THEN 'its integration is disabled'
                ELSE 'address suppressed: ' || x.reason END AS why
      FROM app.deliveries d
      JOIN unnest($2::text[], $4::integer[]) AS c (channel, most_retries) ON c.channel = d.channel
      JOIN app.tenants t USING (tenant_id)
      LEFT JOIN app.notification_settings s USING (tenant_id, setting_id)
      LEFT JOIN app.integrations i ON (i.tenant_id, i.integration_id) = (d.tenant_id, d.integration_id)
      LEFT JOIN app.suppressions x
             ON x.tenant_id = d.tenant_id AND d.channel = 'email' AND x.address = lower(d.recipient)
     WHERE d.tenant_id = yakin.current_tenant() AND d.channel = ANY ($2)
       -- no row is locked that stays as it is: another batch may be taking it this moment
       AND (d.state = 'sending' AND NOT yakin.attempt_holds(d.job_id, d.token)
            OR d.state IN ('pending', 'retry_wait')
               AND (d.expires_at <= $1 OR d.source IN ('notification', 'approach') AND t.status <> 'active'
                    OR NOT coalesce(s.enabled, true) OR NOT coalesce(i.enabled, true) OR x.address IS NOT NULL))
       FOR UPDATE OF d SKIP LOCKED
), judged AS (
    SELECT delivery_id, on_wire,
           CASE WHEN on_wire AND (priority <> 1 OR unwanted IS NOT NULL) THEN 'uncertain'
                WHEN on_wire AND attempts >= most_retries THEN 'failed'
                WHEN unwanted IS NOT NULL THEN unwanted
                WHEN NOT freed THEN NULL
                WHEN attempts + deferrals = 0 AND NOT on_wire THEN 'pending' ELSE 'retry_wait' END AS state,
           CASE WHEN on_wire OR unwanted IS NULL THEN 'the attempt was lost' ELSE why END AS why
      FROM found
), ended AS (
    UPDATE app.deliveries d
       SET state = j.state, error = j.why, job_id = NULL, token = NULL, on_wire_at = NULL,
           attempts = d.attempts + j.on_wire::integer, due_at = CASE WHEN j.on_wire THEN $1 ELSE d.due_at END,
           cause = CASE WHEN j.on_wire THEN 'uncertain' WHEN j.state = 'failed' THEN 'suppressed' ELSE d.cause END,
           failed_at = CASE WHEN j.state IN ('failed', 'uncertain') THEN $1 END,
           ended_run = CASE WHEN j.state IN ('pending', 'retry_wait') THEN NULL ELSE $3::bigint END
      FROM judged j
     WHERE d.tenant_id = yakin.current_tenant() AND d.delivery_id = j.delivery_id AND j.state IS NOT NULL
    RETURNING d.delivery_id, j.on_wire, j.why
)
INSERT INTO app.delivery_attempts (tenant_id, delivery_id, attempted_at, run_id, answer, reason)
SELECT yakin.current_tenant(), delivery_id, $1, $3, 'uncertain', why FROM ended WHERE on_wire ORDER BY delivery_id
