SELECT approach_id, name, criteria, recipients, language, owner_id, failures, rhythm, at_time, weekday, month_day, zone,
       next_delivery_at
  FROM app.approaches
 WHERE tenant_id = yakin.current_tenant() AND approach_id = $1 AND active AND paused_at IS NULL
   AND next_delivery_at <= $2
   FOR UPDATE SKIP LOCKED
