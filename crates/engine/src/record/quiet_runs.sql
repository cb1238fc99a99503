-- $1 ended before · $2 how many. One that somebody ran again stays with what came of it.
SELECT r.id
  FROM yakin.runs r
 WHERE r.ended_at < $1 AND yakin.is_quiet(r)
   AND NOT EXISTS (SELECT FROM yakin.runs again WHERE again.rerun_of = r.id)
 ORDER BY r.id
 LIMIT $2
   FOR UPDATE SKIP LOCKED
