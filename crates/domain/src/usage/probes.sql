-- The probes of the service between $1 and $2: how many, and how many of them good. Without any: nothing, not none.
SELECT jsonb_strip_nulls(jsonb_build_object(
           'probes', nullif(count(*), 0),
           'probes_good', CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE good) END))::text
  FROM app.availability_probes
 WHERE probed_at >= $1 AND probed_at < $2
