-- Each rule with each severity, 0 where nothing is open.
SELECT r.name AS rule, s.severity, count(a.id) AS count
  FROM yakin.alert_rules r
 CROSS JOIN unnest(ARRAY['info', 'medium', 'high', 'critical']) AS s (severity)
  LEFT JOIN yakin.alerts a ON (a.rule, a.severity) = (r.name, s.severity) AND a.resolved_at IS NULL
 GROUP BY r.name, s.severity
 ORDER BY r.name, s.severity
