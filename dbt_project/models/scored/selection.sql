-- Which kept documents may go into a release, and the first reason where one may not.
with scores as (
    select * from {{ source('scored', 'scores') }}
),

evidence as (
    select
        documents.doc_id,
        documents.source,
        unnest(['quality', 'toxicity', 'not_releasable', 'license_unknown']) as signal,
        unnest([
            scores.quality::double,
            scores.toxicity::double,
            (not sources.releasable)::double,
            (documents.license = 'NOASSERTION' and waivers.subject is null)::double
        ]) as value
    from {{ ref('documents') }} as documents
    join {{ source('raw', 'sources') }} as sources on sources.source = documents.source
    left join scores on scores.doc_id = documents.doc_id
    left join {{ ref('waivers') }} as waivers
        on waivers.kind = 'license'
        and waivers.subject = documents.source
        and waivers.expires >= current_date
),

judged as (
    select
        evidence.doc_id,
        arg_min(rules.rule, rules.priority) as reason,
        list(
            {rule: rules.rule, signal: rules.signal, value: evidence.value, comparison: rules.comparison,
             threshold: rules.threshold, action: rules.action}
            order by rules.priority
        ) as failed
    from evidence
    join {{ source('raw', 'sources') }} as sources using (source)
    join {{ ref('rules') }} as rules
        on rules.signal = evidence.signal
        and rules.stage = 'scored'
        and rules.profile in ('all', sources.profile)
        and {{ breaks('evidence.value', 'rules.comparison', 'rules.threshold') }}
    where rules.action = 'drop'
    group by evidence.doc_id
)

select
    documents.doc_id,
    documents.source,
    case when scores.doc_id is null then false else judged.doc_id is null end as selected,
    case when scores.doc_id is null then 'not_scored' else judged.reason end as reason,
    coalesce(judged.failed, []) as failed,
    scores.quality,
    scores.toxicity,
    {{ policy_version() }} as policy_version,
    {{ run_id() }} as run_id
from {{ ref('documents') }} as documents
left join scores using (doc_id)
left join judged using (doc_id)
order by documents.source, documents.doc_id
