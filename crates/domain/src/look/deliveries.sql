-- Messages, those that need a person first: the order of the index `deliveries_by_urgency`, from its end. No text of them
-- and no attachment.
SELECT ranked.delivery_id, ranked.tenant, ranked.channel, ranked.recipient, ranked.state, ranked.source,
       ranked.source_id, ranked.ended_run, ranked.attempts, ranked.cause, ranked.error, ranked.due_at, ranked.sent_at,
       ranked.created_at, ranked.urgency
  FROM (SELECT d.delivery_id, t.code AS tenant, d.channel, d.recipient, d.state, d.source, d.source_id, d.ended_run,
               d.attempts, d.cause, d.error, d.due_at, d.sent_at, d.created_at,
               CASE WHEN d.state IN ('failed', 'uncertain') THEN 2
                    WHEN d.state IN ('expired', 'pending', 'sending', 'retry_wait') THEN 1
                    ELSE 0 END AS urgency
          FROM app.deliveries d
          JOIN app.tenants t ON t.tenant_id = d.tenant_id
         WHERE ($1::bigint[] IS NULL OR d.tenant_id = ANY ($1))
           AND ($2::text IS NULL OR t.code = $2)
           AND ($3::text IS NULL OR d.channel = $3)
           AND ($4::text IS NULL OR d.state = $4)) ranked
 WHERE (ranked.urgency, ranked.delivery_id) < (coalesce($5::integer, 3), coalesce($6::bigint, 0))
 ORDER BY ranked.urgency DESC, ranked.delivery_id DESC
 LIMIT $7
