-- $1 tenant, 0 for the service · $2 the limit · $3 the chunk's greatest size
DELETE FROM app.{table}
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM app.{table} WHERE {tenant} = $1 AND {column} < $2 LIMIT $3))
