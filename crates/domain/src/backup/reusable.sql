-- The business date's set of the same target for the same recipients, proven and young.
SELECT backup_id FROM app.backup_sets
 WHERE place = $1 AND kind = $2 AND business_date = $3 AND databases = $4 AND storage IS NOT DISTINCT FROM $5
   AND recipients = $6 AND begun_at >= $7 AND state = 'verified'
 ORDER BY backup_id DESC
 LIMIT 1
