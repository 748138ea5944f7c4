-- A rule of the filter stage whose signal nobody measures would never fail: a typo must not switch it off.
-- Of profiles that no source has, nothing is measured.
{{ config(meta={'dagster': {'ref': {'name': 'rules'}}}) }}
select rules.rule, rules.signal
from {{ ref('rules') }} as rules
where rules.stage = 'filtered'
    and rules.profile in (select 'all' union all select profile from {{ source('raw', 'sources') }})
    and rules.signal not in (select distinct signal from {{ ref('evidence') }})
