-- How many of the wanted messages an integration may send in this minute; they are counted as sent. No row while it
-- rests or is disabled.
WITH pace AS (
    SELECT integration_id, CASE minute WHEN $3 THEN used ELSE 0 END AS used, rate_per_minute AS rate
      FROM app.integrations
     WHERE tenant_id = yakin.current_tenant() AND integration_id = $1 AND enabled
       AND (paused_until IS NULL OR paused_until <= $4)
       FOR UPDATE
)
UPDATE app.integrations i
   SET minute = $3, used = pace.used + greatest(least($2, pace.rate - pace.used), 0)
  FROM pace
 WHERE i.tenant_id = yakin.current_tenant() AND i.integration_id = pace.integration_id
RETURNING greatest(least($2, pace.rate - pace.used), 0)
