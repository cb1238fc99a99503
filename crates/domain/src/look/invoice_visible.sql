-- a caller bound to tenants sees theirs, and none that was held back and not released: nobody has got it (yet)
($1::bigint[] IS NULL OR i.tenant_id = ANY ($1) AND (i.held_at IS NULL OR i.released_by IS NOT NULL))
