-- Of the tables $1 that lost $2 rows (each of ours, or with its partitions), those that lost a twentieth or more.
SELECT format('app.%I', c.relname)
  FROM unnest($1::text[], $2::bigint[]) AS lost (name, rows)
  JOIN pg_class c ON c.relname = lost.name AND c.relnamespace = 'app'::regnamespace
  LEFT JOIN LATERAL (SELECT sum(greatest(p.reltuples, 0)) AS rows
                       FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
                      WHERE i.inhparent = c.oid) AS parts ON true
 WHERE lost.rows * 20 >= greatest(coalesce(parts.rows, c.reltuples), 1)
 ORDER BY 1
 LIMIT 100
