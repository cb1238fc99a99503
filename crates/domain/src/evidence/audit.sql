-- The acts of a month, each with its number in the chain and the chain's digest up to it.
SELECT a.id::text, to_char(a.real_time AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS.US"+09:00"'), a.actor, a.action,
       a.subject, a.reason, a.details::text, c.seq::text, encode(c.digest, 'hex')
  FROM yakin.audit a
  LEFT JOIN yakin.audit_chain c ON c.audit_id = a.id
 WHERE a.real_time >= $1::date::timestamp AT TIME ZONE 'Asia/Tokyo'
   AND a.real_time < $2::date::timestamp AT TIME ZONE 'Asia/Tokyo'
 ORDER BY c.seq NULLS LAST, a.id
