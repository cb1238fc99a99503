-- Past their day; but the newest three verified sets stay, however old they are.
WITH kept AS (
    SELECT backup_id FROM app.backup_sets
     WHERE place = $1 AND state = 'verified'
     ORDER BY backup_id DESC LIMIT 3
)
SELECT backup_id FROM app.backup_sets
 WHERE place = $1 AND state IN ('written', 'verified') AND expires_on < $2
   AND backup_id NOT IN (SELECT backup_id FROM kept)
 ORDER BY backup_id
 LIMIT 1000
