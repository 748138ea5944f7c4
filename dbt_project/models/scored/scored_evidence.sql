-- What is known of each kept document once it is scored, one row a signal.
{{ config(materialized='view', alias='evidence') }}

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
left join {{ source('scored', 'scores') }} as scores on scores.doc_id = documents.doc_id
left join {{ ref('waivers') }} as waivers
    on waivers.kind = 'license'
    and waivers.subject = documents.source
    and waivers.expires >= current_date
