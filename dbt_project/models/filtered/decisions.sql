-- The ledger: one verdict a document, its first reason, and every rule it failed with value and threshold.
with judged as (
    {{ judged(ref('verdicts')) }}
)

select
    documents.doc_id,
    documents.source,
    documents.content_hash,
    sources.profile,
    {{ policy_version() }} as policy_version,
    case when judged.doc_id is null then 'errored' when judged.dropped then 'removed' else 'kept' end as verdict,
    case when judged.doc_id is null then 'not_measured' else judged.reason end as reason,
    coalesce(judged.failed, []) as failed,
    coalesce(judged.rules_applied, 0) as rules_applied,
    {{ run_id() }} as run_id
from {{ source('raw', 'documents') }} as documents
join {{ source('raw', 'sources') }} as sources using (source)
left join judged using (doc_id)
order by documents.source, documents.doc_id
