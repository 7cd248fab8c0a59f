-- Silences are the operators' rows: the API writes them for an operator alone. Every process that
-- sends messages reads them.

SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.alert_silences ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY read_all ON ops.alert_silences FOR SELECT
    TO zmart_api, zmart_ingest, zmart_read, zmart_backup USING (true);
CREATE POLICY insert_as_operator ON ops.alert_silences FOR INSERT TO zmart_api
    WITH CHECK (ops.is_operator());
CREATE POLICY update_as_operator ON ops.alert_silences FOR UPDATE TO zmart_api
    USING (ops.is_operator());
-- Commands of operators log in as the pipelines, and so does the retention.
CREATE POLICY all_rows ON ops.alert_silences TO zmart_owner, zmart_pipelines
    USING (true) WITH CHECK (true);

RESET ROLE;
