-- No raw document without a decision, no decision without a raw document.
{{ config(meta={'dagster': {'ref': {'name': 'decisions'}}}) }}
select coalesce(documents.doc_id, decisions.doc_id) as doc_id
from {{ source('raw', 'documents') }} as documents
full join {{ ref('decisions') }} as decisions using (doc_id)
where documents.doc_id is null or decisions.doc_id is null
