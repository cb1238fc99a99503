-- Takes the lock unless another run holds it against us. The advisory lock makes look and take one step.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('yakin lock ' || $1, 0))
), free AS (
    SELECT NOT EXISTS (SELECT FROM yakin.locks l
                        WHERE l.name = $1 AND l.run_id <> $2 AND (l.exclusive OR $3)) AS is_free
      FROM turn
), taken AS (
    INSERT INTO yakin.locks (name, run_id, exclusive) SELECT $1, $2, $3 FROM free WHERE is_free
    ON CONFLICT DO NOTHING
)
SELECT is_free FROM free
