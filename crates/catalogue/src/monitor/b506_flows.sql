-- What began, ended and was removed in the run's hour so far, by whomever; and in the hour before,
-- which is over now. Taken from the rows themselves, so that a second run finds the same.
-- $1 now · $2 the tenant
UPDATE app.session_stat_hourly AS stat
   SET (started, ended_expired, ended_limit, ended_admin, ended_security) = (
           SELECT count(*) FILTER (WHERE s.issued_at >= stat.hour AND s.issued_at < next.hour),
                  count(*) FILTER (WHERE ended.here AND s.revoked_reason = 'EXPIRED'),
                  count(*) FILTER (WHERE ended.here AND s.revoked_reason = 'LIMIT'),
                  count(*) FILTER (WHERE ended.here AND s.revoked_reason = 'ADMIN'),
                  count(*) FILTER (WHERE ended.here AND s.revoked_reason IN ('SECURITY', 'THEFT'))
             FROM app.tokens AS s
             CROSS JOIN LATERAL (SELECT stat.hour + interval '1 hour') AS next (hour)
             CROSS JOIN LATERAL (
                 SELECT s.revoked_at >= stat.hour AND s.revoked_at < next.hour) AS ended (here)
            WHERE s.tenant_id = stat.tenant_id
              AND s.token_type = 'SESSION'
              AND (s.issued_at >= stat.hour OR s.revoked_at >= stat.hour)),
       removed = (
           SELECT count(*)
             FROM app.token_revocations AS r
            WHERE r.tenant_id = stat.tenant_id
              AND r.removed_at >= stat.hour
              AND r.removed_at < stat.hour + interval '1 hour'
              AND r.token_type = 'SESSION')
 WHERE stat.tenant_id = $2
   AND stat.hour BETWEEN date_trunc('hour', $1, 'Asia/Tokyo') - interval '1 hour'
                     AND date_trunc('hour', $1, 'Asia/Tokyo')
