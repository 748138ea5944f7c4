-- What a model would be trained on: each source's share before and after its weight.
{{ config(schema='scored', tags=['scored']) }}

with selected as (
    select
        documents.source,
        count(*) as documents,
        sum(length(documents.text))::bigint as characters,
        any_value(sources.weight) as weight
    from {{ ref('selection') }} as selection
    join {{ ref('documents') }} as documents using (doc_id)
    join {{ source('raw', 'sources') }} as sources on sources.source = documents.source
    where selection.selected
    group by documents.source
)

select
    source,
    documents,
    characters,
    characters / sum(characters) over () as natural_share,
    weight,
    characters * weight / sum(characters * weight) over () as share,
    {{ run_id() }} as run_id
from selected
order by source
