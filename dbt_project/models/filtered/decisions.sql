-- The ledger: one verdict a document, its first reason, and every rule it failed with value and threshold.
with judged as (
    select
        doc_id,
        count(*) as rules_applied,
        bool_or(failed and action = 'drop') as dropped,
        arg_min(rule, priority) filter (where failed and action = 'drop') as reason,
        list(
            {rule: rule, signal: signal, value: value, comparison: comparison, threshold: threshold, action: action}
            order by priority
        ) filter (where failed) as failed
    from {{ ref('verdicts') }}
    group by doc_id
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
