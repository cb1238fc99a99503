   AND ($2::date IS NULL OR i.issued_on >= $2)
   AND ($3::date IS NULL OR i.issued_on <= $3)
   AND ($4::numeric IS NULL OR i.total >= $4)
   AND ($5::numeric IS NULL OR i.total <= $5)
   AND ($6::text IS NULL OR i.currency = $6)
   AND ($7::text IS NULL OR t.code = $7
        OR strpos(lower(normalize(concat_ws(E'\n', t.name, t.billing_name, i.snapshot #>> '{payer,name}',
                                            i.snapshot #>> '{payer,billing_name}'), NFKC)),
                  lower(normalize($7, NFKC))) > 0)
   AND ($8::text IS NULL OR i.state = $8)
   AND (NOT $9::boolean OR (i.state = 'issued' AND i.held_at IS NOT NULL AND i.released_by IS NULL))
   AND ($12::bigint IS NULL OR i.tenant_id = $12)
   AND i.invoice_id < coalesce($10::bigint, 9223372036854775807)
 ORDER BY i.invoice_id DESC
 LIMIT $11
