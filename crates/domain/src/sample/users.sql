-- The first user is the administrator, every eighth works in sales; the last ones
-- have left, or joined while the logs were running.
INSERT INTO app.users (tenant_id, email, name, role, status, created_at)
SELECT tenant_id,
       given_roman || '.' || family_roman || k || '@' || code || '.example',
       CASE country WHEN 'JP' THEN family || ' ' || given ELSE initcap(given_roman || ' ' || family_roman) END,
       CASE WHEN k = 1 THEN 'admin' WHEN k % 8 = 2 THEN 'sales' ELSE 'member' END,
       CASE WHEN k <= established THEN 'active'
            ELSE (ARRAY['active', 'active', 'disabled', 'retired'])[1 + (dice >> 20 & 3)] END,
       CASE WHEN k <= established OR dice >> 21 & 1 = 1
            THEN created_on::timestamp AT TIME ZONE 'Asia/Tokyo' + k / 40 * interval '1 day'
                 + interval '10 hours' + k % 40 * interval '11 minutes'
            ELSE least($7, busy_from::timestamp AT TIME ZONE 'Asia/Tokyo'
                           + interval '9 hours' + (dice >> 30 & 15) * interval '1 day') END
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, code text, country text, users integer, established integer, created_on date,
       busy_from date)
 CROSS JOIN generate_series(1, users) AS person (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice) AS thrown
 CROSS JOIN LATERAL (SELECT ($3::text[])[1 + (dice & 1023) % 40] AS family,
                            ($4::text[])[1 + (dice & 1023) % 40] AS family_roman,
                            ($5::text[])[1 + (dice >> 10 & 1023) % 40] AS given,
                            ($6::text[])[1 + (dice >> 10 & 1023) % 40] AS given_roman) AS named
 ORDER BY n, k;
