-- yakin.attempt_holds runs as the owner, and the wall around yakin.jobs stands before the owner, too: without a policy
-- of its own it saw no job, and every attempt was taken for dead. (A superuser walks past walls and noticed nothing.)
-- Nodes may be at work on this table: wait for them a while, not for ever with everybody behind.
SET LOCAL lock_timeout = '10s';
DO $$
BEGIN
    EXECUTE format('CREATE POLICY holds ON yakin.jobs FOR SELECT TO %I USING (true)', current_user);
END $$;
