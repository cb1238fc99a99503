-- Messages, those that need a person first. No text of them and no attachment.
SELECT ranked.delivery_id, ranked.tenant, ranked.channel, ranked.recipient, ranked.state, ranked.source,
       ranked.source_id, ranked.ended_run, ranked.attempts, ranked.cause, ranked.error, ranked.due_at, ranked.sent_at,
       ranked.created_at, ranked.rank
  FROM (SELECT d.delivery_id, t.code AS tenant, d.channel, d.recipient, d.state, d.source, d.source_id, d.ended_run,
               d.attempts, d.cause, d.error, d.due_at, d.sent_at, d.created_at,
               CASE WHEN d.state IN ('failed', 'uncertain') THEN 0
                    WHEN d.state IN ('expired', 'pending', 'sending', 'retry_wait') THEN 1
                    ELSE 2 END AS rank
          FROM app.deliveries d
          JOIN app.tenants t ON t.tenant_id = d.tenant_id
         WHERE ($1::bigint[] IS NULL OR d.tenant_id = ANY ($1))
           AND ($2::text IS NULL OR t.code = $2)
           AND ($3::text IS NULL OR d.channel = $3)
           AND ($4::text IS NULL OR d.state = $4)) ranked
 WHERE $5::integer IS NULL OR ranked.rank > $5 OR (ranked.rank = $5 AND ranked.delivery_id < $6)
 ORDER BY ranked.rank, ranked.delivery_id DESC
 LIMIT $7
