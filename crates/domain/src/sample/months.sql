-- Partitions of the raw logs for every month with logs. Named through the catalogue: the engine's role may call
-- ensure_month, but not look names up in schema app.
SELECT count(yakin.ensure_month(parent.oid::regclass, month::date))
  FROM pg_class AS parent
  CROSS JOIN generate_series(date_trunc('month', $2::text::date::timestamp), $3::text::date::timestamp,
                             interval '1 month') AS month
 WHERE parent.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'app')
   AND parent.relkind = 'p'
   AND parent.relname = ANY ($1);
