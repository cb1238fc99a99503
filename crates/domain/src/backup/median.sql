-- The median size of the proven sets of the same target, this one left out: of files all that a set stands for, of
-- databases what lies on the disk.
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY CASE kind WHEN 'files' THEN plain_bytes ELSE bytes END)
  FROM app.backup_sets
 WHERE place = $1 AND kind = $2 AND databases = $3 AND storage IS NOT DISTINCT FROM $4
   AND backup_id <> $5 AND begun_at >= $6 AND verified_at IS NOT NULL
