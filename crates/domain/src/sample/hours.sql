-- The head of the two statements that write one row per hour and tenant. Percent: how busy that hour is against the
-- mean hour of a week, give or take a fifth; the 24 numbers add up to 2400.
WITH hourly AS (
    SELECT n, tenant_id, cpu_ms, memory_mb, network_bytes, dice, day = broken_on AND hour = 13 AS broken,
           busyness * (ARRAY[40, 35, 30, 30, 30, 35, 45, 70, 120, 170, 180, 170, 140, 165, 175, 170, 165, 150, 110,
                             95, 85, 75, 65, 50])[1 + (hour + 24 - hour_shift) % 24] * (80 + (dice & 63) * 40 / 63)
               / 10000 AS percent,
           day::timestamp AT TIME ZONE 'Asia/Tokyo' + hour * interval '1 hour'
               + (dice >> 8 & 2047) * interval '1 second' AS created_at
      FROM jsonb_to_recordset($1) AS tenant (
           n bigint, tenant_id bigint, busy_from date, busy_until date, hour_shift integer, cpu_ms bigint,
           memory_mb bigint, network_bytes bigint, broken_on date)
      JOIN unnest($3::text[]::date[], $4::integer[]) AS log (day, busyness) ON day >= busy_from AND day < busy_until
     CROSS JOIN generate_series(0, 23) AS clock (hour)
     CROSS JOIN LATERAL (SELECT hashint8extended((day - DATE '2000-01-01') * 24 + hour,
                                                 hashint8extended(n, $2)) AS dice) AS thrown
)
