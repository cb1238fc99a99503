UPDATE app.usage_corrections AS correction
   SET settled_by_invoice = $1
  FROM unnest($2::date[], $3::integer[]) AS settled (usage_date, revision)
 WHERE correction.tenant_id = yakin.current_tenant() AND correction.settled_by_invoice IS NULL
   AND (correction.usage_date, correction.revision) = (settled.usage_date, settled.revision)
