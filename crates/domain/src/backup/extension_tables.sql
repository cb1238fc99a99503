-- Tables whose rows a dump carries because their extension asks for it: its settings.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name
  FROM pg_extension e
 CROSS JOIN unnest(e.extconfig) AS config (oid)
  JOIN pg_class c ON c.oid = config.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r'
 ORDER BY 1, 2
 LIMIT 100000
