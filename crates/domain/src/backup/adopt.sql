-- A row for a set that is there without one.
INSERT INTO app.backup_sets (backup_id, business_date, place, run_id, databases, compressed, recipients, expires_on,
                             begun_at, kind, storage)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (backup_id) DO NOTHING
