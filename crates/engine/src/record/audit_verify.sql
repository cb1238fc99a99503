-- The audit beside its chain: each digest is reckoned from the one before as it stands, so that a change is found where
-- it was made. The digest is written out here: what the database's own function says is not taken on trust.
WITH link AS (
    SELECT c.seq, c.audit_id, c.digest, lag(c.seq) OVER w AS seq_before, lag(c.audit_id) OVER w AS id_before,
           coalesce(lag(c.digest) OVER w, '') AS digest_before
      FROM yakin.audit_chain c WINDOW w AS (ORDER BY c.seq)
), checked AS (
    SELECT l.seq, coalesce(l.audit_id, a.id) AS audit_id, CASE
        WHEN l.seq IS NULL THEN format('act %s (%s by %s) stands in no chain: it was added past it', a.id, a.action, a.actor)
        WHEN l.seq <> coalesce(l.seq_before, 0) + 1
            THEN format('acts %s to %s of the chain are missing', coalesce(l.seq_before, 0) + 1, l.seq - 1)
        WHEN a.id IS NULL THEN format('act %s (number %s of the chain) is missing', l.audit_id, l.seq)
        WHEN l.digest <> sha256(l.digest_before || convert_to(jsonb_build_array(
                a.id, (extract(epoch FROM a.real_time) * 1000000)::bigint, a.actor, a.action, a.subject, a.reason,
                a.details)::text, 'UTF8'))
            THEN format('act %s (%s by %s, number %s of the chain) is not as it was written', a.id, a.action, a.actor, l.seq)
        END AS fault
      FROM link l FULL JOIN yakin.audit a ON a.id = l.audit_id
), fault AS (
    SELECT seq, audit_id, fault FROM checked WHERE fault IS NOT NULL ORDER BY seq NULLS LAST, audit_id LIMIT 100
)
SELECT (SELECT count(*) FROM yakin.audit_chain) AS acts,
       coalesce((SELECT encode(digest, 'hex') FROM yakin.audit_chain ORDER BY seq DESC LIMIT 1), '') AS head,
       coalesce((SELECT array_agg(fault ORDER BY seq NULLS LAST, audit_id) FROM fault), '{}') AS faults
