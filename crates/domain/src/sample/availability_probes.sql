-- The service seen from outside, every five minutes of the seven days before $2: three minutes in a thousand are bad, and
-- half an hour in the afternoon before.
INSERT INTO app.availability_probes (probed_at, target, good, response_ms)
SELECT at, 'https://app.example/healthz', good, CASE WHEN good THEN 80 + (dice >> 10 & 127) END
  FROM generate_series(date_trunc('hour', $2::timestamptz) - interval '7 days', $2, interval '5 minutes') AS at
 CROSS JOIN LATERAL (SELECT hashint8extended(extract(epoch FROM at)::bigint, $1) AS dice) AS thrown
 CROSS JOIN LATERAL (SELECT dice & 1023 > 2
                            AND at NOT BETWEEN date_trunc('day', $2, 'Asia/Tokyo') - interval '10 hours'
                                           AND date_trunc('day', $2, 'Asia/Tokyo') - interval '9 hours 31 minutes'
                                AS good) AS seen
 ORDER BY at;
