-- The day's next number of its kind, above what rows and the folder know: a restored database knows fewer sets than its
-- folder.
WITH next AS (
    SELECT greatest(coalesce(max(substring(backup_id FROM 14)::integer), 0), $11) + 1 AS number
      FROM app.backup_sets WHERE business_date = $1 AND kind = $9
)
INSERT INTO app.backup_sets (backup_id, business_date, place, run_id, databases, compressed, recipients,
                             expires_on, begun_at, kind, storage)
SELECT format('%s%s_%s', $12::text, to_char($1::date, 'YYYYMMDD'),
              lpad(number::text, greatest(3, length(number::text)), '0')),
       $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
  FROM next
RETURNING backup_id
