-- Inserts or refreshes a batch; says whether its effective schedule is new or changed.
WITH before AS (
    SELECT id, schedule FROM yakin.batches WHERE id = $1
), effective AS (
    SELECT coalesce((SELECT value FROM yakin.settings WHERE batch_id = $1 AND key = 'schedule'), $5) AS schedule
), written AS (
    INSERT INTO yakin.batches AS b (id, slug, title, spec, schedule)
    SELECT $1, $2, $3, $4, effective.schedule FROM effective
    ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, title = excluded.title, spec = excluded.spec,
                                   schedule = excluded.schedule
     WHERE (b.slug, b.title, b.spec, b.schedule)
           IS DISTINCT FROM (excluded.slug, excluded.title, excluded.spec, excluded.schedule)
    RETURNING id
)
SELECT coalesce((SELECT before.schedule FROM before) <> (SELECT schedule FROM effective), true)
