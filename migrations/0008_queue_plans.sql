-- The queue's tables are empty at one moment and large at the next: a plan that was made while they were empty reads them
-- from end to end for each call. Their statements go by key, always.
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'yakin'::regnamespace
              AND proname IN ('enqueue', 'promote', 'claim', 'settle', 'lock_lanes', 'wake_lanes') LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', f);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', f);
    END LOOP;
END $$;
