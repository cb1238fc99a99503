-- A firing's instant is its batch's alone: where virtual time stands, the next ones follow by a microsecond each.
SELECT greatest($2, max(planned_at) + interval '1 microsecond')
  FROM yakin.firings
 WHERE batch_id = $1 AND planned_at < $2 + interval '1 second'
