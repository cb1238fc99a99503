-- Adds what one chunk did to the hour's counts: counts and rows commit together or not at all.
-- $1 now · $2, $3, $4 tenants, what was done, how many rows
INSERT INTO app.token_counts_hourly AS counted
       (tenant_id, hour, revoked, cascaded, malformed, removed)
SELECT tenant_id, date_trunc('hour', $1, 'Asia/Tokyo'),
       coalesce(sum(rows) FILTER (WHERE what = 'EXPIRED'), 0),
       coalesce(sum(rows) FILTER (WHERE what = 'CASCADE'), 0),
       coalesce(sum(rows) FILTER (WHERE what = 'MALFORMED'), 0),
       coalesce(sum(rows) FILTER (WHERE what = 'REMOVED'), 0)
  FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS chunk (tenant_id, what, rows)
 GROUP BY tenant_id
 ORDER BY tenant_id
ON CONFLICT (tenant_id, hour) DO UPDATE
   SET revoked = counted.revoked + excluded.revoked,
       cascaded = counted.cascaded + excluded.cascaded,
       malformed = counted.malformed + excluded.malformed,
       removed = counted.removed + excluded.removed
