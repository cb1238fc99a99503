-- Rows that a run ended, by their end; attempts it made; rows that are due for it and still wait.
SELECT (SELECT count(*) FROM app.delivery_attempts a JOIN app.deliveries d USING (tenant_id, delivery_id)
         WHERE a.tenant_id = yakin.current_tenant() AND a.run_id = $1 AND d.channel = ANY ($2)) AS attempted,
       count(*) FILTER (WHERE state = 'sent') AS sent,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'uncertain') AS uncertain,
       count(*) FILTER (WHERE state = 'expired') AS expired,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       (SELECT count(DISTINCT a.delivery_id)
          FROM app.delivery_attempts a JOIN app.deliveries d USING (tenant_id, delivery_id)
         WHERE a.tenant_id = yakin.current_tenant() AND a.run_id = $1 AND d.channel = ANY ($2)
           AND d.state = 'retry_wait') AS put_off,
       (SELECT count(*) FROM app.deliveries
         WHERE tenant_id = yakin.current_tenant() AND channel = ANY ($2) AND state = ANY ($3) AND due_at <= $4
           AND priority = ANY ($5)
           AND ($6::bigint IS NULL OR source = 'notification' AND source_id = $6)) AS left_due
  FROM app.deliveries
 WHERE tenant_id = yakin.current_tenant() AND ended_run = $1 AND channel = ANY ($2)
