-- Personal data per source and entity: how much there is, which of it a model could learn by heart, how much
-- may have been missed, and what became of it since the release that serves.
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
),

-- Written by the promotion of a release, which comes after this model: as a source of it, it would be a circle.
accepted as (
    select source, entity, documents, affected from lake.governance.accepted_risk where affected > 0
),

accepted_sizes as (
    select source, any_value(documents) as documents from accepted group by source
),

-- What was found when the release that serves was accepted, and is found no more, has a line as well.
cells as (
    select source, entity from counted
    union
    select source, entity from accepted
),

-- Of the samples that have an entity the one in which less of it was found: no sample makes a risk smaller.
-- One in which nothing was found is unlike the texts in which something was: an English one for Korean numbers.
recall as (
    select basis, entity, labelled, recall, low, high
    from {{ ref('pii_recall') }}
    where found > 0
    qualify row_number() over (partition by entity order by recall, labelled desc, basis) = 1
),

measured as (
    select
        cells.source,
        cells.entity,
        sizes.documents,
        sizes.characters,
        coalesce(counted.affected, 0) as affected,
        coalesce(counted.findings, 0) as findings,
        coalesce(counted.distinct_values, 0) as distinct_values,
        coalesce(counted.repeated_values, 0) as repeated_values,
        coalesce(counted.most_documents, 0) as most_documents,
        coalesce(counted.affected_in_clusters, 0) as affected_in_clusters,
        accepted_sizes.documents as accepted_documents,
        case when accepted_sizes.documents is not null then coalesce(accepted.affected, 0) end as accepted_affected
    from cells
    join sizes on sizes.source = cells.source
    left join counted on counted.source = cells.source and counted.entity = cells.entity
    left join accepted_sizes on accepted_sizes.source = cells.source
    left join accepted on accepted.source = cells.source and accepted.entity = cells.entity
)

select
    measured.source,
    measured.entity,
    measured.documents,
    measured.affected,
    measured.affected / measured.documents as share,
    {{ wilson('measured.affected', 'measured.documents', 'low') }} as low,
    {{ wilson('measured.affected', 'measured.documents', 'high') }} as high,
    measured.findings,
    1000000 * measured.findings / measured.characters as per_million_characters,
    measured.distinct_values,
    measured.repeated_values,
    measured.most_documents,
    measured.affected_in_clusters,
    recall.basis,
    recall.labelled as recall_n,
    recall.recall,
    recall.low as recall_low,
    recall.high as recall_high,
    {{ missed('measured.affected', 'recall.recall', 'measured.documents') }} as missed,
    {{ missed('measured.affected', 'recall.recall', 'measured.documents') }} / measured.documents as missed_share,
    {{ missed('measured.affected', 'recall.high', 'measured.documents') }} / measured.documents as missed_low,
    {{ missed('measured.affected', 'recall.low', 'measured.documents') }} / measured.documents as missed_high,
    measured.accepted_documents,
    measured.accepted_affected / measured.accepted_documents as accepted_share,
    {{ wilson('measured.accepted_affected', 'measured.accepted_documents', 'low') }} as accepted_low,
    {{ wilson('measured.accepted_affected', 'measured.accepted_documents', 'high') }} as accepted_high,
    measured.affected / measured.documents - measured.accepted_affected / measured.accepted_documents as change,
    {{ run_id() }} as run_id
from measured
left join recall on recall.entity = measured.entity
order by measured.source, measured.entity
