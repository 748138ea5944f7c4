select rule, profile, count(*) as rows
from {{ ref('rules') }}
group by all
having count(*) > 1
