-- Alerts, those resolved too where $1: open ones first, then the gravest, then the newest; behind ($2, $3, $4, $5), at most $6.
SELECT a.id, a.rule, a.subject, a.severity, a.message, a.opened_at, a.acknowledged_at, a.acknowledged_by, a.resolved_at
  FROM yakin.alerts a
 CROSS JOIN LATERAL (SELECT a.resolved_at IS NOT NULL AS resolved,
                            array_position(ARRAY['critical', 'high', 'medium', 'info'], a.severity) AS grave) place
 WHERE ($1 OR a.resolved_at IS NULL)
   AND ($2::boolean IS NULL
        OR (place.resolved, place.grave) > ($2, array_position(ARRAY['critical', 'high', 'medium', 'info'], $3::text))
        OR (place.resolved = $2 AND a.severity = $3
            AND (a.opened_at < $4::timestamptz OR (a.opened_at = $4 AND a.id > $5::bigint))))
 ORDER BY place.resolved, place.grave, a.opened_at DESC, a.id
 LIMIT $6
