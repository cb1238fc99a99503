-- What the tenant's standing offers came to in the months with first days $1: offers, engineers offered, due times for
-- which nobody fitted.
SELECT first, offered.offers, offered.engineers, offered.without_match
  FROM unnest($1::date[]) AS month (first)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE state = 'offered') AS offers,
              coalesce(sum(jsonb_array_length(engineers)), 0)::bigint AS engineers,
              count(*) FILTER (WHERE state = 'no_match') AS without_match
         FROM app.approach_deliveries
        WHERE tenant_id = yakin.current_tenant() AND due_at >= first::timestamp AT TIME ZONE 'Asia/Tokyo'
          AND due_at < (first + interval '1 month') AT TIME ZONE 'Asia/Tokyo') AS offered
 ORDER BY first
