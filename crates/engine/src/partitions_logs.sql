-- This month's and the next two months' partitions of every partitioned business table. (By oid: the engine's role may
-- not even name them.)
SELECT yakin.ensure_month(c.oid::regclass, ahead.month::date)
  FROM pg_class c CROSS JOIN (
       SELECT date_trunc('month', $1 AT TIME ZONE 'Asia/Tokyo') + make_interval(months => n) AS month
         FROM generate_series(0, 2) AS n) AS ahead
 WHERE c.relkind = 'p' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'app')
 ORDER BY c.relname, ahead.month
