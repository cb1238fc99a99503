-- Whether backups are made here, and whether one of the night ($1 its present) is proven.
SELECT count(*) > 0 AS made,
       coalesce(bool_or(state = 'verified' AND begun_at > $1 - interval '26 hours'), false) AS proven
  FROM app.backup_sets
 WHERE kind = 'databases'
