-- Personal data per source and entity: how much there is, and which of it a model could learn by heart.
{{ config(schema='filtered', tags=['filtered']) }}

with sizes as (
    select source, count(*) as documents, sum(characters) as characters
    from {{ source('filtered', 'signals') }}
    group by source
),

findings as (
    select doc_id, source, entity, value_hmac from {{ source('filtered', 'pii_findings') }}
),

-- The same value, told by its keyed hash, may stand in documents of any source.
spread as (
    select entity, value_hmac, count(distinct doc_id) as documents
    from findings
    group by all
),

counted as (
    select
        findings.source,
        findings.entity,
        count(*) as findings,
        count(distinct findings.doc_id) as affected,
        count(distinct findings.value_hmac) as distinct_values,
        count(distinct findings.value_hmac) filter (where spread.documents > 1) as repeated_values,
        max(spread.documents) as most_documents,
        count(distinct duplicates.doc_id) as affected_in_clusters
    from findings
    join spread on spread.entity = findings.entity and spread.value_hmac = findings.value_hmac
    left join {{ source('filtered', 'duplicates') }} as duplicates on duplicates.doc_id = findings.doc_id
    group by all
)

select
    counted.source,
    counted.entity,
    sizes.documents,
    counted.affected,
    counted.affected / sizes.documents as share,
    {{ wilson('counted.affected', 'sizes.documents', 'low') }} as low,
    {{ wilson('counted.affected', 'sizes.documents', 'high') }} as high,
    counted.findings,
    1000000 * counted.findings / sizes.characters as per_million_characters,
    counted.distinct_values,
    counted.repeated_values,
    counted.most_documents,
    counted.affected_in_clusters,
    {{ run_id() }} as run_id
from counted
join sizes on sizes.source = counted.source
order by counted.source, counted.entity
