-- Which kept documents may go into a release, and the first reason where one may not.
with judged as (
    {{ judged(ref('scored_verdicts')) }}
)

select
    documents.doc_id,
    documents.source,
    scores.doc_id is not null and not coalesce(judged.dropped, false) as selected,
    case when scores.doc_id is null then 'not_scored' else judged.reason end as reason,
    coalesce(judged.failed, []) as failed,
    scores.quality,
    scores.toxicity,
    {{ policy_version() }} as policy_version,
    {{ run_id() }} as run_id
from {{ ref('documents') }} as documents
left join {{ source('scored', 'scores') }} as scores using (doc_id)
left join judged using (doc_id)
order by documents.source, documents.doc_id
