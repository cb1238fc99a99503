-- The BRIN indexes of the logs' partitions: ranges filled in one go are not summarized yet, and would all be read.
SELECT sum(brin_summarize_new_values(leaf.oid::regclass))
  FROM pg_class AS leaf
  JOIN pg_am ON pg_am.oid = leaf.relam AND pg_am.amname = 'brin'
 WHERE leaf.relkind = 'i' AND leaf.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'app');
