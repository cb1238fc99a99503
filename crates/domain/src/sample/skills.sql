INSERT INTO app.skills (name)
SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS skill (name, place) ORDER BY place
    ON CONFLICT (name) DO NOTHING;
