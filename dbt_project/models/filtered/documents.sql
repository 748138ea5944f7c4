-- The documents that every rule lets through, with the redacted text in place of the original.
select
    documents.* exclude (text, messages, run_id),
    redacted.text,
    redacted.messages,
    redacted.n_findings,
    {{ run_id() }} as run_id
from {{ source('raw', 'documents') }} as documents
join {{ ref('decisions') }} as decisions using (doc_id)
join {{ source('filtered', 'redacted') }} as redacted using (doc_id)
where decisions.verdict = 'kept'
order by documents.source, documents.doc_id
