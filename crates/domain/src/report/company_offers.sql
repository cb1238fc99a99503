-- What the tenant's standing offers came to in the months with first days $1: offers, engineers offered, mails asked for
-- and taken by a relay.
SELECT first, offered.offers, offered.engineers, offered.without_match, mail.mails, mail.sent
  FROM unnest($1::date[]) AS month (first)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE state = 'offered') AS offers,
              coalesce(sum(jsonb_array_length(engineers)), 0)::bigint AS engineers,
              count(*) FILTER (WHERE state = 'no_match') AS without_match
         FROM app.approach_deliveries
        WHERE tenant_id = yakin.current_tenant() AND due_at >= first::timestamp AT TIME ZONE 'Asia/Tokyo'
          AND due_at < (first + interval '1 month') AT TIME ZONE 'Asia/Tokyo') AS offered
 CROSS JOIN LATERAL (
       SELECT count(*) AS mails, count(*) FILTER (WHERE d.state = 'sent') AS sent
         FROM app.approach_deliveries a
         JOIN app.deliveries d ON (d.tenant_id, d.source, d.source_id) = (a.tenant_id, 'approach', a.approach_delivery_id)
        WHERE a.tenant_id = yakin.current_tenant() AND a.state = 'offered'
          AND a.due_at >= first::timestamp AT TIME ZONE 'Asia/Tokyo'
          AND a.due_at < (first + interval '1 month') AT TIME ZONE 'Asia/Tokyo') AS mail
 ORDER BY first
