-- The next chunk of one month's rows, by where they lie: its partition is the only one that the times allow.
-- $1 the month's begin · $2 the limit · $3 where the chunk before ended · $4 its greatest size
WITH old AS MATERIALIZED (
    SELECT ctid AS place FROM app.{log}
     WHERE created_at >= $1 AND created_at < $2 AND ctid > $3::tid
     LIMIT $4
), gone AS (
    DELETE FROM app.{log}
     WHERE created_at >= $1 AND created_at < $2 AND ctid = ANY (ARRAY(SELECT place FROM old))
    RETURNING ctid AS place
)
SELECT count(*) AS rows, max(place)::text AS last FROM gone
