SELECT discount_id, kind, items, value, description, valid_from, valid_to
  FROM app.discounts
 WHERE tenant_id = yakin.current_tenant() AND valid_from < $2 AND (valid_to IS NULL OR valid_to >= $1)
 ORDER BY discount_id
 LIMIT 1000
