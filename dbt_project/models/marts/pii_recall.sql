-- How much personal data the recognisers find where all of it is known, by sample and entity.
{{ config(schema='filtered', tags=['filtered']) }}

-- Of each drill that is among the sources the spans that were planted, by entity and place.
with planted as (
    select
        documents.doc_id,
        unnest(from_json(
            json_extract(documents.metadata, '$.truth.spans'),
            '[{"entity": "VARCHAR", "start": "BIGINT", "end": "BIGINT"}]'
        )) as span
    from {{ source('raw', 'documents') }} as documents
    join {{ source('raw', 'sources') }} as sources on sources.source = documents.source
    where sources.reader = 'drill' and json_extract_string(documents.metadata, '$.hazard') = 'pii'
),

-- A finding of whatever entity that covers half of a span has found it: what it covers is redacted.
looked_at as (
    select
        planted.doc_id,
        planted.span,
        coalesce(bool_or(
            least(findings."end", planted.span."end") - greatest(findings."start", planted.span."start")
            >= 0.5 * (planted.span."end" - planted.span."start")
        -- Of a missing finding DuckDB would take the span's own bounds.
        ) filter (where findings.doc_id is not null), false) as found
    from planted
    left join {{ source('filtered', 'pii_findings') }} as findings on findings.doc_id = planted.doc_id
    group by planted.doc_id, planted.span
),

samples as (
    select 'drill' as basis, looked_at.span.entity as entity, count(*) as labelled, count_if(looked_at.found) as found
    from looked_at
    group by all
    union all
    select 'labelled records' as basis, entity, labelled, found from {{ ref('labelled_recall') }}
)

select
    samples.basis,
    samples.entity,
    samples.labelled,
    samples.found::bigint as found,
    samples.found / samples.labelled as recall,
    {{ wilson('samples.found', 'samples.labelled', 'low') }} as low,
    {{ wilson('samples.found', 'samples.labelled', 'high') }} as high,
    {{ run_id() }} as run_id
from samples
order by samples.entity, samples.basis
