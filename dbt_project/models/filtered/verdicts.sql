-- Each document held against each rule of its source's profile: value, threshold, outcome.
select
    evidence.doc_id,
    evidence.source,
    sources.profile,
    rules.priority,
    rules.rule,
    rules.version,
    evidence.signal,
    evidence.value,
    rules.comparison,
    rules.threshold,
    rules.action,
    {{ breaks('evidence.value', 'rules.comparison', 'rules.threshold') }} as failed,
    {{ run_id() }} as run_id
from {{ ref('evidence') }} as evidence
join {{ source('raw', 'sources') }} as sources using (source)
join {{ ref('rules') }} as rules
    on rules.signal = evidence.signal
    and rules.stage = 'filtered'
    and rules.profile in ('all', sources.profile)
order by source, doc_id, priority
