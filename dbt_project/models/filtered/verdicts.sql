-- Each document held against each rule of its source's profile: value, threshold, outcome.
{{ verdicts(ref('evidence'), 'filtered') }}
