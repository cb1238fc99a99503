-- Indexes that were skipped in each of the $2 weeks up to $1.
SELECT index_name
  FROM app.index_rebuilds
 WHERE week <= $1 AND week > $1::date - 7 * $2::integer
 GROUP BY index_name
HAVING count(*) FILTER (WHERE outcome = 'skipped') >= $2
 ORDER BY index_name
 LIMIT 20
