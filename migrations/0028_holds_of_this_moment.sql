-- Whether an attempt holds its job is asked of this moment, not of when the statement began: a row that it took meanwhile
-- is not a dead one's.
ALTER FUNCTION yakin.attempt_holds(bigint, bigint) VOLATILE;
