-- A try that is to come back later keeps its attempt's number, so lines are told apart by the try's token as well.
ALTER TABLE yakin.run_logs ADD COLUMN token bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN yakin.run_logs.token IS '試行のフェンシングトークン (この列より前の行は 0)';
ALTER TABLE yakin.run_logs DROP CONSTRAINT run_logs_pkey,
    ADD PRIMARY KEY (run_id, job_id, attempt, token, line);
