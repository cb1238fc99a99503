-- This month's and the next two months' partitions of the history; those of 14 months ago go.
SELECT yakin.ensure_month('yakin.job_history', month::date)
  FROM (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'Asia/Tokyo') + make_interval(months => n) AS month
          FROM generate_series(0, 2) AS n) AS ahead
UNION ALL
SELECT yakin.drop_month('yakin.job_history',
                        (date_trunc('month', clock_timestamp() AT TIME ZONE 'Asia/Tokyo') - make_interval(months => n))::date)
  FROM generate_series(14, 16) AS n
