-- Every rule's present conditions; then what must open, be reminded of (critical 4 h, others 24 h), or close.
WITH rule AS (
    SELECT name, severity, threshold FROM yakin.alert_rules WHERE enabled
), batch AS (
    -- as the specification says, unless an operator's override stands
    SELECT b.id, b.slug, b.title, coalesce(severity.value, lower(b.spec ->> 'severity')) AS severity,
           coalesce(expected.value::float8, (b.spec #>> '{expected,secs}')::float8) AS expected_seconds
      FROM yakin.batches b
      LEFT JOIN yakin.settings severity ON (severity.batch_id, severity.key) = (b.id, 'severity')
      LEFT JOIN yakin.settings expected ON (expected.batch_id, expected.key) = (b.id, 'expected')
), failing AS MATERIALIZED (
    -- runs of the last 8 days that failed somebody
    SELECT r.* FROM yakin.runs r
     WHERE r.state = 'ended' AND NOT r.dry_run AND r.ended_at > $1 - interval '8 days'
       AND (r.outcome IN ('failed', 'partial') OR (r.outcome = 'skipped' AND r.reason LIKE 'needs%'))
), failed_tenant AS MATERIALIZED (
    SELECT f.id AS run_id, f.batch_id, f.period_start, t.tenant_id
      FROM failing f JOIN yakin.run_tenants t ON t.run_id = f.id AND t.state IN ('failed', 'blocked')
), of_period AS (
    -- nobody has healed them: no later whole run of the period succeeded, and some tenant was not completed by a later one
    SELECT DISTINCT ON (f.batch_id, f.period_start) f.*
      FROM failing f
     WHERE f.period_start IS NOT NULL
       AND NOT EXISTS (SELECT FROM yakin.runs later
                        WHERE later.batch_id = f.batch_id AND later.id > f.id AND NOT later.dry_run
                          AND later.period_start = f.period_start
                          AND later.outcome = 'succeeded' AND later.only_tenants IS NULL)
       AND (NOT EXISTS (SELECT FROM failed_tenant t WHERE t.run_id = f.id)
            OR EXISTS (SELECT FROM failed_tenant t
                        WHERE t.run_id = f.id
                          AND NOT EXISTS (SELECT FROM yakin.completions c
                                           WHERE (c.batch_id, c.tenant_id, c.period_start)
                                               = (t.batch_id, t.tenant_id, t.period_start)
                                             AND c.run_id > f.id)))
     ORDER BY f.batch_id, f.period_start, f.id
), last_failed AS (
    -- what works on no period is judged by the last time that each tenant, or the run as a whole, failed
    SELECT batch_id, tenant_id, max(run_id) AS run_id FROM failed_tenant WHERE period_start IS NULL GROUP BY 1, 2
    UNION ALL
    SELECT batch_id, NULL, max(id) FROM failing f
     WHERE period_start IS NULL AND NOT EXISTS (SELECT FROM failed_tenant t WHERE t.run_id = f.id)
     GROUP BY batch_id
), of_none AS (
    SELECT batch_id, max(run_id) AS run_id FROM last_failed l
     WHERE NOT CASE WHEN EXISTS (SELECT FROM yakin.run_tenants t JOIN yakin.runs n ON n.id = t.run_id
                                  WHERE t.tenant_id = l.tenant_id AND t.run_id > l.run_id AND t.state = 'done'
                                    AND n.batch_id = l.batch_id AND NOT n.dry_run) THEN true
                    ELSE EXISTS (SELECT FROM yakin.runs later
                                  WHERE later.batch_id = l.batch_id AND later.id > l.run_id AND NOT later.dry_run
                                    AND later.outcome = 'succeeded' AND later.only_tenants IS NULL) END
     GROUP BY batch_id
), troubled AS (
    SELECT id, batch_id, period_start, outcome, reason FROM of_period
    UNION ALL
    SELECT f.id, f.batch_id, f.period_start, f.outcome, f.reason FROM failing f JOIN of_none n ON n.run_id = f.id
), report AS (
    -- what the last run of a batch that did its work wants people to know; one that somebody asked for
    -- some tenants says nothing of the others (a rerun mends, a firing by arrivals has only some)
    SELECT last.batch_id, last.id AS run_id, r.value ->> 'subject' AS subject, r.value ->> 'message' AS message
      FROM batch b
     CROSS JOIN LATERAL (SELECT r.id, r.batch_id, r.reports FROM yakin.runs r LEFT JOIN yakin.runs o ON o.id = r.rerun_of
                          WHERE r.batch_id = b.id AND r.state = 'ended' AND NOT r.dry_run AND r.outcome <> 'skipped'
                            AND (r.only_tenants IS NULL OR r.trigger = 'firing'
                                 OR r.trigger = 'rerun' AND (o.only_tenants IS NULL OR o.trigger IN ('firing', 'rerun')))
                          ORDER BY r.id DESC LIMIT 1) AS last
     CROSS JOIN LATERAL jsonb_array_elements(last.reports) AS r
), condition AS (
    SELECT 'run_failed' AS rule, format('%s %s', r.batch_id, coalesce(r.period_start::text, '')) AS subject,
           r.batch_id, r.id AS run_id, format('run %s of %s %s %s: %s', r.id, r.batch_id, b.title, r.outcome,
                                              coalesce(r.reason, '')) AS message
      FROM troubled r JOIN batch b ON b.id = r.batch_id
    UNION ALL
    SELECT 'dead_letter', d.fingerprint, min(d.batch_id), min(d.run_id),
           format('%s dead letters of %s: %s', count(*), min(d.batch_id), min(d.error))
      FROM yakin.dead_letters d WHERE d.state = 'waiting' GROUP BY d.fingerprint
    UNION ALL
    SELECT 'late_start', format('%s %s', f.batch_id, f.planned_at), f.batch_id, NULL,
           format('%s was due at %s and has not started', f.batch_id,
                  to_char(f.due_at AT TIME ZONE 'Asia/Tokyo', 'MM-DD HH24:MI'))
      FROM yakin.firings f JOIN yakin.batches b ON b.id = f.batch_id, rule
     WHERE f.state = 'planned' AND b.enabled AND rule.name = 'late_start'
       AND f.due_at < $1 - make_interval(secs => rule.threshold::float8)
    UNION ALL
    SELECT 'never_started', format('%s %s', f.batch_id, f.planned_at), f.batch_id, NULL,
           format('%s of %s was missed: %s', f.batch_id,
                  to_char(f.due_at AT TIME ZONE 'Asia/Tokyo', 'MM-DD HH24:MI'), f.reason)
      FROM yakin.firings f
     WHERE f.outcome = 'missed' AND f.ended_at > $1 - interval '1 day' AND f.reason NOT LIKE 'superseded%'
    UNION ALL
    SELECT 'late_end', format('run %s', r.id), r.batch_id, r.id,
           format('run %s of %s is open past its deadline', r.id, r.batch_id)
      FROM yakin.runs r WHERE r.state <> 'ended' AND r.deadline_at < $1
    UNION ALL
    SELECT 'long_run', format('run %s', r.id), r.batch_id, r.id,
           format('run %s of %s has been running for %s', r.id, r.batch_id,
                  date_trunc('second', clock_timestamp() - r.real_started))
      FROM yakin.runs r JOIN batch b ON b.id = r.batch_id, rule
     WHERE r.state = 'running' AND rule.name = 'long_run'
       AND clock_timestamp() - r.real_started >
           make_interval(secs => coalesce(b.expected_seconds, rule.threshold::float8))
    UNION ALL
    SELECT 'backlog', j.queue, NULL, NULL, format('%s jobs of queue %s have waited over 5 minutes', count(*), j.queue)
      FROM yakin.jobs j, rule
     WHERE j.state = 'ready' AND rule.name = 'backlog' AND j.real_ready < clock_timestamp() - interval '5 minutes'
     GROUP BY j.queue, rule.threshold HAVING count(*) > rule.threshold
    UNION ALL
    SELECT 'slow', p.batch_id, p.batch_id, max(p.run_id), format('the last runs of %s were slower than usual', p.batch_id)
      FROM rule CROSS JOIN batch b
     CROSS JOIN LATERAL (SELECT batch_id, run_id, slow FROM yakin.run_performance
                          WHERE batch_id = b.id AND ended_at > $1 - interval '100 days'
                          ORDER BY ended_at DESC, run_id DESC LIMIT rule.threshold::bigint) AS p
     WHERE rule.name = 'slow'
     GROUP BY p.batch_id, rule.threshold HAVING bool_and(p.slow) AND count(*) >= rule.threshold
    UNION ALL
    SELECT 'node_gone', format('node %s', n.id), NULL, NULL,
           format('node %s (%s) has been silent since %s', n.id, n.name, date_trunc('second', n.real_heartbeat))
      FROM yakin.nodes n, rule
     WHERE rule.name = 'node_gone' AND n.real_ended IS NULL
       AND n.real_heartbeat < clock_timestamp() - make_interval(secs => rule.threshold::float8)
       AND n.real_heartbeat > clock_timestamp() - interval '1 day'
    UNION ALL
    SELECT 'reported', format('%s %s', batch_id, subject), batch_id, run_id,
           format('%s (run %s): %s', batch_id, run_id, message)
      FROM report
), present AS (
    SELECT c.rule, c.subject, c.batch_id, c.run_id, left(c.message, 500) AS message,
           coalesce(rule.severity, b.severity, 'medium') AS severity
      FROM condition c JOIN rule ON rule.name = c.rule LEFT JOIN batch b ON b.id = c.batch_id
), opened AS (
    INSERT INTO yakin.alerts (rule, subject, batch_id, run_id, severity, message, opened_at, reminded_at)
    SELECT rule, subject, batch_id, run_id, severity, message, $1, $1 FROM present
    ON CONFLICT (rule, subject) WHERE resolved_at IS NULL DO NOTHING
    RETURNING 'opened' AS what, id, rule, subject, severity, message
), reminded AS (
    UPDATE yakin.alerts a SET reminded_at = $1
      FROM present p
     WHERE a.resolved_at IS NULL AND a.acknowledged_at IS NULL AND (a.rule, a.subject) = (p.rule, p.subject)
       AND a.reminded_at <= $1 - CASE a.severity WHEN 'critical' THEN interval '4 hours' ELSE interval '24 hours' END
    RETURNING 'reminded' AS what, a.id, a.rule, a.subject, a.severity, a.message
), resolved AS (
    UPDATE yakin.alerts a SET resolved_at = $1
     WHERE a.resolved_at IS NULL
       AND NOT EXISTS (SELECT FROM present p WHERE (p.rule, p.subject) = (a.rule, a.subject))
    RETURNING 'resolved' AS what, a.id, a.rule, a.subject, a.severity, a.message
)
SELECT * FROM opened UNION ALL SELECT * FROM reminded UNION ALL SELECT * FROM resolved ORDER BY 1, 2, 3
