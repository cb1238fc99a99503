-- The hour's removals so far, and the median of the same hour on the seven days before (NULL: none is known).
-- $1 now.
WITH hourly AS (
    SELECT hour, sum(removed)::bigint AS removed
      FROM app.token_counts_hourly
     WHERE hour = ANY (SELECT generate_series(date_trunc('hour', $1, 'Asia/Tokyo') - interval '7 days',
                                              date_trunc('hour', $1, 'Asia/Tokyo'), interval '1 day'))
     GROUP BY hour
)
SELECT coalesce(max(removed) FILTER (WHERE hour = date_trunc('hour', $1, 'Asia/Tokyo')), 0) AS removed,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY removed)
           FILTER (WHERE hour < date_trunc('hour', $1, 'Asia/Tokyo')) AS median
  FROM hourly
