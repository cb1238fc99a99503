-- The hour's removals so far, and the median of the same hour on the seven days before (NULL: none
-- is known).
-- $1 now
WITH present AS (
    SELECT date_trunc('hour', $1, 'Asia/Tokyo') AS hour
), hourly AS ( -- an hour without any row is not known, not zero
    SELECT wanted.hour, counted.removed
      FROM present
      CROSS JOIN LATERAL generate_series(present.hour - interval '7 days', present.hour,
                                         interval '1 day') AS wanted (hour)
      CROSS JOIN LATERAL (SELECT sum(c.removed)::bigint AS removed
                            FROM app.token_counts_hourly AS c
                           WHERE c.hour = wanted.hour) AS counted
)
SELECT coalesce(max(removed) FILTER (WHERE hourly.hour = present.hour), 0) AS removed,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY removed)
           FILTER (WHERE hourly.hour < present.hour) AS median
  FROM hourly
  CROSS JOIN present
