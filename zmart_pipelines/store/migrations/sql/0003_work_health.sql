-- What health needs to know of finished work: job runs, due times, and when the tip was reached.
SET LOCAL ROLE zmart_owner;

ALTER TABLE chain.cursors ADD COLUMN reached_at timestamptz;
COMMENT ON COLUMN chain.cursors.reached_at
    IS 'Reader, on the database clock: when everything up to the cluster''s tip had been read';

ALTER TABLE voting.change_queue ADD COLUMN enqueued_at timestamptz DEFAULT now() NOT NULL;
COMMENT ON COLUMN voting.change_queue.enqueued_at
    IS 'Database clock: when the row was inserted';

CREATE TABLE ops.job_runs (
    run_id TEXT NOT NULL,
    job TEXT NOT NULL,
    succeeded BOOLEAN NOT NULL,
    ended_at timestamptz NOT NULL,
    error TEXT,
    CONSTRAINT pk_job_runs PRIMARY KEY (run_id)
);
COMMENT ON COLUMN ops.job_runs.run_id IS 'Dagster''s id of the run';
COMMENT ON COLUMN ops.job_runs.job IS 'Dagster: name of the job';
COMMENT ON COLUMN ops.job_runs.succeeded IS 'Dagster: whether the run succeeded or failed';
COMMENT ON COLUMN ops.job_runs.ended_at IS 'Dagster: when the run ended';
COMMENT ON COLUMN ops.job_runs.error IS 'Dagster: message of the failure';
CREATE INDEX ix_job_runs_job_ended_at ON ops.job_runs (job, ended_at);

GRANT SELECT ON ops.job_runs TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE, DELETE ON ops.job_runs TO zmart_pipelines;

RESET ROLE;
