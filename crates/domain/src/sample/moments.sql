-- The head of the five statements that write one row per event: when, by whom, and a throw of dice for the rest.
-- A tenant's events of a day follow from its traffic, the day's busyness, this log's share (per thousand of the API
-- calls) and -15 to +16 per cent of chance; one event in sixteen comes at any hour, the
-- others follow a working day; users are skewed towards a busy few.
WITH tenant AS (
    SELECT n, tenant_id, first_user, established, busy_from, busy_until, hour_shift, traffic
      FROM jsonb_to_recordset($1) AS tenant (
           n bigint, tenant_id bigint, first_user bigint, established bigint, busy_from date, busy_until date,
           hour_shift integer, traffic bigint)
),
-- a tenant's day, and how many events it has
day AS (
    SELECT n, tenant_id, first_user, established, hour_shift, dice,
           day::timestamp AT TIME ZONE 'Asia/Tokyo' AS midnight,
           (traffic * busyness * $6 * (85 + (dice & 31)) + ((dice >> 8 & 1048575) * 10000000000 >> 20))
               / 10000000000 AS events
      FROM tenant
      JOIN unnest($3::text[]::date[], $4::integer[]) AS log (day, busyness) ON day >= busy_from AND day < busy_until
     CROSS JOIN LATERAL (SELECT hashint8extended(day - DATE '2000-01-01', hashint8extended(n, $2)) AS dice) AS thrown
),
moment AS (
    SELECT n, tenant_id, k, value,
           first_user + ((who & 1023) * (who >> 10 & 1023) * established >> 20) AS user_id,
           midnight + ((CASE WHEN who >> 20 & 63 < 4 THEN (who >> 56 & 255) * 24 >> 8
                             ELSE (ARRAY[7, 7, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11,
                                         11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 13, 13, 14, 14, 14, 14, 14, 14,
                                         15, 15, 15, 15, 15, 15, 16, 16, 16, 16, 16, 17, 17, 17, 18, 18, 19, 20])
                                      [(who >> 20 & 63) - 3] END
                        + hour_shift) % 24 * 3600000
                       + ((who >> 26 & 1073741823) * 3600000 >> 30)) * interval '1 millisecond' AS created_at
      FROM day
     CROSS JOIN LATERAL generate_series(1, events) AS event (k)
     CROSS JOIN LATERAL (SELECT hashint8extended(k, dice) AS who, hashint8extended(k, dice # 1) AS value) AS thrown
)
