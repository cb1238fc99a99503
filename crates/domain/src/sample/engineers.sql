-- Higher positions are rarer. A status is what someone once entered: the nightly batch will find some of them stale.
INSERT INTO app.engineers (tenant_id, name, department_id, position_id, status, joined_on)
SELECT tenant_id,
       CASE country WHEN 'JP' THEN ($3::text[])[family] || ' ' || ($5::text[])[given]
            ELSE initcap(($6::text[])[given] || ' ' || ($4::text[])[family]) END,
       first_department + (dice >> 20 & 1023) % departments,
       first_position + (((dice >> 30 & 255) * (dice >> 38 & 255) * positions) >> 16),
       CASE WHEN dice >> 46 & 127 < 4 THEN 'retired'
            WHEN dice >> 46 & 127 < 15 THEN 'waiting'
            WHEN dice >> 46 & 127 < 33 THEN 'waiting_soon' ELSE 'working' END,
       $7::text::date - 60 - (dice >> 53 & 1023)::integer * 4
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, country text, engineers integer, first_department bigint, departments integer,
       first_position bigint, positions integer)
 CROSS JOIN generate_series(1, engineers) AS engineer (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice) AS thrown
 CROSS JOIN LATERAL (SELECT 1 + (dice & 1023) % 40 AS family, 1 + (dice >> 10 & 1023) % 40 AS given) AS named
 ORDER BY n, k;
