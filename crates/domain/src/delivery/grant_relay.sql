-- The same for a relay of the operator, whose rate stands in the configuration.
WITH pace AS (
    SELECT name, CASE minute WHEN $3 THEN used ELSE 0 END AS used
      FROM app.relays WHERE name = $1 AND (paused_until IS NULL OR paused_until <= $4)
       FOR UPDATE
)
UPDATE app.relays r
   SET minute = $3, used = pace.used + greatest(least($2, $5 - pace.used), 0)
  FROM pace
 WHERE r.name = pace.name
RETURNING greatest(least($2, $5 - pace.used), 0)
