-- The whole sets of a kind, newest first.
SELECT backup_id AS id, databases, storage, state = 'verified' AS verified, expires_on < $3 AS past, refers_to
  FROM app.backup_sets
 WHERE place = $1 AND kind = $2 AND state IN ('written', 'verified')
 ORDER BY backup_id DESC
 LIMIT 100000
